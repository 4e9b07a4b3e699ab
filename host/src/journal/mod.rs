//! What was accepted and is not delivered yet, kept over crashes: an event counts as accepted when it
//! is on the disk together with the mark that it was told. Knows files, and nothing of events but
//! their bytes.

mod ahead;
mod book;
mod bound;
mod clean;
mod config;
mod entry;
mod files;
mod frame;
mod letters;
mod namespaces;
mod queue;
mod segments;
mod shared;
mod way;
mod writer;

pub(crate) use book::{Taken, Turns, Waiting};
pub(crate) use bound::{Buried, Dropped};
pub use config::{JournalConfig, JournalError, WhenFull};
pub use entry::{Letter, Origin, Seq};
pub(crate) use namespaces::is_fair;
pub(crate) use queue::Queued;
pub use writer::NewEvent;

use crate::bounded::Bounded;
use book::Book;
use bytes::Bytes;
use entry::Entry;
use files::Failpoint;
use jiff::Timestamp;
use segments::{SEGMENT, Segments};
use shared::Shared;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot, watch};
use way::Way;
use writer::{Command, Done, Store};

/// Commands that wait for the writer.
const COMMANDS: usize = 1024;
/// Largest events of one transition together, in bytes: a frame must hold them.
const MAX_BODIES: usize = 48 * 1024 * 1024;

/// The journal. Cheap to clone; it is closed when the last one is gone.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    way: Way,
    max_bytes: u64,
    when_full: WhenFull,
}

impl Journal {
    /// Opens a journal. Where it is new, what ended before `horizon` is history.
    ///
    /// # Errors
    ///
    /// It cannot be opened, is in use, or is damaged. Nothing is skipped.
    pub fn open(config: &JournalConfig, horizon: Timestamp) -> Result<Self, JournalError> {
        Self::open_with(config, horizon, SEGMENT, None)
    }

