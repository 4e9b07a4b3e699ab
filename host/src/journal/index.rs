//! The state that results from all entries of the journal: the events that wait for each sink, the
//! dead letters, and the marks. Pure: the same entries give the same state when they are written
//! and when they are read again.

mod cursor;
mod dead_letters;
mod live_entries;

pub(crate) use cursor::{NextEvents, SinkCursor};

use super::dead_letters::DeadLetters;
use super::entry::{AcceptedEvent, Entry, Seq};
use super::namespaces::Namespaces;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// Maximum number of sinks that have events or dead letters at the same time. Each event has one
/// bit per sink.
pub(super) const MAX_SINKS: usize = 64;

/// The place of a body in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: u32,
    /// CRC-32 of the body.
    pub(super) sum: u32,
}

impl Place {
    /// Returns the offset after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }
}

/// An event that some sink has not acknowledged.
#[derive(Clone, Copy, Debug)]
struct Event {
    place: Place,
    /// Hash of the run.
    run: u64,
    /// Number of the namespace.
    namespace: u32,
    /// When it was accepted, in seconds since 1970.
    at: i64,
    /// One bit for each sink that the event waits for.
    waiting: u64,
    /// One bit for each sink that has the event as a dead letter.
    dead: u64,
}

/// An event that waits for a sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitingEvent {
    pub(crate) seq: Seq,
    /// Hash of the run: equal for events of one run, and rarely equal for others.
    pub(crate) run: u64,
    /// Number of the namespace. It stays the same as long as the namespace has events.
    pub(crate) namespace: u32,
    /// When it was accepted.
    pub(crate) at: Timestamp,
}

/// The state of the journal.
#[derive(Debug, Default)]
pub(super) struct JournalIndex {
    /// Names of the sinks. The position of a name is the bit of the sink.
    sinks: Vec<String>,
    events: BTreeMap<Seq, Event>,
    namespaces: Namespaces,
    dead_letters: DeadLetters,
    /// Hashes of the marks, by run.
    marks: HashMap<Arc<str>, Vec<u64>>,
    horizon: Option<Timestamp>,
    scope: Option<String>,
    next: Seq,
    /// Bytes of all bodies.
    bytes: u64,
    /// Bytes of the bodies of events that wait for no sink and are kept only as dead letters.
    dead_bytes: u64,
    /// Number of marks of all runs.
    mark_count: u64,
}

/// Number of runs for whose marks there is always room.
const MIN_MARKED_RUNS: usize = 64;
/// Assumed bytes of an event in a segment beside its body, and assumed bytes of a mark. Both exceed
/// the real sizes; otherwise compaction would never end.
const EVENT_OVERHEAD: u64 = 512;
const MARK_OVERHEAD: u64 = 256;

pub(super) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl Event {
    fn waiting(&self, seq: Seq) -> WaitingEvent {
        WaitingEvent {
            seq,
            run: self.run,
            namespace: self.namespace,
            at: Timestamp::from_second(self.at).unwrap_or_default(),
        }
    }
}

impl JournalIndex {
    pub(super) fn horizon(&self) -> Option<Timestamp> {
        self.horizon
    }

    /// Returns the part of the cluster that was watched last.
    pub(super) fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// Returns the number of the next event.
    pub(super) fn next(&self) -> Seq {
        self.next
    }

    /// Returns the bytes of events that wait for a sink.
    pub(super) fn waiting_bytes(&self) -> u64 {
        self.bytes - self.dead_bytes
    }

    /// Returns the bytes of events that wait for no sink and are kept only as dead letters.
    pub(super) fn dead_bytes(&self) -> u64 {
        self.dead_bytes
    }

    /// Estimates the bytes of a journal that holds this state and nothing else.
    pub(super) fn live_bytes(&self) -> u64 {
        let entries = (self.events.len() + self.dead_letters.len()) as u64;
        self.bytes + entries * EVENT_OVERHEAD + self.mark_count * MARK_OVERHEAD
    }

