//! Defaults that all wires share.

use crate::bounded::Bounded;
use std::time::Duration;

/// Longest attempt.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest pause that is granted to a receiver (default of `retry.maxPauseMs`).
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(600);
/// Events in flight.
pub(super) const CONCURRENCY: usize = 16;

/// Returns [`TIMEOUT`] for settings in milliseconds.
pub(super) fn timeout_ms() -> Bounded<1, 600_000> {
    Bounded::new(TIMEOUT.as_millis() as u64)
}

/// Returns [`CONCURRENCY`] for settings.
pub(super) fn concurrency() -> Bounded<1, 256, usize> {
    Bounded::new(CONCURRENCY)
}
