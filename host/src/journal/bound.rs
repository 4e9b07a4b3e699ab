//! What the journal does at its bounds: who has more than its share waits, or the oldest of who has the most gives way.

use super::book::Book;
use super::entry::Entry;
use super::namespaces::is_fair;
use super::writer::Command;
use super::{Journal, JournalError, Letter, Origin, Seq, WhenFull};
use bytes::Bytes;
use std::sync::atomic::Ordering;
use tracing::{error, warn};

/// Why there is no room for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// For any.
    Full,
    /// For those of one namespace: others have a right to what is left.
    Share,
}

/// What became of an event that was to become a dead letter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Buried {
    /// It is one, and these gave way to it.
    Done(Vec<Dropped>),
    /// There is no room for it.
    NoRoom,
}

/// A dead letter that gave way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) sink: String,
    /// Of its event.
    pub(crate) body: Bytes,
}

impl NoRoom {
    fn say_that_it_waits(self, namespace: &str) {
        match self {
            Self::Full => {
                warn!("the journal is full: nothing is accepted until a sink takes something");
            }
            Self::Share => warn!(
                namespace,
                "the events of this namespace have their share of the journal: no more of them are accepted until a \
                 sink takes some"
            ),
        }
    }
}

impl Journal {
    /// Is there room for so many bytes of a namespace?
    fn check(&self, book: &Book, namespace: &str, size: u64) -> Result<(), NoRoom> {
        let all = book.waiting_bytes() + self.way.bytes();
        // Where nothing waits there is room for any.
        if size == 0 || all == 0 {
            return Ok(());
        }
        let Some(free) = self.max_bytes.checked_sub(all + size) else {
            return Err(NoRoom::Full);
        };
        // Who had all of it might have more, too: most of the time nobody needs to be looked up.
        if self.when_full == WhenFull::DropOldest || is_fair(all, size, free) {
            return Ok(());
        }
        let own = book.waiting_bytes_of(namespace) + self.way.bytes_of(namespace);
        match is_fair(own, size, free) {
            true => Ok(()),
            false => Err(NoRoom::Share),
        }
    }

    /// Waits until there is room for events, or drops the oldest, as is configured.
    pub(super) async fn make_room(&self, origin: &Origin, size: u64) -> Result<(), JournalError> {
        let namespace = &*origin.namespace;
        let mut changed = self.shared.changed.subscribe();
        let mut waits = None;
        loop {
            changed.mark_unchanged();
            let (problem, first) = self.shared.book(|book| {
                let problem = self.check(book, namespace, size).err();
                let drops = problem.is_some() && self.when_full == WhenFull::DropOldest;
                let first = drops.then(|| book.first_to_go(namespace, size)).flatten();
                (problem, first)
            });
            let Some(problem) = problem else {
                return Ok(());
            };
            match (self.when_full, first) {
                // All that there is is on its way.
                (WhenFull::DropOldest, None) => return Ok(()),
                (WhenFull::DropOldest, Some((seq, sinks))) => {
                    warn!(
                        seq,
                        ?sinks,
                        "the journal is full: the oldest event of who has the most is dropped"
                    );
                    self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                    for sink in sinks {
                        self.done(seq, &sink).await?;
                    }
                    self.sync().await?;
                }
                (WhenFull::Block, _) => {
                    let place = waits.get_or_insert_with(|| {
                        problem.say_that_it_waits(namespace);
                        self.shared.queue.enter(&origin.namespace)
                    });
                    place.note(problem == NoRoom::Full);
                    tokio::select! {
                        _ = changed.changed() => {}
                        error = self.failed() => return Err(error),
                    }
                }
            }
        }
    }

    /// Makes an event a dead letter of a sink. Where there are too many, those give way that the sinks refused: the
    /// oldest of the sink and namespace that has the most of them. What was given up gives way only where that is
    /// configured (`dropOldest`), and where there is no room for it, it is not made one.
    ///
    /// # Errors
    ///
    /// The journal cannot be written any more.
    pub(crate) async fn try_bury(
        &self,
        seq: Seq,
        sink: &str,
        letter: Letter,
    ) -> Result<Buried, JournalError> {
        let any = self.when_full == WhenFull::DropOldest;
        // All at once: others are about to bury, too.
        let going = self.shared.book(|book| {
            if !any && !letter.refused && book.room_for_given_up(self.max_bytes) == 0 {
                return None;
            }
            let mut going = Vec::new();
            while book.is_full_of_letters(self.max_bytes, any)
                && let Some(first) = book.let_a_letter_go(any)
            {
                going.push(first);
            }
            book.expect_letter(seq, sink);
            Some(going)
        });
        let Some(going) = going else {
            return Ok(Buried::NoRoom);
        };
        let mut dropped = Vec::new();
        for (old, of) in going {
            warn!(
                seq = old,
                sink = of,
                "there are too many dead letters: the oldest of who has the most is dropped"
            );
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            self.shared.letters_dropped.fetch_add(1, Ordering::Relaxed);
            // One that cannot be read has no name.
            let body = self.body(old).await.ok().flatten().unwrap_or_default();
            self.done(old, &of).await?;
            dropped.push(Dropped { sink: of, body });
        }
        let sink = sink.to_owned();
        let dead = Entry::Dead { seq, sink, letter };
        self.ask(Command::Say(dead)).await?;
        Ok(Buried::Done(dropped))
    }

    /// The same, but waits until there is room.
    ///
    /// # Errors
    ///
    /// The journal cannot be written any more.
    pub(crate) async fn bury(
        &self,
        seq: Seq,
        sink: &str,
        letter: Letter,
    ) -> Result<(), JournalError> {
        let mut changed = self.shared.changed.subscribe();
        let mut told = false;
        loop {
            changed.mark_unchanged();
            let buried = self.try_bury(seq, sink, letter.clone()).await?;
            if let Buried::Done(_) = buried {
                return Ok(());
            }
            if !std::mem::replace(&mut told, true) {
                error!(
                    "there are too many dead letters: an event waits. Send them again or drop them (`step-observer \
                     dead-letters`)"
                );
            }
            tokio::select! {
                _ = changed.changed() => {}
                error = self.failed() => return Err(error),
            }
        }
    }

    /// So many of the events that wait can become dead letters without a wait.
    pub(crate) fn room_for_letters(&self) -> usize {
        self.shared.book(|book| {
            // All that waits may become dead letters.
            let bytes = book.waiting_bytes() + book.dead_bytes();
            match bytes < self.max_bytes / 8 * 7 {
                true => book.room_for_given_up(self.max_bytes),
                false => 0,
            }
        })
    }
}
