//! Reads the state of the observer for `/status` and `/readyz`, from the counters of the rooms and
//! from the journal.

use super::CarriedOver;
use crate::admin::{
    EventStatus, GapStatus, JournalStatus, LogReadStatus, SinkStatus, StandbyRole, StandbyStatus,
    StatusProvider, StatusSnapshot, TransitionStatus, WaitingStatus, WatchStatus,
};
use crate::clock;
use crate::deliver::{SinkBacklog, SinkMetrics};
use crate::fair::Admission;
use crate::logs::LogReader;
use crate::observe::{WatchHealth, Watches};
use crate::prepare::PipelineMetrics;
use crate::standby::Standby;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Sources of a status snapshot.
pub(super) struct StatusSources {
    pub(super) metrics: Arc<PipelineMetrics>,
    pub(super) sink_metrics: Vec<(String, Arc<SinkMetrics>)>,
    pub(super) logs: Arc<LogReader>,
    pub(super) admission: Admission,
    /// The watches of a cluster; a recording has none.
    pub(super) watches: Option<Watches>,
    pub(super) carried: CarriedOver,
}

impl StatusSources {
    pub(super) fn into_provider(self) -> StatusProvider {
        Arc::new(move || self.snapshot())
    }

    fn snapshot(&self) -> StatusSnapshot {
        let (metrics, logs) = (&self.metrics, self.logs.metrics());
        let transitions = &metrics.transitions;
        StatusSnapshot {
            listed: self.watches.is_none() || metrics.listed.load(Ordering::Relaxed),
            standby: self.carried.standby.as_ref().map(standby_status),
            gap: self.carried.gaps.last().map(|gap| GapStatus {
                from: gap.from,
                to: gap.to,
            }),
            watches: self.watches(),
            unreadable_objects: self.unreadable_objects(),
            unclaimed_pods: metrics.unclaimed_pods.get(),
            runs_tracked: metrics.runs_tracked.get(),
            runs_without_texts: metrics.runs_without_texts.get(),
            transitions: TransitionStatus {
                started: transitions.started.get(),
                succeeded: transitions.succeeded.get(),
                failed: transitions.failed.get(),
                skipped: transitions.skipped.get(),
            },
            events: EventStatus {
                accepted: metrics.accepted.get(),
                dropped: metrics.dropped.get(),
                failed: metrics.failed.get(),
                truncated: metrics.truncated.get(),
                oversized: metrics.oversized.get(),
                emitted_before: metrics.emitted_before.get(),
                pending: metrics.pending.get(),
            },
            waiting: self.waiting(),
            log_reads: LogReadStatus {
                read: logs.read.get(),
                truncated: logs.truncated.get(),
                unavailable: logs.unavailable.get(),
            },
            configuration: self.carried.reloads(),
            journal: self.journal(),
        }
    }

    fn watches(&self) -> Vec<WatchStatus> {
        let health = self.watches.as_ref().map(Watches::health);
        health
            .unwrap_or_default()
            .iter()
            .map(watch_status)
            .collect()
    }

    fn unreadable_objects(&self) -> BTreeMap<String, u64> {
        let Some(watches) = &self.watches else {
            return BTreeMap::new();
        };
        let counters = watches.unreadable();
        counters
            .map(|(resource, counter)| (resource.to_owned(), counter.get()))
            .collect()
    }

    fn waiting(&self) -> WaitingStatus {
        let admission = self.admission.status();
        WaitingStatus {
            held: admission.held,
            held_seconds: admission.oldest_age().as_secs(),
            held_by: admission.oldest.map(|(_, plugin)| plugin.to_string()),
            runs_deferred: admission.deferred,
            runs_given_up: admission.given_up,
        }
    }

    fn journal(&self) -> JournalStatus {
        let (journal, history) = (&self.carried.journal, &self.carried.history);
        let (bytes, max_bytes) = journal.bytes();
        let blocked = journal.blocked();
        JournalStatus {
            bytes,
            max_bytes,
            full: blocked.is_all,
            waiting_namespaces: blocked.namespaces,
            dropped: journal.dropped(),
            dead_letters_dropped: journal.dead_letters_dropped(),
            disk_full: journal.is_disk_full(),
            history_dropped: history.dropped(),
            sinks: self.sinks(),
        }
    }

    fn sinks(&self) -> Vec<SinkStatus> {
        let sinks = self.sink_metrics.iter().map(|(name, metrics)| {
            let backlog = SinkBacklog::read(&self.carried.journal, name);
            SinkStatus {
                name: name.clone(),
                delivered: metrics.delivered(),
                failed_attempts: metrics.failed_attempts(),
                waiting: backlog.waiting,
                oldest_seconds: backlog.oldest.as_secs(),
                paused_until: metrics.pause().and_then(end_of_pause),
                dead_letters: backlog.dead_letters,
                held: metrics.held(),
            }
        });
        sinks.collect()
    }
}

/// Returns what `/status` shows of an observer among several.
pub(super) fn standby_status(standby: &Standby) -> StandbyStatus {
    let state = standby.state();
    StandbyStatus {
        state: match state.is_active {
            true => StandbyRole::Active,
            false => StandbyRole::Waiting,
        },
        since: state.since,
        lease: state.lease,
        identity: state.identity,
        holder: state.holder,
        transitions: state.transitions,
        failing_seconds: state.failing.as_ref().map(|(_, since)| since.as_secs()),
        problem: state.failing.map(|(problem, _)| problem),
    }
}

fn watch_status(watch: &WatchHealth) -> WatchStatus {
    WatchStatus {
        resource: watch.resource.to_owned(),
        age_seconds: watch.age.as_secs(),
        failing_seconds: watch.failing.map(|since| since.as_secs()),
        failures: watch.failures,
        relists: watch.relists(),
    }
}

fn end_of_pause(left: Duration) -> Option<Timestamp> {
    let end = clock::now().checked_add(left).ok()?;
    end.round(jiff::Unit::Millisecond).ok()
}
