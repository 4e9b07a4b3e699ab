//! The only place that reads the time of day.

use jiff::Timestamp;
use std::time::Duration;

/// Returns the current time.
#[expect(
    clippy::disallowed_methods,
    reason = "the only place that reads the clock"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Returns the time since `at`; 0 if `at` lies in the future.
pub(crate) fn since(at: Timestamp) -> Duration {
    Duration::try_from(now().duration_since(at)).unwrap_or_default()
}
