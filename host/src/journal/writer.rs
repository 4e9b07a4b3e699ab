//! The one thread that writes: many entries with one sync, then the book, then the answers.

use super::Shared;
use super::book::Book;
use super::entry::{Accepted, Entry, Seq};
use super::frame::{self, Found, PREFACE};
use super::segments::{self, Segments};
use bytes::Bytes;
use jiff::Timestamp;
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

/// Most entries and bytes that are written with one sync.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How long to wait before a full disk is tried again.
const FULL: Duration = Duration::from_secs(1);

/// An event to be accepted: who is to get it, and its bytes.
#[derive(Debug)]
pub(crate) struct NewEvent {
    pub(crate) sinks: Vec<String>,
    pub(crate) body: Bytes,
}

/// What the writer is asked for.
pub(super) enum Command {
    Accept {
        run: Arc<str>,
        mark: Option<String>,
        at: Timestamp,
        events: Vec<NewEvent>,
        done: oneshot::Sender<()>,
    },
    Say(Entry),
    /// Everything before is on the disk when it is answered.
    Sync(oneshot::Sender<()>),
}

/// Where entries go.
#[derive(Debug)]
pub(super) enum Store {
    Memory,
    Disk(Box<Segments>),
}

struct Written {
    entry: Entry,
    bodies: Vec<Bytes>,
    done: Option<oneshot::Sender<()>>,
}

/// Writes until nobody can ask for anything any more, or the disk cannot be trusted.
pub(super) fn run(mut store: Store, shared: &Shared, mut commands: mpsc::Receiver<Command>) {
    let mut next = shared.book(|book| book.next());
    while let Some(first) = commands.blocking_recv() {
        let mut batch = Vec::new();
        let mut must_sync = take(first, &mut next, &mut batch);
        let mut bytes = 0;
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Ok(command) = commands.try_recv() else {
                break;
            };
            must_sync |= take(command, &mut next, &mut batch);
            let last = batch.last().map(|written| &written.bodies);
            bytes += last.map_or(0, |bodies| bodies.iter().map(Bytes::len).sum());
        }
        if let Err(problem) = write(&mut store, shared, batch, must_sync) {
            error!(error = %problem, "the journal cannot be written, stopping");
            let reason = problem.to_string();
            shared.failed.send_replace(Some(reason));
            return;
        }
    }
    // What the last entries say is observed or delivered again where this fails.
    if let Store::Disk(segments) = &store {
        segments.sync().ok();
    }
}

/// Makes an entry of a command. Does it have to be on the disk before it is answered?
fn take(command: Command, next: &mut Seq, batch: &mut Vec<Written>) -> bool {
    let (entry, bodies, done) = match command {
        Command::Accept {
            run,
            mark,
            at,
            events,
            done,
        } => {
            let mut accepted = Vec::new();
            let mut bodies = Vec::new();
            for event in events {
                accepted.push(Accepted {
                    seq: *next,
                    sinks: event.sinks,
                    bytes: u32::try_from(event.body.len()).unwrap_or(u32::MAX),
                    sum: crc32fast::hash(&event.body),
                });
                *next += 1;
                bodies.push(event.body);
            }
            let entry = Entry::Accepted {
                run,
                mark,
                at,
                events: accepted,
            };
            (entry, bodies, Some(done))
        }
        Command::Say(entry) => (entry, Vec::new(), None),
        Command::Sync(done) => {
            let nothing = Entry::Marks {
                run: Arc::default(),
                marks: Vec::new(),
            };
            (nothing, Vec::new(), Some(done))
        }
    };
    let must_sync = done.is_some();
    batch.push(Written {
        entry,
        bodies,
        done,
    });
    must_sync
}

fn write(
    store: &mut Store,
    shared: &Shared,
    batch: Vec<Written>,
    must_sync: bool,
) -> io::Result<()> {
    let mut places = vec![(0, 0); batch.len()];
    if let Store::Disk(segments) = store {
        let mut buffer = Vec::new();
        let bodies_at: Vec<usize> = batch
            .iter()
            .map(|written| frame::append(&mut buffer, &written.entry, &written.bodies))
            .collect();
        let (segment, offset) = append(segments, &buffer)?;
        if must_sync {
            // After a failed sync nobody knows what is on the disk: no second try.
            segments.sync()?;
        }
        for (place, at) in places.iter_mut().zip(bodies_at) {
            *place = (segment, offset + at as u64);
        }
    }
    let in_memory = matches!(store, Store::Memory);
    let mut answers = Vec::new();
    shared.book(|book| {
        for (written, (segment, bodies_at)) in batch.into_iter().zip(places) {
            let seqs = written.entry.seqs();
            shared.keep_fresh(&written.entry, &written.bodies, in_memory);
            book.apply(written.entry, segment, bodies_at);
            shared.forget_fresh(book, &seqs);
            answers.extend(written.done);
        }
    });
    for answer in answers {
        // Who has stopped waiting is told the next time.
        answer.send(()).ok();
    }
    shared.changed.send_modify(|count| *count += 1);
    if let Store::Disk(segments) = store {
        clean(segments, shared)?;
    }
    Ok(())
}

/// A full disk may be emptied: until then everything waits, and nothing is lost.
fn append(segments: &mut Segments, bytes: &[u8]) -> io::Result<(u64, u64)> {
    let mut told = false;
    loop {
        match segments.append(bytes) {
            Ok(place) => {
                if told {
                    info!("the journal's disk has room again");
                }
                return Ok(place);
            }
            Err(error) if is_full(&error) => {
                if !std::mem::replace(&mut told, true) {
                    warn!(%error, "the journal's disk is full: nothing is accepted until there is room");
                }
                std::thread::sleep(FULL);
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Moves what is still true out of the oldest segment and removes it, where more than half of all is
/// not needed any more: at most twice as much is on the disk as waits there, and two segments.
fn clean(segments: &mut Segments, shared: &Shared) -> io::Result<()> {
    let needed = shared.book(|book| book.needed());
    if !segments.wants_cleaning(needed) {
        return Ok(());
    }
    let Some((number, file)) = segments.oldest() else {
        return Ok(());
    };
    let old = segments::whole(&file)?;
    let readers = segments.readers();
    let mut at = PREFACE.len();
    let mut kept = Vec::new();
    while let Found::Frame(found) = frame::read(&old, at) {
        at = found.end;
        kept.extend(shared.book(|book| {
            let entries = book.still_true(found.entry);
            let placed = entries
                .into_iter()
                .map(|(entry, seq)| (entry, seq.and_then(|seq| book.place(seq))));
            placed.collect::<Vec<_>>()
        }));
    }
    let mut buffer = Vec::new();
    let mut moved = Vec::new();
    for (entry, place) in kept {
        let bodies = match place {
            Some(place) => vec![Bytes::from(readers.read(place)?)],
            None => Vec::new(),
        };
        let bodies_at = frame::append(&mut buffer, &entry, &bodies);
        moved.push((entry, bodies_at));
    }
    let (segment, offset) = append(segments, &buffer)?;
    segments.sync()?;
    shared.book(|book: &mut Book| {
        for (entry, bodies_at) in moved {
            book.apply(entry, segment, offset + bodies_at as u64);
        }
    });
    segments.remove(number)
}

impl Shared {
    pub(super) fn book<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        work(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
