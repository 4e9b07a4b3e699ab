//! Quotation marks of any kind and depth: where they open and close.

use super::value::{LONGEST, ends_value};
use crate::text::Text;

/// Maximum number of escaped quotation marks within one value that are skipped.
const MAX_ESCAPES: usize = 64;
/// Most backslashes before a quotation mark.
const MAX_DEPTH: usize = 64;

/// An opening quotation mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quote {
    /// Place after it.
    pub(crate) content: usize,
    pub(super) close: Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// This byte, after so many backslashes.
    Byte(u8, usize),
    /// These texts.
    Text(&'static str),
}

/// Quotation marks that are longer than one byte, with their closing marks.
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

pub(super) fn backslashes_at(text: &Text<'_>, at: usize) -> usize {
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

/// Returns the place of the closing quotation mark, and the place after it.
pub(super) fn closing(text: &Text<'_>, quote: Quote) -> Option<(usize, usize)> {
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
            let mut steps = 0;
            while steps < MAX_ESCAPES {
                // Before the first mark, backslashes may belong to the text before the opening
                // quotation mark. So its result is not remembered.
                if depth == 0 && steps > 0 {
                    let skipped = text.skip_escaped(mark, from, MAX_ESCAPES - steps);
                    if skipped.end > line_end {
                        return None;
                    }
                    steps += skipped.count;
                    from = skipped.end;
                    if steps == MAX_ESCAPES {
                        break;
                    }
                }
                let at = text.find(mark, from).filter(|at| *at < line_end)?;
                let begin = from;
                steps += 1;
                from = at + 1;
                let count = backslashes_before(text, at).min(at - quote.content);
                let is_escaped = if count < depth {
                    // A mark with fewer backslashes closes the text around this quotation, so the
                    // value ends too.
                    return Some((at - count, at));
                } else {
                    let (more, unit) = (count - depth, 2 * (depth + 1));
                    more > 0 && (more < unit || !more.is_multiple_of(unit))
                };
                if is_escaped {
                    // In a shell, a backslash before a single quotation mark means nothing.
                    let shell = mark == b'\'' && depth == 0 && ends_value(text.byte(from));
                    if !shell {
                        if depth == 0 && steps > 1 {
                            text.remember_escaped(mark, begin, at);
                        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Escaped quotation marks that are remembered from other places change no result.
        #[test]
        fn remembered_quotation_marks_change_no_result(
            parts in prop::collection::vec(r#"[\\]{0,3}["',a\n]{1,2}"#, 1..150),
            places in prop::collection::vec(0_usize..400, 1..60),
        ) {
            let text = parts.concat();
            let remembering = Text::new(&text);
            for at in places {
                if let Some(quote) = quote_at(&remembering, at) {
                    let found = closing(&remembering, quote);
                    prop_assert_eq!(found, closing(&Text::new(&text), quote));
                }
            }
        }

        /// The same with a text that contains only escaped quotation marks, more than are skipped.
        #[test]
        fn many_escaped_quotation_marks_change_no_result(
            mark in r#"["']"#,
            places in prop::collection::vec(0_usize..300, 1..60),
        ) {
            let text = format!("\\{mark}a").repeat(100);
            let remembering = Text::new(&text);
            for at in places {
                if let Some(quote) = quote_at(&remembering, at) {
                    let found = closing(&remembering, quote);
                    prop_assert_eq!(found, closing(&Text::new(&text), quote));
                }
            }
        }
    }
}
