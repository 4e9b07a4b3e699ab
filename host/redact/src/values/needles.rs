//! The strings to search for, in pieces that each have an anchor.

use super::anchors::{LONG, SHORT, commonness, hash, key, slot};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use zeroize::Zeroizing;

/// Longest piece of a string, in bytes. A longer string is searched for in several pieces.
pub(super) const MAX_PIECE: usize = 64;

/// Bytes of a piece of a long line.
const LINE_PIECE: usize = 32;

/// Texts in which to search for a piece, and the content of the piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u8);

impl Flags {
    /// The piece is searched for in texts as they are, and in decoded texts.
    pub(super) const PLAIN: Self = Self(1);
    /// Searched in skeletons (see the module `escapes`).
    pub(super) const SKELETON: Self = Self(2);
    /// White space was left out of the skeleton.
    pub(super) const BLANKS: Self = Self(4);

    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Signs of a value that its skeleton does not have, at its ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) before: u8,
    pub(super) after: u8,
    /// Whether the value begins (`slash_before`) or ends (`slash_after`) with a backslash.
    pub(super) slash_before: bool,
    pub(super) slash_after: bool,
}

impl Ends {
    fn of_piece(self, first: bool, last: bool) -> Self {
        Self {
            before: if first { self.before } else { 0 },
            after: if last { self.after } else { 0 },
            slash_before: first && self.slash_before,
            slash_after: last && self.slash_after,
        }
    }

    fn join(&mut self, other: Self) {
        self.before = self.before.max(other.before);
        self.after = self.after.max(other.after);
        self.slash_before |= other.slash_before;
        self.slash_after |= other.slash_after;
    }
}

/// The strings of one set of values. Dropping the set overwrites the memory of the strings, but not
/// the hashes of anchors (32 bits of each piece at most).
pub(super) struct Needles {
    bytes: Zeroizing<Vec<u8>>,
    pieces: Vec<Piece>,
    /// Number of the first piece with each hash, from 1; 0 for none. The length is a power of two.
    heads: Vec<u32>,
    pub(super) has_short: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Piece {
    start: u32,
    /// Number of the next piece with the same hash, from 1; 0 for none.
    next: u32,
    length: u8,
    /// The place of the anchor in the piece.
    anchor: u8,
    flags: Flags,
    ends: Ends,
}

/// Collects strings.
#[derive(Default)]
pub(super) struct Builder {
    bytes: Zeroizing<Vec<u8>>,
    pieces: Vec<Piece>,
    /// Pieces by the hash of their content.
    known: HashMap<u64, usize>,
}

impl Builder {
    /// Starts with room for strings of `capacity` bytes, so that no growth leaves copies behind.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Zeroizing::new(Vec::with_capacity(capacity)),
            ..Self::default()
        }
    }

    /// Adds a string. Strings shorter than [`SHORT`] are left out. A text that is not one line is
    /// cut to longer pieces, since its parts (such as the names in a JSON document) are often
    /// ordinary words.
    pub(super) fn add(&mut self, string: &[u8], is_line: bool, flags: Flags, ends: Ends) {
        let size = if string.len() <= MAX_PIECE {
            string.len()
        } else if is_line {
            LINE_PIECE
        } else {
            MAX_PIECE
        };
        if string.len() < SHORT {
            return;
        }
        let last = string.len() - size;
        let whole = self.bytes.len();
        if last == 0 && self.merge(string, flags, ends) {
            return;
        }
        self.bytes.extend_from_slice(string);
        let mut at = 0;
        loop {
            let piece = string.get(at..at + size).unwrap_or_default();
            let ends = ends.of_piece(at == 0, at == last);
            if !self.merge(piece, flags, ends)
                && let (Ok(start), Ok(length)) = (u32::try_from(whole + at), u8::try_from(size))
            {
                self.known.insert(content_hash(piece), self.pieces.len());
                self.pieces.push(Piece {
                    start,
                    next: 0,
                    length,
                    anchor: 0,
                    flags,
                    ends,
                });
            }
            if at >= last {
                break;
            }
            // Pieces overlap by one byte, so that their places in a text do, too.
            at = (at + size - 1).min(last);
        }
    }

    /// Adds flags to a piece that exists. Returns false if there is none.
    fn merge(&mut self, piece: &[u8], flags: Flags, ends: Ends) -> bool {
        let Some(known) = self.known.get(&content_hash(piece)) else {
            return false;
        };
        let Some(known) = self.pieces.get_mut(*known) else {
            return false;
        };
        let equal = bytes_of(&self.bytes, known) == piece;
        if equal {
            known.flags = known.flags.with(flags);
            known.ends.join(ends);
        }
        equal
    }

    /// Chooses the anchors.
    pub(super) fn build(self) -> Needles {
        let size = (self.pieces.len() * 2).next_power_of_two().max(16);
        let mut needles = Needles {
            bytes: self.bytes,
            pieces: self.pieces,
            heads: vec![0; size],
            has_short: false,
        };
        for index in 0..needles.pieces.len() {
            needles.choose_anchor(index);
        }
        needles
    }
}

