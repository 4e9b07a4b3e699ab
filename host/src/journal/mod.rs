//! The journal: events that are accepted and not delivered yet, kept across crashes and restarts.
//!
//! `docs/journal-format.md` specifies the files for readers without this code. In short:
//!
//! - **Frame** (`frame`): one entry as JSON and the bodies of its events, with lengths and a
//!   CRC-32.
//! - **Segments** (`segments`): frames are appended to the newest of the files
//!   `000000000000.journal`, `000000000001.journal`, …. A segment of 16 MiB or more is synced, and
//!   the next one begins.
//! - **Sync rule** (`writer`): one thread writes. It appends all commands that wait with one
//!   write, and syncs if one of them has a waiter. Acknowledgements have none: they share the next
//!   sync.
//! - **Accepted**: an event is accepted when its entry is synced. The same entry holds the mark of
//!   its transition, so a crash keeps both or neither. Sinks see the event only after that.
//! - **Acknowledgement**: one entry per event and sink says that the sink has the event, or that
//!   it was dropped. If a crash loses the entry, the event is delivered again.
//! - **Compaction** (`compaction`): when the files hold more than twice the live bytes plus the
//!   size of two segments, the live entries of the oldest segment are appended again, and it is
//!   removed.
//! - **Recovery** (`segments`): all segments are read in order into the `index`. An incomplete
//!   frame at the end of the newest segment is truncated, and the bytes after the last known sync
//!   are written and synced again. Everything else that cannot be read is damage: the journal does
//!   not open, and changes nothing.
//! - **Failures** (`writer`): a write to a full disk is tried again. Any other failed write or
//!   sync ends the journal, because the content of the disk is unknown after it.
//!
//! The journal never interprets the body of an event, except to find the namespace in entries that
//! do not hold it (`entry`).

mod accept;
mod capacity;
mod compaction;
mod config;
mod dead_letters;
mod entry;
mod files;
mod frame;
mod in_flight;
mod index;
mod metrics;
mod namespaces;
mod read_ahead;
mod reading;
mod segments;
mod shared;
mod waiters;
mod writer;

pub use accept::{Accept, Mark, NewEvent};
pub(crate) use capacity::{DeadLettered, DroppedLetter};
pub use config::{JournalConfig, JournalError, WhenFull};
pub use entry::{DeadLetter, Origin, Seq};
pub(crate) use index::{NextEvents, SinkCursor, WaitingEvent};
pub(crate) use namespaces::is_fair;
pub(crate) use waiters::Blocked;

use crate::bounded::Bounded;
use entry::Entry;
use files::Failpoint;
use in_flight::InFlight;
use index::JournalIndex;
use jiff::Timestamp;
use segments::{SEGMENT_BYTES, Segments};
use shared::Shared;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot, watch};
use writer::{Command, Store};

/// Commands that may wait for the writer.
const MAX_QUEUED_COMMANDS: usize = 1024;
/// Default of `maxBytes` for a journal in memory.
const DEFAULT_MEMORY_BYTES: u64 = 32 * 1024 * 1024;
/// Default of `maxBytes` for a journal on disk.
const DEFAULT_DISK_BYTES: u64 = 1 << 30;

/// The journal. Clones share it; it is closed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    in_flight: InFlight,
    max_bytes: u64,
    when_full: WhenFull,
}

impl Journal {
    /// Opens a journal. A new one keeps `horizon`: runs that ended before it are never reported.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be used, another process uses it, or a file is damaged. The
    /// journal never skips an entry that it cannot read.
    pub fn open(config: &JournalConfig, horizon: Timestamp) -> Result<Self, JournalError> {
        Self::open_with(config, horizon, SEGMENT_BYTES, None)
    }

