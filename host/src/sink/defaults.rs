//! What holds for every wire where nothing else is configured.

use crate::bounded::Bounded;
use std::time::Duration;

/// Longest attempt.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest pause that a receiver gets.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Events in flight.
pub(super) const CONCURRENCY: usize = 16;

pub(super) fn timeout_ms() -> Bounded<1, 600_000> {
    Bounded::new(TIMEOUT.as_millis() as u64)
}

pub(super) fn concurrency() -> Bounded<1, 256, usize> {
    Bounded::new(CONCURRENCY)
}
