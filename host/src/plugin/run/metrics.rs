//! Counts the calls of a plugin under its name. The counters continue when a new version replaces
//! it.

use crate::plugin::sandbox::CallFailure;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counters of one plugin.
#[derive(Debug, Default)]
pub(crate) struct PluginMetrics {
    kept: AtomicU64,
    dropped: AtomicU64,
    failed: [AtomicU64; CallFailure::LABELS.len()],
    nanoseconds: AtomicU64,
    memory: AtomicU64,
}

/// What a plugin has done since the observer started.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginCounts {
    /// Events that it was called for.
    pub calls: u64,
    /// Events that it let go on.
    pub kept: u64,
    /// Events that it dropped.
    pub dropped: u64,
    /// Events that it failed on, by kind of failure.
    pub failed: BTreeMap<&'static str, u64>,
    /// Time in it, in seconds.
    pub seconds: f64,
    /// Most memory that an instance had, in bytes.
    pub peak_memory_bytes: u64,
}

impl PluginMetrics {
    pub(crate) fn kept(&self, time: Duration) {
        self.count(&self.kept, time);
    }

    pub(crate) fn dropped(&self, time: Duration) {
        self.count(&self.dropped, time);
    }

    pub(crate) fn failed(&self, failure: &CallFailure, time: Duration) {
        let index = CallFailure::LABELS
            .iter()
            .position(|label| *label == failure.label());
        if let Some(counter) = index.and_then(|index| self.failed.get(index)) {
            self.count(counter, time);
        }
    }

    pub(crate) fn used(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.memory.fetch_max(bytes, Ordering::Relaxed);
    }

    fn count(&self, counter: &AtomicU64, time: Duration) {
        counter.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> PluginCounts {
        let kept = self.kept.load(Ordering::Relaxed);
        let dropped = self.dropped.load(Ordering::Relaxed);
        let failed: BTreeMap<_, _> = CallFailure::LABELS
            .into_iter()
            .zip(&self.failed)
            .map(|(label, counter)| (label, counter.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let time = Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed));
        PluginCounts {
            calls: kept + dropped + failed.values().sum::<u64>(),
            kept,
            dropped,
            failed,
            seconds: time.as_secs_f64(),
            peak_memory_bytes: self.memory.load(Ordering::Relaxed),
        }
    }
}
