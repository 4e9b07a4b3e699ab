//! What happened to each event, for whoever asks later: told by those it passes, written down by one
//! thread, beside the journal. Nobody waits for it, and nothing depends on it: where it is full, the
//! oldest goes, and what comes too fast is left out and counted.

mod fact;
mod store;

pub use fact::{Fact, Verdict, What};
pub use store::{HistoryError, find};

use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use store::{Command, Store};
use tokio::sync::oneshot;

/// Facts that wait to be written.
const WAITING: usize = 4096;

/// A history. Cheap to clone; it is closed when the last one is gone.
#[derive(Clone, Debug, Default)]
pub struct History(Option<Open>);

#[derive(Clone, Debug)]
struct Open {
    commands: SyncSender<Command>,
    left_out: Arc<AtomicU64>,
}

impl History {
    /// In the folder of a journal, or in memory. It keeps about the last `max_bytes`; none where that is
    /// 0.
    ///
    /// # Errors
    ///
    /// Its file cannot be opened.
    pub fn open(folder: Option<&Path>, max_bytes: u64) -> Result<Self, HistoryError> {
        if max_bytes == 0 {
            return Ok(Self(None));
        }
        let store = match folder {
            Some(folder) => Store::file(folder, max_bytes)?,
            None => Store::memory(max_bytes),
        };
        let (commands, asked) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || store::run(store, &asked))
            .map_err(HistoryError::Thread)?;
        Ok(Self(Some(Open {
            commands,
            left_out: Arc::default(),
        })))
    }

    /// Writes down what happened to an event, which is said only where there is a history.
    pub(crate) fn tell(&self, at: Timestamp, fact: impl FnOnce() -> (String, What)) {
        let Some(open) = &self.0 else {
            return;
        };
        let (id, what) = fact();
        let fact = Box::new(Fact { id, at, what });
        if open.commands.try_send(Command::Write(fact)).is_err() {
            open.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All that is known of an event, the oldest first.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub async fn of(&self, id: String) -> Result<Vec<Fact>, HistoryError> {
        let Some(open) = self.0.clone() else {
            return Ok(Vec::new());
        };
        let (answer, answered) = oneshot::channel();
        let asking = move || open.commands.send(Command::Find(id, answer));
        tokio::task::spawn_blocking(asking).await.ok();
        answered.await.unwrap_or(Err(HistoryError::Ended))
    }

    /// Facts that were left out since the start, because they came too fast.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        let open = self.0.as_ref();
        open.map_or(0, |open| open.left_out.load(Ordering::Relaxed))
    }
}
