//! The one edge where the time of day is read.

use jiff::Timestamp;

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge where the clock is read"
)]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
