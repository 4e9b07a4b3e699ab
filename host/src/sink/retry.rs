//! What an HTTP answer means for the event: a table, as data.

use jiff::Timestamp;
use std::time::Duration;

/// What to do after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Accepted.
    Done,
    /// Try again.
    Retry,
    /// Give up on this event.
    Reject,
    /// Send nothing there any more, until somebody looks after it.
    Suspend,
}

/// What a status means (Knative's delivery contract and the CloudEvents HTTP webhook).
#[must_use]
pub fn after_status(status: u16) -> Disposition {
    match status {
        200..=299 => Disposition::Done,
        // Not found: Knative answers so while a receiver is being set up. Unauthorized, forbidden:
        // credentials run out and are mended; no event is worth less for that.
        401 | 403 | 404 | 408 | 425 | 429 | 500..=599 => Disposition::Retry,
        // Gone (CloudEvents webhook §2.2: the sender must not send there again).
        410 => Disposition::Suspend,
        // Redirects are refused: they could lead events, and their credentials, anywhere.
        _ => Disposition::Reject,
    }
}

/// The wait that a `Retry-After` header asks for: seconds or an HTTP date (RFC 9110 §10.2.3), at
/// most `cap`.
#[must_use]
pub fn retry_after(header: &str, now: Timestamp, cap: Duration) -> Option<Duration> {
    let header = header.trim();
    let wait = match header.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(header).ok()?.timestamp();
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(cap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_row() {
        for (status, expected) in [
            (200, Disposition::Done),
            (202, Disposition::Done),
            (204, Disposition::Done),
            (301, Disposition::Reject),
            (307, Disposition::Reject),
            (400, Disposition::Reject),
            (401, Disposition::Retry),
            (403, Disposition::Retry),
            (404, Disposition::Retry),
            (408, Disposition::Retry),
            (410, Disposition::Suspend),
            (413, Disposition::Reject),
            (425, Disposition::Retry),
            (429, Disposition::Retry),
            (500, Disposition::Retry),
            (503, Disposition::Retry),
            (599, Disposition::Retry),
            (100, Disposition::Reject),
        ] {
            assert_eq!(after_status(status), expected, "{status}");
        }
    }

    #[test]
    fn retry_after_takes_seconds_and_dates_up_to_a_cap() {
        let now: Timestamp = "2026-11-22T13:00:00Z".parse().unwrap();
        let cap = Duration::from_secs(60);
        let wait = |header| retry_after(header, now, cap);
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("100000"), Some(cap));
        assert_eq!(
            wait("Sun, 22 Nov 2026 13:00:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(wait("Sun, 22 Nov 2026 12:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }
}
