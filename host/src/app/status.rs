//! How it stands with everything, whenever somebody asks.

use super::CarriedOver;
use crate::admin::{
    EventStatus, JournalStatus, LogReadStatus, SinkStatus, StatusProvider, StatusSnapshot,
    TransitionStatus, WaitingStatus, WatchStatus,
};
use crate::clock;
use crate::deliver::SinkMetrics;
use crate::fair::Admission;
use crate::history::History;
use crate::journal::Journal;
use crate::logs::LogReader;
use crate::observe::Watches;
use crate::prepare::PipelineMetrics;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is told about.
pub(super) struct StatusSources {
    pub(super) journal: Journal,
    pub(super) history: History,
    pub(super) sink_metrics: Vec<(String, Arc<SinkMetrics>)>,
    pub(super) metrics: Arc<PipelineMetrics>,
    pub(super) logs: Arc<LogReader>,
    pub(super) admission: Admission,
    /// Of a cluster.
    pub(super) watches: Option<Watches>,
    pub(super) carried: CarriedOver,
}

impl StatusSources {
    pub(super) fn into_provider(self) -> StatusProvider {
        Arc::new(move || self.snapshot())
    }

    fn snapshot(&self) -> StatusSnapshot {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (metrics, logs) = (&self.metrics, self.logs.metrics());
        let steps = &metrics.transitions;
        StatusSnapshot {
            listed: self.watches.is_none() || metrics.listed.load(Ordering::Relaxed),
            watches: self.watches.as_ref().map_or_else(Vec::new, watches),
            unreadable_objects: self.watches.as_ref().map_or_else(BTreeMap::new, unreadable),
            unclaimed_pods: count(&metrics.unclaimed_pods),
            runs_tracked: count(&metrics.runs_tracked),
            runs_without_texts: count(&metrics.runs_without_texts),
            transitions: TransitionStatus {
                started: count(&steps.started),
                succeeded: count(&steps.succeeded),
                failed: count(&steps.failed),
                skipped: count(&steps.skipped),
            },
            events: EventStatus {
                accepted: count(&metrics.accepted),
                dropped: count(&metrics.dropped),
                failed: count(&metrics.failed),
                cut: count(&metrics.truncated),
                oversized: count(&metrics.oversized),
                told_before: count(&metrics.emitted_before),
                pending: count(&metrics.pending),
            },
            waiting: self.waiting(),
            log_reads: LogReadStatus {
                read: count(&logs.read),
                cut: count(&logs.truncated),
                unavailable: count(&logs.unavailable),
            },
            configuration: self.carried.reloads(),
            journal: self.journal(),
        }
    }

    fn waiting(&self) -> WaitingStatus {
        let waits = self.admission.status();
        let (held_seconds, held_by) = match waits.oldest {
            Some((since, plugin)) => (age(since), Some(plugin.to_string())),
            None => (0, None),
        };
        WaitingStatus {
            held: waits.held,
            held_seconds,
            held_by,
            runs_set_aside: waits.deferred,
            runs_given_up: waits.given_up,
        }
    }

    fn journal(&self) -> JournalStatus {
        let journal = &self.journal;
        let (bytes, max_bytes) = journal.bytes();
        let sinks = self.sink_metrics.iter().map(|(name, sink)| {
            let (waiting, dead_letters) = journal.counts(name);
            let oldest = journal.waiting(name, 0, 1).into_iter().next();
            SinkStatus {
                name: name.clone(),
                delivered: sink.delivered(),
                failed_attempts: sink.failed_attempts(),
                waiting,
                oldest_seconds: oldest.map_or(0, |event| age(event.at)),
                paused_until: sink.pause().and_then(|left| {
                    let until = clock::now().checked_add(left).ok()?;
                    until.round(jiff::Unit::Millisecond).ok()
                }),
                dead_letters,
                held: sink.held(),
            }
        });
        let queued = journal.blocked();
        JournalStatus {
            full: queued.is_all,
            waiting_namespaces: queued.namespaces,
            dead_letters_dropped: journal.dead_letters_dropped(),
            bytes,
            max_bytes,
            dropped: journal.dropped(),
            disk_full: journal.is_disk_full(),
            history_left_out: self.history.dropped(),
            sinks: sinks.collect(),
        }
    }
}

fn watches(watches: &Watches) -> Vec<WatchStatus> {
    let health = watches.health().into_iter();
    let status = health.map(|watch| WatchStatus {
        resource: watch.resource.to_owned(),
        age_seconds: watch.age.as_secs(),
        failing_seconds: watch.failing.map(|since| since.as_secs()),
        failures: watch.failures,
        relists: watch.lists.saturating_sub(1),
    });
    status.collect()
}

fn unreadable(watches: &Watches) -> BTreeMap<String, u64> {
    let counts = watches.unreadable();
    counts
        .map(|(kind, count)| (kind.to_owned(), count))
        .collect()
}

/// Returns the seconds since a time.
fn age(at: Timestamp) -> u64 {
    let seconds = clock::now().duration_since(at).as_secs();
    u64::try_from(seconds).unwrap_or_default()
}
