//! Lists of codes for the recovery of an account.

use super::prose::PROSE;
use super::{Detector, Found};
use crate::text::Text;
use std::ops::Range;

/// Searches for lists of codes.
pub(super) const DETECTOR: Detector = Detector {
    keywords: &[
        "recovery code",
        "recovery_code",
        "backup code",
        "backup_code",
        "scratch code",
    ],
    detect: codes,
};

/// Most codes of a list.
const MOST: usize = 32;
/// Bytes between the name and the list.
const LEAD: usize = 48;
/// Bytes between two codes.
const GAP: usize = 24;
/// Lengths of a code in bytes.
const LENGTHS: Range<usize> = 8..33;

fn codes(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let lead = text.slice(keyword.end..keyword.end + LEAD);
    let words = lead.find(|c: char| !c.is_ascii_alphabetic() && !" ()\"'".contains(c));
    let (words, rest) = lead
        .split_at_checked(words.unwrap_or(0))
        .unwrap_or_default();
    let has_sign = rest.starts_with([':', '=']);
    if !has_sign && !rest.starts_with(['\n', '\r']) {
        return;
    }
    let mut at = keyword.end + words.len() + usize::from(has_sign);
    let mut list = Vec::new();
    while list.len() < MOST {
        let start = next_code(text, at);
        let Some(length) = code(text, start) else {
            break;
        };
        list.push(start..start + length);
        at = start + length;
    }
    // One code after a line break may be anything.
    if has_sign || list.len() > 1 {
        for code in list {
            found(&PROSE, code);
        }
    }
}

/// Steps over blanks, line breaks, quotation marks, and the signs and numbers of a list.
fn next_code(text: &Text<'_>, at: usize) -> usize {
    let gap = text.slice(at..at + GAP);
    let signs = |text: &str| {
        let rest = text.trim_start_matches(|c: char| " \t\r\n,;*-|\"'[•".contains(c));
        text.len() - rest.len()
    };
    let start = at + signs(gap);
    let number = text.slice(start..start + 4);
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    let after = number.get(digits..).unwrap_or_default();
    if (1..=2).contains(&digits) && after.starts_with(['.', ')', ':']) {
        let after = start + digits + 1;
        return after + signs(text.slice(after..after + GAP));
    }
    start
}

/// Returns the length of the code at a place: groups of letters and digits.
fn code(text: &Text<'_>, at: usize) -> Option<usize> {
    let shown = text.slice(at..at + LENGTHS.end + 1);
    let is_code = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut length = shown.find(|c| !is_code(c)).unwrap_or(shown.len());
    let code = shown.get(..length).unwrap_or_default();
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    // `1234 5678`.
    let next = shown.get(length + 1..length + 5).unwrap_or_default();
    let ends = |c: Option<char>| c.is_none_or(|c| !is_code(c));
    if code.len() == 4
        && is_number(code)
        && shown
            .get(length..)
            .is_some_and(|rest| rest.starts_with(' '))
        && next.len() == 4
        && is_number(next)
        && ends(shown.get(length + 5..).and_then(|rest| rest.chars().next()))
    {
        length += 5;
    } else {
        let digits = code.bytes().filter(u8::is_ascii_digit).count();
        let groups = code.split('-').all(|group| group.len() >= 3);
        let is_plain = is_number(code);
        let is_code = groups
            && (is_plain && (8..=12).contains(&length) || !is_plain && digits > 1)
            && !code.starts_with("0x");
        if !is_code || !LENGTHS.contains(&length) {
            return None;
        }
    }
    let after = text.byte(at + length);
    let ends = after.is_none_or(|b| b.is_ascii_whitespace() || b",;\"'|].)\\".contains(&b));
    ends.then_some(length)
}
