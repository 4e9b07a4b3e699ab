//! What a journal should say, entry by entry: what a crash leaves is what it said at some time since it last
//! promised something.

use super::{letter, run};
use crate::journal::book::Book;
use crate::journal::files::Failpoint;
use crate::journal::{Journal, JournalConfig, JournalError, NewEvent, Seq, WhenFull};
use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const SINKS: [&str; 3] = ["a", "b", "c"];
const RUNS: [&str; 4] = ["run-0", "run-1", "run-2", "run-3"];
const MARKS: [&str; 6] = ["0", "1", "2", "3", "4", "5"];
/// Bounds so small that they are met, and segments so small that many are cleaned.
const MAX_BYTES: u64 = 8000;
const SEGMENT: u64 = 2048;

pub(super) fn open(
    folder: &Path,
    failpoint: Option<Arc<dyn Failpoint>>,
) -> Result<Journal, JournalError> {
    let config = JournalConfig {
        directory: Some(folder.to_owned()),
        max_bytes: Some(MAX_BYTES),
        when_full: WhenFull::DropOldest,
        history_bytes: None,
    };
    Journal::open_with(&config, Timestamp::UNIX_EPOCH, SEGMENT, failpoint)
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Accept {
        run: usize,
        mark: usize,
        sinks: u8,
        size: usize,
    },
    Done {
        which: usize,
    },
    Bury {
        which: usize,
    },
    Forget {
        run: usize,
    },
    Sync,
}

pub(super) fn act() -> impl Strategy<Value = Act> {
    let accept = (0..RUNS.len(), 0..MARKS.len(), 0..8_u8, 0..3000_usize);
    prop_oneof![
        6 => accept.prop_map(|(run, mark, sinks, size)| Act::Accept { run, mark, sinks, size }),
        6 => (0..64_usize).prop_map(|which| Act::Done { which }),
        2 => (0..64_usize).prop_map(|which| Act::Bury { which }),
        1 => (0..RUNS.len()).prop_map(|run| Act::Forget { run }),
        1 => Just(Act::Sync),
    ]
}

/// What a journal says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    events: BTreeMap<Seq, Event>,
    told: BTreeSet<(&'static str, &'static str)>,
    next: Seq,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Event {
    body: Bytes,
    waiting: BTreeSet<&'static str>,
    /// With the reason.
    dead: BTreeMap<&'static str, String>,
}

impl State {
    /// What one says now.
    fn of(journal: &Journal) -> Self {
        let mut events: BTreeMap<Seq, Event> = BTreeMap::new();
        for sink in SINKS {
            for waiting in journal.waiting(sink, 0, usize::MAX) {
                events.entry(waiting.seq).or_default().waiting.insert(sink);
            }
        }
        for (seq, sink, letter) in journal.letters() {
            let sink = SINKS.into_iter().find(|known| *known == sink).unwrap();
            let dead = &mut events.entry(seq).or_default().dead;
            dead.insert(sink, letter.reason);
        }
        for (seq, event) in &mut events {
            event.body = run(journal.body(*seq)).unwrap().unwrap();
        }
        let marks = RUNS.iter().flat_map(|run| MARKS.map(|mark| (*run, mark)));
        Self {
            events,
            told: marks
                .filter(|(run, mark)| journal.is_told(run, mark))
                .collect(),
            next: journal.shared.book(|book| book.next()),
        }
    }

    fn bytes(&self, counts: impl Fn(&Event) -> bool) -> u64 {
        let counted = self.events.values().filter(|event| counts(event));
        counted.map(|event| event.body.len() as u64).sum()
    }

    fn nth(&self, which: usize, dead_too: bool) -> Option<(Seq, &'static str)> {
        let places = self.events.iter().flat_map(|(seq, event)| {
            let dead = event.dead.keys().filter(move |_| dead_too);
            event.waiting.iter().chain(dead).map(|sink| (*seq, *sink))
        });
        let places: Vec<_> = places.collect();
        places.get(which % places.len().max(1)).copied()
    }

    fn done(&mut self, seq: Seq, sink: &str) {
        let event = self.events.get_mut(&seq).unwrap();
        event.waiting.remove(sink);
        event.dead.remove(sink);
        if event.waiting.is_empty() && event.dead.is_empty() {
            self.events.remove(&seq);
        }
    }
}

/// What is known of a journal.
#[derive(Debug)]
pub(super) struct Known {
    /// What it said from the last that is sure, after one entry each.
    history: Vec<State>,
    bodies: usize,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            history: vec![State::default()],
            bodies: 0,
        }
    }
}

impl Known {
    fn now(&self) -> &State {
        self.history.last().unwrap()
    }

    /// An entry is on its way.
    fn say(&mut self, change: impl FnOnce(&mut State)) {
        let mut next = self.now().clone();
        change(&mut next);
        self.history.push(next);
    }

    /// All that was said is promised.
    pub(super) fn is_sure(&mut self) {
        self.history.drain(..self.history.len() - 1);
    }

    /// One that is open says what it should.
    pub(super) fn check(&self, journal: &Journal) {
        assert_eq!(&State::of(journal), self.now());
    }

