//! What a receiver asks for with `Retry-After`.

use super::super::{PauseGate, RetryAction, http_date, retry_after};
use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use std::time::Duration;

/// How long to wait, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PauseRequest {
    wait: Duration,
    /// With everything, not only with the event that was sent.
    is_for_all: bool,
}

/// What an answer asks for. Only 429 (RFC 6585 §4) and 503 (RFC 9110 §15.6.4) speak of the receiver as a whole, and only
/// for them do Knative's senders obey `Retry-After`; any other failure speaks of the event that it answers.
pub(super) fn of(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Option<PauseRequest> {
    let text = |name| headers.get(name)?.to_str().ok();
    // A date is one of the receiver's clock, which is not ours.
    let now = text(DATE).and_then(http_date).unwrap_or(now);
    let wait = retry_after(text(RETRY_AFTER)?, now, Duration::MAX)?;
    let is_for_all = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    Some(PauseRequest { wait, is_for_all })
}

impl PauseRequest {
    /// Begins the pause, and says what to do with the event.
    pub(super) fn made(self, pause: &PauseGate) -> RetryAction {
        let asked = self.wait;
        let after = asked.min(pause.longest());
        match self.is_for_all && !after.is_zero() {
            true => RetryAction::Pause {
                asked,
                length: pause.begin(asked),
            },
            false => RetryAction::Retry { after: Some(after) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-22T13:00:00Z";

    fn wish(status: u16, headers: &[(&'static str, &str)]) -> Option<PauseRequest> {
        let headers = headers.iter().map(|(name, value)| {
            let name = reqwest::header::HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        let status = StatusCode::from_u16(status).unwrap();
        of(status, &headers.collect(), NOW.parse().unwrap())
    }

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
            let expected = PauseRequest { wait, is_for_all };
            assert_eq!(wish(status, &[("retry-after", "6")]), Some(expected));
            assert_eq!(wish(status, &[]), None);
        }
    }

    #[test]
    fn a_date_is_one_of_the_receivers_clock() {
        let date = "Sun, 22 Nov 2026 09:00:30 GMT";
        for (receivers_now, seconds) in [
            ("Sun, 22 Nov 2026 09:00:00 GMT", 30),
            ("Sun, 22 Nov 2026 09:01:00 GMT", 0),
            // Whoever sends no date that is one has our clock.
            ("noon", 0),
        ] {
            let headers = [("retry-after", date), ("date", receivers_now)];
            let wait = wish(503, &headers).unwrap().wait;
            assert_eq!(wait, Duration::from_secs(seconds), "{receivers_now}");
        }
    }

    #[test]
    fn a_requested_pause_is_bounded_and_zero_is_no_pause() {
        let wish = |seconds| PauseRequest {
            wait: Duration::from_secs(seconds),
            is_for_all: true,
        };
        let pause = PauseGate::new(Duration::from_secs(600));
        let now = RetryAction::Retry {
            after: Some(Duration::ZERO),
        };
        assert_eq!(wish(0).made(&pause), now);
        assert!(pause.enter().is_some());
        let never = PauseGate::new(Duration::ZERO);
        assert_eq!(wish(9).made(&never), now);
        assert!(never.enter().is_some());
        let made = RetryAction::Pause {
            asked: Duration::from_secs(u64::MAX),
            length: Duration::from_secs(600),
        };
        assert_eq!(wish(u64::MAX).made(&pause), made);
        assert!(pause.enter().is_none());
    }
}
