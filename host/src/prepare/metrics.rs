//! Metrics of the pipeline between the watches and the journal.

use crate::metrics::{Counter, Gauge, Registry};
use std::sync::atomic::{AtomicBool, Ordering};
use step_observer_core::Kind;

/// Counts the transitions and their events between the watches and the journal, by outcome.
#[derive(Debug, Default)]
pub(crate) struct PipelineMetrics {
    /// True if the first lists of all watches are complete. This is a state for `/status`, not a
    /// metric.
    pub(crate) listed: AtomicBool,
    /// True if the stages are aborted. Their unfinished events then stay pending.
    pub(super) keeps_pending: AtomicBool,
    /// Transitions that the tracker found.
    pub(crate) transitions: TransitionMetrics,
    /// TaskRuns that are tracked.
    pub(crate) runs_tracked: Gauge,
    /// TaskRuns whose scripts were removed from memory because the scripts of all TaskRuns together
    /// were too large.
    pub(crate) runs_without_texts: Counter,
    /// Pods that name a TaskRun which does not name them.
    pub(crate) unclaimed_pods: Counter,
    /// Events between the tracker and the journal.
    pub(crate) pending: Gauge,
    /// Events that are in the journal for at least one sink.
    pub(crate) accepted: Counter,
    /// Events that a plugin dropped.
    pub(crate) dropped: Counter,
    /// Events that were lost before the journal accepted them. Each one is reported in the log.
    pub(crate) failed: Counter,
    /// Transitions that were emitted before the observer started.
    pub(crate) emitted_before: Counter,
    /// Events above `event.maxBytes` whose data was truncated.
    pub(crate) truncated: Counter,
    /// Events that are above `event.maxBytes` even with all their data truncated.
    pub(crate) oversized: Counter,
}

/// Counts transitions by their phase.
#[derive(Debug, Default)]
pub(crate) struct TransitionMetrics {
    pub(crate) started: Counter,
    pub(crate) succeeded: Counter,
    pub(crate) failed: Counter,
    pub(crate) skipped: Counter,
}

impl PipelineMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let transitions = &metrics.transitions;
        registry.register_family(
            "transitions",
            "Transitions of steps, by phase",
            "phase",
            [
                ("started", &transitions.started),
                ("succeeded", &transitions.succeeded),
                ("failed", &transitions.failed),
                ("skipped", &transitions.skipped),
            ],
        );
        registry.register(
            "runs_tracked",
            "TaskRuns that are tracked",
            &metrics.runs_tracked,
        );
        registry.register(
            "runs_without_texts",
            "TaskRuns whose scripts are omitted from events because all TaskRuns together held too much text",
            &metrics.runs_without_texts,
        );
        registry.register(
            "unclaimed_pods",
            "Pods that name a TaskRun which does not name them; no event is sent for them",
            &metrics.unclaimed_pods,
        );
        registry.register(
            "events_pending",
            "Events between the watches and the journal",
            &metrics.pending,
        );
        registry.register_family(
            "events",
            "Events, by outcome before the sinks: accepted by the journal, dropped by a plugin, failed, or told_before: \
             emitted before the observer started",
            "outcome",
            [
                ("accepted", &metrics.accepted),
                ("dropped", &metrics.dropped),
                ("failed", &metrics.failed),
                ("told_before", &metrics.emitted_before),
            ],
        );
        registry.register_family(
            "events_oversized",
            "Events above event.maxBytes, by outcome: cut (their data was truncated), or sent (nothing more could be \
             truncated)",
            "outcome",
            [("cut", &metrics.truncated), ("sent", &metrics.oversized)],
        );
        metrics
    }
}

impl PipelineMetrics {
    /// Makes events stay pending when their guards are dropped from now on. Called before the
    /// stages are aborted, because aborting drops the guards of unfinished events.
    pub(crate) fn keep_pending(&self) {
        self.keeps_pending.store(true, Ordering::Relaxed);
    }
}

impl TransitionMetrics {
    /// Counts a transition.
    pub(crate) fn count(&self, kind: &Kind) {
        let counter = match kind {
            Kind::Started => &self.started,
            Kind::Succeeded(_) => &self.succeeded,
            Kind::Failed(_) => &self.failed,
            Kind::Skipped(..) => &self.skipped,
        };
        counter.increment();
    }

    /// Returns the number of transitions of all phases.
    pub(crate) fn total(&self) -> u64 {
        let counters = [&self.started, &self.succeeded, &self.failed, &self.skipped];
        counters.into_iter().map(Counter::get).sum()
    }
}
