//! Known secrets, found in all usual encodings.
//!
//! No encoding of a value is stored, unless the skeleton of the value is too short to search for.
//! Instead, a text is searched as it is, and again with its escapes undone, and with its
//! hexadecimal digits and base64 decoded. Each decoded text knows the original characters of its
//! bytes. A search looks at no more than [`MARGIN`] bytes around an occurrence.

mod anchors;
mod dump;
mod escapes;
mod layer;
mod needles;
mod parts;
mod reference;
mod runs;
mod search;
mod signs;
#[cfg(test)]
mod tests;
mod words;

use crate::text::Text;
use escapes::{Signs, Undo};
use layer::{Elements, Layer, Origin};
use needles::{Builder, Ends, Flags, Needles};
pub use parts::Reason;
use search::Search;
use std::cmp::Reverse;
use std::ops::Range;
use std::sync::Arc;

/// Longest source of a piece of a value, in bytes. A piece whose characters stand farther apart is
/// not found.
const MAX_SPAN: usize = 4096;

/// Bytes before and after a block that are searched with it, so that occurrences at its ends are
/// found.
const MARGIN: usize = 2 * MAX_SPAN;

/// Bytes of a text that are searched at a time.
const BLOCK: usize = 64 * 1024;

/// Base64 in base64.
const MAX_DEPTH: usize = 2;

/// Longest text of the signs at one end of a value, in bytes. An encoding may write one sign as
/// several.
const MAX_SIGNS: usize = 64;

/// Shortest skeleton that is searched, in bytes.
const MIN_SKELETON: usize = 6;

/// A secret that is known, and where it comes from.
#[derive(Clone)]
pub struct KnownValue {
    /// Name of its source for people, such as `Secret ci/token, key password`.
    pub source: Arc<str>,
    /// The secret.
    pub value: String,
}

// Debug output never shows a value.
impl std::fmt::Debug for KnownValue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("KnownValue")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Which values are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Shortest accepted length in bytes, without white space at the ends. Values of fewer than
    /// four bytes are never searched for.
    pub min_bytes: usize,
    /// Whether ordinary words, short numbers and repeated characters are refused.
    pub refuses_words: bool,
}

impl Policy {
    /// For values that were written into a configuration: at least four bytes.
    pub const WRITTEN: Self = Self {
        min_bytes: anchors::SHORT,
        refuses_words: false,
    };

    /// For values that were read from files, the environment or Secrets, not all of which are
    /// secret: at least six bytes, and no ordinary words.
    pub const READ: Self = Self {
        min_bytes: anchors::LONG,
        refuses_words: true,
    };
}

/// A value that is not searched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value of {source_name} {reason}")]
pub struct Refusal {
    /// The source of the value.
    pub source_name: Arc<str>,
    /// Why.
    pub reason: Reason,
}

/// A set of known secrets, which several engines can search for.
///
/// Dropping the set overwrites the memory of the secrets. Some copies are not overwritten: those
/// that the crates for JSON and percent-encoding and the buffers of decoded text hold while the set
/// is built or a text is searched.
#[derive(Debug)]
pub struct KnownValues {
    needles: Arc<Needles>,
    signs: Signs,
}

impl KnownValues {
    /// Makes a set of values. Also returns a refusal for each value that is not accepted, in their
    /// order.
    #[must_use]
    pub fn new(values: &[KnownValue], policy: Policy) -> (Self, Vec<Refusal>) {
        let mut refusals = Vec::new();
        let mut all = Vec::new();
        for known in values {
            match parts::parts(&known.value, policy) {
                Ok(parts) => all.extend(parts),
                Err(reason) => refusals.push(Refusal {
                    source_name: known.source.clone(),
                    reason,
                }),
            }
        }
        let capacity = all.iter().map(|part| part.text.len() * 2).sum();
        let mut builder = Builder::with_capacity(capacity);
        let mut signs = Signs::default();
        let none = Ends::default();
        for part in &all {
            let bytes = part.text.as_bytes();
            let undone = escapes::undo_value(bytes);
            let mut flags = Flags::SKELETON;
            if undone.clear.iter().any(u8::is_ascii_whitespace) {
                flags = flags.with(Flags::BLANKS);
            }
            signs.quotes |= bytes.iter().any(|byte| matches!(byte, b'\'' | b'"'));
            signs.plus |= bytes.contains(&b' ');
            signs.other |= !bytes.is_ascii();
            builder.add(bytes, part.is_line, Flags::PLAIN, none);
            if undone.skeleton.len() >= MIN_SKELETON {
                builder.add(&undone.skeleton, part.is_line, flags, undone.ends);
            } else if undone.skeleton.len() < bytes.len() {
                builder.add(&undone.clear, part.is_line, Flags::PLAIN, none);
                for encoded in signs::encodings(&part.text) {
                    builder.add(encoded.as_bytes(), part.is_line, Flags::PLAIN, none);
                }
            }
        }
        let values = Self {
            needles: Arc::new(builder.build()),
            signs,
        };
        (values, refusals)
    }

