//! A model of the journal. After a crash, the journal must be in the state of its last promise of
//! durability, or in the state after a later entry.

use super::state::{Event, State};
use super::{letter, run};
use crate::bounded::Bounded;
use crate::journal::files::Failpoint;
use crate::journal::index::JournalIndex;
use crate::journal::{
    Accept, DeadLetter, DeadLettered, Journal, JournalConfig, JournalError, NewEvent, Origin, Seq,
    WhenFull,
};
use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub(super) const SINKS: [&str; 3] = ["a", "b", "c"];
pub(super) const RUNS: [&str; 4] = ["run-0", "run-1", "run-2", "run-3"];
/// The namespace of each run.
pub(super) const NAMESPACES: [&str; 4] = ["one", "one", "two", "three"];
pub(super) const MARKS: [&str; 6] = ["0", "1", "2", "3", "4", "5"];
/// Bounds small enough to be reached, and segments small enough for compaction.
const MAX_BYTES: u64 = 8000;
const SEGMENT_BYTES: u64 = 2048;

pub(super) fn open(
    folder: &Path,
    failpoint: Option<Arc<dyn Failpoint>>,
) -> Result<Journal, JournalError> {
    open_as(WhenFull::DropOldest, folder, failpoint)
}

pub(super) fn open_as(
    when_full: WhenFull,
    folder: &Path,
    failpoint: Option<Arc<dyn Failpoint>>,
) -> Result<Journal, JournalError> {
    let config = JournalConfig {
        directory: Some(folder.to_owned()),
        max_bytes: Some(Bounded::unchecked(MAX_BYTES)),
        when_full,
        history_bytes: None,
    };
    Journal::open_with(&config, Timestamp::UNIX_EPOCH, SEGMENT_BYTES, failpoint)
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Accept {
        run: usize,
        mark: usize,
        sinks: u8,
        size: usize,
    },
    Acknowledge {
        which: usize,
    },
    DeadLetter {
        which: usize,
        refused: bool,
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
        6 => (0..64_usize).prop_map(|which| Act::Acknowledge { which }),
        2 => (0..64_usize, any::<bool>()).prop_map(|(which, refused)| Act::DeadLetter { which, refused }),
        1 => (0..RUNS.len()).prop_map(|run| Act::Forget { run }),
        1 => Just(Act::Sync),
    ]
}

fn accept_of(origin: Origin, mark: &str, events: Vec<NewEvent>) -> Accept {
    Accept {
        origin,
        mark: Some(mark.into()),
        at: Timestamp::UNIX_EPOCH,
        events,
    }
}

/// The states that a journal may have after a crash.
#[derive(Debug)]
pub(super) struct Model {
    /// The state at the last promise, followed by the state after each later entry.
    history: Vec<State>,
    bodies: usize,
    pub(super) when_full: WhenFull,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            history: vec![State::default()],
            bodies: 0,
            when_full: WhenFull::DropOldest,
        }
    }
}

impl Model {
    fn now(&self) -> &State {
        self.history.last().unwrap()
    }

    /// Adds the state after the next entry.
    fn append(&mut self, change: impl FnOnce(&mut State)) {
        let mut next = self.now().clone();
        change(&mut next);
        self.history.push(next);
    }

    /// Records that the journal has promised durability for everything up to now: older states may
    /// no longer appear after a restart.
    pub(super) fn promise(&mut self) {
        self.history.drain(..self.history.len() - 1);
    }

    /// Checks that an open journal is in the latest state.
    pub(super) fn check(&self, journal: &Journal) {
        assert_eq!(&State::read(journal), self.now());
    }

