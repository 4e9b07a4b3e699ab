//! The only place that reads the time of day.

use jiff::Timestamp;

/// Returns the time of day.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge where the clock is read"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
