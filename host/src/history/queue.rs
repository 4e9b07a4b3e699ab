//! The queue of the history. Every 100 ms, the writer takes the entries that have gathered. A new
//! entry wakes the writer only if the queue was empty or is long.

use super::entry::HistoryEntry;
use super::store::HistoryError;
use crate::locked::{Locked, unpoisoned};
use crate::metrics::Counter;
use std::sync::{Condvar, MutexGuard};
use std::time::Duration;
use tokio::sync::oneshot;

/// Maximum number of waiting entries. Further entries are dropped and counted.
const MAX_QUEUED_ENTRIES: usize = 8192;
/// Number of waiting entries at which the writer is woken at once.
const WAKE_AT_ENTRIES: usize = 1024;
/// Longest time that fewer entries wait.
const MAX_WRITE_DELAY: Duration = Duration::from_millis(100);
/// Requests that may wait. Further ones fail.
const MAX_QUEUED_REQUESTS: usize = 64;

/// A request to the writer, with the channel for the answer.
#[derive(Debug)]
pub(super) enum Request {
    /// Returns the entries of an event.
    Find(
        String,
        oneshot::Sender<Result<Vec<HistoryEntry>, HistoryError>>,
    ),
    /// Waits until all entries before are written.
    Flush(oneshot::Sender<()>),
}

/// Entries and requests that wait for the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    work: Locked<Work>,
    wake: Condvar,
    pub(super) dropped: Counter,
}

/// Work of the writer.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) entries: Vec<HistoryEntry>,
    pub(super) requests: Vec<Request>,
    /// The history is closed: nothing follows.
    pub(super) closed: bool,
}

impl Work {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.requests.is_empty() && !self.closed
    }

    fn is_urgent(&self) -> bool {
        self.entries.len() >= WAKE_AT_ENTRIES || !self.requests.is_empty() || self.closed
    }
}

impl Queue {
    pub(super) fn push(&self, entry: HistoryEntry) {
        let mut work = self.work();
        let was_empty = work.is_empty();
        if work.entries.len() >= MAX_QUEUED_ENTRIES {
            self.dropped.increment();
            return;
        }
        work.entries.push(entry);
        if was_empty || work.entries.len() == WAKE_AT_ENTRIES {
            self.wake.notify_one();
        }
    }

    /// Adds a request. If too many requests wait, drops the request and the sender of its answer,
    /// so that the caller gets an error.
    pub(super) fn request(&self, request: Request) {
        let mut work = self.work();
        if work.requests.len() < MAX_QUEUED_REQUESTS {
            work.requests.push(request);
            self.wake.notify_one();
        }
    }

    pub(super) fn close(&self) {
        self.work().closed = true;
        self.wake.notify_one();
    }

    /// Waits for work.
    pub(super) fn next(&self) -> Work {
        let work = self.work();
        let some = unpoisoned(self.wake.wait_while(work, |work| work.is_empty()));
        let waited =
            (self.wake).wait_timeout_while(some, MAX_WRITE_DELAY, |work| !work.is_urgent());
        let (mut work, _) = unpoisoned(waited);
        let closed = work.closed;
        Work {
            closed,
            ..std::mem::take(&mut *work)
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock()
    }
}
