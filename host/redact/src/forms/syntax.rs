//! Parses the text between a name and its value, and finds the end of the value.

use crate::text::{Class, Text};
use std::ops::Range;

/// Maximum number of blanks between a name and its value.
const BLANKS: usize = 16;

/// Returns the place after blanks (no line breaks).
pub(super) fn after_blanks(text: &Text<'_>, at: usize) -> usize {
    let mut end = at;
    while end - at < BLANKS && matches!(text.byte(end), Some(b' ' | b'\t')) {
        end += 1;
    }
    end
}

/// Returns the place after a quotation mark with its backslashes, if there is one.
pub(super) fn after_quote(text: &Text<'_>, at: usize) -> Option<usize> {
    let mut end = at;
    while end - at < 16 && text.byte(end) == Some(b'\\') {
        end += 1;
    }
    matches!(text.byte(end), Some(b'"' | b'\'' | b'`')).then_some(end + 1)
}

/// A value and how it stands.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) range: Range<usize>,
    /// True if it stands in quotation marks of its own.
    pub(super) quoted: bool,
}

/// Returns the value after a name that ends at `at`: `name: value`, `"name":"value"`, `'name' =>
/// 'value'`, `name=value`, `name:[value]`, `("name", "value")`, `"name","value":"value"`. It goes up
/// to the quotation mark, or to the end of the line.
pub(super) fn value_after(text: &Text<'_>, at: usize) -> Option<Value> {
    let mut at = at;
    let closed = after_quote(text, at);
    at = after_blanks(text, closed.unwrap_or(at));
    if text.byte(at) == Some(b']') {
        at = after_blanks(text, at + 1);
    }
    at = match text.byte(at)? {
        b':' if text.byte(at + 1) == Some(b'=') => at + 2,
        b'=' if text.byte(at + 1) == Some(b'>') => at + 2,
        b'=' if text.byte(at + 1) == Some(b'=') => return None,
        b':' | b'=' => at + 1,
        b',' if closed.is_some() => after_value_name(text, at + 1).unwrap_or(at + 1),
        _ => return None,
    };
    at = after_blanks(text, at);
    if matches!(text.byte(at), Some(b'[' | b'(')) {
        at = after_blanks(text, at + 1);
    }
    if text.byte(at) == Some(b'b') && matches!(text.byte(at + 1), Some(b'\'' | b'"')) {
        at += 1;
    }
    let quote = after_quote(text, at);
    let start = quote.unwrap_or(at);
    let line_end = text.line_end(start).min(start + LONGEST);
    let end = match quote {
        Some(_) => text
            .byte_before(start)
            .and_then(|mark| text.find(mark, start))
            .filter(|end| *end <= line_end)?,
        None => end_of(text, start, line_end),
    };
    let shown = text.slice(start..end);
    let shown = shown.trim_end_matches('\\').trim_end();
    Some(Value {
        range: start..start + shown.len(),
        quoted: quote.is_some(),
    })
}

/// Longest value in bytes.
pub(super) const LONGEST: usize = 8 * 1024;

/// Returns the end of a value without quotation marks: a quotation mark, a backslash, a bracket that
/// closes, or the end of the line.
fn end_of(text: &Text<'_>, start: usize, limit: usize) -> usize {
    text.run_end(Class::Value, start, limit.saturating_sub(start))
}

/// Returns the place after `"value":`, as in lists of names and values.
fn after_value_name(text: &Text<'_>, at: usize) -> Option<usize> {
    let at = after_blanks(text, at);
    let name = after_quote(text, at)?;
    let end = name + "value".len();
    let is_value = text.slice(name..end).eq_ignore_ascii_case("value");
    let colon = after_blanks(text, after_quote(text, end).filter(|_| is_value)?);
    (text.byte(colon) == Some(b':')).then_some(colon + 1)
}

/// Returns the first word of a range.
pub(super) fn first_word(text: &Text<'_>, range: Range<usize>) -> Range<usize> {
    let shown = text.slice(range.clone());
    let start = range.start + shown.len() - shown.trim_start().len();
    let end = range.start + shown.len();
    start..text.word_end(start).min(end)
}

/// Returns the end of the nth occurrence of a word in a few bytes. For so few bytes, a prepared
/// search would take longer.
pub(super) fn nth_end(bytes: &[u8], word: &[u8], nth: usize) -> Option<usize> {
    let first = word.first()?;
    let (mut at, mut count) = (0, 0);
    while let Some(offset) = memchr::memchr(*first, bytes.get(at..)?) {
        at += offset;
        if bytes.get(at..)?.starts_with(word) {
            at += word.len();
            count += 1;
        } else {
            at += 1;
        }
        if count == nth {
            return Some(at);
        }
    }
    None
}

/// Returns true if the keyword stands again before `end`, within the next hundred bytes. The secret
/// is then found from there. Otherwise a text that consists only of keywords would be read again
/// from each keyword.
pub(super) fn again(text: &Text<'_>, keyword: &Range<usize>, end: usize) -> bool {
    const NEAR: usize = 100;
    let bytes = text.as_str().as_bytes();
    let near = keyword.end..end.min(keyword.end + NEAR).min(bytes.len());
    let (Some(word), Some(near)) = (bytes.get(keyword.clone()), bytes.get(near)) else {
        return false;
    };
    nth_end(near, word, 1).is_some()
}
