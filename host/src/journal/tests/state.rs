//! The state of a journal, as its callers see it.

use super::model::{MARKS, NAMESPACES, RUNS, SINKS};
use super::run;
use crate::journal::{Journal, Seq};
use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The state of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) events: BTreeMap<Seq, Event>,
    pub(super) marks: BTreeSet<(&'static str, &'static str)>,
    pub(super) next: Seq,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) body: Bytes,
    pub(super) namespace: String,
    pub(super) waiting: BTreeSet<&'static str>,
    /// Dead letters of the event: for each sink the reason, and whether the sink refused the event.
    pub(super) dead: BTreeMap<&'static str, (String, bool)>,
}

impl State {
    /// Reads the state of a journal.
    pub(super) fn read(journal: &Journal) -> Self {
        let mut events: BTreeMap<Seq, Event> = BTreeMap::new();
        for sink in SINKS {
            for waiting in journal.waiting(sink, 0, usize::MAX) {
                events.entry(waiting.seq).or_default().waiting.insert(sink);
            }
        }
        for (seq, sink, letter) in journal.dead_letters() {
            let sink = SINKS.into_iter().find(|known| *known == sink).unwrap();
            let dead = &mut events.entry(seq).or_default().dead;
            dead.insert(sink, (letter.reason, letter.refused));
        }
        for (seq, event) in &mut events {
            event.body = run(journal.body(*seq)).unwrap().unwrap();
            event.namespace = journal.origin(*seq, "".into()).namespace.to_string();
        }
        let marks = RUNS.iter().flat_map(|run| MARKS.map(|mark| (*run, mark)));
        Self {
            events,
            marks: marks
                .filter(|(run, mark)| journal.is_emitted(run, mark))
                .collect(),
            next: journal.shared.index(|index| index.next()),
        }
    }

    pub(super) fn bytes(&self, counts: impl Fn(&Event) -> bool) -> u64 {
        let counted = self.events.values().filter(|event| counts(event));
        counted.map(|event| event.body.len() as u64).sum()
    }

    /// Returns for each namespace the bytes of its events that wait for a sink.
    pub(super) fn waiting(&self) -> BTreeMap<&str, u64> {
        let mut found = BTreeMap::new();
        for event in self
            .events
            .values()
            .filter(|event| !event.waiting.is_empty())
        {
            *found.entry(&*event.namespace).or_default() += event.body.len() as u64;
        }
        found
    }

    /// Returns the dead letters: sink, namespace, number, bytes, refused.
    pub(super) fn letters(&self) -> Vec<(&'static str, &str, Seq, u64, bool)> {
        let letters = self.events.iter().flat_map(|(seq, event)| {
            let bytes = event.body.len() as u64;
            let dead = event.dead.iter();
            dead.map(move |(sink, (_, refused))| (*sink, &*event.namespace, *seq, bytes, *refused))
        });
        letters.collect()
    }

    /// Returns the dead letter to evict next: the oldest one in the largest namespace of the sink
    /// with the most dead letters.
    pub(super) fn next_to_evict(
        &self,
        any: bool,
        bit: impl Fn(&str) -> usize,
    ) -> Option<(Seq, &'static str)> {
        let evictable: Vec<_> = self
            .letters()
            .into_iter()
            .filter(|(.., refused)| any || *refused)
            .collect();
        let sink = SINKS.into_iter().max_by_key(|sink| {
            let of_it = evictable.iter().filter(|(of, ..)| of == sink);
            let oldest = of_it.clone().map(|(_, _, seq, ..)| *seq).min();
            (of_it.count(), Reverse((oldest, bit(sink))))
        })?;
        let namespace = NAMESPACES.into_iter().max_by_key(|namespace| {
            let of_it = evictable
                .iter()
                .filter(|(of, found, ..)| *of == sink && found == namespace);
            let oldest = of_it.clone().map(|(_, _, seq, ..)| *seq).min();
            (of_it.count(), Reverse(oldest))
        })?;
        let of_it = evictable
            .iter()
            .filter(|(of, found, ..)| *of == sink && *found == namespace);
        of_it.map(|(_, _, seq, ..)| (*seq, sink)).min()
    }

    pub(super) fn nth(&self, which: usize, with_dead: bool) -> Option<(Seq, &'static str)> {
        let places = self.events.iter().flat_map(|(seq, event)| {
            let dead = event.dead.keys().filter(move |_| with_dead);
            event.waiting.iter().chain(dead).map(|sink| (*seq, *sink))
        });
        let places: Vec<_> = places.collect();
        places.get(which % places.len().max(1)).copied()
    }

    pub(super) fn acknowledge(&mut self, seq: Seq, sink: &str) {
        let event = self.events.get_mut(&seq).unwrap();
        event.waiting.remove(sink);
        event.dead.remove(sink);
        if event.waiting.is_empty() && event.dead.is_empty() {
            self.events.remove(&seq);
        }
    }
}
