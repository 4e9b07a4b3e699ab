//! Bounds the records between the watch and the journal, by namespace and run.

use crate::clock;
use crate::locked::Locked;
use crate::metrics::Registry;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// Places for records between the watch and the journal. One namespace alone gets half of them.
const MAX_PLACES: usize = 512;
/// Bytes of a record, captured log included, for each place that it takes.
const PLACE_BYTES: usize = 64 * 1024;
/// Number of records of one run at which its further transitions are deferred: they stay in the
/// cluster.
const MAX_RECORDS_PER_RUN: usize = 16;
/// Number of held events of one namespace at which its further transitions are deferred. Plugins
/// hold them (`onError: block`).
const MAX_HELD_EVENTS: usize = 32;

/// The records between the watch and the journal. Clones share the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Admission(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Locked<State>,
    /// Notified when a place or a held event is released.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    places: usize,
    namespaces: HashMap<Arc<str>, Namespace>,
    /// Events that plugins hold, the oldest first.
    held: BTreeMap<u64, HeldSince>,
    /// Number of the next held event.
    next: u64,
    deferred: usize,
    given_up: u64,
}

#[derive(Debug, Default)]
struct Namespace {
    places: usize,
    held: usize,
    /// Records by run.
    runs: HashMap<Arc<str>, usize>,
}

#[derive(Debug)]
struct HeldSince {
    at: Timestamp,
    plugin: Arc<str>,
}

/// Events and runs that wait before the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AdmissionStatus {
    /// Number of events that plugins hold (`onError: block`).
    pub(crate) held: u64,
    /// Start time of the oldest hold, and the plugin that holds the event.
    pub(crate) oldest: Option<(Timestamp, Arc<str>)>,
    /// Number of runs whose transitions are deferred, because the run or its namespace has reached
    /// a bound.
    pub(crate) deferred: u64,
    /// Number of deferred runs that were dropped because they disappeared from the cluster.
    pub(crate) given_up: u64,
}

impl AdmissionStatus {
    /// Returns how long the oldest held event has been held.
    pub(crate) fn oldest_age(&self) -> Duration {
        let oldest = self.oldest.as_ref();
        oldest.map_or(Duration::ZERO, |(began, _)| clock::since(*began))
    }
}

/// The places of a record. They are released when this value is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    admission: Admission,
    namespace: Arc<str>,
    run: Arc<str>,
    places: usize,
}

/// Counts an event as held by a plugin until this value is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    ticket: &'a Ticket,
    number: u64,
}

// === impl Admission ===

impl Admission {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }

    /// Returns whether a further transition of a run may become a record.
    pub(crate) fn has_room(&self, namespace: &str, run: &str) -> bool {
        self.state().has_room(namespace, run)
    }

    /// Returns whether the bounds of a namespace allow a further record.
    pub(crate) fn has_namespace_room(&self, namespace: &str) -> bool {
        self.state().has_namespace_room(namespace)
    }

    /// Returns whether all places are taken.
    pub(crate) fn is_full(&self) -> bool {
        self.state().places >= MAX_PLACES
    }

    /// Takes places for a record of this many bytes, even if there is no room. Callers check for
    /// room first, but only once for all transitions of a run that are found together.
    pub(crate) fn enter(&self, namespace: &Arc<str>, run: &Arc<str>, bytes: usize) -> Ticket {
        let places = 1 + bytes / PLACE_BYTES;
        let mut state = self.state();
        state.places += places;
        let entry = state.namespaces.entry(namespace.clone()).or_default();
        entry.places += places;
        *entry.runs.entry(run.clone()).or_default() += 1;
        drop(state);
        Ticket {
            admission: self.clone(),
            namespace: namespace.clone(),
            run: run.clone(),
            places,
        }
    }

    /// Waits until something was released since the last call. For a single waiter.
    pub(crate) async fn freed(&self) {
        self.0.freed.notified().await;
    }

    /// Sets the number of deferred runs, and the number of deferred runs that were dropped.
    pub(crate) fn set_deferred(&self, runs: usize, given_up: u64) {
        let mut state = self.state();
        state.deferred = runs;
        state.given_up = given_up;
    }

    /// Returns what waits.
    pub(crate) fn status(&self) -> AdmissionStatus {
        let state = self.state();
        let oldest = state.held.values().next();
        AdmissionStatus {
            held: state.held.len() as u64,
            oldest: oldest.map(|held| (held.at, held.plugin.clone())),
            deferred: state.deferred as u64,
            given_up: state.given_up,
        }
    }

    /// Registers the metrics of the events and runs that wait before the journal.
    pub(crate) fn register_metrics(&self, registry: &mut Registry) {
        let admission = self.clone();
        registry.register_samples(move |samples| {
            let status = admission.status();
            samples.gauge(
                "events_held",
                "Events that plugins hold (onError: block)",
                status.held,
            )?;
            samples.gauge(
                "events_held_seconds",
                "Seconds since a plugin began to hold the oldest of these events",
                status.oldest_age().as_secs(),
            )?;
            samples.gauge(
                "runs_set_aside",
                "Deferred TaskRuns: their transitions wait because their namespace has used its share of the records in \
                 preparation",
                status.deferred,
            )?;
            samples.counter(
                "runs_given_up",
                "Deferred TaskRuns that were deleted from the cluster and then given up",
                status.given_up,
            )
        });
    }
}

// === impl State ===

impl State {
    fn has_namespace_room(&self, namespace: &str) -> bool {
        match self.namespaces.get(namespace) {
            None => true,
            Some(namespace) => {
                namespace.held < MAX_HELD_EVENTS
                    && namespace.places < MAX_PLACES.saturating_sub(self.places)
            }
        }
    }

