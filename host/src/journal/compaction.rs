//! Compaction: moves the live entries out of the oldest segment and removes it.

use super::entry::{Entry, Seq};
use super::files::Files;
use super::frame::{self, Parsed, SEGMENT_HEADER};
use super::index::Place;
use super::segments::Segments;
use super::shared::Shared;
use std::io;

/// Bytes of a segment that are read at a time, unless an entry is larger.
const CHUNK_BYTES: usize = 256 * 1024;

/// Moves the live entries of the oldest segment and removes it, if the segments hold more than
/// twice the live bytes plus the size of two segments. One call handles one segment, so that a
/// write has to wait only for a short time.
pub(super) fn compact(segments: &mut Segments, shared: &Shared) -> io::Result<()> {
    let live_bytes = shared.index(|index| index.live_bytes());
    if !segments.needs_compaction(live_bytes) {
        return Ok(());
    }
    let Some(oldest) = segments.oldest() else {
        return Ok(());
    };
    let files = segments.files();
    let mut live = Vec::new();
    for_each_entry(&files, oldest, |entry| {
        live.extend(shared.index(|index| index.live_entries(entry)));
    })?;
    if live.is_empty() {
        // The entries that made the segment obsolete must be durable before it is removed.
        segments.sync()?;
        return segments.remove(oldest);
    }
    let (mut buffer, synced) = (Vec::new(), segments.synced());
    let mut moved = Vec::new();
    for (entry, seq) in live {
        let bodies = match seq.and_then(|seq| place(shared, seq)) {
            Some(place) => vec![files.read_body(place)?],
            None => Vec::new(),
        };
        let bodies_at = frame::encode(&mut buffer, &entry, &bodies, synced);
        moved.push((entry, bodies_at));
    }
    // A single write: if the disk is full, a repeated attempt must not append some of the entries
    // again.
    let (segment, offset) = segments.append(&buffer)?;
    segments.sync()?;
    shared.index(|index| {
        for (entry, bodies_at) in moved {
            index.apply(entry, segment, offset + bodies_at as u64);
        }
    });
    segments.remove(oldest)
}

/// Returns the place of a body. It cannot change meanwhile: only the writer changes places, and the
/// writer calls this.
fn place(shared: &Shared, seq: Seq) -> Option<Place> {
    shared.index(|index| index.place(seq))
}

/// Calls a function for each entry of a segment, and holds at most one chunk of it in memory.
fn for_each_entry(files: &Files, segment: u64, mut each: impl FnMut(Entry)) -> io::Result<()> {
    let mut chunk = Vec::new();
    let (mut begin, mut chunk_bytes) = (SEGMENT_HEADER.len(), CHUNK_BYTES);
    loop {
        let left = files.read_up_to(segment, begin as u64, chunk_bytes, &mut chunk)?;
        let mut at = 0;
        while let Parsed::Frame(frame) = frame::parse(&chunk, at) {
            at = frame.end;
            each(frame.entry);
        }
        if at == chunk.len() && left == 0 {
            return Ok(());
        }
        begin += at;
        // If no frame ends in this chunk, the first frame needs a larger chunk, or is damaged.
        chunk_bytes = match at {
            0 if left == 0 => return Err(damaged(files, segment, begin)),
            0 => chunk_bytes.saturating_mul(2),
            _ => CHUNK_BYTES,
        };
    }
}

/// Returns the error that stops the journal: as `JournalError::Damaged` says, damage is never
/// skipped.
fn damaged(files: &Files, segment: u64, at: usize) -> io::Error {
    let file = files.path(segment);
    let problem = format!("{} has changed at byte {at}", file.display());
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
