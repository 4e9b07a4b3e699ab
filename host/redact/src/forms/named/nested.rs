//! Names that stand where a value is expected. The value is then found from the second name.

use super::found_name::Name;
use super::names::Strength;
use super::shape::Style;
use crate::forms::syntax::nth_end;
use crate::text::Text;

/// Returns true if the same name stands where the value is expected. The value is then found from
/// there.
pub(super) fn repeats_name(text: &Text<'_>, name: &Name<'_>, at: usize) -> bool {
    let signs = (0..4)
        .take_while(|offset| {
            text.byte(at + offset)
                .is_some_and(|b| !b.is_ascii_alphanumeric())
        })
        .count();
    let is_name = |at: usize| {
        let end = at + name.text.len();
        text.continues_with(at, name.text)
            && (matches!(text.byte(end), Some(b'=' | b':' | b'\t' | b' ' | b'|'))
                || text.continues_with(end, "%3"))
    };
    (at..=at + signs).any(is_name) || is_full_of(text, name, at)
}

/// Returns true if the word at a place contains the name several times near its beginning. No
/// secret does. A text that consists only of names does, and would otherwise be read again from
/// each name.
fn is_full_of(text: &Text<'_>, name: &Name<'_>, at: usize) -> bool {
    const NEAR: usize = 120;
    const TIMES: usize = 4;
    let end = text.word_end(at).min(at + NEAR);
    if end - at < TIMES * name.text.len() {
        return false;
    }
    let bytes = text.as_str().as_bytes().get(at..end).unwrap_or_default();
    let Some(last) = nth_end(bytes, name.text.as_bytes(), TIMES) else {
        return false;
    };
    // Another value begins after one of these separators and a letter.
    let begins = |pair: &[u8]| match pair {
        [b',' | b';' | b'&', next] => {
            next.is_ascii_alphanumeric() || matches!(next, b'"' | b'\'' | b'_')
        }
        _ => false,
    };
    let near = bytes.get(..last + 1).unwrap_or(bytes);
    !near.windows(2).any(begins)
}

/// Returns true if the first bytes of a value show that it is no secret, but another name with its
/// sign (`key=key=key=`). Applies only to names that need a value that looks random.
pub(super) fn is_hopeless(
    text: &Text<'_>,
    name: &Name<'_>,
    at: usize,
    style: Option<Style>,
) -> bool {
    if name.strength > Strength::Weak && style != Some(Style::Gap) {
        return false;
    }
    let first = text.slice(at..at + 12);
    let first = first.strip_prefix("base64:").unwrap_or(first);
    first.contains(['=', ':', '|'])
}
