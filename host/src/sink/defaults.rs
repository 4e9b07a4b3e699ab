//! What holds for every wire where nothing else is configured.

use std::time::Duration;

/// Longest attempt.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest pause that a receiver gets.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Events in flight.
pub(super) const CONCURRENCY: usize = 16;

pub(super) fn timeout_ms() -> u64 {
    TIMEOUT.as_millis() as u64
}

pub(super) fn concurrency() -> usize {
    CONCURRENCY
}
