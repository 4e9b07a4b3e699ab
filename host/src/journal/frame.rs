//! Encodes and parses frames. Pure; `docs/journal-format.md` specifies the bytes.
//!
//! A segment begins with [`SEGMENT_HEADER`]; frames follow without gaps. All numbers are little-endian
//! and of 4 bytes:
//!
//! | offset | content |
//! |---|---|
//! | 0 | `SOJ\n` |
//! | 4 | length of the payload |
//! | 8 | bytes of the segment that were known to be synced when the frame was written |
//! | 12 | CRC-32 of bytes 4 to 11 and of the payload |
//! | 16 | payload: length of the entry, the entry as JSON, the bodies of its events |

use super::entry::Entry;
use bytes::Bytes;

/// Header of a segment: name and version of the format.
pub(super) const SEGMENT_HEADER: &[u8; 24] = b"step-observer journal 1\n";
/// Header of a segment of any version.
pub(super) const ANY_SEGMENT_HEADER: &[u8] = b"step-observer journal ";
const MAGIC: &[u8; 4] = b"SOJ\n";
/// Bytes before the payload: magic, length, synced bytes, checksum.
const FRAME_HEADER_BYTES: usize = 16;
/// Bytes of the length of the entry.
const ENTRY_LENGTH_BYTES: usize = 4;
/// Largest payload in bytes.
pub(super) const MAX_PAYLOAD_BYTES: usize = 64 * 1024 * 1024;

/// Appends the frame of an entry to a buffer. Returns the offset of its bodies in the buffer.
pub(super) fn encode(buffer: &mut Vec<u8>, entry: &Entry, bodies: &[Bytes], synced: u64) -> usize {
    let begin = buffer.len();
    let payload = begin + FRAME_HEADER_BYTES;
    buffer.extend_from_slice(&[0; FRAME_HEADER_BYTES + ENTRY_LENGTH_BYTES]);
    // Cannot fail: an entry consists of strings, numbers and times.
    serde_json::to_writer(&mut *buffer, entry).ok();
    let bodies_at = buffer.len();
    for body in bodies {
        buffer.extend_from_slice(body);
    }
    let entry_length = bodies_at - payload - ENTRY_LENGTH_BYTES;
    let payload_length = buffer.len() - payload;
    put_u32(buffer, payload, entry_length);
    put_u32(buffer, begin + 4, payload_length);
    let synced = usize::try_from(synced).unwrap_or(usize::MAX);
    put_u32(buffer, begin + 8, synced);
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(slice(buffer, begin + 4, 8));
    checksum.update(slice(buffer, payload, payload_length));
    let checksum = checksum.finalize() as usize;
    put_u32(buffer, begin + 12, checksum);
    if let Some(magic) = buffer.get_mut(begin..begin + 4) {
        magic.copy_from_slice(MAGIC);
    }
    bodies_at
}

fn put_u32(buffer: &mut [u8], at: usize, number: usize) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    if let Some(place) = buffer.get_mut(at..at + 4) {
        place.copy_from_slice(&number.to_le_bytes());
    }
}

/// Returns a part of `bytes`; empty if it reaches over their end.
fn slice(bytes: &[u8], at: usize, length: usize) -> &[u8] {
    at.checked_add(length)
        .and_then(|end| bytes.get(at..end))
        .unwrap_or_default()
}

fn get_u32(bytes: &[u8], at: usize) -> Option<usize> {
    let four = slice(bytes, at, 4).try_into().ok()?;
    usize::try_from(u32::from_le_bytes(four)).ok()
}

/// A frame that was parsed.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) entry: Entry,
    /// Bytes of the segment that were synced when the frame was written.
    pub(super) synced: usize,
    /// Offset of its bodies in the segment.
    pub(super) bodies: usize,
    /// Offset of the next frame.
    pub(super) end: usize,
}

/// The content at an offset of a segment.
#[derive(Debug)]
pub(super) enum Parsed {
    Frame(Box<Frame>),
    /// The segment ends at the offset.
    End,
    /// Bytes that are not a complete and intact frame.
    Invalid,
}

/// Parses the frame at an offset.
pub(super) fn parse(segment: &[u8], at: usize) -> Parsed {
    if at >= segment.len() {
        return Parsed::End;
    }
    match frame(segment, at) {
        Some(frame) => Parsed::Frame(Box::new(frame)),
        None => Parsed::Invalid,
    }
}

fn frame(segment: &[u8], at: usize) -> Option<Frame> {
    if slice(segment, at, 4) != MAGIC {
        return None;
    }
    let lengths = ENTRY_LENGTH_BYTES..=MAX_PAYLOAD_BYTES;
    let length = get_u32(segment, at + 4).filter(|length| lengths.contains(length))?;
    let payload = slice(segment, at + FRAME_HEADER_BYTES, length);
    if payload.len() != length {
        return None;
    }
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(slice(segment, at + 4, 8));
    checksum.update(payload);
    if checksum.finalize() as usize != get_u32(segment, at + 12)? {
        return None;
    }
    let entry_length = get_u32(payload, 0)?;
    let entry = serde_json::from_slice(slice(payload, ENTRY_LENGTH_BYTES, entry_length)).ok()?;
    Some(Frame {
        entry,
        synced: get_u32(segment, at + 8)?,
        bodies: at + FRAME_HEADER_BYTES + ENTRY_LENGTH_BYTES + entry_length,
        end: at + FRAME_HEADER_BYTES + length,
    })
}

/// Returns the intact frames after an invalid frame. Each item is the offset of a frame, and the
/// number of bytes of the segment that were known to be synced when the frame was written.
pub(super) fn intact_frames_after(
    segment: &[u8],
    invalid: usize,
) -> impl Iterator<Item = (usize, usize)> {
    let rest = segment.get(invalid + 1..).unwrap_or_default();
    rest.windows(MAGIC.len())
        .enumerate()
        .filter(|(_, bytes)| bytes == MAGIC)
        .map(move |(offset, _)| invalid + 1 + offset)
        .filter_map(|at| frame(segment, at).map(|frame| (at, frame.synced)))
}