    fn has_room(&self, namespace: &str, run: &str) -> bool {
        let of_run = |namespace: &Namespace| namespace.runs.get(run).copied().unwrap_or_default();
        self.has_namespace_room(namespace)
            && self
                .namespaces
                .get(namespace)
                .is_none_or(|namespace| of_run(namespace) < MAX_RECORDS_PER_RUN)
    }

    fn leave(&mut self, ticket: &Ticket) {
        self.places = self.places.saturating_sub(ticket.places);
        let Some(namespace) = self.namespaces.get_mut(&ticket.namespace) else {
            return;
        };
        namespace.places = namespace.places.saturating_sub(ticket.places);
        if let Some(records) = namespace.runs.get_mut(&ticket.run) {
            *records -= 1;
            if *records == 0 {
                namespace.runs.remove(&ticket.run);
            }
        }
        if namespace.runs.is_empty() {
            self.namespaces.remove(&ticket.namespace);
        }
    }
}

// === impl Ticket ===

impl Ticket {
    /// Counts the event as held by a plugin until the result is dropped.
    pub(crate) fn hold(&self, plugin: &Arc<str>, at: Timestamp) -> Held<'_> {
        let mut state = self.admission.state();
        let number = state.next;
        state.next += 1;
        let plugin = plugin.clone();
        state.held.insert(number, HeldSince { at, plugin });
        if let Some(namespace) = state.namespaces.get_mut(&self.namespace) {
            namespace.held += 1;
        }
        drop(state);
        Held {
            ticket: self,
            number,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admission.state().leave(self);
        self.admission.0.freed.notify_one();
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.ticket.admission.state();
        state.held.remove(&self.number);
        if let Some(namespace) = state.namespaces.get_mut(&self.ticket.namespace) {
            namespace.held = namespace.held.saturating_sub(1);
        }
        drop(state);
        self.ticket.admission.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill(admission: &Admission, namespace: &str, runs: usize, bytes: usize) -> Vec<Ticket> {
        let namespace: Arc<str> = namespace.into();
        let mut tickets = Vec::new();
        for run in (0..runs).map(|run| Arc::<str>::from(format!("{namespace}-{run}"))) {
            while admission.has_room(&namespace, &run) {
                tickets.push(admission.enter(&namespace, &run, bytes));
            }
        }
        tickets
    }

    #[test]
    fn one_namespace_gets_half_and_another_finds_room() {
        let admission = Admission::default();
        let hostile = fill(&admission, "hostile", 100, 0);
        assert_eq!(hostile.len(), MAX_PLACES / 2);
        assert!(fill(&admission, "innocent", 1, 0).len() == MAX_RECORDS_PER_RUN);
        drop(hostile);
        assert!(admission.has_namespace_room("hostile"));
    }

    #[test]
    fn a_run_has_its_own_bound_and_large_records_take_more_places() {
        let admission = Admission::default();
        assert_eq!(fill(&admission, "ns", 1, 0).len(), MAX_RECORDS_PER_RUN);
        let large = fill(&admission, "ns", 100, 15 * PLACE_BYTES);
        assert_eq!(large.len(), MAX_PLACES / 2 / 16);
    }

    #[test]
    fn held_events_of_a_namespace_are_bounded_and_the_oldest_is_known() {
        let admission = Admission::default();
        let tickets = fill(&admission, "ns", 100, 0);
        let plugin: Arc<str> = "enrich".into();
        let at = |second| Timestamp::from_second(second).unwrap();
        let few = tickets.iter().take(MAX_HELD_EVENTS).zip(7..);
        let held: Vec<_> = few
            .map(|(ticket, second)| ticket.hold(&plugin, at(second)))
            .collect();
        let waits = admission.status();
        assert_eq!(waits.held, MAX_HELD_EVENTS as u64);
        assert_eq!(waits.oldest, Some((at(7), plugin)));
        drop(held);
        assert_eq!(admission.status(), AdmissionStatus::default());
        drop(tickets);
        let (namespace, run) = ("ns".into(), "run".into());
        let kept: Vec<_> = (0..MAX_HELD_EVENTS)
            .map(|_| admission.enter(&namespace, &run, 0))
            .collect();
        let held: Vec<_> = (kept.iter())
            .map(|ticket| ticket.hold(&"enrich".into(), at(0)))
            .collect();
        assert!(!admission.has_namespace_room("ns") && admission.has_namespace_room("other"));
        drop(held);
        assert!(admission.has_namespace_room("ns"));
    }

    proptest! {
        #[test]
        fn a_namespace_without_records_always_finds_room(
            steps in proptest::collection::vec((0..4_usize, 0..8_usize, 0..200_000_usize, any::<bool>()), 0..600),
        ) {
            let admission = Admission::default();
            let mut tickets: Vec<Ticket> = Vec::new();
            for (namespace, run, bytes, leaves) in steps {
                if leaves && !tickets.is_empty() {
                    tickets.swap_remove(bytes % tickets.len());
                    continue;
                }
                let (namespace, run): (Arc<str>, Arc<str>) =
                    (format!("ns-{namespace}").into(), format!("run-{run}").into());
                if admission.has_room(&namespace, &run) {
                    tickets.push(admission.enter(&namespace, &run, bytes));
                }
                prop_assert!(admission.has_room("another", "run"));
                // The last record of each namespace may take more places than were left.
                let places: usize = tickets.iter().map(|ticket| ticket.places).sum();
                prop_assert!(places <= MAX_PLACES + 4 * 4);
            }
            drop(tickets);
            prop_assert_eq!(admission.state().places, 0);
            prop_assert!(admission.state().namespaces.is_empty());
        }
    }
}
