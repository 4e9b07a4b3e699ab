//! The name around a keyword.

use super::names::{self, MAX_NAME, Strength};
use super::{Form, report};
use crate::memo::Question;
use crate::text::{Class, Text};
use std::ops::Range;

/// A name of a secret in a text.
pub(super) struct Name<'t> {
    pub(super) text: &'t str,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) strength: Strength,
    /// Number of `-` before it.
    pub(super) dashes: usize,
}

impl Name<'_> {
    /// Returns the form of an assignment.
    pub(super) fn form(&self) -> &'static Form {
        report::form_of(self.strength)
    }

    /// Returns true for `DB_PASSWORD`.
    pub(super) fn is_upper(&self) -> bool {
        self.text.bytes().all(|b| !b.is_ascii_lowercase())
    }
}

/// Returns the name around a keyword.
pub(super) fn name_at<'t>(text: &Text<'t>, keyword: &Range<usize>) -> Option<Name<'t>> {
    let last = text.byte_before(keyword.end)?;
    let next = text.byte(keyword.end);
    let first = text.byte(keyword.start)?;
    // `keyboard`, `keys`, `author`.
    if matches!(first | 0x20, b'k')
        && keyword.len() == 3
        && next.is_some_and(|b| b.is_ascii_lowercase())
    {
        return None;
    }
    // A word that is repeated is no name.
    if last >= 0x80 && text.continues_with(keyword.end, text.slice(keyword.clone())) {
        return None;
    }
    let mut end = keyword.end;
    if last.is_ascii_alphanumeric() || last >= 0x80 {
        end = text.run_end(Class::Name, keyword.end, MAX_NAME);
        let is_cut = end == keyword.end + MAX_NAME;
        let after = text.slice(keyword.end..end);
        if after.is_ascii() {
            if is_cut {
                return None;
            }
        } else {
            // `→` and quotation marks are no letters.
            match first_sign(text, after) {
                Some(at) => end = keyword.end + at,
                None if is_cut => return None,
                None => {}
            }
        }
    } else {
        end -= 1;
    }
    let mut start = text.run_start(Class::Name, keyword.start, MAX_NAME);
    if keyword.start - start == MAX_NAME {
        return None;
    }
    // The name begins after the last sign outside ASCII, such as `→`.
    if !text.slice(start..keyword.start).is_ascii() {
        start += after_last_sign(text, text.slice(start..keyword.start));
    }
    // `\nPASSWORD` in JSON: the letter belongs to the escape.
    if text.byte_before(start) == Some(b'\\')
        && matches!(text.byte(start), Some(b'n' | b't' | b'r'))
        && start < keyword.start
    {
        start += 1;
    }
    // `->name`, `--name`, `name.`, `name->`.
    let leading = text
        .as_str()
        .as_bytes()
        .get(start..keyword.end)?
        .iter()
        .take_while(|b| matches!(b, b'-' | b'.'))
        .count();
    let dashes = text
        .slice(start..start + leading)
        .bytes()
        .filter(|b| *b == b'-')
        .count();
    start += leading;
    while end > keyword.start + 1 && matches!(text.byte_before(end), Some(b'-' | b'.')) {
        end -= 1;
    }
    let name = text.slice(start..end);
    let strength = match name.len() {
        3 if text.byte_before(start) == Some(b' ') => {
            names::judge_after(word_before(text, start - 1), name)
        }
        _ => names::judge_in(text, name),
    };
    (strength != Strength::None).then_some(Name {
        text: name,
        start,
        end,
        strength,
        dashes,
    })
}

fn is_sign((_, c): &(usize, char)) -> bool {
    !c.is_ascii() && !c.is_alphabetic()
}

/// Returns the place of the first character outside ASCII that is not a letter. The part has at
/// most [`MAX_NAME`] bytes.
fn first_sign<'t>(text: &Text<'t>, part: &'t str) -> Option<usize> {
    let none = u8::MAX;
    let found = text.recall(Question::FirstSign, part, || {
        let place = part.char_indices().find(is_sign).map(|(at, _)| at);
        place.and_then(|at| u8::try_from(at).ok()).unwrap_or(none)
    });
    (found != none).then_some(usize::from(found))
}

/// Returns the place after the last character outside ASCII that is not a letter, or 0. The part
/// has at most [`MAX_NAME`] bytes.
fn after_last_sign<'t>(text: &Text<'t>, part: &'t str) -> usize {
    let found = text.recall(Question::AfterLastSign, part, || {
        let last = part.char_indices().rev().find(is_sign);
        let place = last.map(|(at, sign)| at + sign.len_utf8());
        place.and_then(|at| u8::try_from(at).ok()).unwrap_or(0)
    });
    usize::from(found)
}

/// Returns the word that ends at a place, of at most 16 letters.
pub(super) fn word_before<'t>(text: &Text<'t>, end: usize) -> &'t str {
    let mut start = end;
    while end - start < 16
        && text
            .byte_before(start)
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    {
        start -= 1;
    }
    text.slice(start..end)
}
