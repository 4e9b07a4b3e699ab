//! What happened to each event, for whoever asks later: told by those it passes, written down by one
//! thread, beside the journal. Nobody waits for it, and nothing depends on it: where it is full, the
//! oldest goes, and what comes too fast is left out and counted.

mod fact;
mod queue;
mod store;

pub use fact::{Fact, Traced, Verdict, What};
pub use store::{HistoryError, find, last};

use jiff::Timestamp;
use queue::{Question, Queue};
use std::path::Path;
use std::sync::Arc;
use store::Store;
use tokio::sync::oneshot;

/// A history. Cheap to clone; it is closed when the last one is gone.
#[derive(Clone, Debug, Default)]
pub struct History(Option<Arc<Open>>);

/// The id of facts that are of a sink and not of an event, which has no id like this.
#[must_use]
pub fn of_sink(name: &str) -> String {
    format!("sink {name}")
}

/// Who else is told every fact. It must not wait.
pub type Listener = Box<dyn FnMut(&Fact) + Send>;

#[derive(Debug)]
struct Open(Arc<Queue>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl History {
    /// In the folder of a journal, or in memory. It keeps about the last `max_bytes`; none where that is
    /// 0. `also` is told every fact as well, from the history's own thread.
    ///
    /// # Errors
    ///
    /// Its file cannot be opened.
    pub fn open(
        folder: Option<&Path>,
        max_bytes: u64,
        also: Option<Listener>,
    ) -> Result<Self, HistoryError> {
        if max_bytes == 0 {
            return Ok(Self(None));
        }
        let store = match folder {
            Some(folder) => Store::file(folder, max_bytes)?,
            None => Store::memory(max_bytes),
        };
        let queue = Arc::new(Queue::default());
        let told = queue.clone();
        std::thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || store::run(store, &told, also))
            .map_err(HistoryError::Thread)?;
        Ok(Self(Some(Arc::new(Open(queue)))))
    }

    /// Is anything written down?
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Writes down what happened to an event, which is said only where there is a history.
    pub(crate) fn tell(&self, at: Timestamp, fact: impl FnOnce() -> (String, What)) {
        let Some(open) = &self.0 else {
            return;
        };
        let (id, what) = fact();
        open.0.tell(Fact { id, at, what });
    }

    /// All that is known of an event, the oldest first.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub async fn of(&self, id: String) -> Result<Vec<Fact>, HistoryError> {
        let Some(open) = &self.0 else {
            return Ok(Vec::new());
        };
        let (answer, answered) = oneshot::channel();
        open.0.ask(Question::Find(id, answer));
        answered.await.unwrap_or(Err(HistoryError::Ended))
    }

    /// Waits until everything that was told is written down.
    pub async fn written(&self) {
        if let Some(open) = &self.0 {
            let (answer, answered) = oneshot::channel();
            open.0.ask(Question::Written(answer));
            answered.await.ok();
        }
    }

    /// Facts that were left out since the start, because they came too fast.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.0.as_ref().map_or(0, |open| open.0.left_out())
    }
}