    /// One that was opened again says what it said after the last promise or after a later entry, and
    /// promises that.
    pub(super) fn recognise(&mut self, journal: &Journal) {
        let state = State::of(journal);
        assert!(
            self.history.contains(&state),
            "opened again it says {state:#?}, but it has promised {:#?}, and said until {:#?}",
            self.history.first(),
            self.now()
        );
        self.history = vec![state];
    }

    pub(super) fn act(&mut self, journal: &Journal, act: Act) -> Result<(), JournalError> {
        match act {
            Act::Accept {
                run: of,
                mark,
                sinks,
                size,
            } => self.accept(journal, (RUNS[of], MARKS[mark]), sinks, size),
            Act::Done { which } => {
                let Some((seq, sink)) = self.now().nth(which, true) else {
                    return Ok(());
                };
                self.done(journal, seq, sink)
            }
            Act::Bury { which } => self.bury(journal, which),
            Act::Forget { run: of } => {
                let of = RUNS[of];
                if !self.now().told.iter().any(|(run, _)| *run == of) {
                    return Ok(());
                }
                self.say(|state| state.told.retain(|(run, _)| *run != of));
                run(journal.forget(of.into()))?;
                run(applied(journal, |book| !book.has_told_of(of)))
            }
            Act::Sync => self.sync(journal),
        }
    }

    fn accept(
        &mut self,
        journal: &Journal,
        (of, mark): (&'static str, &'static str),
        chosen: u8,
        size: usize,
    ) -> Result<(), JournalError> {
        self.bodies += 1;
        let body = Bytes::from(format!("{} {}", self.bodies, "x".repeat(size)));
        let sinks = SINKS.into_iter().enumerate();
        let sinks = sinks.filter(|(bit, _)| chosen & (1 << bit) != 0);
        let waiting: BTreeSet<&str> = sinks.map(|(_, sink)| sink).collect();
        let events = NewEvent {
            sinks: waiting.iter().map(ToString::to_string).collect(),
            body: body.clone(),
        };
        let events: Vec<NewEvent> = (!waiting.is_empty())
            .then_some(events)
            .into_iter()
            .collect();
        let size = events
            .iter()
            .map(|event| event.body.len() as u64)
            .sum::<u64>();
        // What gives way: the book knows in which order sinks lose an event.
        let order = journal.sinks();
        loop {
            let bytes = self.now().bytes(|event| !event.waiting.is_empty());
            let mut events = self.now().events.iter();
            let oldest = events.find(|(_, event)| !event.waiting.is_empty());
            let Some((seq, event)) = oldest.filter(|_| bytes + size > MAX_BYTES) else {
                break;
            };
            let (seq, waiting) = (*seq, event.waiting.clone());
            for sink in order.iter().filter(|sink| waiting.contains(sink.as_str())) {
                self.say(|state| state.done(seq, sink));
            }
        }
        self.say(|state| {
            state.told.insert((of, mark));
            if !waiting.is_empty() {
                let event = Event {
                    body,
                    waiting,
                    dead: BTreeMap::new(),
                };
                state.events.insert(state.next, event);
                state.next += 1;
            }
        });
        let mark = Some(mark.to_owned());
        run(journal.accept(of.into(), mark, Timestamp::UNIX_EPOCH, events))?;
        self.is_sure();
        Ok(())
    }

    fn done(&mut self, journal: &Journal, seq: Seq, sink: &str) -> Result<(), JournalError> {
        self.say(|state| state.done(seq, sink));
        run(journal.done(seq, sink))?;
        run(applied(journal, |book| {
            let letters = book.letters().into_iter();
            let mut places = letters.map(|(seq, sink, _)| (seq, sink));
            let waiting = book.waiting(sink, seq, 1).first().map(|event| event.seq);
            waiting != Some(seq) && !places.any(|place| place == (seq, sink.to_owned()))
        }))
    }

    fn bury(&mut self, journal: &Journal, which: usize) -> Result<(), JournalError> {
        let Some((seq, sink)) = self.now().nth(which, false) else {
            return Ok(());
        };
        for (old, of, _) in journal.letters() {
            let bytes = self.now().bytes(|event| event.waiting.is_empty());
            if bytes >= MAX_BYTES {
                self.say(|state| state.done(old, &of));
            }
        }
        self.say(|state| {
            let event = state.events.get_mut(&seq).unwrap();
            event.waiting.remove(sink);
            event.dead.insert(sink, "gone".to_owned());
        });
        run(journal.bury(seq, sink, letter("gone")))?;
        run(applied(journal, |book| {
            let mut letters = book.letters().into_iter();
            letters.any(|(found, of, _)| (found, of.as_str()) == (seq, sink))
        }))
    }

    fn sync(&mut self, journal: &Journal) -> Result<(), JournalError> {
        run(journal.sync())?;
        self.is_sure();
        Ok(())
    }
}

/// Waits until something is in the book: on its way to the disk, but not synced.
async fn applied(journal: &Journal, there: impl Fn(&Book) -> bool) -> Result<(), JournalError> {
    let mut changes = journal.changes();
    loop {
        changes.mark_unchanged();
        if journal.shared.book(|book| there(book)) {
            return Ok(());
        }
        tokio::select! {
            _ = changes.changed() => {}
            error = journal.failed() => return Err(error),
        }
    }
}
