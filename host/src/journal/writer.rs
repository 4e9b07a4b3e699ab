//! The one thread that writes: many entries with one sync, then the book, then the answers.

use super::clean::clean;
use super::entry::{Accepted, Entry, Origin, Seq};
use super::frame;
use super::segments::Segments;
use super::shared::Shared;
use super::way::Part;
use bytes::Bytes;
use jiff::Timestamp;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

/// Most entries and bytes that are written with one sync.
const BATCH: usize = 1024;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// What is kept of the room that a large batch took, in bytes.
const ROOM: usize = 1024 * 1024;
/// What nobody waits for, above all that something is delivered, waits so long for company: a write for each
/// would take longer than all it says. A crash meanwhile has it delivered once more.
const COMPANY: Duration = Duration::from_micros(500);
/// How long to wait before a full disk is tried again.
const FULL: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 200 });

/// An event to be accepted: who is to get it, and its bytes.
#[derive(Debug)]
pub struct NewEvent {
    /// Who is to get it.
    pub sinks: Vec<String>,
    /// What they get, as the journal gives it back.
    pub body: Bytes,
}

/// What the writer is asked for.
pub(super) enum Command {
    Accept {
        origin: Origin,
        mark: Option<String>,
        at: Timestamp,
        events: Vec<NewEvent>,
        done: Done,
        part: Part,
    },
    Say(Entry),
    /// Everything before is on the disk when it is answered.
    Sync(oneshot::Sender<()>),
}

/// Who is told that something is on the disk.
pub(super) enum Done {
    /// Before anybody can see it.
    Call(Box<dyn FnOnce() + Send>),
    /// When the book has it, too.
    Answer(oneshot::Sender<()>),
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
    done: Option<Done>,
    part: Option<Part>,
    /// The book knows it, but not the disk.
    applied: bool,
}

/// Writes until nobody can ask for anything any more, or the disk cannot be trusted.
pub(super) fn run(mut store: Store, shared: &Shared, mut commands: mpsc::Receiver<Command>) {
    let mut next = shared.book(|book| book.next());
    // What a full disk did not take.
    let mut owed: Vec<Written> = Vec::new();
    let mut buffer = Vec::new();
    loop {
        let mut batch = std::mem::take(&mut owed);
        let was_full = !batch.is_empty();
        if was_full {
            std::thread::sleep(FULL);
        } else {
            let Some(first) = commands.blocking_recv() else {
                break;
            };
            let first = take(first, &mut next);
            if first.done.is_none() && commands.is_empty() {
                std::thread::sleep(COMPANY);
            }
            batch.push(first);
        }
        let mut bytes: usize = 0;
        // Deliveries go on while the disk is full: what the book knows of them does not count.
        let most = BATCH + batch.iter().filter(|written| written.applied).count();
        while batch.len() < most && bytes < BATCH_BYTES {
            let Ok(command) = commands.try_recv() else {
                break;
            };
            let written = take(command, &mut next);
            bytes += written.bodies.iter().map(Bytes::len).sum::<usize>();
            batch.push(written);
        }
        let written = write(&mut store, shared, batch, &mut buffer);
        buffer.clear();
        buffer.shrink_to(ROOM);
        let is_full = matches!(written, Ok(Outcome::Full(..)));
        shared.disk_full.store(is_full, Ordering::Relaxed);
        match written {
            Ok(Outcome::Written) if was_full => info!("the journal's disk has room again"),
            Ok(Outcome::Written) => {}
            Ok(Outcome::Full(left, error)) => {
                if !was_full {
                    warn!(%error, "the journal's disk is full: nothing is accepted until there is room");
                }
                owed = left;
                if commands.is_closed() && commands.is_empty() {
                    break;
                }
            }
            Err(problem) => {
                error!(error = %problem, "the journal cannot be written, stopping");
                shared.failed.send_replace(Some(problem.to_string()));
                return;
            }
        }
    }
    // What the last entries say is observed or delivered again where this fails.
    if let Store::Disk(segments) = &mut store {
        segments.sync().ok();
    }
}

