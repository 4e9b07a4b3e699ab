//! Counts the events between the tracker and the journal.

use super::PipelineMetrics;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Counts an event as pending from its transition until the journal has accepted it or the event is
/// given up. The count ends when this guard is dropped, so no path can omit it.
///
/// A guard that is dropped because the stages are aborted ([`PipelineMetrics::keep_pending`]) stays
/// counted: the summary reports its event as undelivered.
#[derive(Debug)]
pub(crate) struct Pending {
    metrics: Arc<PipelineMetrics>,
    is_accepted: bool,
}

impl Pending {
    pub(crate) fn new(metrics: &Arc<PipelineMetrics>) -> Self {
        metrics.pending.add(1);
        Self {
            metrics: metrics.clone(),
            is_accepted: false,
        }
    }

    /// Counts another event of the same transition.
    pub(super) fn another(&self) -> Self {
        Self::new(&self.metrics)
    }

    /// Ends the pending state because the journal has accepted the event. This ends it even after
    /// the stages are aborted.
    pub(super) fn accepted(mut self) {
        self.is_accepted = true;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.is_accepted || !self.metrics.keeps_pending.load(Ordering::Relaxed) {
            self.metrics.pending.subtract(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_pending_until_its_guard_is_dropped() {
        let metrics = Arc::default();
        let first = Pending::new(&metrics);
        let second = first.another();
        assert_eq!(metrics.pending.get(), 2);
        drop(first);
        second.accepted();
        assert_eq!(metrics.pending.get(), 0);
    }

    #[test]
    fn an_event_of_an_aborted_stage_stays_pending_but_not_one_that_the_journal_accepts() {
        let metrics = Arc::default();
        let (aborted, submitted) = (Pending::new(&metrics), Pending::new(&metrics));
        metrics.keep_pending();
        drop(aborted);
        submitted.accepted();
        assert_eq!(metrics.pending.get(), 1);
    }
}
