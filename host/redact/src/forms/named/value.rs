//! The extent of a value: in quotation marks of any kind and depth, or up to a blank.

use super::words::LOOK;
use crate::text::{REACH, Text};
use std::ops::Range;
use std::sync::LazyLock;

/// Most escaped quotation marks within one value that are stepped over.
const MAX_ESCAPES: usize = 64;
/// Bytes of a value in which its end is searched sign by sign.
const NEAR: usize = 256;
/// Longest value in bytes: with its name and all between, it is within [`REACH`] of the keyword.
pub(super) const LONGEST: usize = REACH - 1024;
/// Most backslashes before a quotation mark.
const MAX_DEPTH: usize = 64;

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// Its text, without quotation marks.
    pub(crate) range: Range<usize>,
    /// The place after it, and after the closing quotation mark.
    pub(crate) after: usize,
    /// Whether it stands in quotation marks.
    pub(crate) quoted: bool,
}

/// An opening quotation mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    /// Place after it.
    pub(crate) content: usize,
    close: Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    /// This byte, after so many backslashes.
    Byte(u8, usize),
    /// These texts.
    Text(&'static str),
}

/// Quotation marks that are longer than one byte, with what closes them.
const LONG_QUOTES: &[(&str, &str)] = &[
    ("“", "”"),
    ("”", "”"),
    ("„", "“"),
    ("«", "»"),
    ("‘", "’"),
    ("’", "’"),
    ("&quot;", "&quot;"),
    ("&#34;", "&#34;"),
    ("&#x22;", "&#x22;"),
    ("&#39;", "&#39;"),
    ("&apos;", "&apos;"),
    ("%22", "%22"),
    ("%27", "%27"),
    ("\\u0022", "\\u0022"),
    ("\\x22", "\\x22"),
];

/// Returns the opening quotation mark at a place.
pub(crate) fn quote_at(text: &Text<'_>, at: usize) -> Option<Quote> {
    let first = text.byte(at)?;
    match first {
        b'"' | b'\'' | b'`' => Some(Quote {
            content: at + 1,
            close: Close::Byte(first, 0),
        }),
        b'$' if text.byte(at + 1) == Some(b'\'') => Some(Quote {
            content: at + 2,
            close: Close::Byte(b'\'', 0),
        }),
        b'\\' => {
            let count = backslashes_at(text, at);
            match text.byte(at + count) {
                Some(quote @ (b'"' | b'\'')) => Some(Quote {
                    content: at + count + 1,
                    close: Close::Byte(quote, count),
                }),
                _ => long_quote_at(text, at),
            }
        }
        b'&' | b'%' | 0xC2 | 0xE2 => long_quote_at(text, at),
        // Prefixes of strings in Python, Rust, C, C#.
        b'b' | b'r' | b'f' | b'u' | b'L' | b'@' | b'B' | b'R' | b'F' | b'U'
            if matches!(text.byte(at + 1), Some(b'"' | b'\'')) =>
        {
            quote_at(text, at + 1)
        }
        _ => None,
    }
}

fn long_quote_at(text: &Text<'_>, at: usize) -> Option<Quote> {
    LONG_QUOTES
        .iter()
        .find(|(open, _)| text.continues_with(at, open))
        .map(|(open, close)| Quote {
            content: at + open.len(),
            close: Close::Text(close),
        })
}

fn backslashes_at(text: &Text<'_>, at: usize) -> usize {
    (0..MAX_DEPTH)
        .take_while(|offset| text.byte(at + offset) == Some(b'\\'))
        .count()
}

fn backslashes_before(text: &Text<'_>, at: usize) -> usize {
    (1..=MAX_DEPTH)
        .take_while(|offset| {
            at.checked_sub(*offset).and_then(|place| text.byte(place)) == Some(b'\\')
        })
        .count()
}

