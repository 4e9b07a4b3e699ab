//! What an HTTP answer means for the event: a table, as data. It follows the table "Event Acknowledgement and Delivery
//! Retry" of Knative's data plane contract (knative/specs, specs/eventing/data-plane.md); rows that differ from it say
//! why. `docs/delivery.md` has the same table for users.

use super::RetryAction;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::time::Duration;

/// What to do after a status; nothing more if it says that the event was accepted.
#[must_use]
pub fn after_status(status: u16) -> Option<RetryAction> {
    match status {
        // Knative: 200, 202 and other 2xx: delivery completed. No reply event is wanted (no `Prefer: reply` is sent).
        200..=299 => None,
        // Knative: 1xx and 3xx: not retried, not delivered. Redirects are not followed: they could lead events, and
        // their credentials, anywhere.
        0..=199 | 300..=399 => Some(RetryAction::Reject),
        // Knative: 404: retried. The endpoint may be about to be set up.
        404 => Some(RetryAction::LATER),
        // Knative: 409: retried. Something else works on the event, or on what it is about, at the moment.
        409 => Some(RetryAction::LATER),
        // Knative: 429: retried. With `Retry-After` it is a pause for the sink (`http/pause_request.rs`).
        429 => Some(RetryAction::LATER),
        // Knative: "other 4xx", not retried. Differs: credentials run out and are renewed, and rights are granted, by
        // people; until then no event is worth less.
        401 | 403 => Some(RetryAction::LATER),
        // Knative: "other 4xx", not retried. Differs: the receiver did not get all of the request in time (RFC 9110
        // §15.5.9), which says nothing of the event.
        408 => Some(RetryAction::LATER),
        // Knative: "other 4xx", not retried. Differs: the server asks for the same request later, outside TLS early data
        // (RFC 8470 §5.2).
        425 => Some(RetryAction::LATER),
        // Knative: "other 4xx", not retried. Differs: it is the receiver that is gone, not the event that is bad
        // (CloudEvents HTTP webhook §2.2: the sender must not send there again).
        410 => Some(RetryAction::Suspend),
        // Knative: 400 and other 4xx: not retried.
        400..=499 => Some(RetryAction::Reject),
        // Knative: 5xx: retried; so "SHOULD" be what is not in its table.
        500.. => Some(RetryAction::LATER),
    }
}

/// The wait that a `Retry-After` header asks for: seconds or an HTTP date (RFC 9110 §10.2.3), at
/// most `cap`.
#[must_use]
pub fn retry_after(header: &str, now: Timestamp, cap: Duration) -> Option<Duration> {
    let header = header.trim();
    // Digits only: `+5` is a number for Rust, and none for HTTP.
    let is_seconds = !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit());
    let wait = match is_seconds {
        // What is too large for the type is longer than any bound.
        true => Duration::from_secs(header.parse().unwrap_or(u64::MAX)),
        false => Duration::try_from(http_date(header)?.duration_since(now)).unwrap_or_default(),
    };
    Some(wait.min(cap))
}

/// A date as RFC 9110 §5.6.7 has it, or in one of the two older forms that every recipient must take.
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
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
        let retry = Some(RetryAction::LATER);
        for (status, expected) in [
            (200, None),
            (202, None),
            (204, None),
            (301, Some(RetryAction::Reject)),
            (307, Some(RetryAction::Reject)),
            (400, Some(RetryAction::Reject)),
            (401, retry),
            (403, retry),
            (404, retry),
            (408, retry),
            (409, retry),
            (410, Some(RetryAction::Suspend)),
            (413, Some(RetryAction::Reject)),
            (425, retry),
            (429, retry),
            (500, retry),
            (503, retry),
            (599, retry),
            (600, retry),
            (999, retry),
            (402, Some(RetryAction::Reject)),
            (405, Some(RetryAction::Reject)),
            (422, Some(RetryAction::Reject)),
            (499, Some(RetryAction::Reject)),
            (100, Some(RetryAction::Reject)),
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
        assert_eq!(wait("99999999999999999999999"), Some(cap));
        for invalid in ["soon", "", "+7", "-7", "7.5", "7 s", "0x7"] {
            assert_eq!(wait(invalid), None, "{invalid}");
        }
    }
}
