//! The extent of a value: in quotation marks of any kind and depth, or up to a blank.

pub(super) use super::quote::{Close, Quote, after_closing_quote, quote_at};
use super::quote::{backslashes_at, closing};
use super::words::LOOK;
use crate::text::{REACH, Text};
use std::ops::Range;
use std::sync::LazyLock;

/// Number of bytes of a value in which its end is searched byte by byte.
const NEAR: usize = 256;
/// Longest value in bytes: with its name and all between, it is within [`REACH`] of the keyword.
pub(super) const LONGEST: usize = REACH - 1024;
/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// Its text, without quotation marks.
    pub(crate) range: Range<usize>,
    /// The place after the value and its closing quotation mark.
    pub(crate) after: usize,
    /// Whether it stands in quotation marks.
    pub(crate) quoted: bool,
}

/// Returns the value in the quotation marks that open at `quote`. `None` if they are not closed in
/// the same line, or if `quote` closes a text that began before it.
pub(crate) fn quoted(text: &Text<'_>, quote: Quote) -> Option<Value> {
    let (end, after) = closing(text, quote)?;
    let first = text.byte(quote.content)?;
    // `"Enter the password: " + name + "…"`: the quotation mark closes.
    if matches!(
        first,
        b' ' | b')' | b',' | b';' | b'+' | b'>' | b'}' | b']' | b'\t' | b'|'
    ) && let Close::Byte(mark, 0) = quote.close
        && is_open(text, quote.content - 1, mark)
    {
        return None;
    }
    Some(Value {
        range: quote.content..end,
        after,
        quoted: true,
    })
}

/// Returns true for a byte that can follow a value: none, a blank, or a closing sign.
pub(crate) fn ends_value(byte: Option<u8>) -> bool {
    byte.is_none_or(|byte| {
        byte.is_ascii_whitespace()
            || matches!(byte, b',' | b';' | b')' | b'}' | b']' | b'>' | b'&' | b'|')
    })
}

/// Returns true if a quotation mark in the same line before a place, in the last few hundred bytes, is
/// open there. Apostrophes between letters are not counted.
fn is_open(text: &Text<'_>, at: usize, mark: u8) -> bool {
    let start = text.line_start(at).max(at.saturating_sub(2 * NEAR));
    text.has_open(mark, start..at)
}

/// The quotation marks that are open at a place. Each kind of mark is counted once, on first use.
struct OpenMarks<'s, 't> {
    text: &'s Text<'t>,
    at: usize,
    known: [Option<bool>; 3],
}

impl<'s, 't> OpenMarks<'s, 't> {
    fn new(text: &'s Text<'t>, at: usize) -> Self {
        Self {
            text,
            at,
            known: [None; 3],
        }
    }

    fn has(&mut self, mark: u8) -> bool {
        let index = match mark {
            b'"' => 0,
            b'\'' => 1,
            _ => 2,
        };
        let count = || is_open(self.text, self.at, mark);
        self.known
            .get_mut(index)
            .is_some_and(|known| *known.get_or_insert_with(count))
    }
}

/// Returns the value without quotation marks at a place. `name` is the start of its name.
pub(crate) fn unquoted(text: &Text<'_>, at: usize, name: usize) -> Option<Value> {
    let limit = text.word_end(at).min(at + LONGEST);
    let near = limit.min(at + NEAR);
    let is_encoded = is_encoded_sign(text, at);
    let mut open = OpenMarks::new(text, name);
    let mut end = limit;
    let mut place = at;
    while let Some(found) = next_sign(text, place, near) {
        place = found;
        let byte = text.byte(place)?;
        let next = text.byte(place + 1);
        let stops = match byte {
            b'"' | b'\'' | b'`' if place > at => ends_quote(next) && open.has(byte),
            b'"' | b'\'' | b'`' => open.has(byte),
            b'&' => {
                is_query(text, name)
                    || text.continues_with(place, "&quot;")
                    || text.continues_with(place, "&amp;")
                    || text.continues_with(place, "&lt;")
                    || starts_pair(text, place + 1, false)
            }
            b';' | b',' => starts_pair(text, place + 1, true),
            b')' => is_query(text, name),
            b'#' => is_query(text, name) && next.is_some_and(|b| b.is_ascii_alphabetic()),
            b'\\' => {
                matches!(next, Some(b'n' | b'r' | b't' | b'"' | b'\''))
                    || (next == Some(b'\\') && {
                        let count = backslashes_at(text, place);
                        matches!(
                            text.byte(place + count),
                            Some(b'n' | b'r' | b't' | b'"' | b'\'')
                        )
                    })
            }
            b'<' => matches!(next, Some(b'/')) || text.continues_with(place, "<br"),
            b'%' => is_encoded && ends_encoded(text, place),
            0xE2 => {
                text.continues_with(place, "”")
                    || text.continues_with(place, "’")
                    || text.continues_with(place, "│")
                    || text.continues_with(place, "┃")
            }
            _ => false,
        };
        if stops {
            end = place;
            break;
        }
        place += 1;
    }
    if end == limit && limit > near {
        // Beyond `near`, only the end of a surrounding text or of a query parameter ends the value.
        for mark in *b"\"'" {
            if let Some(found) = text.find(mark, near).filter(|found| *found < end)
                && open.has(mark)
            {
                end = found;
            }
        }
        if is_query(text, name)
            && let Some(found) = text.find(b'&', near).filter(|found| *found < end)
        {
            end = found;
        }
    }
    let end = trim_end(text, at, end);
    (end > at).then_some(Value {
        range: at..end,
        after: end,
        quoted: false,
    })
}