/// Returns the place after a quotation mark that closes a name at `at`, or `at`.
pub(crate) fn after_closing_quote(text: &Text<'_>, at: usize) -> usize {
    quote_at(text, at)
        .filter(|_| {
            !matches!(
                text.byte(at),
                Some(b'b' | b'r' | b'f' | b'u' | b'L' | b'@' | b'B' | b'R' | b'F' | b'U' | b'$')
            )
        })
        .map_or(at, |quote| quote.content)
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

/// Returns the place of the closing quotation mark, and the place after it.
fn closing(text: &Text<'_>, quote: Quote) -> Option<(usize, usize)> {
    let line_end = text.line_end(quote.content).min(quote.content + LONGEST);
    let mut from = quote.content;
    match quote.close {
        Close::Text(close) => {
            let first = *close.as_bytes().first()?;
            for _ in 0..MAX_ESCAPES / 8 {
                let at = text.find(first, from).filter(|at| *at < line_end)?;
                if text.continues_with(at, close) {
                    return Some((at, at + close.len()));
                }
                from = at + 1;
            }
            None
        }
        Close::Byte(mark, depth) => {
            for _ in 0..MAX_ESCAPES {
                let at = text.find(mark, from).filter(|at| *at < line_end)?;
                from = at + 1;
                let count = backslashes_before(text, at).min(at - quote.content);
                let is_escaped = if count < depth {
                    // The text around it ends.
                    return Some((at - count, at));
                } else {
                    let unit = 2 * (depth + 1);
                    !(count - depth).is_multiple_of(unit)
                };
                if is_escaped {
                    // In a shell, a backslash before a single quotation mark means nothing.
                    let shell = mark == b'\'' && depth == 0 && ends_value(text.byte(from));
                    if !shell {
                        continue;
                    }
                }
                // `'it''s'`, `'a'\''b'`, `'a'"'"'b'`: the value goes on.
                if depth == 0 {
                    let joins: &[&str] = match mark {
                        b'\'' => &["'", "\\''", "\"'\"'"],
                        b'"' => &["'\"'\""],
                        _ => &[],
                    };
                    let doubled = mark == b'"'
                        && text.byte(from) == Some(b'"')
                        && at > quote.content
                        && !ends_value(text.byte(from + 1))
                        && text.byte(from + 1) != Some(b'"');
                    if doubled {
                        from += 1;
                        continue;
                    }
                    if let Some(join) = joins.iter().find(|join| text.continues_with(from, join))
                        && !(*join == "'"
                            && (at == quote.content || ends_value(text.byte(from + 1))))
                    {
                        from += join.len();
                        continue;
                    }
                }
                let end = if is_escaped { at } else { at - depth };
                return Some((end, at + 1));
            }
            // Too many: up to here.
            Some((from, from))
        }
    }
}

/// Returns true for what stands after a value: nothing, a blank, a closing sign.
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

/// Returns the value without quotation marks at a place. `name` is the start of its name.
pub(crate) fn unquoted(text: &Text<'_>, at: usize, name: usize) -> Option<Value> {
    let limit = text.word_end(at).min(at + LONGEST);
    let near = limit.min(at + NEAR);
    let is_encoded = is_encoded_sign(text, at);
    let mut end = limit;
    let mut place = at;
    while let Some(found) = next_sign(text, place, near) {
        place = found;
        let byte = text.byte(place)?;
        let next = text.byte(place + 1);
        let stops = match byte {
            b'"' | b'\'' | b'`' if place > at => ends_quote(next) && is_open(text, name, byte),
            b'"' | b'\'' | b'`' => is_open(text, name, byte),
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
        // Far away only what closes a text around it ends the value.
        for mark in *b"\"'" {
            if let Some(found) = text.find(mark, near).filter(|found| *found < end)
                && is_open(text, name, mark)
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

/// Returns true if a name and a sign follow, as in `a=1;b=2` and `{a: 1, b: 2}`, or nothing.
/// `blanks`: whether the name may have blanks, as in connection strings.
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

/// Returns true if the sign before a value is percent-encoded (`name%3Dvalue`): so is what follows.
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

/// Takes signs of the text around it from the end of a word.
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

/// Returns the beginning of a value, as far as its shape is looked at.
pub(crate) fn shown<'t>(text: &Text<'t>, range: &Range<usize>) -> &'t str {
    text.slice(range.start..range.end.min(range.start + LOOK))
}
