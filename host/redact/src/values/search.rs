//! Searches for many strings in one pass.
//!
//! Each string has an anchor, at the place where the anchor is rarest. A rolling key and a bit
//! filter search a text for all anchors at once. If the filter has the key, the strings with this
//! anchor are compared byte by byte. Besides the strings themselves, a search needs 16 bytes for
//! each piece. An automaton needs as much for each byte.

use super::anchors::{LONG, LONG_KEY, SHORT, hash, place, short_key};
use super::needles::{Ends, Flags, Needles};
use std::ops::Range;
use std::sync::Arc;

/// Searches several sets in one pass.
#[derive(Debug)]
pub(super) struct Search {
    sets: Vec<Arc<Needles>>,
    /// One bit for each hash that an anchor may have. The length is a power of two.
    filter: Vec<u64>,
    has_short: bool,
}

impl Search {
    pub(super) fn new(sets: Vec<Arc<Needles>>) -> Self {
        let pieces: usize = sets.iter().map(|set| set.len()).sum();
        // 64 bits for each piece, at most 1 MiB.
        let mut filter = vec![0_u64; pieces.next_power_of_two().clamp(64, 128 * 1024)];
        for key in sets.iter().flat_map(|set| set.keys()) {
            let (word, bit) = place(hash(key), filter.len());
            if let Some(word) = filter.get_mut(word) {
                *word |= bit;
            }
        }
        Self {
            has_short: sets.iter().any(|set| set.has_short),
            sets,
            filter,
        }
    }

    /// Returns the length of the shortest string to search for, in bytes.
    pub(super) fn shortest(&self) -> usize {
        if self.has_short { SHORT } else { LONG }
    }

    /// Reports all places of all strings with a flag of `wanted`.
    pub(super) fn find(
        &self,
        text: &[u8],
        wanted: Flags,
        found: &mut dyn FnMut(Range<usize>, Flags, Ends),
    ) {
        let mut rolling = 0_u64;
        for (last, byte) in text.iter().enumerate() {
            // The six last bytes.
            rolling = (rolling << 8 | u64::from(*byte)) & LONG_KEY;
            let long = hash(rolling);
            if self.may_have(long) && last + 1 >= LONG {
                self.compare(text, last + 1, long, LONG, wanted, found);
            }
            if self.has_short {
                let short = hash(short_key(rolling));
                if self.may_have(short) && last + 1 >= SHORT {
                    self.compare(text, last + 1, short, SHORT, wanted, found);
                }
            }
        }
    }

    /// Returns true if a string has this anchor. `key` is a key of [`LONG`] bytes, the first byte
    /// in the highest place, or a [`short_key`].
    #[inline]
    pub(super) fn has_anchor(&self, key: u64) -> bool {
        let hash = hash(key);
        self.may_have(hash) && self.has_exactly(key, hash)
    }

    #[cold]
    fn has_exactly(&self, key: u64, hash: u64) -> bool {
        let has = |set: &Arc<Needles>| set.at(hash).any(|piece| set.key(piece) == key);
        self.sets.iter().any(has)
    }

    #[inline]
    fn may_have(&self, hash: u64) -> bool {
        let (word, bit) = place(hash, self.filter.len());
        self.filter.get(word).is_some_and(|word| word & bit != 0)
    }

    #[cold]
    fn compare(
        &self,
        text: &[u8],
        end: usize,
        hash: u64,
        width: usize,
        wanted: Flags,
        found: &mut dyn FnMut(Range<usize>, Flags, Ends),
    ) {
        for set in &self.sets {
            set.compare(text, end, hash, width, wanted, found);
        }
    }
}
