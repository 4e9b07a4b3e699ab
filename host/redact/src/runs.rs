//! Remembers runs of bytes that belong to one class.

use std::cell::Cell;

/// A class of bytes whose runs are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Characters of names: letters, digits, `_`, `-`, `.`, and everything outside ASCII.
    Name,
    /// Signs of a token in a header.
    Token,
    /// Characters in the value of a session cookie.
    Session,
    /// All but quotation marks, backslashes, and brackets that close.
    Value,
}

impl Class {
    const COUNT: usize = 4;

    fn has(self, byte: u8) -> bool {
        let signs: &[u8] = match self {
            Self::Name => {
                return byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | 0x80..);
            }
            Self::Token => b"._~+/=|:-%!*",
            Self::Session => b"._-%+/=!~*",
            Self::Value => return !b"\"'`\\]}<>\r".contains(&byte),
        };
        byte.is_ascii_alphanumeric() || signs.contains(&byte)
    }
}

/// Bytes of one class.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    end: usize,
    /// Whether no byte of the class stands before `start`.
    opens: bool,
    /// Whether no byte of the class stands at `end`.
    closes: bool,
}

impl Run {
    const NONE: Self = Self {
        start: 1,
        end: 0,
        opens: false,
        closes: false,
    };

    fn has(&self, at: usize) -> bool {
        self.start <= at && at <= self.end
    }
}

/// The last run of each class.
#[derive(Debug)]
pub(crate) struct Runs([Cell<Run>; Class::COUNT]);

impl Default for Runs {
    fn default() -> Self {
        Self([const { Cell::new(Run::NONE) }; Class::COUNT])
    }
}

fn is(bytes: &[u8], at: usize, class: Class) -> bool {
    bytes.get(at).is_some_and(|byte| class.has(*byte))
}

impl Runs {
    /// Returns the end of the bytes of a class that begin at `from`, at most `most` bytes away.
    pub(crate) fn end(&self, bytes: &[u8], class: Class, from: usize, most: usize) -> usize {
        let limit = from.saturating_add(most).min(bytes.len());
        let Some(memo) = self.0.get(class as usize) else {
            return from;
        };
        let mut run = memo.get();
        if !run.has(from) {
            run = Run {
                start: from,
                end: from,
                ..Run::NONE
            };
        }
        if !run.closes && run.end <= limit {
            while run.end < limit && is(bytes, run.end, class) {
                run.end += 1;
            }
            run.closes = run.end < limit;
        }
        memo.set(run);
        run.end.min(limit)
    }

    /// Returns where the run of bytes of a class that ends at `from` starts, looking back at most
    /// `most` bytes.
    pub(crate) fn start(&self, bytes: &[u8], class: Class, from: usize, most: usize) -> usize {
        let floor = from.saturating_sub(most);
        let Some(memo) = self.0.get(class as usize) else {
            return from;
        };
        let before = |start: usize, stop: usize| {
            let mut start = start;
            while start > stop && is(bytes, start - 1, class) {
                start -= 1;
            }
            start
        };
        let mut run = memo.get();
        if !run.has(from) {
            let joins = run.start <= run.end && run.end < from && run.end > floor;
            let stop = if joins { run.end } else { floor };
            let start = before(from, stop);
            if joins && start == run.end {
                run.end = from;
                run.closes = false;
            } else {
                run = Run {
                    start,
                    end: from,
                    opens: start > stop || start == 0,
                    closes: false,
                };
            }
        }
        if !run.opens && run.start > floor {
            run.start = before(run.start, floor);
            run.opens = run.start > floor || run.start == 0;
        }
        memo.set(run);
        run.start.max(floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// For places in any order and both directions, the runs are those of a plain search.
        #[test]
        fn remembered_runs_change_no_result(
            text in "[ab= é]{0,60}",
            places in prop::collection::vec((0_usize..70, 1_usize..40, any::<bool>()), 1..30),
        ) {
            let runs = Runs::default();
            let bytes = text.as_bytes();
            for (at, most, back) in places {
                let at = at.min(text.len());
                for class in [Class::Name, Class::Token] {
                    if back {
                        let run = bytes[..at].iter().rev().take(most).take_while(|b| class.has(**b)).count();
                        prop_assert_eq!(runs.start(bytes, class, at, most), at - run);
                    } else {
                        let run = bytes[at..].iter().take(most).take_while(|b| class.has(**b)).count();
                        prop_assert_eq!(runs.end(bytes, class, at, most), at + run);
                    }
                }
            }
        }
    }
}
