//! EventStage became of the events for one sink.

use crate::sink::PauseGate;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// EventStage became of the events for one sink since the start.
#[derive(Debug)]
pub struct SinkMetrics {
    pub(super) pause: PauseGate,
    pub(super) delivered: AtomicU64,
    pub(super) dead_lettered: AtomicU64,
    pub(super) failed_attempts: AtomicU64,
    /// Events that are to become dead letters and for which there is no room.
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

    /// How long the pause that the sink has asked for still lasts.
    #[must_use]
    pub fn pause(&self) -> Option<Duration> {
        self.pause.remaining()
    }

    /// Events that the sink has taken.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Attempts that failed.
    #[must_use]
    pub fn failed_attempts(&self) -> u64 {
        self.failed_attempts.load(Ordering::Relaxed)
    }

    /// Events that were given up and go on being tried, because there are too many dead letters.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Events that became dead letters.
    #[must_use]
    pub fn dead_lettered(&self) -> u64 {
        self.dead_lettered.load(Ordering::Relaxed)
    }
}
