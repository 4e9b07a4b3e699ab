//! The `Retry-After` header (RFC 9110 §10.2.3).

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::time::Duration;

/// Returns how long a response asks the client to wait, without a bound. A date is compared with the `Date` of the
/// response, because the clocks of server and client may differ; `now` stands in if the response has no valid `Date`.
pub(crate) fn retry_after_of(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let now = text(DATE).and_then(http_date).unwrap_or(now);
    retry_after(text(RETRY_AFTER)?, now, Duration::MAX)
}

/// Returns the wait that the value of a `Retry-After` header asks for, at most `cap`. The value is a number of seconds or
/// a date.
#[must_use]
pub fn retry_after(value: &str, now: Timestamp, cap: Duration) -> Option<Duration> {
    let value = value.trim();
    // Digits only: Rust parses `+5` as a number, HTTP does not.
    let is_seconds = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let wait = match is_seconds {
        // A number that is too large for the type exceeds any bound.
        true => Duration::from_secs(value.parse().unwrap_or(u64::MAX)),
        false => Duration::try_from(http_date(value)?.duration_since(now)).unwrap_or_default(),
    };
    Some(wait.min(cap))
}

/// Parses a date in the form of RFC 9110 §5.6.7, or in one of the two obsolete forms that every recipient must accept.
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
        assert_eq!(wait("99999999999999999999999"), Some(cap));
        for invalid in ["soon", "", "+7", "-7", "7.5", "7 s", "0x7"] {
            assert_eq!(wait(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn a_date_is_one_of_the_receivers_clock() {
        let now = "2026-11-22T13:00:00Z".parse().unwrap();
        assert_eq!(retry_after_of(&HeaderMap::new(), now), None);
        let date = "Sun, 22 Nov 2026 09:00:30 GMT";
        for (receivers_now, seconds) in [
            ("Sun, 22 Nov 2026 09:00:00 GMT", 30),
            ("Sun, 22 Nov 2026 09:01:00 GMT", 0),
            // Without a valid `Date` the client's clock counts.
            ("noon", 0),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, date.parse().unwrap());
            headers.insert(DATE, receivers_now.parse().unwrap());
            let wait = retry_after_of(&headers, now).unwrap();
            assert_eq!(wait, Duration::from_secs(seconds), "{receivers_now}");
        }
    }
}