/// Bytes at which a value without quotation marks can end.
static SIGNS: LazyLock<[bool; 256]> = LazyLock::new(|| {
    let mut signs = [false; 256];
    for sign in b"\"'`&;,)#\\<%\xE2" {
        if let Some(is) = signs.get_mut(usize::from(*sign)) {
            *is = true;
        }
    }
    signs
});

/// Returns the place of the next byte at which a value can end.
fn next_sign(text: &Text<'_>, from: usize, limit: usize) -> Option<usize> {
    let bytes = text.as_str().as_bytes().get(from..limit)?;
    let signs = &*SIGNS;
    let is_sign = |byte: &u8| signs.get(usize::from(*byte)).is_some_and(|is| *is);
    bytes.iter().position(is_sign).map(|offset| from + offset)
}

/// Returns true if a quotation mark within a word closes a text that began before the word.
fn ends_quote(next: Option<u8>) -> bool {
    next.is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// Returns true if a name and a sign follow, as in `a=1;b=2` and `{a: 1, b: 2}`, or if nothing
/// follows. `blanks` allows blanks in the name, as in connection strings.
fn starts_pair(text: &Text<'_>, at: usize, blanks: bool) -> bool {
    let mut place = at;
    while place < at + 48 {
        match text.byte(place) {
            Some(b)
                if b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'"' | b'\'') =>
            {
                place += 1
            }
            Some(b' ') if blanks && place > at => place += 1,
            Some(b'=' | b':') => return place > at,
            _ => return place == at && ends_value(text.byte(place)),
        }
    }
    false
}

/// Returns true if the sign before a value is percent-encoded (`name%3Dvalue`). The value is then
/// percent-encoded, too.
fn is_encoded_sign(text: &Text<'_>, at: usize) -> bool {
    let sign = text.slice(at.saturating_sub(3)..at);
    sign.eq_ignore_ascii_case("%3d") || sign.eq_ignore_ascii_case("%3a")
}

/// Returns true for a percent-encoded sign that ends a value: a line break, a blank, a quotation mark,
/// `&`, `,`, `;`, `}`.
fn ends_encoded(text: &Text<'_>, at: usize) -> bool {
    let sign = text.slice(at + 1..at + 3);
    ["0A", "0D", "20", "22", "26", "2C", "3B", "7D"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(sign))
}

/// Returns true if a name stands in the query of an address.
fn is_query(text: &Text<'_>, name: usize) -> bool {
    matches!(text.byte_before(name), Some(b'?' | b'&'))
}

/// Returns the end of a word without the punctuation and brackets of the text around it.
fn trim_end(text: &Text<'_>, start: usize, end: usize) -> usize {
    let floor = start.max(end.saturating_sub(16));
    let mut end = end;
    while end > floor {
        let Some(last) = text.byte_before(end) else {
            break;
        };
        let open = match last {
            b',' | b';' => {
                end -= 1;
                continue;
            }
            b'.' | b':'
                if end == text.len() || text.byte(end).is_some_and(|b| b.is_ascii_whitespace()) =>
            {
                end -= 1;
                continue;
            }
            b')' => b'(',
            b']' => b'[',
            b'}' => b'{',
            b'>' => b'<',
            _ => break,
        };
        let from = start.max(end.saturating_sub(LOOK));
        let within = text
            .as_str()
            .as_bytes()
            .get(from..end - 1)
            .unwrap_or_default();
        if within.contains(&open) {
            break;
        }
        end -= 1;
    }
    end
}

/// Returns the place of the first byte that is no blank, at most `most` bytes away.
pub(crate) fn skip_blanks(text: &Text<'_>, at: usize, most: usize) -> usize {
    let mut place = at;
    while place < at + most && matches!(text.byte(place), Some(b' ' | b'\t')) {
        place += 1;
    }
    place
}

/// Returns the beginning of a value, which is enough to judge its shape.
pub(crate) fn shown<'t>(text: &Text<'t>, range: &Range<usize>) -> &'t str {
    text.slice(range.start..range.end.min(range.start + LOOK))
}