    fn open_with(
        config: &JournalConfig,
        horizon: Timestamp,
        segment: u64,
        failpoint: Option<Arc<dyn Failpoint>>,
    ) -> Result<Self, JournalError> {
        let mut book = Book::default();
        let (store, files, default_bytes) = match &config.directory {
            None => (Store::Memory, None, 32 * 1024 * 1024),
            Some(folder) => {
                let segments = Segments::open(folder, segment, failpoint, &mut book)?;
                let files = segments.files();
                (Store::Disk(Box::new(segments)), Some(files), 1 << 30)
            }
        };
        let is_new = book.horizon().is_none();
        let shared = Arc::new(Shared::new(book, files));
        let (commands, asked) = mpsc::channel(COMMANDS);
        if is_new {
            // There is room for it: nobody else can ask yet.
            commands
                .try_send(Command::Say(Entry::Begun { horizon }))
                .ok();
        }
        let writing = shared.clone();
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                let written = AssertUnwindSafe(|| writer::run(store, &writing, asked));
                if std::panic::catch_unwind(written).is_err() {
                    let reason = "its thread panicked; please report this".to_owned();
                    writing.failed.send_replace(Some(reason));
                }
            })
            .map_err(JournalError::Thread)?;
        Ok(Self {
            shared,
            commands,
            way: Way::default(),
            max_bytes: config.max_bytes.map_or(default_bytes, Bounded::get),
            when_full: config.when_full,
        })
    }

    /// Does a folder hold a journal?
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        let first = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut sizes = first
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".journal"))
            .filter_map(|entry| entry.metadata().ok());
        // One that was opened and never written is none.
        sizes.any(|metadata| metadata.len() > frame::PREFACE.len() as u64)
    }

    /// What ended before is history: what was said when the journal was new.
    #[must_use]
    pub fn horizon(&self) -> Option<Timestamp> {
        self.shared.book(|book| book.horizon())
    }

    /// Says what is watched from now on. Is it what was watched before?
    ///
    /// # Errors
    ///
    /// The journal cannot be written any more.
    pub async fn watch_only(&self, scope: &str) -> Result<bool, JournalError> {
        let before = self.shared.book(|book| book.scope().map(str::to_owned));
        if before.as_deref() == Some(scope) {
            return Ok(true);
        }
        let scope = scope.to_owned();
        self.ask(Command::Say(Entry::Scope { scope })).await?;
        Ok(false)
    }

    /// Was this told of this run? What is on its way to the disk is: after a crash it is not any more.
    #[must_use]
    pub fn is_told(&self, run: &str, mark: &str) -> bool {
        // Asked first: it is in the book before it has left.
        self.way.has(run, mark) || self.shared.book(|book| book.is_told(run, mark))
    }

    /// Runs of which something was told.
    #[must_use]
    pub fn runs(&self) -> Vec<Arc<str>> {
        self.shared.book(|book| book.runs())
    }

    /// Accepts events, those of one transition with its mark; without one they were there before, and
    /// there is room for them. Once this has returned, they survive a crash. At the journal's bound it waits,
    /// and where their namespace has its share of it.
    ///
    /// # Errors
    ///
    /// The journal cannot be written any more.
    pub async fn accept(
        &self,
        origin: Origin,
        mark: Option<String>,
        at: Timestamp,
        events: Vec<NewEvent>,
    ) -> Result<(), JournalError> {
        let (done, accepted) = oneshot::channel();
        self.bring(origin, mark, at, events, Done::Answer(done))
            .await?;
        self.answer(accepted).await
    }

    /// The same, but returns when their place among all others is certain. `accepted` is called when they
    /// are on the disk, before any sink can have them; never where the journal cannot be written any more.
    ///
    /// # Errors
    ///
    /// As for [`Journal::accept`].
    pub(crate) async fn hand_over(
        &self,
        origin: Origin,
        mark: Option<String>,
        at: Timestamp,
        events: Vec<NewEvent>,
        accepted: impl FnOnce() + Send + 'static,
    ) -> Result<(), JournalError> {
        let accepted = Done::Call(Box::new(accepted));
        self.bring(origin, mark, at, events, accepted).await
    }

    async fn bring(
        &self,
        origin: Origin,
        mark: Option<String>,
        at: Timestamp,
        events: Vec<NewEvent>,
        done: Done,
    ) -> Result<(), JournalError> {
        let size: usize = events.iter().map(|event| event.body.len()).sum();
        if size > MAX_BODIES {
            return Err(JournalError::TooLarge(size));
        }
        if mark.is_some() {
            self.make_room(&origin, size as u64).await?;
        }
        let part = tokio::select! {
            biased;
            part = self.way.enter(size, &origin, mark.as_deref()) => part,
            error = self.failed() => return Err(error),
        };
        let accept = Command::Accept {
            origin,
            mark,
            at,
            events,
            done,
            part,
        };
        self.ask(accept).await
    }

    /// Everything that was handed over is known to all after this.
    ///
    /// # Errors
    ///
    /// The journal cannot be written any more.
    pub(crate) async fn arrived(&self) -> Result<(), JournalError> {
        match self.way.is_empty() {
            // Nothing would be there to wait for but the disk, which may be full.
            true => Ok(()),
            false => self.sync().await,
        }
    }

    /// A sink has an event.
    ///
    /// # Errors
    ///
    /// The journal cannot be written any more.
    pub async fn done(&self, seq: Seq, sink: &str) -> Result<(), JournalError> {
        let sink = sink.to_owned();
        self.ask(Command::Say(Entry::Done { seq, sink })).await
    }

    /// Nothing of this run will be told again.
    ///
    /// # Errors
    ///
    /// The journal cannot be written any more.
    pub(crate) async fn forget(&self, run: Arc<str>) -> Result<(), JournalError> {
        // What is on its way may speak of it. Asked first: it is in the book before it has left.
        let may_come = !self.way.is_empty();
        if may_come || self.shared.book(|book| book.has_told_of(&run)) {
            return self.ask(Command::Say(Entry::Forgotten { run })).await;
        }
        Ok(())
    }

    /// Everything that was said before is on the disk after this.
    ///
    /// # Errors
    ///
    /// The journal cannot be written any more.
    pub async fn sync(&self) -> Result<(), JournalError> {
        let (done, synced) = oneshot::channel();
        self.ask(Command::Sync(done)).await?;
        self.answer(synced).await
    }

    /// Waits for an answer of the writer. What is asked in the moment in which its thread ends may stay in the
    /// channel for as long as somebody can ask, so that its end alone would not be heard.
    async fn answer(&self, answer: oneshot::Receiver<()>) -> Result<(), JournalError> {
        tokio::select! {
            biased;
            answered = answer => answered.map_err(|_| self.failure()),
            error = self.failed() => Err(error),
        }
    }

    async fn ask(&self, command: Command) -> Result<(), JournalError> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| self.failure())
    }

    fn failure(&self) -> JournalError {
        let reason = self.shared.failed.borrow().clone();
        JournalError::Failed(reason.unwrap_or_else(|| "its thread has ended".to_owned()))
    }

    /// Ends when the journal cannot be written any more.
    pub async fn failed(&self) -> JournalError {
        let mut failed = self.shared.failed.subscribe();
        // The sender lives as long as this.
        failed.wait_for(Option::is_some).await.ok();
        self.failure()
    }

    /// Tells when something was written.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// What a sink takes next of what waits for it: of each namespace in turn, those of one the oldest first, where
    /// there is room for one more of it. Nothing of it is taken again with the same `turns`.
    pub(crate) fn take_in_turn(
        &self,
        sink: &str,
        turns: &mut Turns,
        most: usize,
        has_room: impl FnMut(u32) -> bool,
    ) -> Taken {
        (self.shared).book(|book| book.take_in_turn(sink, turns, most, has_room))
    }

    /// Where an event comes from, of this run.
    pub(crate) fn origin(&self, seq: Seq, run: Arc<str>) -> Origin {
        let namespace = self.shared.book(|book| book.namespace(seq));
        let namespace = namespace.unwrap_or_default();
        Origin { run, namespace }
    }

    /// What a sink waits for, from a number on, the oldest first.
    pub(crate) fn waiting(&self, sink: &str, from: Seq, most: usize) -> Vec<Waiting> {
        self.shared.book(|book| book.waiting(sink, from, most))
    }

    /// How many events a sink waits for, and how many are dead letters of it.
    #[must_use]
    pub fn counts(&self, sink: &str) -> (u64, u64) {
        self.shared.book(|book| book.counts(sink))
    }

    /// Bytes of events that wait or are dead letters, and how many there may be.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let bytes = self
            .shared
            .book(|book| book.waiting_bytes() + book.dead_bytes());
        (bytes, self.max_bytes)
    }

    /// Events and dead letters that were dropped at the bound.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Dead letters that were dropped at their bound.
    #[must_use]
    pub fn letters_dropped(&self) -> u64 {
        self.shared.letters_dropped.load(Ordering::Relaxed)
    }

    /// Who waits for room.
    pub(crate) fn queued(&self) -> Queued {
        let namespaces = self.shared.book(|book| book.namespaces());
        self.shared.queue.standing(namespaces)
    }

    /// Does its disk take nothing more at the moment?
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.shared.disk_full.load(Ordering::Relaxed)
    }

    /// Sinks that wait for something.
    #[must_use]
    pub fn sinks(&self) -> Vec<String> {
        self.shared.book(|book| book.sinks())
    }

    /// Dead letters: number, sink, and what became of them.
    #[must_use]
    pub fn letters(&self) -> Vec<(u64, String, Letter)> {
        self.shared.book(|book| book.letters())
    }

    /// The bytes of an event; nothing where it is done.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(crate) async fn body(&self, seq: Seq) -> std::io::Result<Option<Bytes>> {
        match self.shared.held(seq) {
            Some(held) => Ok(Some(held)),
            None => self.reading(move |shared| shared.read(seq)).await,
        }
    }

    /// The same for a sink that asks for one after the other.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(crate) async fn next_body(&self, seq: Seq, sink: &str) -> std::io::Result<Option<Bytes>> {
        if let Some(held) = self.shared.held(seq) {
            if let Some(from) = self.shared.read_next(seq, sink) {
                let (shared, sink) = (self.shared.clone(), sink.to_owned());
                // Nobody waits for it: whoever comes first to the end of what is read reads himself.
                drop(tokio::task::spawn_blocking(move || {
                    shared.read_ahead(from, &sink, 0);
                }));
            }
            return Ok(Some(held));
        }
        let _turn = self.shared.reading.lock().await;
        if let Some(held) = self.shared.held(seq) {
            return Ok(Some(held));
        }
        let sink = sink.to_owned();
        self.reading(move |shared| shared.read_on(seq, &sink)).await
    }

    async fn reading(
        &self,
        work: impl FnOnce(&Shared) -> std::io::Result<Option<Bytes>> + Send + 'static,
    ) -> std::io::Result<Option<Bytes>> {
        let shared = self.shared.clone();
        let reading = tokio::task::spawn_blocking(move || work(&shared));
        reading
            .await
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }
}

#[cfg(test)]
mod tests;