impl Needles {
    /// Returns the number of pieces.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Gives a piece the anchor that the fewest pieces have and that is rarest in ordinary text.
    fn choose_anchor(&mut self, index: usize) {
        let Some(piece) = self.pieces.get(index).copied() else {
            return;
        };
        let bytes = bytes_of(&self.bytes, &piece);
        let width = width(&piece);
        let mut best = (usize::MAX, 0, 0);
        for (offset, gram) in bytes.windows(width).enumerate() {
            let hash = hash(key(gram));
            let cost = self.chain(hash) * 4 + commonness(gram);
            if cost < best.0 {
                best = (cost, offset, hash);
            }
            if cost == 0 {
                break;
            }
        }
        let (_, offset, hash) = best;
        let head = slot(hash, self.heads.len());
        if let Some(piece) = self.pieces.get_mut(index)
            && let Some(head) = self.heads.get_mut(head)
            && let (Ok(anchor), Ok(number)) = (u8::try_from(offset), u32::try_from(index + 1))
        {
            piece.anchor = anchor;
            piece.next = std::mem::replace(head, number);
            self.has_short |= width == SHORT;
        }
    }

    /// Returns the number of pieces with a hash, at most 16.
    fn chain(&self, hash: u64) -> usize {
        self.at(hash).take(16).count()
    }

    pub(super) fn at(&self, hash: u64) -> impl Iterator<Item = &Piece> {
        let get = |number: u32| self.pieces.get((number as usize).checked_sub(1)?);
        let head = self.heads.get(slot(hash, self.heads.len()));
        std::iter::successors(head.and_then(|head| get(*head)), move |piece| {
            get(piece.next)
        })
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = u64> {
        self.pieces.iter().map(|piece| self.key(piece))
    }

    pub(super) fn key(&self, piece: &Piece) -> u64 {
        let gram = bytes_of(&self.bytes, piece).get(usize::from(piece.anchor)..);
        let gram = gram.and_then(|rest| rest.get(..width(piece)));
        key(gram.unwrap_or_default())
    }

    /// Compares a text with the pieces whose anchor ends at `end`.
    pub(super) fn compare(
        &self,
        text: &[u8],
        end: usize,
        hash: u64,
        width_here: usize,
        wanted: Flags,
        found: &mut dyn FnMut(Range<usize>, Flags, Ends),
    ) {
        for piece in self.at(hash) {
            if !piece.flags.has(wanted) || width(piece) != width_here {
                continue;
            }
            let Some(start) = end.checked_sub(width_here + usize::from(piece.anchor)) else {
                continue;
            };
            let range = start..start + usize::from(piece.length);
            // The first byte differs most often.
            if text.get(start) == self.bytes.get(piece.start as usize)
                && text.get(range.clone()) == Some(bytes_of(&self.bytes, piece))
            {
                found(range, piece.flags, piece.ends);
            }
        }
    }
}

impl std::fmt::Debug for Needles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Needles")
            .field("pieces", &self.pieces.len())
            .finish_non_exhaustive()
    }
}

fn bytes_of<'b>(bytes: &'b [u8], piece: &Piece) -> &'b [u8] {
    let start = piece.start as usize;
    bytes
        .get(start..start + usize::from(piece.length))
        .unwrap_or_default()
}

fn width(piece: &Piece) -> usize {
    if usize::from(piece.length) < LONG {
        SHORT
    } else {
        LONG
    }
}

fn content_hash(piece: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    piece.hash(&mut hasher);
    hasher.finish()
}
