//! What the journal amounts to: who still waits for what, which letters are dead, what was told.
//! Pure: entries in, state out; the same when the journal is written and when it is read again.

use super::entry::{Accepted, Entry, Letter, Seq};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// Most sinks that the journal tells apart at a time.
pub(super) const MAX_SINKS: usize = 64;

/// Where a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
    /// CRC-32.
    pub(super) sum: u32,
}

impl Place {
    /// Where it ends.
    pub(super) fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }
}

/// An event that is not done.
#[derive(Clone, Copy, Debug)]
struct Event {
    place: Place,
    run: u64,
    /// When it was accepted, in seconds since 1970.
    at: i64,
    /// A bit for each sink that waits for it.
    waiting: u64,
    /// A bit for each sink where it is a dead letter.
    dead: u64,
}

/// An event that a sink waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) seq: Seq,
    /// Events of one run have the same number here; others rarely.
    pub(crate) run: u64,
    /// When it was accepted.
    pub(crate) at: Timestamp,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// By their bit.
    sinks: Vec<String>,
    events: BTreeMap<Seq, Event>,
    letters: BTreeMap<(Seq, usize), Letter>,
    told: HashMap<Arc<str>, Vec<u64>>,
    horizon: Option<Timestamp>,
    scope: Option<String>,
    next: Seq,
    /// Bytes of all bodies.
    bytes: u64,
    /// Bytes of those that nobody waits for any more, but that are dead letters.
    dead_bytes: u64,
    /// Marks of all runs.
    marks: u64,
}

/// What an event takes in a segment beside its body, and what a mark takes, in bytes: more than they
/// do, or cleaning would never end.
const EVENT: u64 = 512;
const MARK: u64 = 256;

