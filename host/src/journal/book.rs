//! What the journal amounts to: who still waits for what, which letters are dead, what was told.
//! Pure: entries in, state out; the same when the journal is written and when it is read again.

mod moved;
mod turns;

pub(crate) use turns::{Taken, Turns};

use super::entry::{Accepted, Entry, Letter, Seq};
use super::letters::{At, GIVEN_UP, LETTERS, Letters, REFUSED};
use super::namespaces::Namespaces;
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
    namespace: u32,
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
    /// Events of one namespace have the same number here for as long as one of them is there.
    pub(crate) namespace: u32,
    /// When it was accepted.
    pub(crate) at: Timestamp,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book {
    /// By their bit.
    sinks: Vec<String>,
    events: BTreeMap<Seq, Event>,
    namespaces: Namespaces,
    letters: Letters,
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

impl Event {
    fn waiting(&self, seq: Seq) -> Waiting {
        Waiting {
            seq,
            run: self.run,
            namespace: self.namespace,
            at: Timestamp::from_second(self.at).unwrap_or_default(),
        }
    }
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
                namespace,
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
                    self.accept(&event, place, (hash(&run), &namespace), at.as_second());
                    offset += u64::from(length);
                }
                if let Some(mark) = mark {
                    self.mark(run, &mark);
                }
            }
            Entry::Done { seq, sink } => {
                if let Some(bit) = self.bit(&sink) {
                    if let Some(event) = self.events.get(&seq) {
                        let bytes = u64::from(event.place.length);
                        self.letters.remove((seq, bit), event.namespace, bytes);
                    }
                    self.change(seq, |event| {
                        event.waiting &= !(1 << bit);
                        event.dead &= !(1 << bit);
                    });
                }
            }
            Entry::Dead { seq, sink, letter } => {
                let Some(bit) = self.bit(&sink) else { return };
                self.letters.arrive((seq, bit));
                if let Some(event) = self.events.get(&seq) {
                    let bytes = u64::from(event.place.length);
                    let at = (seq, bit);
                    self.letters.insert(at, event.namespace, bytes, letter);
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

    fn accept(
        &mut self,
        event: &Accepted,
        place: Place,
        (run, namespace): (u64, &Arc<str>),
        at: i64,
    ) {
        let bits = event.sinks.iter().filter_map(|sink| self.bit(sink));
        let waiting = bits.fold(0, |bits, bit| bits | 1 << bit);
        // A moved event: what is said of it follows.
        let moved = self.events.remove(&event.seq);
        if let Some(old) = moved {
            self.count(old, false);
        }
        if waiting == 0 {
            if let Some(old) = moved {
                self.leave(old.namespace, event.seq);
            }
            return;
        }
        let letters = self.letters.of(event.seq);
        let dead = letters.fold(0, |bits, (bit, _)| bits | 1 << bit);
        let event_now = Event {
            place,
            run,
            namespace: match moved {
                Some(old) => old.namespace,
                None => self.namespaces.add(namespace, event.seq),
            },
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
        self.namespaces.count(event.namespace, length - dead, there);
        if there {
            self.bytes += length;
            self.dead_bytes += dead;
        } else {
            self.bytes -= length;
            self.dead_bytes -= dead;
        }
    }

    /// An event is not there any more.
    fn leave(&mut self, namespace: u32, seq: Seq) {
        let events = &self.events;
        let is_there = |seq| events.contains_key(&seq);
        self.namespaces.remove(namespace, seq, is_there);
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
        } else {
            self.leave(event.namespace, seq);
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

    pub(super) fn known(&self, sink: &str) -> Option<usize> {
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
            .map(|(seq, event)| event.waiting(*seq))
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

    /// Bytes of a namespace's events that somebody waits for.
    pub(super) fn waiting_bytes_of(&self, namespace: &str) -> u64 {
        self.namespaces.waiting(namespace)
    }

    /// How many namespaces have events.
    pub(super) fn namespaces(&self) -> usize {
        self.namespaces.count_of_all()
    }

    /// The namespace of an event.
    pub(super) fn namespace(&self, seq: Seq) -> Option<Arc<str>> {
        let event = self.events.get(&seq)?;
        Some(self.namespaces.name(event.namespace))
    }

    /// What gives way where a namespace is about to have so many bytes more: the oldest event that somebody waits
    /// for, of the namespace with the most, and who waits for it.
    pub(super) fn first_to_go(&mut self, namespace: &str, more: u64) -> Option<(Seq, Vec<String>)> {
        let largest = self.namespaces.largest(namespace, more)?;
        let events = &self.events;
        let waiting = self.namespaces.events(largest, 0).find_map(|seq| {
            let waiting = events.get(&seq)?.waiting;
            (waiting != 0).then_some((seq, waiting))
        });
        waiting.map(|(seq, bits)| (seq, self.names(bits)))
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
        let named = |((seq, bit), letter): (&At, &Letter)| {
            let sink = self.sinks.get(*bit).cloned().unwrap_or_default();
            (*seq, sink, letter.clone())
        };
        self.letters.iter().map(named).collect()
    }

    /// Are there as many dead letters as there may be, or as many bytes of them?
    pub(super) fn is_full_of_letters(&self, max_bytes: u64, any: bool) -> bool {
        let (given_up, _) = self.letters.given_up();
        let given_up = usize::try_from(given_up).unwrap_or(usize::MAX);
        // Where only what was refused gives way, there is some room for it, whatever else there is.
        let most = match any {
            true => LETTERS,
            false => LETTERS.max(given_up.saturating_add(REFUSED)),
        };
        self.letters.count() >= most || self.letters.bytes(self.dead_bytes) >= max_bytes
    }

    /// For so many dead letters of events that were given up there is room.
    pub(super) fn room_for_given_up(&self, max_bytes: u64) -> usize {
        let (part, of) = GIVEN_UP;
        let (count, bytes) = self.letters.given_up();
        match bytes < (max_bytes / of).saturating_mul(part) {
            true => LETTERS.saturating_sub(usize::try_from(count).unwrap_or(usize::MAX)),
            false => 0,
        }
    }

    /// An event is about to become a dead letter of a sink.
    pub(super) fn expect_letter(&mut self, seq: Seq, sink: &str) {
        if let Some(bit) = self.known(sink)
            && let Some(event) = self.events.get(&seq)
            && event.waiting & (1 << bit) != 0
        {
            let is_last = event.waiting == 1 << bit;
            let bytes = if is_last {
                u64::from(event.place.length)
            } else {
                0
            };
            self.letters.expect((seq, bit), bytes);
        }
    }

    /// The dead letter that gives way, which does not count any more; only one that a sink refused, or any.
    pub(super) fn let_a_letter_go(&mut self, any: bool) -> Option<(Seq, String)> {
        let (at, namespace) = self.letters.first_to_go(any)?;
        let (seq, bit) = at;
        let event = self.events.get(&seq)?;
        let left = self
            .letters
            .of(seq)
            .any(|(other, _)| other != bit && !self.letters.is_going((seq, other)));
        let freed = match event.waiting == 0 && !left {
            true => u64::from(event.place.length),
            false => 0,
        };
        self.letters.let_go(at, namespace, freed);
        Some((seq, self.sinks.get(bit)?.clone()))
    }
}
