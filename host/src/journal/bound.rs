//! What the journal does at its bounds: whoever wants room waits, or the oldest gives way.

use super::book::Book;
use super::{Journal, JournalError, Seq, WhenFull};
use std::sync::atomic::Ordering;
use tracing::{error, warn};

/// Most dead letters: each takes some memory.
const LETTERS: usize = 10_000;

/// For what there shall be room.
#[derive(Clone, Copy, Debug)]
pub(super) enum Room {
    /// Events of so many bytes.
    Events(u64),
    /// A dead letter.
    Letter,
}

impl Room {
    /// What would give way, where there is no room: an event, and the sinks that would lose it.
    fn in_the_way(
        self,
        book: &Book,
        on_the_way: u64,
        max_bytes: u64,
    ) -> Option<(Seq, Vec<String>)> {
        match self {
            Self::Events(size) => {
                let bytes = book.waiting_bytes() + on_the_way;
                // Where nothing waits there is room for any: what is on the way may pass the bound by as much
                // as may be there.
                let is_full = bytes > 0 && bytes + size > max_bytes;
                is_full.then(|| book.oldest()).flatten()
            }
            Self::Letter => {
                let is_full = book.letter_count() >= LETTERS || book.dead_bytes() >= max_bytes;
                let oldest = is_full.then(|| book.oldest_letter()).flatten();
                oldest.map(|(seq, sink)| (seq, vec![sink]))
            }
        }
    }

    fn say_that_it_waits(self) {
        match self {
            Self::Events(_) => {
                warn!("the journal is full: nothing is accepted until a sink takes something");
            }
            Self::Letter => error!(
                "there are too many dead letters: an event waits. Send them again or drop them (`step-observer dead-letters`)"
            ),
        }
    }

    fn say_that_one_is_dropped(self, seq: Seq, sinks: &[String]) {
        match self {
            Self::Events(_) => warn!(
                seq,
                ?sinks,
                "the journal is full: its oldest event is dropped"
            ),
            Self::Letter => warn!(
                seq,
                ?sinks,
                "there are too many dead letters: the oldest is dropped"
            ),
        }
    }
}

impl Journal {
    /// So many of the events that wait can become dead letters without a wait.
    pub(crate) fn room_for_letters(&self) -> usize {
        self.shared.book(|book| {
            let bytes = book.waiting_bytes() + book.dead_bytes();
            match bytes < self.max_bytes {
                true => LETTERS.saturating_sub(book.letter_count()),
                false => 0,
            }
        })
    }

    /// Waits until there is room, or drops the oldest, as is configured.
    pub(super) async fn make(&self, room: Room) -> Result<(), JournalError> {
        let mut changed = self.shared.changed.subscribe();
        let mut told = false;
        loop {
            changed.mark_unchanged();
            let in_the_way =
                |book: &mut Book| room.in_the_way(book, self.way.bytes(), self.max_bytes);
            let Some((seq, sinks)) = self.shared.book(in_the_way) else {
                return Ok(());
            };
            match self.when_full {
                WhenFull::DropOldest => {
                    room.say_that_one_is_dropped(seq, &sinks);
                    self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                    for sink in sinks {
                        self.done(seq, &sink).await?;
                    }
                    self.sync().await?;
                }
                WhenFull::Block => {
                    if !std::mem::replace(&mut told, true) {
                        room.say_that_it_waits();
                    }
                    tokio::select! {
                        _ = changed.changed() => {}
                        error = self.failed() => return Err(error),
                    }
                }
            }
        }
    }
}
