//! Reads JSON forwards from any place, also JSON in a string of JSON, whose quotation marks have
//! backslashes.

use crate::text::Text;
use std::ops::Range;

/// Deepest nesting that is read.
const DEPTH: usize = 8;

/// A place in JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'t, 'r> {
    text: &'r Text<'t>,
    /// Where it reads.
    pub(super) at: usize,
    /// Number of backslashes before each quotation mark: 0, 1 in a string, 3 in a string in a string.
    level: usize,
    limit: usize,
}

impl<'t, 'r> Reader<'t, 'r> {
    /// Starts at the closing quotation mark of a name, with its backslashes.
    pub(super) fn after_name(text: &'r Text<'t>, at: usize, reach: usize) -> Option<Self> {
        let slashes = (0..16)
            .take_while(|n| text.byte(at + n) == Some(b'\\'))
            .count();
        (text.byte(at + slashes) == Some(b'"')).then_some(Self {
            text,
            at: at + slashes + 1,
            level: slashes,
            limit: at.saturating_add(reach).min(text.len()),
        })
    }

    /// Skips blanks, also escaped ones, and returns the next byte.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while self.at < self.limit {
            match self.text.byte(self.at)? {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b'\\' => {
                    let slashes = self.slashes();
                    match self.text.byte(self.at + slashes)? {
                        b'n' | b't' | b'r' if self.level > 0 => self.at += slashes + 1,
                        b'"' => return Some(b'"'),
                        _ => return None,
                    }
                }
                byte => return Some(byte),
            }
        }
        None
    }

    fn slashes(&self) -> usize {
        (0..64)
            .take_while(|n| self.text.byte(self.at + n) == Some(b'\\'))
            .count()
    }

    /// Takes a sign.
    pub(super) fn take(&mut self, sign: u8) -> Option<()> {
        (self.peek()? == sign).then(|| self.at += 1)
    }

    /// Reads a string. Returns the place of its content.
    pub(super) fn string(&mut self) -> Option<Range<usize>> {
        if self.peek()? != b'"' || self.slashes() != self.level {
            return None;
        }
        let start = self.at + self.level + 1;
        let mut at = start;
        loop {
            let mark = self.text.find(b'"', at).filter(|mark| *mark < self.limit)?;
            let slashes = (1..=64)
                .take_while(|n| mark >= start + n && self.text.byte(mark - n) == Some(b'\\'))
                .count();
            if slashes < self.level {
                return None;
            }
            if (slashes - self.level).is_multiple_of(2 * (self.level + 1)) {
                self.at = mark + 1;
                return Some(start..mark - self.level);
            }
            at = mark + 1;
        }
    }

    /// Skips a value.
    pub(super) fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                    if depth > DEPTH {
                        return None;
                    }
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => self.at += 1,
                byte if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.') => {
                    while self.at < self.limit
                        && self.text.byte(self.at).is_some_and(|b| {
                            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.')
                        })
                    {
                        self.at += 1;
                    }
                }
                _ => return None,
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Reads an object whose members are all strings or `null`, and calls `member` with the place
    /// of each string. Another member ends the reading. The strings before it are then already
    /// passed to `member`.
    pub(super) fn strings(&mut self, member: &mut dyn FnMut(Range<usize>)) -> Option<()> {
        self.take(b'{')?;
        while self.peek()? == b'"' {
            self.string()?;
            self.take(b':')?;
            if self.peek()? == b'"' {
                member(self.string()?);
            } else if self.text.slice(self.at..self.at + 4) == "null" {
                self.at += 4;
            } else {
                return None;
            }
            if self.take(b',').is_none() {
                break;
            }
        }
        self.take(b'}')
    }
}
