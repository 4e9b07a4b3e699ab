//! What an HTTP answer means for the event: a table, as data.

use super::Next;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::time::Duration;

/// What to do after a status (Knative's delivery contract and the CloudEvents HTTP webhook); nothing
/// more where it says that the event was accepted.
#[must_use]
pub fn after_status(status: u16) -> Option<Next> {
    match status {
        200..=299 => None,
        // Not found: Knative answers so while a receiver is being set up. Unauthorized, forbidden:
        // credentials run out and are mended; no event is worth less for that.
        401 | 403 | 404 | 408 | 425 | 429 | 500..=599 => Some(Next::LATER),
        // Gone (CloudEvents webhook §2.2: the sender must not send there again).
        410 => Some(Next::Suspend),
        // Redirects are refused: they could lead events, and their credentials, anywhere.
        _ => Some(Next::Reject),
    }
}

/// The wait that a `Retry-After` header asks for: seconds or an HTTP date (RFC 9110 §10.2.3), at
/// most `cap`.
#[must_use]
pub fn retry_after(header: &str, now: Timestamp, cap: Duration) -> Option<Duration> {
    let header = header.trim();
    let wait = match header.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Duration::try_from(http_date(header)?.duration_since(now)).unwrap_or_default(),
    };
    Some(wait.min(cap))
}

/// A date as RFC 9110 §5.6.7 has it, or in one of the two older forms that every recipient must take.
fn http_date(text: &str) -> Option<Timestamp> {
    if let Ok(date) = jiff::fmt::rfc2822::parse(text) {
        return Some(date.timestamp());
    }
    let date = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .into_iter()
        .find_map(|form| DateTime::strptime(form, text).ok())?;
    TimeZone::UTC.to_timestamp(date).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_row() {
        let retry = Some(Next::LATER);
        for (status, expected) in [
            (200, None),
            (202, None),
            (204, None),
            (301, Some(Next::Reject)),
            (307, Some(Next::Reject)),
            (400, Some(Next::Reject)),
            (401, retry),
            (403, retry),
            (404, retry),
            (408, retry),
            (410, Some(Next::Suspend)),
            (413, Some(Next::Reject)),
            (425, retry),
            (429, retry),
            (500, retry),
            (503, retry),
            (599, retry),
            (100, Some(Next::Reject)),
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
