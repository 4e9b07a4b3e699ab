//! Decoded bytes, and the way back to the text that was searched.

use std::ops::Range;

/// Bytes, and where each of them comes from.
pub(super) struct Layer<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) origin: Origin<'a>,
    /// Number of base64 encodings that were undone.
    pub(super) depth: usize,
}

/// Where the bytes of a layer come from.
pub(super) enum Origin<'a> {
    /// The text, from this place on.
    Text(usize),
    /// Each byte has its own range in the layer below.
    Elements(&'a Elements, &'a Layer<'a>),
    /// Four symbols are three bytes. The symbols before the first quartet are left out.
    Base64(&'a [u32], usize, &'a Layer<'a>),
    /// Two symbols are one byte. The symbols before the first pair are left out.
    Hex(&'a [u32], usize, &'a Layer<'a>),
}

impl Layer<'_> {
    /// Returns the range of the text that the bytes of `range` come from: all characters that
    /// encode at least one bit of them.
    pub(super) fn source(&self, range: Range<usize>) -> Range<usize> {
        let Some(last) = range.end.checked_sub(1) else {
            return 0..0;
        };
        let first = range.start;
        match &self.origin {
            Origin::Text(offset) => range.start + offset..range.end + offset,
            Origin::Elements(elements, below) => {
                let start = elements.starts.get(first).copied().unwrap_or_default();
                let end = elements.ends.get(last).copied().unwrap_or_default();
                below.source(start as usize..end as usize)
            }
            Origin::Base64(places, skipped, below) => {
                let start = skipped + first / 3 * 4 + first % 3;
                let end = skipped + last / 3 * 4 + last % 3 + 1;
                below.source(span(places, start, end))
            }
            Origin::Hex(places, skipped, below) => {
                below.source(span(places, skipped + first * 2, skipped + last * 2 + 1))
            }
        }
    }
}

fn span(places: &[u32], first: usize, last: usize) -> Range<usize> {
    let place = |index: usize| places.get(index).copied().unwrap_or_default() as usize;
    place(first)..place(last) + 1
}

/// Bytes with their ranges in the layer below.
#[derive(Debug, Default)]
pub(super) struct Elements {
    pub(super) bytes: Vec<u8>,
    pub(super) starts: Vec<u32>,
    pub(super) ends: Vec<u32>,
}

impl Elements {
    pub(super) fn push(&mut self, byte: u8, range: &Range<u32>) {
        self.bytes.push(byte);
        self.starts.push(range.start);
        self.ends.push(range.end);
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
        self.ends.clear();
    }

    /// Replaces the content by bytes of the layer below, which begin at `at` there.
    pub(super) fn plain(&mut self, bytes: &[u8], at: usize) {
        self.clear();
        self.bytes.extend_from_slice(bytes);
        let start = u32::try_from(at).unwrap_or(u32::MAX);
        let end = start.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.starts.extend(start..end);
        self.ends.extend(start + 1..=end);
    }

    /// Returns the range of elements `first` to `last`.
    pub(super) fn range(&self, first: usize, last: usize) -> Range<u32> {
        let start = self.starts.get(first).copied().unwrap_or_default();
        start..self.ends.get(last).copied().unwrap_or(start)
    }
}
