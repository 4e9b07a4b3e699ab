//! Enforces the bounds of the journal: events of a namespace that has used its share wait, or the
//! oldest event of the namespace with the most bytes is dropped. Dead letters are bounded in the
//! same way.

use super::entry::Entry;
use super::index::JournalIndex;
use super::namespaces::is_fair;
use super::writer::Command;
use super::{DeadLetter, Journal, JournalError, Origin, Seq, WhenFull};
use bytes::Bytes;
use tracing::{error, warn};

/// Why there is no room for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// The journal is full for every namespace.
    Full,
    /// The namespace has used its share. The space that is left is for other namespaces.
    Share,
}

/// The outcome of an attempt to add a dead letter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DeadLettered {
    /// The event is a dead letter now. The listed dead letters were dropped to make room.
    Done(Vec<DroppedLetter>),
    /// There is no room for it.
    NoRoom,
}

/// A dead letter that was dropped for another one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DroppedLetter {
    pub(crate) sink: String,
    /// Bytes of its event.
    pub(crate) body: Bytes,
}

impl NoRoom {
    fn log_wait(self, namespace: &str) {
        match self {
            Self::Full => {
                warn!("the journal is full: no event is accepted until a sink takes some");
            }
            Self::Share => warn!(
                namespace,
                "the namespace has used its share of the journal: its events are not accepted \
                 until a sink takes some"
            ),
        }
    }
}

impl Journal {
    /// Checks whether there is room for events of a namespace.
    fn check(&self, index: &JournalIndex, namespace: &str, bytes: u64) -> Result<(), NoRoom> {
        let all = index.waiting_bytes() + self.in_flight.bytes();
        // An empty journal takes events of any size.
        if bytes == 0 || all == 0 {
            return Ok(());
        }
        let Some(free) = self.max_bytes.checked_sub(all + bytes) else {
            return Err(NoRoom::Full);
        };
        // First checks as if this namespace held all these bytes. The namespace holds at most as
        // many, so if this check passes, the exact check would pass, too. Usually it passes, which
        // saves the lookup.
        if self.when_full == WhenFull::DropOldest || is_fair(all, bytes, free) {
            return Ok(());
        }
        let own = index.waiting_bytes_of(namespace) + self.in_flight.namespace_bytes(namespace);
        match is_fair(own, bytes, free) {
            true => Ok(()),
            false => Err(NoRoom::Share),
        }
    }

    /// Waits until there is room for events, or drops the oldest events, as configured.
    pub(super) async fn reserve(&self, origin: &Origin, bytes: u64) -> Result<(), JournalError> {
        let namespace = &*origin.namespace;
        let mut changed = self.shared.changed.subscribe();
        let mut waiter = None;
        loop {
            changed.mark_unchanged();
            let (no_room, oldest) = self.shared.index(|index| {
                let no_room = self.check(index, namespace, bytes).err();
                let drops = no_room.is_some() && self.when_full == WhenFull::DropOldest;
                let oldest = drops.then(|| index.next_to_drop(namespace, bytes));
                (no_room, oldest.flatten())
            });
            let Some(no_room) = no_room else {
                return Ok(());
            };
            match (self.when_full, oldest) {
                // Everything that takes space is in flight.
                (WhenFull::DropOldest, None) => return Ok(()),
                (WhenFull::DropOldest, Some((seq, sinks))) => {
                    warn!(
                        seq,
                        ?sinks,
                        "the journal is full: the oldest event of the namespace with the most is \
                         dropped"
                    );
                    self.shared.dropped.increment();
                    for sink in sinks {
                        self.acknowledge(seq, &sink).await?;
                    }
                    self.sync().await?;
                }
                (WhenFull::Block, _) => {
                    let waiter = waiter.get_or_insert_with(|| {
                        no_room.log_wait(namespace);
                        self.shared.waiters.enter(&origin.namespace)
                    });
                    waiter.set_full(no_room == NoRoom::Full);
                    tokio::select! {
                        _ = changed.changed() => {}
                        error = self.failed() => return Err(error),
                    }
                }
            }
        }
    }

    /// Makes an event a dead letter of a sink, if there is room.
    ///
    /// At the bound, dead letters that sinks refused are dropped. The sink and namespace with the
    /// most dead letters lose their oldest one first. Given-up events are dropped only if that is
    /// configured (`dropOldest`).
    ///
    /// # Errors
    ///
    /// Fails if the journal can no longer be written.
    pub(crate) async fn try_dead_letter(
        &self,
        seq: Seq,
        sink: &str,
        letter: DeadLetter,
    ) -> Result<DeadLettered, JournalError> {
        let evict_any = self.when_full == WhenFull::DropOldest;
        // Under one lock: other deliveries add dead letters at the same time.
        let evicted = self.shared.index(|index| {
            if !evict_any && !letter.refused && index.room_for_given_up(self.max_bytes) == 0 {
                return None;
            }
            let mut evicted = Vec::new();
            while index.is_full_of_dead_letters(self.max_bytes, evict_any)
                && let Some(oldest) = index.evict_dead_letter(evict_any)
            {
                evicted.push(oldest);
            }
            index.expect_dead_letter(seq, sink);
            Some(evicted)
        });
        let Some(evicted) = evicted else {
            return Ok(DeadLettered::NoRoom);
        };
        let mut dropped = Vec::new();
        for (oldest, of_sink) in evicted {
            warn!(
                seq = oldest,
                sink = of_sink,
                "there are too many dead letters: the oldest of the sink with the most is dropped"
            );
            self.shared.dropped.increment();
            self.shared.dead_letters_dropped.increment();
            // An event that cannot be read is dropped without its id.
            let body = self.body(oldest).await.ok().flatten().unwrap_or_default();
            self.acknowledge(oldest, &of_sink).await?;
            let sink = of_sink;
            dropped.push(DroppedLetter { sink, body });
        }
        let sink = sink.to_owned();
        let dead = Entry::DeadLettered { seq, sink, letter };
        self.send(Command::Append(dead)).await?;
        Ok(DeadLettered::Done(dropped))
    }

    /// Makes an event a dead letter of a sink, and waits until there is room.
    ///
    /// # Errors
    ///
    /// Fails if the journal can no longer be written.
    pub(crate) async fn dead_letter(
        &self,
        seq: Seq,
        sink: &str,
        letter: DeadLetter,
    ) -> Result<(), JournalError> {
        let mut changed = self.shared.changed.subscribe();
        let mut is_logged = false;
        loop {
            changed.mark_unchanged();
            let outcome = self.try_dead_letter(seq, sink, letter.clone()).await?;
            if let DeadLettered::Done(_) = outcome {
                return Ok(());
            }
            if !std::mem::replace(&mut is_logged, true) {
                error!(
                    "there are too many dead letters: an event waits. Send them again or drop them \
                     (`step-observer dead-letters`)"
                );
            }
            tokio::select! {
                _ = changed.changed() => {}
                error = self.failed() => return Err(error),
            }
        }
    }

    /// Returns how many waiting events can become dead letters without waiting for room.
    pub(crate) fn room_for_dead_letters(&self) -> usize {
        self.shared.index(|index| {
            // Counts all waiting bytes, because each waiting event may become a dead letter.
            let bytes = index.waiting_bytes() + index.dead_bytes();
            match bytes < self.max_bytes / 8 * 7 {
                true => index.room_for_given_up(self.max_bytes),
                false => 0,
            }
        })
    }
}
