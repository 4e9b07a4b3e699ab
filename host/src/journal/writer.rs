//! The thread that writes the journal: appends all commands that wait with one write and at most one
//! sync, applies them to the index, and answers their callers.

use super::accept::Accept;
use super::compaction::compact;
use super::entry::{AcceptedEvent, Entry, Seq};
use super::frame;
use super::in_flight::InFlightGuard;
use super::segments::Segments;
use super::shared::Shared;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

/// Entries that are written with one sync.
const MAX_BATCH_ENTRIES: usize = 1024;
/// Bytes of bodies that are written with one sync.
const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of the write buffer that stay allocated after a large batch.
const KEPT_BUFFER_BYTES: usize = 64 * 1024;
/// Delay before entries without a waiter (mostly acknowledgements) are written, so that many of
/// them share one write. The fixed cost of a write exceeds the cost of these few bytes. If a crash
/// comes first, the acknowledged deliveries are repeated.
const BATCH_DELAY: Duration = Duration::from_micros(500);
/// Delay before a write is tried again after the disk was full.
const DISK_FULL_RETRY: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 200 });

/// A command to the writer.
pub(super) enum Command {
    Accept(Accept, Completion, InFlightGuard),
    Append(Entry),
    /// Answered once all commands before it are durable.
    Sync(oneshot::Sender<()>),
}

/// Informs the caller that its entry is durable.
pub(super) enum Completion {
    /// The writer calls this before the event enters the index, so before any sink can see it.
    Call(Box<dyn FnOnce() + Send>),
    /// The writer answers after the event has entered the index.
    Answer(oneshot::Sender<()>),
}

/// The storage of entries.
#[derive(Debug)]
pub(super) enum Store {
    Memory,
    Disk(Box<Segments>),
}

/// An entry that is not written yet.
struct Pending {
    entry: Entry,
    bodies: Vec<Bytes>,
    completion: Option<Completion>,
    in_flight: Option<InFlightGuard>,
    /// The entry is in the index, but not on the disk.
    is_applied: bool,
}

/// Writes until the last sender of commands is dropped, or until a write or sync fails.
pub(super) fn run(mut store: Store, shared: &Shared, mut commands: mpsc::Receiver<Command>) {
    let mut next = shared.index(|index| index.next());
    // Entries that a full disk did not take.
    let mut unwritten: Vec<Pending> = Vec::new();
    let mut buffer = Vec::new();
    loop {
        let mut batch = std::mem::take(&mut unwritten);
        let was_full = !batch.is_empty();
        if was_full {
            std::thread::sleep(DISK_FULL_RETRY);
        } else {
            let Some(first) = commands.blocking_recv() else {
                break;
            };
            let first = pending(first, &mut next);
            if first.completion.is_none() && commands.is_empty() {
                std::thread::sleep(BATCH_DELAY);
            }
            batch.push(first);
        }
        let mut bytes: usize = 0;
        // While the disk is full, applied acknowledgements must not count toward the bound of a
        // batch. Otherwise deliveries would stop.
        let applied = batch.iter().filter(|pending| pending.is_applied).count();
        let max_entries = MAX_BATCH_ENTRIES + applied;
        while batch.len() < max_entries && bytes < MAX_BATCH_BYTES {
            let Ok(command) = commands.try_recv() else {
                break;
            };
            let pending = pending(command, &mut next);
            bytes += pending.bodies.iter().map(Bytes::len).sum::<usize>();
            batch.push(pending);
        }
        let outcome = write(&mut store, shared, batch, &mut buffer);
        buffer.clear();
        buffer.shrink_to(KEPT_BUFFER_BYTES);
        let is_full = matches!(outcome, Ok(Outcome::DiskFull(..)));
        shared.disk_full.store(is_full, Ordering::Relaxed);
        match outcome {
            Ok(Outcome::Written) if was_full => info!("the journal's disk has space again"),
            Ok(Outcome::Written) => {}
            Ok(Outcome::DiskFull(left, error)) => {
                if !was_full {
                    warn!(%error, "the journal's disk is full: no event is accepted until it has space");
                }
                unwritten = left;
                if commands.is_closed() && commands.is_empty() {
                    break;
                }
            }
            Err(error) => {
                error!(%error, "the journal cannot be written, stopping");
                shared.failed.send_replace(Some(error.to_string()));
                return;
            }
        }
    }
    // If this sync fails, the transitions or deliveries of the last entries are repeated.
    if let Store::Disk(segments) = &mut store {
        segments.sync().ok();
    }
}

