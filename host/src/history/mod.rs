//! The history: the stages that each event has reached, for `explain`, `/events/ID` and traces.
//!
//! One thread writes it, to files beside the journal or to memory. No caller waits for it, and no
//! delivery depends on it: at its bound the oldest entries are removed, and entries that come faster
//! than the thread writes are dropped and counted.

mod entry;
mod queue;
mod store;

pub use entry::{EventStage, HistoryEntry, PluginResult, PluginVerdict, TraceContext};
pub use store::{HistoryError, find, last};

use crate::metrics::Registry;
use jiff::Timestamp;
use queue::{Queue, Request};
use std::path::Path;
use std::sync::Arc;
use store::Store;
use tokio::sync::oneshot;

/// A history, or none. Clones share it; it is closed when the last clone is dropped.
#[derive(Clone, Debug, Default)]
pub struct History(Option<Arc<Handle>>);

/// Returns the id of the entries that belong to a sink. It contains a space, unlike the id of any
/// event.
#[must_use]
pub fn sink_key(name: &str) -> String {
    format!("sink {name}")
}

/// Receives every entry on the thread of the history. It must not block.
pub type Listener = Box<dyn FnMut(&HistoryEntry) + Send>;

/// Closes the queue when this handle is dropped, which ends the thread.
#[derive(Debug)]
struct Handle(Arc<Queue>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl History {
    /// Opens the history in the folder of a journal, or in memory. It keeps about the last
    /// `max_bytes`; 0 means that there is no history. The listener receives every entry as well.
    ///
    /// # Errors
    ///
    /// Fails if its file cannot be opened or its thread cannot be started.
    pub fn open(
        folder: Option<&Path>,
        max_bytes: u64,
        listener: Option<Listener>,
    ) -> Result<Self, HistoryError> {
        if max_bytes == 0 {
            return Ok(Self(None));
        }
        let store = match folder {
            Some(folder) => Store::file(folder, max_bytes)?,
            None => Store::memory(max_bytes),
        };
        let queue = Arc::new(Queue::default());
        let writer_queue = queue.clone();
        std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || store::run(store, &writer_queue, listener))
            .map_err(HistoryError::Thread)?;
        Ok(Self(Some(Arc::new(Handle(queue)))))
    }

    /// Returns whether entries are kept.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Records a stage of an event. The closure returns id and stage; it runs only if entries are
    /// kept.
    pub(crate) fn record(&self, at: Timestamp, entry: impl FnOnce() -> (String, EventStage)) {
        let Some(handle) = &self.0 else {
            return;
        };
        let (id, stage) = entry();
        handle.0.push(HistoryEntry { id, at, stage });
    }

    /// Returns the entries of an event, the oldest first.
    ///
    /// # Errors
    ///
    /// Fails if the files cannot be read, the thread has ended, or too many requests wait.
    pub async fn entries(&self, id: String) -> Result<Vec<HistoryEntry>, HistoryError> {
        let Some(handle) = &self.0 else {
            return Ok(Vec::new());
        };
        let (sender, found) = oneshot::channel();
        handle.0.request(Request::Find(id, sender));
        found.await.unwrap_or(Err(HistoryError::Ended))
    }

    /// Waits until all recorded entries are written.
    pub async fn flush(&self) {
        if let Some(handle) = &self.0 {
            let (sender, flushed) = oneshot::channel();
            handle.0.request(Request::Flush(sender));
            flushed.await.ok();
        }
    }

    /// Returns how many entries were dropped since the start because the queue was full.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |handle| handle.0.dropped.get())
    }

    /// Registers the metrics of the history. A change of the configuration resets neither the
    /// history nor its metrics.
    pub(crate) fn register_metrics(&self, registry: &mut Registry) {
        let dropped = self.0.as_ref().map(|handle| handle.0.dropped.clone());
        registry.register(
            "history_left_out",
            "History entries that were dropped because they came faster than they could be written",
            &dropped.unwrap_or_default(),
        );
    }
}
