//! What comes of one attempt to deliver.

use std::time::Duration;

/// What came of one attempt to deliver an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The sink has it.
    Delivered,
    /// It has it not, as far as is known.
    Failed(DeliveryFailure),
    /// Nothing was sent: the receiver has asked for a pause, or another request probes after one.
    Postponed,
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryFailure {
    /// What to do next.
    pub action: RetryAction,
    /// What happened. No secret, no URL.
    pub reason: String,
    /// The status, where the wire has such.
    pub code: Option<u16>,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAction {
    /// It may work later; the sink may ask to wait so long.
    Retry {
        /// At least.
        after: Option<Duration>,
    },
    /// The receiver asks for a pause (`Retry-After` of 429 and 503): nothing is sent to it for so long.
    Pause {
        /// What it asks for.
        asked: Duration,
        /// What it gets: no more than `retry.maxPauseMs`.
        length: Duration,
    },
    /// The receiver is gone for good, as it says: nothing should be sent there for long.
    Suspend,
    /// It will never work.
    Reject,
}

impl RetryAction {
    /// It may work later, whenever that is.
    pub const LATER: Self = Self::Retry { after: None };
}

impl Attempt {
    /// It may work later.
    #[must_use]
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::failed(RetryAction::LATER, reason)
    }

    /// It will never work.
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

    /// The status of a failure, where the wire has such.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Delivered | Self::Postponed => None,
            Self::Failed(failure) => failure.code,
        }
    }

    /// Is the event refused for good?
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.action == RetryAction::Reject)
    }
}
