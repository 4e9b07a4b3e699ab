//! How it stands with everything, whenever somebody asks.

use super::{CarriedOver, stages};
use crate::admin::{
    Events, JournalStatus, LogReads, SinkStatus, Standing, Transitions, Vitals, Waiting,
    WatchStatus,
};
use crate::clock;
use crate::deliver::Account;
use crate::fair::Admission;
use crate::history::History;
use crate::journal::Journal;
use crate::logs::LogReader;
use crate::observe::Watches;
use crate::prepare::Tally;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is told about.
pub(super) struct Told {
    pub(super) journal: Journal,
    pub(super) history: History,
    pub(super) accounts: Vec<(String, Arc<Account>)>,
    pub(super) tally: Arc<Tally>,
    pub(super) logs: Arc<LogReader>,
    pub(super) admission: Admission,
    /// Of a cluster.
    pub(super) watches: Option<Watches>,
    pub(super) carried: CarriedOver,
}

impl Told {
    pub(super) fn whenever_asked(self) -> Standing {
        Arc::new(move || self.now())
    }

    fn now(&self) -> Vitals {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (tally, logs) = (&self.tally, self.logs.counts());
        let steps = &tally.steps;
        Vitals {
            listed: self.watches.is_none() || tally.listed.load(Ordering::Relaxed),
            watches: self.watches.as_ref().map_or_else(Vec::new, watches),
            unreadable_objects: self.watches.as_ref().map_or_else(BTreeMap::new, unreadable),
            unclaimed_pods: count(&tally.unclaimed_pods),
            runs_tracked: count(&tally.runs),
            runs_without_texts: count(&tally.gave_way),
            transitions: Transitions {
                started: count(&steps.started),
                succeeded: count(&steps.succeeded),
                failed: count(&steps.failed),
                skipped: count(&steps.skipped),
            },
            events: Events {
                accepted: count(&tally.accepted),
                dropped: count(&tally.dropped),
                failed: count(&tally.failed),
                cut: count(&tally.cut),
                oversized: count(&tally.oversized),
                told_before: count(&tally.told_before),
                pending: count(&tally.pending),
            },
            waiting: self.waiting(),
            log_reads: LogReads {
                read: count(&logs.whole),
                cut: count(&logs.cut),
                unavailable: count(&logs.unavailable),
            },
            configuration: self.carried.reloads(),
            journal: self.journal(),
        }
    }

    fn waiting(&self) -> Waiting {
        let waits = self.admission.waits();
        let (held_seconds, held_by) = match waits.oldest {
            Some((since, plugin)) => (stages::age(since), Some(plugin.to_string())),
            None => (0, None),
        };
        Waiting {
            held: waits.held,
            held_seconds,
            held_by,
            runs_set_aside: waits.aside,
            runs_given_up: waits.given_up,
        }
    }

    fn journal(&self) -> JournalStatus {
        let journal = &self.journal;
        let (bytes, max_bytes) = journal.bytes();
        let sinks = self.accounts.iter().map(|(name, account)| {
            let (waiting, dead_letters) = journal.counts(name);
            let oldest = journal.waiting(name, 0, 1).into_iter().next();
            SinkStatus {
                name: name.clone(),
                delivered: account.delivered(),
                failed_attempts: account.failed(),
                waiting,
                oldest_seconds: oldest.map_or(0, |event| stages::age(event.at)),
                paused_until: account.pause().and_then(|left| {
                    let until = clock::now().checked_add(left).ok()?;
                    until.round(jiff::Unit::Millisecond).ok()
                }),
                dead_letters,
                held: account.held(),
            }
        });
        let queued = journal.queued();
        JournalStatus {
            full: queued.is_all,
            waiting_namespaces: queued.namespaces,
            dead_letters_dropped: journal.letters_dropped(),
            bytes,
            max_bytes,
            dropped: journal.dropped(),
            disk_full: journal.is_disk_full(),
            history_left_out: self.history.left_out(),
            sinks: sinks.collect(),
        }
    }
}

fn watches(watches: &Watches) -> Vec<WatchStatus> {
    let standing = watches.standing().into_iter();
    let status = standing.map(|watch| WatchStatus {
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
