//! How the journal is written: frames in segments. Pure.
//!
//! A segment begins with [`PREFACE`]. A frame is `SOJ\n`, the length of its payload, how much of the
//! segment was known to be on the disk when the frame was written, the CRC-32 of all else (all numbers
//! little-endian, 4 bytes), and the payload: the length of the entry, the entry as JSON, then the
//! bodies of its events, one after the other.

use super::entry::Entry;
use bytes::Bytes;

/// What a segment begins with: name and version of the format.
pub(super) const PREFACE: &[u8; 24] = b"step-observer journal 1\n";
const MAGIC: &[u8; 4] = b"SOJ\n";
/// Magic, length, what was synced, checksum.
const HEADER: usize = 16;
/// Largest payload in bytes.
pub(super) const MAX_PAYLOAD: usize = 64 * 1024 * 1024;

/// Writes an entry behind a buffer. Gives where its bodies begin in the buffer.
pub(super) fn append(buffer: &mut Vec<u8>, entry: &Entry, bodies: &[Bytes], synced: u64) -> usize {
    let begin = buffer.len();
    buffer.extend_from_slice(&[0; HEADER + 4]);
    // Strings, numbers and times: this cannot fail.
    serde_json::to_writer(&mut *buffer, entry).ok();
    let bodies_at = buffer.len();
    for body in bodies {
        buffer.extend_from_slice(body);
    }
    let entry_length = bodies_at - begin - HEADER - 4;
    let length = buffer.len() - begin - HEADER;
    put(buffer, begin + HEADER, entry_length);
    put(buffer, begin + 4, length);
    put(
        buffer,
        begin + 8,
        usize::try_from(synced).unwrap_or(usize::MAX),
    );
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(part(buffer, begin + 4, 8));
    checksum.update(part(buffer, begin + HEADER, length));
    let checksum = checksum.finalize() as usize;
    put(buffer, begin + 12, checksum);
    if let Some(place) = buffer.get_mut(begin..begin + 4) {
        place.copy_from_slice(MAGIC);
    }
    bodies_at
}

fn put(buffer: &mut [u8], at: usize, number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    if let Some(place) = buffer.get_mut(at..at + 4) {
        place.copy_from_slice(&number.to_le_bytes());
    }
}

fn part(bytes: &[u8], at: usize, length: usize) -> &[u8] {
    at.checked_add(length)
        .and_then(|end| bytes.get(at..end))
        .unwrap_or_default()
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let four = part(bytes, at, 4).try_into().ok()?;
    usize::try_from(u32::from_le_bytes(four)).ok()
}

/// A frame that was read.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) entry: Entry,
    /// So much of the segment was on the disk when it was written.
    pub(super) synced: usize,
    /// Where its bodies begin in the segment.
    pub(super) bodies: usize,
    /// Where the next frame begins.
    pub(super) end: usize,
}

/// What stands at a place of a segment.
#[derive(Debug)]
pub(super) enum Found {
    Frame(Box<Frame>),
    /// Nothing: the segment ends there.
    End,
    /// Something that is no frame, or only a part of one.
    Broken,
}

/// Reads the frame at a place.
pub(super) fn read(segment: &[u8], at: usize) -> Found {
    if at >= segment.len() {
        return Found::End;
    }
    match frame(segment, at) {
        Some(frame) => Found::Frame(Box::new(frame)),
        None => Found::Broken,
    }
}

fn frame(segment: &[u8], at: usize) -> Option<Frame> {
    if part(segment, at, 4) != MAGIC {
        return None;
    }
    let length = number(segment, at + 4).filter(|length| (4..=MAX_PAYLOAD).contains(length))?;
    let payload = Some(part(segment, at + HEADER, length)).filter(|got| got.len() == length)?;
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(part(segment, at + 4, 8));
    checksum.update(payload);
    if checksum.finalize() as usize != number(segment, at + 12)? {
        return None;
    }
    let entry_length = number(payload, 0)?;
    let entry = serde_json::from_slice(part(payload, 4, entry_length)).ok()?;
    Some(Frame {
        entry,
        synced: number(segment, at + 8)?,
        bodies: at + HEADER + 4 + entry_length,
        end: at + HEADER + length,
    })
}

/// Whole frames after a broken one: where each begins, and what was synced before it was written.
pub(super) fn whole_after(segment: &[u8], broken: usize) -> impl Iterator<Item = (usize, usize)> {
    let rest = segment.get(broken + 1..).unwrap_or_default();
    rest.windows(MAGIC.len())
        .enumerate()
        .filter(|(_, bytes)| bytes == MAGIC)
        .map(move |(offset, _)| broken + 1 + offset)
        .filter_map(|at| frame(segment, at).map(|frame| (at, frame.synced)))
}
