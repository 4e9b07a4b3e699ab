//! Counters of one sink.

use crate::sink::PauseGate;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Outcomes of the events of one sink since the start.
#[derive(Debug)]
pub struct SinkMetrics {
    pub(super) pause: PauseGate,
    pub(super) delivered: AtomicU64,
    pub(super) dead_lettered: AtomicU64,
    pub(super) failed_attempts: AtomicU64,
    /// Events that are to become dead letters, but for which there is no room.
    pub(super) held: AtomicU64,
}

impl SinkMetrics {
    pub(crate) fn new(pause: PauseGate) -> Self {
        Self {
            pause,
            delivered: AtomicU64::new(0),
            dead_lettered: AtomicU64::new(0),
            failed_attempts: AtomicU64::new(0),
            held: AtomicU64::new(0),
        }
    }

    /// Returns the time left of the pause that the sink has asked for.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.pause.remaining()
    }

    /// Returns how many events the sink has taken.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Returns how many attempts failed.
    #[must_use]
    pub fn failed_attempts(&self) -> u64 {
        self.failed_attempts.load(Ordering::Relaxed)
    }

    /// Returns how many events are attempted further, although they were given up, because there
    /// are too many dead letters.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Returns how many events became dead letters.
    #[must_use]
    pub fn dead_lettered(&self) -> u64 {
        self.dead_lettered.load(Ordering::Relaxed)
    }
}
