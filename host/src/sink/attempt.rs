//! The outcome of one attempt to deliver.

use std::time::Duration;

/// The outcome of one attempt to deliver an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The sink has acknowledged the event.
    Delivered,
    /// The sink has not acknowledged the event, but may still have received it.
    Failed(DeliveryFailure),
    /// Nothing was sent. Either the receiver has asked for a pause, or the pause is over and
    /// another request probes the receiver first.
    Postponed,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryFailure {
    /// The next step for the event and the sink.
    pub action: RetryAction,
    /// The cause, for logs and dead letters. Holds no secret and no URL.
    pub reason: String,
    /// The status code of the response, if the wire has status codes.
    pub code: Option<u16>,
}

/// The reaction to a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAction {
    /// Try this event again later.
    Retry {
        /// The shortest wait that the sink asks for.
        after: Option<Duration>,
    },
    /// Send nothing to the receiver for a while: it asks for a pause (`Retry-After` of 429 and 503).
    Pause {
        /// The pause that the receiver asks for.
        asked: Duration,
        /// The pause that the receiver gets: at most `retry.maxPauseMs`.
        length: Duration,
    },
    /// Send nothing to the receiver for a long time, because it reports that it is gone
    /// permanently.
    Suspend,
    /// Give the event up: no further attempt can succeed.
    Reject,
}

impl RetryAction {
    /// Tries again later; the sink names no time.
    pub const LATER: Self = Self::Retry { after: None };
}

impl Attempt {
    /// Returns a failure after which the event is tried again.
    #[must_use]
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::failed(RetryAction::LATER, reason)
    }

    /// Returns a failure after which the event is given up.
    #[must_use]
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::failed(RetryAction::Reject, reason)
    }

    pub(super) fn failed(action: RetryAction, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Failed(DeliveryFailure {
            action,
            reason,
            code: None,
        })
    }

    /// Returns the status code of a failure, if the wire has status codes.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Delivered | Self::Postponed => None,
            Self::Failed(failure) => failure.code,
        }
    }

    /// Returns whether the sink refuses the event permanently, so that it is not sent again.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.action == RetryAction::Reject)
    }
}
