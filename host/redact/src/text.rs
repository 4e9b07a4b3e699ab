//! A text with searches that together take linear time.

use crate::engine::Hit;
use crate::marks::{Escaped, Marks, Skipped};
use crate::matcher::Match;
use crate::memo::{Memo, Question};
pub(crate) use crate::runs::Class;
use crate::runs::Runs;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::Arc;

/// Farthest distance, in bytes, that a decision looks before or after its keyword. A secret that is
/// longer is masked in parts, or up to this distance.
pub const REACH: usize = 32 * 1024;

/// A text that remembers the results of its last searches, so that searches for the same byte from
/// many places (such as the closing quotation mark of ten thousand nested names) do not read the
/// same bytes again and again.
#[derive(Debug)]
pub struct Text<'t> {
    text: &'t str,
    /// For each byte, the last search: its start, its end, and whether it found the byte there.
    searches: RefCell<Vec<(usize, usize, bool)>>,
    blank: Cell<(usize, usize)>,
    line: Cell<Line>,
    runs: Runs,
    marks: Marks,
    escaped: Escaped,
    answers: Memo<'t, u8>,
    matches: Memo<'t, Option<Match>>,
    decoded: Memo<'t, Arc<[Hit]>>,
    /// The range of the last call of `is_decided`.
    decided: Cell<(usize, usize)>,
}

/// Length of a text, in bytes, up to which nothing is remembered: reading it again takes less time.
const SHORT: usize = 256;

/// Bytes without a line break.
#[derive(Clone, Copy, Debug)]
struct Line {
    start: usize,
    end: usize,
    /// Whether a line begins at `start`.
    is_start: bool,
}

