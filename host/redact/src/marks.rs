//! Quotation marks of a text, each of which is looked at once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// Counts the quotation marks in ranges of a text. Each count starts from the result for the
/// previous range.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    double: Cell<Counted>,
    single: Cell<Counted>,
    other: Cell<Counted>,
}

/// A range, and whether the number of marks in it is odd.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    start: usize,
    end: usize,
    odd: bool,
}

impl Marks {
    /// Returns true if the number of `mark` (`"`, `'` or `` ` ``) in a range is odd. Apostrophes between
    /// letters are not counted, except at the beginning of the range.
    pub(crate) fn are_odd(&self, bytes: &[u8], mark: u8, start: usize, end: usize) -> bool {
        if start >= end {
            return false;
        }
        let known = match mark {
            b'"' => &self.double,
            b'\'' => &self.single,
            _ => &self.other,
        };
        // Between two places, in any order.
        let odd =
            |one: usize, other: usize| count(bytes, mark, one.min(other), one.max(other)) % 2 == 1;
        let inner = start + 1;
        let last = known.get();
        let distance = last.start.abs_diff(inner) + last.end.abs_diff(end);
        let inner_odd = if distance < end - start {
            last.odd ^ odd(last.start, inner) ^ odd(last.end, end)
        } else {
            odd(inner, end)
        };
        known.set(Counted {
            start: inner,
            end,
            odd: inner_odd,
        });
        inner_odd ^ (bytes.get(start) == Some(&mark))
    }
}

/// Most escaped quotation marks that are remembered.
const MAX_ESCAPED: usize = 256;

/// Quotation marks that follow each other, all of them escaped.
#[derive(Debug, Default)]
pub(crate) struct Escaped(RefCell<Run>);

#[derive(Debug, Default)]
struct Run {
    mark: u8,
    /// All marks from here up to `end` are in `places`.
    start: usize,
    end: usize,
    places: VecDeque<usize>,
}

/// Escaped quotation marks that were stepped over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Their number.
    pub(crate) count: usize,
    /// The place after the last mark, or the start of the search if there is no mark.
    pub(crate) end: usize,
}

impl Escaped {
    /// Steps over at most `most` marks from `from` on, which are known to be escaped.
    pub(crate) fn skip(&self, mark: u8, from: usize, most: usize) -> Skipped {
        let run = self.0.borrow();
        let known = if run.mark == mark && run.start <= from && from <= run.end {
            run.places.partition_point(|place| *place < from)
        } else {
            run.places.len()
        };
        let count = most.min(run.places.len() - known);
        let last = count
            .checked_sub(1)
            .and_then(|last| run.places.get(known + last));
        Skipped {
            count,
            end: last.map_or(from, |last| last + 1),
        }
    }

    /// Remembers that the next mark after `from` is escaped and stands at `place`.
    pub(crate) fn remember(&self, mark: u8, from: usize, place: usize) {
        let mut run = self.0.borrow_mut();
        if run.mark != mark || from != run.end {
            *run = Run {
                mark,
                start: from,
                ..Run::default()
            };
        }
        if run.places.len() == MAX_ESCAPED {
            run.start = run.places.pop_front().map_or(from, |first| first + 1);
        }
        run.places.push_back(place);
        run.end = place + 1;
    }
}

/// Returns the number of marks in a range, without apostrophes between letters.
fn count(bytes: &[u8], mark: u8, from: usize, to: usize) -> usize {
    let range = bytes.get(from..to).unwrap_or_default();
    if mark != b'\'' {
        return range.iter().filter(|byte| **byte == mark).count();
    }
    let is_letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    let is_apostrophe = |at: usize| at.checked_sub(1).is_some_and(is_letter) && is_letter(at + 1);
    let found = memchr::memchr_iter(mark, range);
    found.filter(|at| !is_apostrophe(from + at)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// For ranges in any order, the counts are those of a plain search.
        #[test]
        fn remembered_counts_change_no_result(
            text in "[a\"'` ]{0,80}",
            ranges in prop::collection::vec((0_usize..90, 0_usize..40), 1..30),
        ) {
            let bytes = text.as_bytes();
            let marks = Marks::default();
            for (start, length) in ranges {
                let start = start.min(bytes.len());
                let end = (start + length).min(bytes.len());
                for mark in *b"\"'`" {
                    let is_letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
                    let plain = (start..end)
                        .filter(|at| bytes[*at] == mark)
                        .filter(|at| {
                            mark != b'\'' || *at == start || !(is_letter(at - 1) && is_letter(at + 1))
                        })
                        .count();
                    prop_assert_eq!(marks.are_odd(bytes, mark, start, end), plain % 2 == 1);
                }
            }
        }
    }
}
