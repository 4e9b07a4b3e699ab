//! What the writer and its users share.

use super::ahead::{self, Ahead};
use super::book::Book;
use super::entry::{Entry, Seq};
use super::files::Files;
use super::queue::Queue;
use crate::locked::Locked;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use tokio::sync::watch;

/// Bytes of events that are kept in memory until they are delivered, so that they need not be read
/// again.
const FRESH: usize = 8 * 1024 * 1024;

/// What the writer and its users share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) book: Locked<Book>,
    /// Bodies that are in memory, and how many bytes they are.
    pub(super) fresh: Locked<(BTreeMap<Seq, Bytes>, usize)>,
    /// Bodies that were read, and who reads the next: whoever waits for that finds his there, mostly.
    ahead: Locked<Ahead>,
    pub(super) reading: tokio::sync::Mutex<()>,
    pub(super) files: Option<Arc<Files>>,
    /// Counts writes.
    pub(super) changed: watch::Sender<u64>,
    pub(super) failed: watch::Sender<Option<String>>,
    /// Events and dead letters that gave way at the bound.
    pub(super) dropped: AtomicU64,
    /// Of them, dead letters.
    pub(super) letters_dropped: AtomicU64,
    /// Who waits for room.
    pub(super) queue: Queue,
    /// The disk did not take what was last to be written.
    pub(super) disk_full: AtomicBool,
}

impl Shared {
    pub(super) fn new(book: Book, files: Option<Arc<Files>>) -> Self {
        Self {
            book: Locked::new(book),
            fresh: Locked::default(),
            ahead: Locked::default(),
            reading: tokio::sync::Mutex::default(),
            files,
            changed: watch::Sender::new(0),
            failed: watch::Sender::new(None),
            dropped: AtomicU64::new(0),
            letters_dropped: AtomicU64::new(0),
            queue: Queue::default(),
            disk_full: AtomicBool::new(false),
        }
    }

    pub(super) fn book<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        work(&mut self.book.lock())
    }

    pub(super) fn fresh<T>(&self, work: impl FnOnce(&mut (BTreeMap<Seq, Bytes>, usize)) -> T) -> T {
        work(&mut self.fresh.lock())
    }

    fn ahead<T>(&self, work: impl FnOnce(&mut Ahead) -> T) -> T {
        work(&mut self.ahead.lock())
    }

    /// A body that is in memory.
    pub(super) fn held(&self, seq: Seq) -> Option<Bytes> {
        self.fresh(|(fresh, _)| fresh.get(&seq).cloned())
            .or_else(|| {
                // It may have been done since it was read.
                self.book(|book| book.place(seq))?;
                self.ahead(|ahead| ahead.get(seq))
            })
    }

    /// Reads a body; nothing where the event is done.
    pub(super) fn read(&self, seq: Seq) -> io::Result<Option<Bytes>> {
        // It may be moved while it is read: then it is at another place.
        let mut before = None;
        loop {
            let Some(place) = self.book(|book| book.place(seq)) else {
                return Ok(None);
            };
            let Some(files) = &self.files else {
                return Ok(None);
            };
            match files.read(place) {
                Ok(body) => return Ok(Some(body)),
                Err(error) if before == Some(place) => return Err(error),
                Err(_) => before = Some(place),
            }
        }
    }

    /// The same, and reads what the sink will ask for next.
    pub(super) fn read_on(&self, seq: Seq, sink: &str) -> io::Result<Option<Bytes>> {
        let body = self.read(seq)?;
        if let Some(body) = &body {
            self.read_ahead(seq + 1, sink, body.len());
        }
        Ok(body)
    }

    /// Reads what a sink will ask for from an event on, where so many bytes are read already.
    pub(super) fn read_ahead(&self, from: Seq, sink: &str, mut bytes: usize) {
        let Some(files) = &self.files else { return };
        let (mut places, namespaces) = self.book(|book| {
            let waiting = book.waiting(sink, from, ahead::MOST).into_iter();
            let placed = waiting.filter_map(|event| Some((event.seq, book.place(event.seq)?)));
            (placed.collect::<Vec<_>>(), book.namespaces())
        });
        let enough = ahead::enough(namespaces);
        self.fresh(|(fresh, _)| places.retain(|(seq, _)| !fresh.contains_key(seq)));
        self.ahead(|ahead| places.retain(|(seq, _)| ahead.get(*seq).is_none()));
        let enough = places.iter().position(|(_, place)| {
            bytes += place.length as usize;
            bytes > enough
        });
        places.truncate(enough.unwrap_or(places.len()));
        // What cannot be read says so when its turn comes.
        let bodies = files.read_together(&places);
        self.ahead(|ahead| ahead.keep(sink, bodies));
    }

    /// From which event on to read for a sink that asks for this one, where it is time to.
    pub(super) fn read_next(&self, seq: Seq, sink: &str) -> Option<Seq> {
        self.ahead(|ahead| ahead.next(seq, sink))
    }

    /// Keeps the bodies of what was just accepted; in memory all, else as many as fit.
    pub(super) fn keep_fresh(&self, entry: &Entry, bodies: &[Bytes], all: bool) {
        let Entry::Accepted { events, .. } = entry else {
            return;
        };
        self.fresh(|(fresh, size)| {
            for (event, body) in events.iter().zip(bodies) {
                if all || *size + body.len() <= FRESH {
                    *size += body.len();
                    fresh.insert(event.seq, body.clone());
                }
            }
        });
    }

    /// Drops the bodies of those that are done.
    pub(super) fn forget_fresh(&self, book: &Book, seqs: &[Seq]) {
        self.fresh(|(fresh, size)| {
            for seq in seqs.iter().filter(|seq| book.place(**seq).is_none()) {
                *size -= fresh.remove(seq).map_or(0, |body| body.len());
            }
        });
    }
}