    /// Returns true if there is no value to search for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.needles.len() == 0
    }
}

/// Searches several sets of known secrets in one pass.
#[derive(Debug)]
pub(crate) struct ValueSearch {
    search: Search,
    signs: Signs,
}

impl ValueSearch {
    pub(crate) fn new(sets: &[Arc<KnownValues>]) -> Self {
        let mut signs = Signs::default();
        for set in sets {
            signs.quotes |= set.signs.quotes;
            signs.plus |= set.signs.plus;
            signs.other |= set.signs.other;
        }
        Self {
            search: Search::new(sets.iter().map(|set| set.needles.clone()).collect()),
            signs,
        }
    }

    /// Reports the places of all values that begin in `starts`. Places may overlap.
    pub(crate) fn find(
        &self,
        text: &Text<'_>,
        starts: Range<usize>,
        found: &mut dyn FnMut(Range<usize>),
    ) {
        let mut start = starts.start;
        while start < starts.end {
            let end = (start + BLOCK).min(starts.end);
            let from = start.saturating_sub(MARGIN);
            let to = end.saturating_add(MARGIN).min(text.len());
            let bytes = text.as_str().as_bytes().get(from..to).unwrap_or_default();
            let layer = Layer {
                bytes,
                origin: Origin::Text(from),
                depth: 0,
            };
            let mut places = Vec::new();
            self.explore(&layer, &mut |range: Range<usize>| {
                if (start..end).contains(&range.start) && range.len() <= MAX_SPAN {
                    places.push((range.start, Reverse(range.end)));
                }
            });
            // Several layers show the same place, and pieces lie within others.
            places.sort_unstable();
            for range in cover(&places) {
                let first = text.as_str().floor_char_boundary(range.start);
                found(first..text.as_str().ceil_char_boundary(range.end));
            }
            start = end;
        }
    }

    /// Searches a layer and all layers that can be decoded from it.
    fn explore(&self, layer: &Layer<'_>, found: &mut dyn FnMut(Range<usize>)) {
        let shortest = self.search.shortest();
        self.plain(layer, found);
        if layer.depth == 0 {
            let numbers = runs::hex(layer, shortest, &mut |decoded| self.plain(decoded, found));
            dump::find(layer, &numbers, &mut |decoded| self.plain(decoded, found));
        }
        self.base64(layer, found);
        if layer.depth > 0 {
            self.utf16(layer, found);
        }
        let mut buffers = Undo::default();
        escapes::undo(
            layer,
            self.signs,
            &mut buffers,
            &mut |clear, skeleton, base64| {
                self.plain(clear, found);
                self.search.find(
                    skeleton.bytes,
                    Flags::SKELETON,
                    &mut |range, flags, ends| {
                        let blanks =
                            flags.has(Flags::BLANKS) || !has_blanks(clear, skeleton, &range);
                        if blanks {
                            found(with_ends(clear, skeleton, &range, ends));
                        }
                    },
                );
                if base64 {
                    self.base64(clear, found);
                }
            },
        );
    }

    fn plain(&self, layer: &Layer<'_>, found: &mut dyn FnMut(Range<usize>)) {
        self.search
            .find(layer.bytes, Flags::PLAIN, &mut |range, _, _| {
                found(layer.source(range));
            });
    }

    fn base64(&self, layer: &Layer<'_>, found: &mut dyn FnMut(Range<usize>)) {
        if layer.depth < MAX_DEPTH {
            runs::base64(layer, &self.search, &mut |decoded| {
                self.explore(decoded, found);
            });
        }
    }

    /// Searches UTF-16 text, in both byte orders, from the first byte and from the second.
    fn utf16(&self, layer: &Layer<'_>, found: &mut dyn FnMut(Range<usize>)) {
        // A quick test for UTF-16: three ASCII characters in a row have three zeros, each two bytes
        // apart.
        let is_zero = |at: usize| layer.bytes.get(at) == Some(&0);
        let mut zeros = memchr::memchr_iter(0, layer.bytes);
        if !zeros.any(|at| is_zero(at + 2) && is_zero(at + 4)) {
            return;
        }
        let mut elements = Elements::default();
        for (skipped, read) in [
            (0, u16::from_le_bytes as fn([u8; 2]) -> u16),
            (1, u16::from_le_bytes),
            (0, u16::from_be_bytes),
            (1, u16::from_be_bytes),
        ] {
            elements.clear();
            let pairs = layer.bytes.get(skipped..).unwrap_or_default();
            let mut at = u32::from(skipped != 0);
            let units = pairs.chunks_exact(2).map(|pair| match pair {
                [first, second] => read([*first, *second]),
                _ => 0,
            });
            for character in char::decode_utf16(units) {
                let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
                let end = at + 2 * u32::try_from(character.len_utf16()).unwrap_or(1);
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    elements.push(byte, &(at..end));
                }
                at = end;
            }
            let text = Layer {
                bytes: &elements.bytes,
                origin: Origin::Elements(&elements, layer),
                depth: layer.depth,
            };
            self.plain(&text, found);
        }
    }
}