pub(super) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Book {
    pub(super) fn horizon(&self) -> Option<Timestamp> {
        self.horizon
    }

    /// What was watched last.
    pub(super) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// The number for the next event.
    pub(super) fn next(&self) -> Seq {
        self.next
    }

    /// Bytes of events that wait.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.bytes - self.dead_bytes
    }

    /// Bytes of events that are only dead letters.
    pub(super) fn dead_bytes(&self) -> u64 {
        self.dead_bytes
    }

    /// About what a journal that says only this would take, in bytes.
    pub(super) fn needed(&self) -> u64 {
        let entries = (self.events.len() + self.letters.len()) as u64;
        self.bytes + entries * EVENT + self.marks * MARK
    }

    /// Takes an entry whose bodies begin at a place.
    pub(super) fn apply(&mut self, entry: Entry, segment: u64, bodies: u64) {
        // A number that is mentioned anywhere is taken.
        if let Some(last) = entry.seqs().max() {
            self.next = self.next.max(last + 1);
        }
        match entry {
            Entry::Begun { horizon } => self.horizon = Some(horizon),
            Entry::Scope { scope } => self.scope = Some(scope),
            Entry::Accepted {
                run,
                mark,
                at,
                events,
            } => {
                let mut offset = bodies;
                for event in events {
                    let length = event.bytes;
                    let place = Place {
                        segment,
                        offset,
                        length,
                        sum: event.sum,
                    };
                    self.accept(&event, place, hash(&run), at.as_second());
                    offset += u64::from(length);
                }
                if let Some(mark) = mark {
                    self.mark(run, &mark);
                }
            }
            Entry::Done { seq, sink } => {
                if let Some(bit) = self.bit(&sink) {
                    self.letters.remove(&(seq, bit));
                    self.change(seq, |event| {
                        event.waiting &= !(1 << bit);
                        event.dead &= !(1 << bit);
                    });
                }
            }
            Entry::Dead { seq, sink, letter } => {
                if let Some(bit) = self.bit(&sink)
                    && self.events.contains_key(&seq)
                {
                    self.letters.insert((seq, bit), letter);
                    self.change(seq, |event| {
                        event.waiting &= !(1 << bit);
                        event.dead |= 1 << bit;
                    });
                }
            }
            Entry::Forgotten { run } => {
                let marks = self.told.remove(&run).unwrap_or_default();
                self.marks -= marks.len() as u64;
            }
            Entry::Marks { run, marks } => {
                for mark in marks {
                    self.mark(run.clone(), &mark);
                }
            }
        }
    }

    fn accept(&mut self, event: &Accepted, place: Place, run: u64, at: i64) {
        let bits = event.sinks.iter().filter_map(|sink| self.bit(sink));
        let waiting = bits.fold(0, |bits, bit| bits | 1 << bit);
        // A moved event: what is said of it follows.
        let moved = self.events.remove(&event.seq);
        if let Some(old) = moved {
            self.count(old, false);
        }
        if waiting == 0 {
            return;
        }
        let letters = self.letters.range((event.seq, 0)..=(event.seq, usize::MAX));
        let dead = letters.fold(0, |bits, ((_, bit), _)| bits | 1 << bit);
        let event_now = Event {
            place,
            run,
            at,
            waiting: waiting & !dead,
            dead,
        };
        self.count(event_now, true);
        self.events.insert(event.seq, event_now);
    }

    /// Adds or takes away what an event is counted for.
    fn count(&mut self, event: Event, there: bool) {
        let length = u64::from(event.place.length);
        let dead = if event.waiting == 0 { length } else { 0 };
        if there {
            self.bytes += length;
            self.dead_bytes += dead;
        } else {
            self.bytes -= length;
            self.dead_bytes -= dead;
        }
    }

    fn mark(&mut self, run: Arc<str>, mark: &str) {
        let marks = self.told.entry(run).or_default();
        let mark = hash(mark);
        if !marks.contains(&mark) {
            marks.push(mark);
            self.marks += 1;
        }
    }

    fn change(&mut self, seq: Seq, change: impl FnOnce(&mut Event)) {
        let Some(mut event) = self.events.remove(&seq) else {
            return;
        };
        self.count(event, false);
        change(&mut event);
        if event.waiting != 0 || event.dead != 0 {
            self.count(event, true);
            self.events.insert(seq, event);
        }
    }

    /// The bit of a sink, a new one where it has none. One that nothing waits for gives way.
    fn bit(&mut self, sink: &str) -> Option<usize> {
        if let Some(known) = self.sinks.iter().position(|known| known == sink) {
            return Some(known);
        }
        if self.sinks.len() < MAX_SINKS {
            self.sinks.push(sink.to_owned());
            return Some(self.sinks.len() - 1);
        }
        let used = self
            .events
            .values()
            .fold(0, |bits, event| bits | event.waiting | event.dead);
        let free = (0..MAX_SINKS).find(|bit| used & (1 << bit) == 0)?;
        if let Some(name) = self.sinks.get_mut(free) {
            sink.clone_into(name);
        }
        Some(free)
    }

    fn known(&self, sink: &str) -> Option<usize> {
        self.sinks.iter().position(|known| known == sink)
    }

    /// Was this told of this run?
    pub(super) fn is_told(&self, run: &str, mark: &str) -> bool {
        self.told
            .get(run)
            .is_some_and(|marks| marks.contains(&hash(mark)))
    }

    /// Was anything told of this run?
    pub(super) fn has_told_of(&self, run: &str) -> bool {
        self.told.contains_key(run)
    }

    /// Runs of which something was told.
    pub(super) fn runs(&self) -> Vec<Arc<str>> {
        self.told.keys().cloned().collect()
    }

    /// What a sink waits for, from a number on, the oldest first.
    pub(super) fn waiting(&self, sink: &str, from: Seq, most: usize) -> Vec<Waiting> {
        let Some(bit) = self.known(sink) else {
            return Vec::new();
        };
        self.events
            .range(from..)
            .filter(|(_, event)| event.waiting & (1 << bit) != 0)
            .take(most)
            .map(|(seq, event)| Waiting {
                seq: *seq,
                run: event.run,
                at: Timestamp::from_second(event.at).unwrap_or_default(),
            })
            .collect()
    }

    /// How many events a sink waits for, and where so many are dead letters.
    pub(super) fn counts(&self, sink: &str) -> (u64, u64) {
        let Some(bit) = self.known(sink) else {
            return (0, 0);
        };
        let count = |bits: fn(&Event) -> u64| {
            let found = self.events.values().map(bits);
            found.filter(|bits| bits & (1 << bit) != 0).count() as u64
        };
        (count(|event| event.waiting), count(|event| event.dead))
    }

    /// Sinks for which there is something.
    pub(super) fn sinks(&self) -> Vec<String> {
        let used = self
            .events
            .values()
            .fold(0_u64, |bits, event| bits | event.waiting);
        let named = self.sinks.iter().enumerate();
        named
            .filter(|(bit, _)| used & (1 << bit) != 0)
            .map(|(_, name)| name.clone())
            .collect()
    }

    /// The oldest event that somebody waits for, and who.
    pub(super) fn oldest(&self) -> Option<(Seq, Vec<String>)> {
        let (seq, event) = self.events.iter().find(|(_, event)| event.waiting != 0)?;
        Some((*seq, self.names(event.waiting)))
    }

    fn names(&self, bits: u64) -> Vec<String> {
        let named = self.sinks.iter().enumerate();
        named
            .filter(|(bit, _)| bits & (1 << bit) != 0)
            .map(|(_, name)| name.clone())
            .collect()
    }

    pub(super) fn place(&self, seq: Seq) -> Option<Place> {
        self.events.get(&seq).map(|event| event.place)
    }

    /// Dead letters: number, sink, and what became of them.
    pub(super) fn letters(&self) -> Vec<(Seq, String, Letter)> {
        let named = |((seq, bit), letter): (&(Seq, usize), &Letter)| {
            let sink = self.sinks.get(*bit).cloned().unwrap_or_default();
            (*seq, sink, letter.clone())
        };
        self.letters.iter().map(named).collect()
    }

    pub(super) fn letter_count(&self) -> usize {
        self.letters.len()
    }

    /// The first dead letter.
    pub(super) fn oldest_letter(&self) -> Option<(Seq, String)> {
        let ((seq, bit), _) = self.letters.first_key_value()?;
        Some((*seq, self.sinks.get(*bit)?.clone()))
    }

    /// Entries that say what is still true of one that is about to be removed, with the number of
    /// the event whose body goes with each.
    pub(super) fn still_true(&self, entry: Entry) -> Vec<(Entry, Option<Seq>)> {
        match entry {
            Entry::Begun { .. } => vec![(entry, None)],
            Entry::Scope { ref scope } if self.scope.as_ref() == Some(scope) => {
                vec![(entry, None)]
            }
            Entry::Accepted {
                run,
                mark,
                at,
                events,
            } => {
                let mut kept = Vec::new();
                let marks: Vec<String> = mark.into_iter().collect();
                kept.extend(self.marks_still_true(run.clone(), marks));
                for event in events {
                    kept.extend(self.event_still_true(&run, at, &event));
                }
                kept
            }
            Entry::Marks { run, marks } => self.marks_still_true(run, marks).into_iter().collect(),
            // What they speak of is in this segment or was before it.
            Entry::Done { .. }
            | Entry::Dead { .. }
            | Entry::Scope { .. }
            | Entry::Forgotten { .. } => Vec::new(),
        }
    }

    fn marks_still_true(&self, run: Arc<str>, marks: Vec<String>) -> Option<(Entry, Option<Seq>)> {
        let marks: Vec<String> = marks
            .into_iter()
            .filter(|mark| self.is_told(&run, mark))
            .collect();
        (!marks.is_empty()).then_some((Entry::Marks { run, marks }, None))
    }

    fn event_still_true(
        &self,
        run: &Arc<str>,
        at: Timestamp,
        event: &Accepted,
    ) -> Vec<(Entry, Option<Seq>)> {
        let seq = event.seq;
        let moved = |event: Accepted| Entry::Accepted {
            run: run.clone(),
            mark: None,
            at,
            events: vec![event],
        };
        let Some(now) = self.events.get(&seq) else {
            // The last number stays taken: no other event may get it, or an operator would mean the wrong one.
            let last = Accepted {
                seq,
                sinks: Vec::new(),
                bytes: 0,
                sum: crc32fast::hash(&[]),
            };
            let is_last = seq + 1 == self.next;
            return is_last.then(|| (moved(last), None)).into_iter().collect();
        };
        let moved = moved(Accepted {
            sinks: self.names(now.waiting | now.dead),
            ..event.clone()
        });
        let mut kept = vec![(moved, Some(seq))];
        for ((_, bit), letter) in self.letters.range((seq, 0)..=(seq, usize::MAX)) {
            if let Some(sink) = self.sinks.get(*bit) {
                let dead = Entry::Dead {
                    seq,
                    sink: sink.clone(),
                    letter: letter.clone(),
                };
                kept.push((dead, None));
            }
        }
        kept
    }
}
