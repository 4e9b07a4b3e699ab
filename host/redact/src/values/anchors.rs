//! Anchors of strings. An anchor is six (or four) bytes of a string, and its key is these bytes as
//! a number. A hash of the key selects places in the tables of a search.

/// Bytes of the anchor of a usual string.
pub(super) const LONG: usize = 6;

/// Bytes of the anchor of a string that is shorter than [`LONG`].
pub(super) const SHORT: usize = 4;

/// Mask of the bits that a key of [`LONG`] bytes uses.
pub(super) const LONG_KEY: u64 = (1 << 48) - 1;

/// Returns the key of an anchor, in the same form as the rolling key of a text.
pub(super) fn key(gram: &[u8]) -> u64 {
    let key = gram.iter().fold(0, |key, byte| key << 8 | u64::from(*byte));
    if gram.len() == SHORT {
        short_key(key)
    } else {
        key
    }
}

/// Makes keys of four bytes differ from those of six.
pub(super) fn short_key(key: u64) -> u64 {
    (key & 0xffff_ffff) | 1 << 56
}

pub(super) fn hash(key: u64) -> u64 {
    let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

pub(super) fn place(hash: u64, words: usize) -> (usize, u64) {
    let word = (hash >> 38) as usize & (words - 1);
    (word, 1 << (hash >> 32 & 63))
}

pub(super) fn slot(hash: u64, heads: usize) -> usize {
    // Other bits than those of the filter.
    (hash & 0xffff_ffff) as usize & (heads - 1)
}

/// Returns how often such bytes occur in ordinary text, from 0 (seldom) to 3 (often).
pub(super) fn commonness(gram: &[u8]) -> usize {
    let first = gram.first();
    if gram.iter().all(|byte| Some(byte) == first) {
        return 3;
    }
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || b" /-_.:".contains(byte);
    if gram.iter().all(is_word) {
        2
    } else if gram.iter().all(u8::is_ascii_digit) || gram.iter().all(u8::is_ascii_uppercase) {
        1
    } else {
        0
    }
}
