//! Metrics of one plugin.

use crate::metrics::{Counter, Histogram};
use crate::plugin::sandbox::CallFailure;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the durations of calls: 10 µs, doubled up to 10.5 s.
const DURATION_BUCKETS: (Duration, usize) = (Duration::from_micros(10), 21);

/// Counts the calls of one plugin.
#[derive(Debug)]
pub(crate) struct PluginMetrics {
    pub(crate) kept: Counter,
    pub(crate) dropped: Counter,
    /// Number of events for which `match.cel` could not be evaluated.
    pub(crate) condition_errors: Counter,
    /// Number of failed calls by kind, in the order of [`CallFailure::LABELS`].
    failed: [Counter; CallFailure::LABELS.len()],
    pub(crate) duration: Histogram,
    peak_memory: AtomicU64,
}

/// The counts of one plugin, as `/plugins` shows them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginCounts {
    /// Calls, each with one event.
    pub calls: u64,
    /// Events that the plugin kept.
    pub kept: u64,
    /// Events that the plugin dropped.
    pub dropped: u64,
    /// Events on which the plugin failed, by kind of failure.
    pub failed: BTreeMap<&'static str, u64>,
    /// Total duration of the calls, in seconds.
    pub seconds: f64,
    /// Largest memory that an instance used, in bytes.
    pub peak_memory_bytes: u64,
}

// === impl PluginMetrics ===

impl Default for PluginMetrics {
    fn default() -> Self {
        let (first, bounds) = DURATION_BUCKETS;
        Self {
            kept: Counter::default(),
            dropped: Counter::default(),
            condition_errors: Counter::default(),
            failed: Default::default(),
            duration: Histogram::new(first, bounds),
            peak_memory: AtomicU64::new(0),
        }
    }
}

impl PluginMetrics {
    /// Counts a call that kept its event.
    pub(crate) fn count_kept(&self, duration: Duration) {
        self.count(&self.kept, duration);
    }

    /// Counts a call that dropped its event.
    pub(crate) fn count_dropped(&self, duration: Duration) {
        self.count(&self.dropped, duration);
    }

    /// Counts a call that failed.
    pub(crate) fn count_failed(&self, failure: &CallFailure, duration: Duration) {
        let label = failure.label();
        let index = CallFailure::LABELS.iter().position(|known| *known == label);
        if let Some(counter) = index.and_then(|index| self.failed.get(index)) {
            self.count(counter, duration);
        }
    }

    /// Notes the memory that an instance used.
    pub(crate) fn note_memory(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.peak_memory.fetch_max(bytes, Ordering::Relaxed);
    }

    fn count(&self, counter: &Counter, duration: Duration) {
        counter.increment();
        self.duration.observe(duration);
    }

    /// Returns the failures by kind, without the kinds that did not occur.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.failed.iter().map(Counter::get);
        let by_kind = CallFailure::LABELS.into_iter().zip(counts);
        by_kind.filter(|(_, count)| *count > 0)
    }

    /// Returns the current counts.
    pub(crate) fn counts(&self) -> PluginCounts {
        let failed: BTreeMap<_, _> = self.failures().collect();
        let (kept, dropped) = (self.kept.get(), self.dropped.get());
        PluginCounts {
            calls: kept + dropped + failed.values().sum::<u64>(),
            kept,
            dropped,
            failed,
            seconds: self.duration.sum(),
            peak_memory_bytes: self.peak_memory.load(Ordering::Relaxed),
        }
    }
}