    /// Applies an entry whose bodies begin at an offset of a segment.
    pub(super) fn apply(&mut self, entry: Entry, segment: u64, bodies: u64) {
        // The numbers in an entry are taken, and must not be assigned again.
        if let Some(last) = entry.seqs().max() {
            self.next = self.next.max(last + 1);
        }
        match entry {
            Entry::Created { horizon } => self.horizon = Some(horizon),
            Entry::Scope { scope } => self.scope = Some(scope),
            Entry::Accepted {
                run,
                namespace,
                mark,
                name,
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
                for mark in [mark, name].into_iter().flatten() {
                    self.add_mark(run.clone(), &mark);
                }
            }
            Entry::Acknowledged { seq, sink } => {
                if let Some(bit) = self.assign_bit(&sink) {
                    if let Some(event) = self.events.get(&seq) {
                        let bytes = u64::from(event.place.length);
                        self.dead_letters.remove((seq, bit), event.namespace, bytes);
                    }
                    self.update(seq, |event| {
                        event.waiting &= !(1 << bit);
                        event.dead &= !(1 << bit);
                    });
                }
            }
            Entry::DeadLettered { seq, sink, letter } => {
                let Some(bit) = self.assign_bit(&sink) else {
                    return;
                };
                self.dead_letters.remove_pending((seq, bit));
                if let Some(event) = self.events.get(&seq) {
                    let bytes = u64::from(event.place.length);
                    let key = (seq, bit);
                    self.dead_letters
                        .insert(key, event.namespace, bytes, letter);
                    self.update(seq, |event| {
                        event.waiting &= !(1 << bit);
                        event.dead |= 1 << bit;
                    });
                }
            }
            Entry::Forgotten { run } => {
                let marks = self.marks.remove(&run).unwrap_or_default();
                self.mark_count -= marks.len() as u64;
                // After a burst, the table of marks returns to the size that it needs.
                if self.marks.capacity() > 8 * self.marks.len().max(MIN_MARKED_RUNS) {
                    self.marks.shrink_to(2 * self.marks.len());
                }
            }
            Entry::Marks { run, marks } => {
                for mark in marks {
                    self.add_mark(run.clone(), &mark);
                }
            }
        }
    }