impl<'t> Text<'t> {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            searches: RefCell::new(Vec::new()),
            blank: Cell::new((1, 0)),
            line: Cell::new(Line {
                start: 1,
                end: 0,
                is_start: false,
            }),
            runs: Runs::default(),
            marks: Marks::default(),
            escaped: Escaped::default(),
            answers: Memo::default(),
            matches: Memo::default(),
            decoded: Memo::default(),
            decided: Cell::new((usize::MAX, 0)),
        }
    }

    /// Returns the whole text.
    #[must_use]
    pub fn as_str(&self) -> &'t str {
        self.text
    }

    /// Returns the length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Returns true if there is no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns a byte, or `None` outside the text.
    #[must_use]
    pub fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Returns the byte before a place.
    #[must_use]
    pub fn byte_before(&self, at: usize) -> Option<u8> {
        at.checked_sub(1).and_then(|before| self.byte(before))
    }

    /// Returns a part of the text. Both ends are moved down to character boundaries and into the
    /// text.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> &'t str {
        let start = self.text.floor_char_boundary(range.start);
        let end = self.text.floor_char_boundary(range.end);
        self.text.get(start..end).unwrap_or_default()
    }

    /// Returns true if the text continues with `other` at `at`.
    #[must_use]
    pub fn continues_with(&self, at: usize, other: &str) -> bool {
        let bytes = self.text.as_bytes().get(at..).unwrap_or_default();
        // Most texts differ in the first byte.
        other
            .as_bytes()
            .first()
            .is_none_or(|first| bytes.first() == Some(first))
            && bytes.starts_with(other.as_bytes())
    }

    /// Returns the answer to a question about a part, and remembers it.
    pub(crate) fn recall(
        &self,
        question: Question,
        part: &'t str,
        answer: impl FnOnce() -> u8,
    ) -> u8 {
        if self.text.len() <= SHORT {
            answer()
        } else {
            self.answers.recall(question, part.as_bytes(), answer)
        }
    }

    /// Returns the match that answers a question about a part, and remembers it.
    pub(crate) fn recall_match(
        &self,
        question: Question,
        part: Range<usize>,
        find: impl FnOnce() -> Option<Match>,
    ) -> Option<Match> {
        match self.text.as_bytes().get(part) {
            Some(part) if self.text.len() > SHORT => self.matches.recall(question, part, find),
            _ => find(),
        }
    }

    /// Returns the secrets that answer a question about a part, and remembers them.
    pub(crate) fn recall_hits(
        &self,
        question: Question,
        part: Range<usize>,
        find: impl FnOnce() -> Arc<[Hit]>,
    ) -> Arc<[Hit]> {
        match self.text.as_bytes().get(part) {
            Some(part) if self.text.len() > SHORT => self.decoded.recall(question, part, find),
            _ => find(),
        }
    }

    /// Returns true if the number of a quotation mark in a range is odd, as [`Marks::are_odd`] says.
    pub(crate) fn has_open(&self, mark: u8, range: Range<usize>) -> bool {
        self.marks
            .are_odd(self.text.as_bytes(), mark, range.start, range.end)
    }

    /// Steps over escaped quotation marks as [`Escaped::skip`] does.
    pub(crate) fn skip_escaped(&self, mark: u8, from: usize, most: usize) -> Skipped {
        self.escaped.skip(mark, from, most)
    }

    /// Remembers an escaped quotation mark as [`Escaped::remember`] does.
    pub(crate) fn remember_escaped(&self, mark: u8, from: usize, place: usize) {
        self.escaped.remember(mark, from, place);
    }

    /// Returns true if the previous call had the same range: two keywords led to it.
    pub(crate) fn is_decided(&self, range: &Range<usize>) -> bool {
        let range = (range.start, range.end);
        self.decided.replace(range) == range
    }

    /// Returns the place of the next `byte` at `from` or after it, at most [`REACH`] bytes away.
    #[must_use]
    pub fn find(&self, byte: u8, from: usize) -> Option<usize> {
        if self.text.len() <= SHORT {
            let rest = self.text.as_bytes().get(from..)?;
            return memchr::memchr(byte, rest).map(|offset| from + offset);
        }
        let mut searches = self.searches.borrow_mut();
        if searches.is_empty() {
            searches.resize(256, (1, 0, false));
        }
        let memo = searches.get_mut(usize::from(byte))?;
        let near = |at: usize| (at - from <= REACH).then_some(at);
        let (start, end, found) = *memo;
        let known = start <= from && from <= end;
        if known && found {
            return near(end);
        }
        let begin = if known { end } else { from };
        let limit = from.saturating_add(REACH + 1).min(self.text.len());
        let rest = self.text.as_bytes().get(begin..limit).unwrap_or_default();
        let start = if known { start } else { from };
        match memchr::memchr(byte, rest) {
            Some(offset) => {
                *memo = (start, begin + offset, true);
                near(begin + offset)
            }
            None => {
                *memo = (start, limit.max(begin), false);
                None
            }
        }
    }

    /// Returns the end of the bytes of a class that begin at `from`, at most `most` bytes away.
    pub(crate) fn run_end(&self, class: Class, from: usize, most: usize) -> usize {
        self.runs.end(self.text.as_bytes(), class, from, most)
    }

    /// Returns where the run of bytes of a class that ends at `from` starts, looking back at most
    /// `most` bytes.
    pub(crate) fn run_start(&self, class: Class, from: usize, most: usize) -> usize {
        self.runs.start(self.text.as_bytes(), class, from, most)
    }

    /// Returns the end of the line that contains `at`: the place of its line break, or the end of
    /// the text; at most [`REACH`] bytes away.
    #[must_use]
    pub fn line_end(&self, at: usize) -> usize {
        let limit = at.saturating_add(REACH).min(self.text.len());
        self.find(b'\n', at).unwrap_or(limit)
    }

    /// Returns the start of the line that contains `at`, at most [`REACH`] bytes away.
    #[must_use]
    pub fn line_start(&self, at: usize) -> usize {
        let floor = at.saturating_sub(REACH);
        let known = self.line.get();
        // The range `start..end` contains no line break.
        let (start, end) = if known.start <= at && at <= known.end {
            (known.start, known.end)
        } else {
            let from = if known.start <= known.end && known.end < at {
                known.end.max(floor)
            } else {
                floor
            };
            let after = self.line_break_before(from..at);
            if from > floor && from == known.end && after.is_none() {
                (known.start, at)
            } else {
                let is_start = after.is_some() || from == 0;
                let start = after.unwrap_or(from);
                self.line.set(Line {
                    start,
                    end: at,
                    is_start,
                });
                return start;
            }
        };
        if known.is_start || start <= floor {
            self.line.set(Line {
                start,
                end,
                ..known
            });
            return start.max(floor);
        }
        // The known range begins within a line, because an earlier search stopped at its reach.
        // Searches the bytes before it.
        let after = self.line_break_before(floor..start);
        let line = Line {
            start: after.unwrap_or(floor),
            end,
            is_start: after.is_some() || floor == 0,
        };
        self.line.set(line);
        line.start
    }

    /// Returns the end of the last line break in a range.
    fn line_break_before(&self, range: Range<usize>) -> Option<usize> {
        let bytes = self.text.as_bytes().get(range.clone()).unwrap_or_default();
        memchr::memrchr(b'\n', bytes).map(|offset| range.start + offset + 1)
    }

    /// Returns the place of the next ASCII white space at `from` or after it, or the end of the
    /// text; at most [`REACH`] bytes away.
    #[must_use]
    pub fn word_end(&self, from: usize) -> usize {
        let limit = from.saturating_add(REACH).min(self.text.len());
        let (start, end) = self.blank.get();
        if start <= from
            && from <= end
            && self.byte(end).is_none_or(|byte| byte.is_ascii_whitespace())
        {
            return end.min(limit);
        }
        let begin = if start <= from && from <= end {
            end
        } else {
            from
        };
        let rest = self.text.as_bytes().get(begin..limit).unwrap_or_default();
        let blank = rest.iter().position(u8::is_ascii_whitespace);
        let found = blank.map_or(limit.max(begin), |offset| begin + offset);
        let start = if start <= from && from <= end {
            start
        } else {
            from
        };
        self.blank.set((start, found));
        found.min(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Searches in any order give the same results as a plain search.
        #[test]
        fn remembered_searches_change_no_result(
            text in "[ab\n é]{0,600}",
            places in prop::collection::vec(0_usize..700, 1..20),
        ) {
            let searched = Text::new(&text);
            let bytes = text.as_bytes();
            for at in places {
                let at = at.min(text.len());
                for byte in [b'a', b'\n', b'"'] {
                    let plain = bytes[at..].iter().position(|b| *b == byte).map(|o| at + o);
                    prop_assert_eq!(searched.find(byte, at), plain);
                }
                let line_end = bytes[at..].iter().position(|b| *b == b'\n').map_or(text.len(), |o| at + o);
                prop_assert_eq!(searched.line_end(at), line_end);
                let line_start = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |o| o + 1);
                prop_assert_eq!(searched.line_start(at), line_start);
                let word_end = bytes[at..].iter().position(u8::is_ascii_whitespace).map_or(text.len(), |o| at + o);
                prop_assert_eq!(searched.word_end(at), word_end);
            }
        }
    }

    proptest! {
        /// In lines that are longer than the reach, too, searches in any order give the same
        /// results as a plain search.
        #[test]
        fn remembered_searches_of_long_lines_change_no_result(
            lengths in prop::collection::vec(0..3 * REACH, 1..4),
            places in prop::collection::vec(0..9 * REACH, 1..30),
        ) {
            let lines: Vec<_> = lengths.iter().map(|length| "a".repeat(*length)).collect();
            let text = lines.join("\n");
            let searched = Text::new(&text);
            for at in places {
                let at = at.min(text.len());
                let plain = Text::new(&text);
                prop_assert_eq!(searched.line_start(at), plain.line_start(at));
                prop_assert_eq!(searched.word_end(at), plain.word_end(at));
                prop_assert_eq!(searched.line_end(at), plain.line_end(at));
                prop_assert_eq!(searched.find(b'\n', at), plain.find(b'\n', at));
            }
        }
    }
}
