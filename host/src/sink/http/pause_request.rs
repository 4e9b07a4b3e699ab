//! Pauses that responses ask for with `Retry-After`.

use super::super::{PauseGate, RetryAction};
use crate::http::{HttpResponse, retry_after_of};
use http::StatusCode;
use jiff::Timestamp;
use std::time::Duration;

/// A wait that a response asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PauseRequest {
    wait: Duration,
    /// Whether the wait applies to all events, and not only to the event that was sent.
    is_for_all: bool,
}

impl PauseRequest {
    /// Returns the wait that a response asks for.
    pub(super) fn of_response(response: &HttpResponse, now: Timestamp) -> Option<Self> {
        let wait = retry_after_of(response.headers(), now)?;
        Some(Self::new(response.status(), wait))
    }

    /// Decides by the status whether the wait applies to all events. Only 429 (RFC 6585 §4) and 503
    /// (RFC 9110 §15.6.4) are about the receiver as a whole; every other status is about the event
    /// that was sent. When Knative sends events, it also obeys `Retry-After` only for these two
    /// statuses.
    fn new(status: StatusCode, wait: Duration) -> Self {
        let is_for_all = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        Self { wait, is_for_all }
    }

    /// Begins a pause if the wait applies to all events. Returns the action for the event that was
    /// sent.
    pub(super) fn apply(self, gate: &PauseGate) -> RetryAction {
        let asked = self.wait;
        let after = asked.min(gate.longest());
        match self.is_for_all && !after.is_zero() {
            true => RetryAction::Pause {
                asked,
                length: gate.begin(asked),
            },
            false => RetryAction::Retry { after: Some(after) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_429_and_503_pause_the_receiver() {
        for (status, is_for_all) in [
            (429, true),
            (503, true),
            (408, false),
            (404, false),
            (500, false),
            (502, false),
        ] {
            let wait = Duration::from_secs(6);
            let status = StatusCode::from_u16(status).unwrap();
            let expected = PauseRequest { wait, is_for_all };
            assert_eq!(PauseRequest::new(status, wait), expected);
        }
    }

    #[test]
    fn a_requested_pause_is_bounded_and_zero_is_no_pause() {
        let request = |seconds| PauseRequest {
            wait: Duration::from_secs(seconds),
            is_for_all: true,
        };
        let gate = PauseGate::new(Duration::from_secs(600));
        let now = RetryAction::Retry {
            after: Some(Duration::ZERO),
        };
        assert_eq!(request(0).apply(&gate), now);
        assert!(gate.enter().is_some());
        let never = PauseGate::new(Duration::ZERO);
        assert_eq!(request(9).apply(&never), now);
        assert!(never.enter().is_some());
        let expected = RetryAction::Pause {
            asked: Duration::from_secs(u64::MAX),
            length: Duration::from_secs(600),
        };
        assert_eq!(request(u64::MAX).apply(&gate), expected);
        assert!(gate.enter().is_none());
    }
}