/// Turns a command into an entry, and numbers its events.
fn pending(command: Command, next: &mut Seq) -> Pending {
    let (entry, bodies, completion, in_flight) = match command {
        Command::Accept(accept, completion, guard) => {
            let (entry, bodies) = accepted(accept, next);
            (entry, bodies, Some(completion), Some(guard))
        }
        Command::Append(entry) => (entry, Vec::new(), None, None),
        Command::Sync(answer) => {
            let no_op = Entry::Marks {
                run: Arc::default(),
                marks: Vec::new(),
            };
            let completion = Completion::Answer(answer);
            (no_op, Vec::new(), Some(completion), None)
        }
    };
    Pending {
        entry,
        bodies,
        completion,
        in_flight,
        is_applied: false,
    }
}

fn accepted(accept: Accept, next: &mut Seq) -> (Entry, Vec<Bytes>) {
    let Accept {
        origin,
        mark,
        at,
        events: new,
    } = accept;
    let (mark, name) = match mark {
        Some(mark) => (Some(mark.id), mark.name),
        None => (None, None),
    };
    let mut events = Vec::new();
    let mut bodies = Vec::new();
    for event in new {
        events.push(AcceptedEvent {
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
        name,
        at,
        events,
    };
    (entry, bodies)
}

/// The result of writing a batch.
enum Outcome {
    Written,
    /// Nothing of the batch is written: the disk is full.
    DiskFull(Vec<Pending>, io::Error),
}

fn write(
    store: &mut Store,
    shared: &Shared,
    mut batch: Vec<Pending>,
    buffer: &mut Vec<u8>,
) -> io::Result<Outcome> {
    let mut places = vec![(0, 0); batch.len()];
    if let Store::Disk(segments) = store {
        let synced = segments.synced();
        let bodies_at: Vec<usize> = batch
            .iter()
            .map(|pending| frame::encode(buffer, &pending.entry, &pending.bodies, synced))
            .collect();
        let (segment, offset) = match segments.append(buffer) {
            Ok(place) => place,
            Err(error) if is_full(&error) => {
                apply_acknowledgements(shared, &mut batch);
                return Ok(Outcome::DiskFull(batch, error));
            }
            Err(error) => return Err(error),
        };
        if batch.iter().any(|pending| pending.completion.is_some()) {
            // Never tried again: after a failed sync the content of the disk is unknown.
            segments.sync()?;
        }
        for (place, at) in places.iter_mut().zip(bodies_at) {
            *place = (segment, offset + at as u64);
        }
    }
    let in_memory = matches!(store, Store::Memory);
    let mut answers = Vec::new();
    for pending in &mut batch {
        match pending.completion.take() {
            Some(Completion::Call(call)) => call(),
            Some(Completion::Answer(answer)) => answers.push(answer),
            None => {}
        }
    }
    shared.index(|index| {
        for (pending, (segment, bodies_at)) in batch.into_iter().zip(places) {
            if pending.is_applied {
                continue;
            }
            let seqs: Vec<_> = pending.entry.seqs().collect();
            shared.keep_recent(&pending.entry, &pending.bodies, in_memory);
            let entry = match in_memory {
                true => pending.entry.without_mark(),
                false => pending.entry,
            };
            index.apply(entry, segment, bodies_at);
            shared.drop_recent(index, &seqs);
            // Must follow `apply`: `Journal::is_emitted` and `Journal::forget` rely on the mark
            // being in the index.
            drop(pending.in_flight);
        }
    });
    for answer in answers {
        // Fails if the caller no longer waits.
        answer.send(()).ok();
    }
    shared.changed.send_modify(|count| *count += 1);
    if let Store::Disk(segments) = store {
        match compact(segments, shared) {
            // Tried again after the next write.
            Err(error) if is_full(&error) => {}
            compacted => compacted?,
        }
    }
    Ok(Outcome::Written)
}

/// Applies acknowledgements and dead letters that a full disk did not take, so that deliveries go
/// on. If a crash comes before they are written, those events are delivered again.
fn apply_acknowledgements(shared: &Shared, batch: &mut [Pending]) {
    shared.index(|index| {
        for pending in batch.iter_mut().filter(|pending| !pending.is_applied) {
            if let Entry::Acknowledged { .. } | Entry::DeadLettered { .. } = pending.entry {
                let seqs: Vec<_> = pending.entry.seqs().collect();
                index.apply(pending.entry.clone(), 0, 0);
                shared.drop_recent(index, &seqs);
                pending.is_applied = true;
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