/// Returns the fewest of the sorted ranges that cover the same bytes as all of them. Neighbours in
/// the result overlap if the ranges allow it.
fn cover(sorted: &[(usize, Reverse<usize>)]) -> Vec<Range<usize>> {
    let mut kept: Vec<Range<usize>> = Vec::new();
    let mut next: Option<Range<usize>> = None;
    for (start, Reverse(end)) in sorted {
        let mut covered = kept.last().map_or(0, |last| last.end);
        // `next` reaches farthest. It is needed if this range begins at or after the end of the
        // covered bytes.
        if *start >= covered
            && let Some(farthest) = next.take()
        {
            covered = farthest.end;
            kept.push(farthest);
        }
        if *start >= covered {
            kept.push(*start..*end);
        } else if *end > next.as_ref().map_or(covered, |next| next.end) {
            next = Some(*start..*end);
        }
    }
    kept.extend(next);
    kept
}

/// Returns the source of a skeleton, with the signs at the ends of the value.
fn with_ends(
    clear: &Layer<'_>,
    skeleton: &Layer<'_>,
    range: &Range<usize>,
    ends: Ends,
) -> Range<usize> {
    let (Origin::Elements(elements, _), Origin::Elements(below_elements, below)) =
        (&skeleton.origin, &clear.origin)
    else {
        return skeleton.source(range.clone());
    };
    let span = elements.range(range.start, range.end.saturating_sub(1));
    let (start, end) = (span.start as usize, span.end as usize);
    let (before, after) = (clear.bytes.get(..start), clear.bytes.get(end..));
    let near = before.unwrap_or_default().iter().rev().take(MAX_SIGNS);
    let before: Vec<u8> = near.copied().collect();
    let before = signs(&before, ends.before);
    let after = signs(after.unwrap_or_default(), ends.after);
    let last = (end + after).saturating_sub(1);
    let span = below_elements.range(start - before, last);
    let (start, end) = (span.start as usize, span.end as usize);
    let is_slash = |byte: &&u8| **byte == b'\\';
    let before = below.bytes.get(..start).unwrap_or_default().iter().rev();
    let before = if ends.slash_before {
        before.take(MAX_SIGNS).take_while(is_slash).count()
    } else {
        0
    };
    let after = below.bytes.get(end..).unwrap_or_default().iter();
    let after = if ends.slash_after {
        after.take(MAX_SIGNS).take_while(is_slash).count()
    } else {
        0
    };
    below.source(start - before..end + after)
}

/// Returns the length of `count` signs in a text whose escapes were undone. One sign may take
/// several bytes: shells write an apostrophe within apostrophes as several quotation marks, and SQL
/// and CSV double quotation marks.
fn signs(text: &[u8], count: u8) -> usize {
    /// Number of signs from which doubled quotation marks are counted. With fewer signs, a few of
    /// the doubled ones stay unmasked.
    const MANY: u8 = 4;
    const APOSTROPHES: [&[u8]; 2] = [b"'\"'\"'", b"'''"];
    let mut length = 0;
    for _ in 0..count {
        let rest = text.get(length..).unwrap_or_default();
        let written = APOSTROPHES.iter().find(|written| rest.starts_with(written));
        length += match (written, rest.first()) {
            (Some(written), _) => written.len(),
            (None, Some(_)) => 1,
            _ => break,
        };
    }
    let (taken, rest) = text.split_at_checked(length).unwrap_or((text, &[]));
    let is_quote = |byte: &&u8| matches!(**byte, b'"' | b'\'');
    let doubled = if count >= MANY {
        taken.iter().filter(is_quote).count()
    } else {
        0
    };
    let is_sign = |byte: &&u8| matches!(**byte, b'"' | b'\'' | b'\\' | b'$' | b'`');
    length + rest.iter().take(doubled).take_while(is_sign).count()
}

/// Returns true if blanks, but no line break, stand between the signs of a skeleton. Then the
/// skeleton consists of several words that equal a value only together.
fn has_blanks(clear: &Layer<'_>, skeleton: &Layer<'_>, range: &Range<usize>) -> bool {
    let Origin::Elements(elements, _) = &skeleton.origin else {
        return false;
    };
    let Some(last) = range.end.checked_sub(1) else {
        return false;
    };
    let span = elements.range(range.start, last);
    let between = clear.bytes.get(span.start as usize..span.end as usize);
    let between = between.unwrap_or_default();
    between.contains(&b' ') && !between.contains(&b'\n')
}