/// Makes an entry of a command.
fn take(command: Command, next: &mut Seq) -> Written {
    let (entry, bodies, done, part) = match command {
        Command::Accept {
            origin,
            mark,
            at,
            events,
            done,
            part,
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
                run: origin.run,
                namespace: origin.namespace,
                mark,
                at,
                events: accepted,
            };
            (entry, bodies, Some(done), Some(part))
        }
        Command::Say(entry) => (entry, Vec::new(), None, None),
        Command::Sync(done) => {
            let nothing = Entry::Marks {
                run: Arc::default(),
                marks: Vec::new(),
            };
            (nothing, Vec::new(), Some(Done::Answer(done)), None)
        }
    };
    Written {
        entry,
        bodies,
        done,
        part,
        applied: false,
    }
}

/// What became of a batch.
enum Outcome {
    Written,
    /// Nothing of it is written: the disk is full.
    Full(Vec<Written>, io::Error),
}

fn write(
    store: &mut Store,
    shared: &Shared,
    mut batch: Vec<Written>,
    buffer: &mut Vec<u8>,
) -> io::Result<Outcome> {
    let mut places = vec![(0, 0); batch.len()];
    if let Store::Disk(segments) = store {
        let synced = segments.synced();
        let bodies_at: Vec<usize> = batch
            .iter()
            .map(|written| frame::append(buffer, &written.entry, &written.bodies, synced))
            .collect();
        let (segment, offset) = match segments.append(buffer) {
            Ok(place) => place,
            Err(error) if is_full(&error) => {
                settle_in_memory(shared, &mut batch);
                return Ok(Outcome::Full(batch, error));
            }
            Err(error) => return Err(error),
        };
        if batch.iter().any(|written| written.done.is_some()) {
            // After a failed sync nobody knows what is on the disk: no second try.
            segments.sync()?;
        }
        for (place, at) in places.iter_mut().zip(bodies_at) {
            *place = (segment, offset + at as u64);
        }
    }
    let in_memory = matches!(store, Store::Memory);
    let mut answers = Vec::new();
    for written in &mut batch {
        match written.done.take() {
            Some(Done::Call(call)) => call(),
            Some(Done::Answer(answer)) => answers.push(answer),
            None => {}
        }
    }
    shared.book(|book| {
        for (written, (segment, bodies_at)) in batch.into_iter().zip(places) {
            if written.applied {
                continue;
            }
            let seqs: Vec<_> = written.entry.seqs().collect();
            shared.keep_fresh(&written.entry, &written.bodies, in_memory);
            let entry = match in_memory {
                true => written.entry.without_mark(),
                false => written.entry,
            };
            book.apply(entry, segment, bodies_at);
            shared.forget_fresh(book, &seqs);
            // After the book has it: see `Journal::forget`.
            drop(written.part);
        }
    });
    for answer in answers {
        // Who has stopped waiting is told the next time.
        answer.send(()).ok();
    }
    shared.changed.send_modify(|count| *count += 1);
    if let Store::Disk(segments) = store {
        match clean(segments, shared) {
            // It is tried again after the next write.
            Err(error) if is_full(&error) => {}
            cleaned => cleaned?,
        }
    }
    Ok(Outcome::Written)
}

/// On a full disk deliveries go on: what was delivered is known here, and if that is not written before
/// a crash, it is delivered again.
fn settle_in_memory(shared: &Shared, batch: &mut [Written]) {
    shared.book(|book| {
        for written in batch.iter_mut().filter(|written| !written.applied) {
            if let Entry::Done { .. } | Entry::Dead { .. } = written.entry {
                let seqs: Vec<_> = written.entry.seqs().collect();
                book.apply(written.entry.clone(), 0, 0);
                shared.forget_fresh(book, &seqs);
                written.applied = true;
            }
        }
    });
    shared.changed.send_modify(|count| *count += 1);
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