    fn accept(
        &mut self,
        event: &AcceptedEvent,
        place: Place,
        (run, namespace): (u64, &Arc<str>),
        at: i64,
    ) {
        let bits = event.sinks.iter().filter_map(|sink| self.assign_bit(sink));
        let waiting = bits.fold(0, |bits, bit| bits | 1 << bit);
        // The event is already known if compaction moved it. In that case, later entries repeat its
        // dead letters.
        let moved = self.events.remove(&event.seq);
        if let Some(old) = moved {
            self.count(old, false);
        }
        if waiting == 0 {
            if let Some(old) = moved {
                self.remove_from_namespace(old.namespace, event.seq);
            }
            return;
        }
        let letters = self.dead_letters.of_event(event.seq);
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

    /// Adds an event to the byte counts, or subtracts it.
    fn count(&mut self, event: Event, is_added: bool) {
        let length = u64::from(event.place.length);
        let dead = if event.waiting == 0 { length } else { 0 };
        self.namespaces
            .count(event.namespace, length - dead, is_added);
        if is_added {
            self.bytes += length;
            self.dead_bytes += dead;
        } else {
            self.bytes -= length;
            self.dead_bytes -= dead;
        }
    }

    fn remove_from_namespace(&mut self, namespace: u32, seq: Seq) {
        let events = &self.events;
        let is_live = |seq| events.contains_key(&seq);
        self.namespaces.remove(namespace, seq, is_live);
    }

    fn add_mark(&mut self, run: Arc<str>, mark: &str) {
        let marks = self.marks.entry(run).or_default();
        let mark = hash(mark);
        if !marks.contains(&mark) {
            marks.push(mark);
            self.mark_count += 1;
        }
    }

    /// Changes an event and its counts. Removes it if it neither waits nor is a dead letter.
    fn update(&mut self, seq: Seq, change: impl FnOnce(&mut Event)) {
        let Some(mut event) = self.events.remove(&seq) else {
            return;
        };
        self.count(event, false);
        change(&mut event);
        if event.waiting != 0 || event.dead != 0 {
            self.count(event, true);
            self.events.insert(seq, event);
        } else {
            self.remove_from_namespace(event.namespace, seq);
        }
    }

    /// Returns the bit of a sink, and assigns one if the sink has none. If all bits are assigned,
    /// reuses the bit of a sink without events. Returns `None` if each of the 64 sinks has events.
    fn assign_bit(&mut self, sink: &str) -> Option<usize> {
        if let Some(bit) = self.sink_bit(sink) {
            return Some(bit);
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

    pub(super) fn sink_bit(&self, sink: &str) -> Option<usize> {
        self.sinks.iter().position(|name| name == sink)
    }

    /// Returns whether a transition of a run was emitted.
    pub(super) fn is_emitted(&self, run: &str, mark: &str) -> bool {
        self.marks
            .get(run)
            .is_some_and(|marks| marks.contains(&hash(mark)))
    }

    /// Returns whether any transition of a run was emitted.
    pub(super) fn has_marks(&self, run: &str) -> bool {
        self.marks.contains_key(run)
    }

    /// Returns the runs that have marks.
    pub(super) fn runs(&self) -> Vec<Arc<str>> {
        self.marks.keys().cloned().collect()
    }

    /// Returns the events that wait for a sink, from a number on. The oldest comes first.
    pub(super) fn waiting(&self, sink: &str, from: Seq, max_events: usize) -> Vec<WaitingEvent> {
        let Some(bit) = self.sink_bit(sink) else {
            return Vec::new();
        };
        self.events
            .range(from..)
            .filter(|(_, event)| event.waiting & (1 << bit) != 0)
            .take(max_events)
            .map(|(seq, event)| event.waiting(*seq))
            .collect()
    }

    /// Returns how many events wait for a sink, and how many dead letters it has.
    pub(super) fn counts(&self, sink: &str) -> (u64, u64) {
        let Some(bit) = self.sink_bit(sink) else {
            return (0, 0);
        };
        let count = |bits: fn(&Event) -> u64| {
            let found = self.events.values().map(bits);
            found.filter(|bits| bits & (1 << bit) != 0).count() as u64
        };
        (count(|event| event.waiting), count(|event| event.dead))
    }

    /// Returns the sinks for which events wait.
    pub(super) fn sinks(&self) -> Vec<String> {
        let waiting = self.events.values().map(|event| event.waiting);
        self.sink_names(waiting.fold(0, |bits, waiting| bits | waiting))
    }

    fn sink_names(&self, bits: u64) -> Vec<String> {
        let named = self.sinks.iter().enumerate();
        named
            .filter(|(bit, _)| bits & (1 << bit) != 0)
            .map(|(_, name)| name.clone())
            .collect()
    }

    /// Returns the bytes of a namespace's events that wait for a sink.
    pub(super) fn waiting_bytes_of(&self, namespace: &str) -> u64 {
        self.namespaces.waiting_bytes(namespace)
    }

    /// Returns how many namespaces have events.
    pub(super) fn namespaces(&self) -> usize {
        self.namespaces.active()
    }

    /// Returns the namespace of an event.
    pub(super) fn namespace(&self, seq: Seq) -> Option<Arc<str>> {
        let event = self.events.get(&seq)?;
        Some(self.namespaces.name(event.namespace))
    }

    /// Returns the event to drop before `namespace` gets `more` bytes, and the sinks for which the
    /// event waits. It is the oldest waiting event of the namespace that would have the most
    /// waiting bytes.
    pub(super) fn next_to_drop(
        &mut self,
        namespace: &str,
        more: u64,
    ) -> Option<(Seq, Vec<String>)> {
        let largest = self.namespaces.largest(namespace, more)?;
        let events = &self.events;
        let waiting = self.namespaces.events(largest, 0).find_map(|seq| {
            let waiting = events.get(&seq)?.waiting;
            (waiting != 0).then_some((seq, waiting))
        });
        waiting.map(|(seq, bits)| (seq, self.sink_names(bits)))
    }

    pub(super) fn place(&self, seq: Seq) -> Option<Place> {
        self.events.get(&seq).map(|event| event.place)
    }
}