    fn open_with(
        config: &JournalConfig,
        horizon: Timestamp,
        segment_bytes: u64,
        failpoint: Option<Arc<dyn Failpoint>>,
    ) -> Result<Self, JournalError> {
        let mut index = JournalIndex::default();
        let (store, files, default_bytes) = match &config.directory {
            None => (Store::Memory, None, DEFAULT_MEMORY_BYTES),
            Some(folder) => {
                let segments = Segments::open(folder, segment_bytes, failpoint, &mut index)?;
                let files = segments.files();
                let store = Store::Disk(Box::new(segments));
                (store, Some(files), DEFAULT_DISK_BYTES)
            }
        };
        let is_new = index.horizon().is_none();
        let shared = Arc::new(Shared::new(index, files));
        let (commands, receiver) = mpsc::channel(MAX_QUEUED_COMMANDS);
        if is_new {
            // Cannot fail: no other sender exists yet, so the channel is empty.
            commands
                .try_send(Command::Append(Entry::Created { horizon }))
                .ok();
        }
        let writer_shared = shared.clone();
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                let written = AssertUnwindSafe(|| writer::run(store, &writer_shared, receiver));
                if std::panic::catch_unwind(written).is_err() {
                    let reason = "its thread panicked; please report this".to_owned();
                    writer_shared.failed.send_replace(Some(reason));
                }
            })
            .map_err(JournalError::Thread)?;
        Ok(Self {
            shared,
            commands,
            in_flight: InFlight::default(),
            max_bytes: config.max_bytes.map_or(default_bytes, Bounded::get),
            when_full: config.when_full,
        })
    }

    /// Returns whether a folder holds a journal.
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut sizes = entries
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".journal"))
            .filter_map(|entry| entry.metadata().ok());
        // A segment with nothing but its header was opened and never written.
        sizes.any(|metadata| metadata.len() > frame::SEGMENT_HEADER.len() as u64)
    }

    /// Returns the horizon: runs that ended before it are not reported. It was set when the journal
    /// was created.
    #[must_use]
    pub fn horizon(&self) -> Option<Timestamp> {
        self.shared.index(|index| index.horizon())
    }

    /// Stores which part of the cluster is watched from now on. Returns whether the journal held
    /// the same part before.
    ///
    /// # Errors
    ///
    /// Fails if the journal can no longer be written.
    pub async fn set_scope(&self, scope: &str) -> Result<bool, JournalError> {
        let before = self.shared.index(|index| index.scope().map(str::to_owned));
        if before.as_deref() == Some(scope) {
            return Ok(true);
        }
        let scope = scope.to_owned();
        self.send(Command::Append(Entry::Scope { scope })).await?;
        Ok(false)
    }

    /// Returns whether a transition was emitted: this mark of it is in the journal, or it is in flight
    /// under this id. A mark in flight does not survive a crash.
    #[must_use]
    pub fn is_emitted(&self, run: &str, mark: &str) -> bool {
        // Checks `in_flight` first, because a mark enters the index before it leaves `in_flight`.
        self.in_flight.contains(run, mark) || self.shared.index(|index| index.is_emitted(run, mark))
    }

    /// Returns the runs that have marks.
    #[must_use]
    pub fn runs(&self) -> Vec<Arc<str>> {
        self.shared.index(|index| index.runs())
    }

    /// Acknowledges an event or a dead letter of a sink, because it was delivered or is dropped.
    ///
    /// # Errors
    ///
    /// Fails if the journal can no longer be written.
    pub async fn acknowledge(&self, seq: Seq, sink: &str) -> Result<(), JournalError> {
        let sink = sink.to_owned();
        self.send(Command::Append(Entry::Acknowledged { seq, sink }))
            .await
    }

    /// Removes the marks of a run whose transitions are never derived again.
    ///
    /// # Errors
    ///
    /// Fails if the journal can no longer be written.
    pub(crate) async fn forget(&self, run: Arc<str>) -> Result<(), JournalError> {
        // Checks `in_flight` first, because a mark enters the index before it leaves `in_flight`.
        let may_follow = !self.in_flight.is_empty();
        if may_follow || self.shared.index(|index| index.has_marks(&run)) {
            return self.send(Command::Append(Entry::Forgotten { run })).await;
        }
        Ok(())
    }

    /// Waits until everything that was sent to the writer before is durable.
    ///
    /// # Errors
    ///
    /// Fails if the journal can no longer be written.
    pub async fn sync(&self) -> Result<(), JournalError> {
        let (sender, synced) = oneshot::channel();
        self.send(Command::Sync(sender)).await?;
        self.wait_for(synced).await
    }

    /// Waits for an answer of the writer, or until the journal fails. An answer may never arrive: a
    /// command that is sent while the thread ends stays in the channel, and keeps the sender of its
    /// answer. The channel exists as long as any sender of commands.
    async fn wait_for(&self, answer: oneshot::Receiver<()>) -> Result<(), JournalError> {
        tokio::select! {
            biased;
            answered = answer => answered.map_err(|_| self.failure()),
            error = self.failed() => Err(error),
        }
    }

    async fn send(&self, command: Command) -> Result<(), JournalError> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| self.failure())
    }

    fn failure(&self) -> JournalError {
        let reason = self.shared.failed.borrow().clone();
        JournalError::Failed(reason.unwrap_or_else(|| "its thread has ended".to_owned()))
    }

    /// Waits until the journal can no longer be written, and returns why.
    pub async fn failed(&self) -> JournalError {
        let mut failed = self.shared.failed.subscribe();
        // Cannot fail: `self.shared` owns the sender.
        failed.wait_for(Option::is_some).await.ok();
        self.failure()
    }

    /// Returns a receiver that changes after each write.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Returns the next events of a sink: one of each namespace in turn, and the oldest event of a
    /// namespace first. Skips namespaces for which `has_room` returns false. The same cursor never
    /// returns an event twice.
    pub(crate) fn next_events(
        &self,
        sink: &str,
        cursor: &mut SinkCursor,
        max_events: usize,
        has_room: impl FnMut(u32) -> bool,
    ) -> NextEvents {
        (self.shared).index(|index| index.next_events(sink, cursor, max_events, has_room))
    }

    /// Returns the origin of an event of this run.
    pub(crate) fn origin(&self, seq: Seq, run: Arc<str>) -> Origin {
        let namespace = self.shared.index(|index| index.namespace(seq));
        let namespace = namespace.unwrap_or_default();
        Origin { run, namespace }
    }

    /// Returns the events that wait for a sink, from a number on. The oldest comes first.
    pub(crate) fn waiting(&self, sink: &str, from: Seq, max_events: usize) -> Vec<WaitingEvent> {
        (self.shared).index(|index| index.waiting(sink, from, max_events))
    }

    /// Returns how many events wait for a sink, and how many dead letters it has.
    #[must_use]
    pub fn counts(&self, sink: &str) -> (u64, u64) {
        self.shared.index(|index| index.counts(sink))
    }

    /// Returns the bytes of all waiting events and dead letters, and `maxBytes`, which bounds each of
    /// the two.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let bytes = self
            .shared
            .index(|index| index.waiting_bytes() + index.dead_bytes());
        (bytes, self.max_bytes)
    }

    /// Returns how many events and dead letters were dropped at a bound since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.get()
    }

    /// Returns how many dead letters were dropped at their bound since the start.
    #[must_use]
    pub fn dead_letters_dropped(&self) -> u64 {
        self.shared.dead_letters_dropped.get()
    }

    /// Returns which namespaces wait for room.
    pub(crate) fn blocked(&self) -> Blocked {
        let namespaces = self.shared.index(|index| index.namespaces());
        self.shared.waiters.blocked(namespaces)
    }

    /// Returns whether the last write failed because the disk is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.shared.disk_full.load(Ordering::Relaxed)
    }

    /// Returns the names of the sinks for which events wait.
    #[must_use]
    pub fn sinks(&self) -> Vec<String> {
        self.shared.index(|index| index.sinks())
    }

    /// Returns all dead letters: number of the event, sink, and why it was not delivered.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<(u64, String, DeadLetter)> {
        self.shared.index(|index| index.dead_letters())
    }
}

#[cfg(test)]
mod tests;
