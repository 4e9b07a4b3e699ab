//! Removing what is not needed any more.

use super::book::Book;
use super::entry::{Entry, Seq};
use super::files::Files;
use super::frame::{self, Found, PREFACE};
use super::segments::Segments;
use super::shared::Shared;
use std::io;

/// So much of a segment is looked at at a time, where no entry is larger.
const PIECE: usize = 256 * 1024;

/// Moves what is still true out of the oldest segment and removes it, where more than half of all is
/// not needed any more: at most twice as much is on the disk as waits there, and two segments.
pub(super) fn clean(segments: &mut Segments, shared: &Shared) -> io::Result<()> {
    let needed = shared.book(|book| book.needed());
    if !segments.wants_cleaning(needed) {
        return Ok(());
    }
    let Some(number) = segments.oldest() else {
        return Ok(());
    };
    let files = segments.files();
    let mut kept = Vec::new();
    entries(&files, number, |entry| {
        kept.extend(shared.book(|book| book.still_true(entry)));
    })?;
    if kept.is_empty() {
        // Why it is not needed must be on the disk before it goes.
        segments.sync()?;
        return segments.remove(number);
    }
    let (mut buffer, synced) = (Vec::new(), segments.synced());
    let mut moved = Vec::new();
    for (entry, seq) in kept {
        let bodies = match seq.and_then(|seq| place(shared, seq)) {
            Some(place) => vec![files.read(place)?],
            None => Vec::new(),
        };
        let bodies_at = frame::append(&mut buffer, &entry, &bodies, synced);
        moved.push((entry, bodies_at));
    }
    // All or nothing: on a disk that is full each try would add a part.
    let (segment, offset) = segments.append(&buffer)?;
    segments.sync()?;
    shared.book(|book: &mut Book| {
        for (entry, bodies_at) in moved {
            book.apply(entry, segment, offset + bodies_at as u64);
        }
    });
    segments.remove(number)
}

/// Only who writes changes places, and that is this thread.
fn place(shared: &Shared, seq: Seq) -> Option<super::book::Place> {
    shared.book(|book| book.place(seq))
}

/// All entries of a segment, of which never more than a piece is in memory.
fn entries(files: &Files, segment: u64, mut each: impl FnMut(Entry)) -> io::Result<()> {
    let mut piece = Vec::new();
    let (mut begin, mut most) = (PREFACE.len(), PIECE);
    loop {
        let left = files.part(segment, begin as u64, most, &mut piece)?;
        let mut at = 0;
        while let Found::Frame(found) = frame::read(&piece, at) {
            at = found.end;
            each(found.entry);
        }
        if at == piece.len() && left == 0 {
            return Ok(());
        }
        begin += at;
        // An entry that ends in no piece of this length ends in a larger one, or is damaged.
        most = match at {
            0 if left == 0 => return Err(damaged(files, segment, begin)),
            0 => most.saturating_mul(2),
            _ => PIECE,
        };
    }
}

/// Nobody may go on as if it had not been there: see `JournalError::Damaged`.
fn damaged(files: &Files, segment: u64, at: usize) -> io::Error {
    let file = files.path(segment);
    let problem = format!("{} has changed at byte {at}", file.display());
    io::Error::new(io::ErrorKind::InvalidData, problem)
}