    /// Checks that a reopened journal is in the state of the last promise or of a later entry. From
    /// then on it promises this state.
    pub(super) fn check_reopened(&mut self, journal: &Journal) {
        let state = State::read(journal);
        assert!(
            self.history.contains(&state),
            "reopened it is in state {state:#?}, but it promised {:#?}, and reached {:#?}",
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
            } => self.accept(journal, (of, MARKS[mark]), sinks, size),
            Act::Acknowledge { which } => {
                let Some((seq, sink)) = self.now().nth(which, true) else {
                    return Ok(());
                };
                self.acknowledge(journal, seq, sink)
            }
            Act::DeadLetter { which, refused } => self.dead_letter(journal, which, refused),
            Act::Forget { run: of } => {
                let of = RUNS[of];
                if !self.now().marks.iter().any(|(run, _)| *run == of) {
                    return Ok(());
                }
                self.append(|state| state.marks.retain(|(run, _)| *run != of));
                run(journal.forget(of.into()))?;
                run(applied(journal, |index| !index.has_marks(of)))
            }
            Act::Sync => self.sync(journal),
        }
    }

    fn accept(
        &mut self,
        journal: &Journal,
        (of, mark): (usize, &'static str),
        chosen: u8,
        size: usize,
    ) -> Result<(), JournalError> {
        self.bodies += 1;
        let (of, namespace) = (RUNS[of], NAMESPACES[of]);
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
        let origin = Origin {
            run: of.into(),
            namespace: namespace.into(),
        };
        if self.when_full == WhenFull::Block && !self.has_room(namespace, size) {
            let accept = journal.accept(accept_of(origin, mark, events));
            run(async {
                let mut accept = std::pin::pin!(accept);
                assert!(
                    futures::poll!(accept.as_mut()).is_pending(),
                    "{size} of {namespace}"
                );
            });
            return Ok(());
        }
        // A dropped event is removed from one sink after the other, in the order of the sinks in
        // the index.
        let order = journal.sinks();
        loop {
            let waiting = self.now().waiting();
            let largest = waiting.iter().max_by_key(|(name, bytes)| {
                let more = if **name == namespace { size } else { 0 };
                (**bytes + more, **name)
            });
            let bytes: u64 = waiting.values().sum();
            let Some((largest, _)) = largest.filter(|_| size > 0 && bytes + size > MAX_BYTES)
            else {
                break;
            };
            let mut events = self.now().events.iter();
            let oldest =
                events.find(|(_, event)| !event.waiting.is_empty() && event.namespace == *largest);
            let (seq, event) = oldest.unwrap();
            let (seq, waiting) = (*seq, event.waiting.clone());
            for sink in order.iter().filter(|sink| waiting.contains(sink.as_str())) {
                self.append(|state| state.acknowledge(seq, sink));
            }
        }
        self.append(|state| {
            state.marks.insert((of, mark));
            if !waiting.is_empty() {
                let event = Event {
                    body,
                    namespace: namespace.to_owned(),
                    waiting,
                    dead: BTreeMap::new(),
                };
                state.events.insert(state.next, event);
                state.next += 1;
            }
        });
        run(journal.accept(accept_of(origin, mark, events)))?;
        self.promise();
        Ok(())
    }

    /// Returns whether a namespace may take this many more bytes.
    fn has_room(&self, namespace: &str, size: u64) -> bool {
        let waiting = self.now().waiting();
        let all: u64 = waiting.values().sum();
        let own = waiting.get(namespace).copied().unwrap_or_default();
        let fits =
            all + size <= MAX_BYTES && (own == 0 || own + size <= 4 * (MAX_BYTES - all - size));
        size == 0 || all == 0 || fits
    }

    fn acknowledge(&mut self, journal: &Journal, seq: Seq, sink: &str) -> Result<(), JournalError> {
        self.append(|state| state.acknowledge(seq, sink));
        run(journal.acknowledge(seq, sink))?;
        run(applied(journal, |index| {
            let letters = index.dead_letters().into_iter();
            let mut places = letters.map(|(seq, sink, _)| (seq, sink));
            let waiting = index.waiting(sink, seq, 1).first().map(|event| event.seq);
            waiting != Some(seq) && !places.any(|place| place == (seq, sink.to_owned()))
        }))
    }

    fn dead_letter(
        &mut self,
        journal: &Journal,
        which: usize,
        refused: bool,
    ) -> Result<(), JournalError> {
        let Some((seq, sink)) = self.now().nth(which, false) else {
            return Ok(());
        };
        let letter = DeadLetter {
            refused,
            ..letter("gone")
        };
        let any = self.when_full == WhenFull::DropOldest;
        let letters = self.now().letters().into_iter();
        let given_up: u64 = letters
            .filter(|(.., refused)| !refused)
            .map(|(_, _, _, bytes, _)| bytes)
            .sum();
        if !any && !refused && given_up >= MAX_BYTES / 8 * 7 {
            assert_eq!(
                run(journal.try_dead_letter(seq, sink, letter))?,
                DeadLettered::NoRoom
            );
            return Ok(());
        }
        let bit = |sink: &str| {
            journal
                .shared
                .index(|index| index.sink_bit(sink))
                .unwrap_or(usize::MAX)
        };
        while self.now().bytes(|event| event.waiting.is_empty()) >= MAX_BYTES
            && let Some((old, of)) = self.now().next_to_evict(any, bit)
        {
            self.append(|state| state.acknowledge(old, of));
        }
        self.append(|state| {
            let event = state.events.get_mut(&seq).unwrap();
            event.waiting.remove(sink);
            event.dead.insert(sink, ("gone".to_owned(), refused));
        });
        let outcome = run(journal.try_dead_letter(seq, sink, letter))?;
        assert!(matches!(outcome, DeadLettered::Done(_)));
        run(applied(journal, |index| {
            let mut letters = index.dead_letters().into_iter();
            letters.any(|(found, of, _)| (found, of.as_str()) == (seq, sink))
        }))
    }

    fn sync(&mut self, journal: &Journal) -> Result<(), JournalError> {
        run(journal.sync())?;
        self.promise();
        Ok(())
    }
}

/// Waits until the index satisfies `there`. The entries need not be synced yet.
async fn applied(
    journal: &Journal,
    there: impl Fn(&JournalIndex) -> bool,
) -> Result<(), JournalError> {
    let mut changes = journal.changes();
    loop {
        changes.mark_unchanged();
        if journal.shared.index(|index| there(index)) {
            return Ok(());
        }
        tokio::select! {
            _ = changes.changed() => {}
            error = journal.failed() => return Err(error),
        }
    }
}
