//! The state that the writer and the callers of the journal share.

use super::entry::{Entry, Seq};
use super::files::Files;
use super::index::JournalIndex;
use super::read_ahead::{self, ReadAhead};
use super::waiters::Waiters;
use crate::locked::Locked;
use crate::metrics::Counter;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;

/// Bytes of accepted events that stay in memory until they are delivered, so that they need not be
/// read from the disk.
const MAX_RECENT_BYTES: usize = 8 * 1024 * 1024;

/// The state that the writer and the callers of the journal share.
#[derive(Debug)]
pub(super) struct Shared {
    index: Locked<JournalIndex>,
    recent: Locked<RecentBodies>,
    read_ahead: Locked<ReadAhead>,
    /// Lock that is held while bodies are read. A sink that waits for it usually finds its body in
    /// the cache afterwards.
    pub(super) reading: tokio::sync::Mutex<()>,
    files: Option<Arc<Files>>,
    /// Counts writes.
    pub(super) changed: watch::Sender<u64>,
    /// Why the journal can no longer be written.
    pub(super) failed: watch::Sender<Option<String>>,
    /// Events and dead letters that were dropped at a bound.
    pub(super) dropped: Counter,
    /// Dead letters that were dropped at their bound; `dropped` counts them, too.
    pub(super) dead_letters_dropped: Counter,
    /// Callers that wait for room.
    pub(super) waiters: Waiters,
    /// The last write failed because the disk is full.
    pub(super) disk_full: AtomicBool,
}

/// Bodies of recently accepted events. A journal in memory keeps all bodies here.
#[derive(Debug, Default)]
struct RecentBodies {
    bodies: BTreeMap<Seq, Bytes>,
    bytes: usize,
}

impl Shared {
    pub(super) fn new(index: JournalIndex, files: Option<Arc<Files>>) -> Self {
        Self {
            index: Locked::new(index),
            recent: Locked::default(),
            read_ahead: Locked::default(),
            reading: tokio::sync::Mutex::default(),
            files,
            changed: watch::Sender::new(0),
            failed: watch::Sender::new(None),
            dropped: Counter::default(),
            dead_letters_dropped: Counter::default(),
            waiters: Waiters::default(),
            disk_full: AtomicBool::new(false),
        }
    }

    pub(super) fn index<T>(&self, work: impl FnOnce(&mut JournalIndex) -> T) -> T {
        work(&mut self.index.lock())
    }

    /// Returns a body that is in memory.
    pub(super) fn cached(&self, seq: Seq) -> Option<Bytes> {
        let recent = self.recent.lock().bodies.get(&seq).cloned();
        recent.or_else(|| {
            // The event may have been acknowledged since its body was read ahead.
            self.index(|index| index.place(seq))?;
            self.read_ahead.lock().get(seq)
        })
    }

    /// Reads a body; `None` if all sinks have acknowledged the event.
    pub(super) fn read(&self, seq: Seq) -> io::Result<Option<Bytes>> {
        // Compaction may move the body during the read. The next attempt then finds the new place.
        let mut failed_at = None;
        loop {
            let Some(place) = self.index(|index| index.place(seq)) else {
                return Ok(None);
            };
            let Some(files) = &self.files else {
                return Ok(None);
            };
            match files.read_body(place) {
                Ok(body) => return Ok(Some(body)),
                Err(error) if failed_at == Some(place) => return Err(error),
                Err(_) => failed_at = Some(place),
            }
        }
    }

    /// Reads a body, and reads ahead the bodies that the sink will ask for next.
    pub(super) fn read_and_prefetch(&self, seq: Seq, sink: &str) -> io::Result<Option<Bytes>> {
        let body = self.read(seq)?;
        if let Some(body) = &body {
            self.prefetch(seq + 1, sink, body.len());
        }
        Ok(body)
    }

    /// Reads ahead the bodies that a sink will ask for, beginning with event `from`. `bytes` is the
    /// number of bytes that were read already.
    pub(super) fn prefetch(&self, from: Seq, sink: &str, mut bytes: usize) {
        let Some(files) = &self.files else { return };
        let (mut places, namespaces) = self.index(|index| {
            let waiting = index.waiting(sink, from, read_ahead::MAX_BODIES_PER_READ);
            let places = waiting.into_iter();
            let places = places.filter_map(|event| Some((event.seq, index.place(event.seq)?)));
            (places.collect::<Vec<_>>(), index.namespaces())
        });
        let recent = self.recent.lock();
        places.retain(|(seq, _)| !recent.bodies.contains_key(seq));
        drop(recent);
        let cached = self.read_ahead.lock();
        places.retain(|(seq, _)| cached.get(*seq).is_none());
        drop(cached);
        let max_bytes = read_ahead::bytes_per_read(namespaces);
        let end = places.iter().position(|(_, place)| {
            bytes += place.length as usize;
            bytes > max_bytes
        });
        places.truncate(end.unwrap_or(places.len()));
        // Skips bodies that cannot be read. A sink that asks for such a body gets the error.
        let bodies = files.read_bodies(&places);
        self.read_ahead.lock().insert(sink, bodies);
    }

    /// Returns the first event to read ahead, if a sink that asks for `seq` has reached the
    /// trigger.
    pub(super) fn next_read_ahead(&self, seq: Seq, sink: &str) -> Option<Seq> {
        self.read_ahead.lock().take_next(seq, sink)
    }

    /// Keeps the bodies of accepted events in memory: all, or as many as fit.
    pub(super) fn keep_recent(&self, entry: &Entry, bodies: &[Bytes], keep_all: bool) {
        let Entry::Accepted { events, .. } = entry else {
            return;
        };
        let mut recent = self.recent.lock();
        for (event, body) in events.iter().zip(bodies) {
            if keep_all || recent.bytes + body.len() <= MAX_RECENT_BYTES {
                recent.bytes += body.len();
                recent.bodies.insert(event.seq, body.clone());
            }
        }
    }

    /// Drops the bodies of those events that are no longer in the index.
    pub(super) fn drop_recent(&self, index: &JournalIndex, seqs: &[Seq]) {
        let mut recent = self.recent.lock();
        for seq in seqs.iter().filter(|seq| index.place(**seq).is_none()) {
            recent.bytes -= recent.bodies.remove(seq).map_or(0, |body| body.len());
        }
    }
}
