//! Escapes untrusted text for a terminal. A tenant who can create a Pod chooses names, reasons and
//! logs. Control characters in them would move the cursor, change colors or the title of the
//! terminal, forge lines, or reverse the order of text.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Returns whether a terminal acts on a character instead of showing it: control characters, separators of
/// lines and paragraphs, and characters that change the direction of text or have no width.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn escaped<'a>(
    text: &'a str,
    kept: &[char],
    escape: impl Fn(char, &mut String) -> fmt::Result,
) -> Cow<'a, str> {
    let changes = |c: char| is_hidden(c) && !kept.contains(&c);
    if !text.contains(changes) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match changes(c) {
            // Writing to a String cannot fail.
            true => escape(c, &mut clean).unwrap_or_default(),
            false => clean.push(c),
        }
    }
    clean.into()
}

/// Writes a character as an escape sequence of Rust, such as `\n` or `\u{1b}`.
fn write_escape(c: char, to: &mut impl Write) -> fmt::Result {
    match c {
        '\n' | '\r' | '\t' => write!(to, "{}", c.escape_default()),
        c => write!(to, "{}", c.escape_unicode()),
    }
}

/// Escapes a text that is shown within a line. Line breaks are escaped, too.
#[must_use]
pub fn escape_line(text: &str) -> Cow<'_, str> {
    escaped(text, &[], write_escape)
}

/// Escapes a text of several lines, such as an error with its remedy. Line breaks and tabs stay.
#[must_use]
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    escaped(text, &['\n', '\t'], write_escape)
}

/// Escapes a JSON text without changing its meaning. Whitespace between its values stays.
#[must_use]
pub fn escape_json(text: &str) -> Cow<'_, str> {
    escaped(text, &['\n', '\r', '\t'], |c, to| {
        let mut units = [0; 2];
        c.encode_utf16(&mut units)
            .iter()
            .try_for_each(|unit| write!(to, "\\u{unit:04x}"))
    })
}

/// Writer that escapes the written text like [`escape_line`].
#[derive(Debug)]
pub struct LineEscaper<W>(pub W);

impl<W: Write> Write for LineEscaper<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&escape_line(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\r\n\t\u{9b}31m\u{7f}\u{202e}b\u{e0041}é 日本 👩\u{200d}🚀";

    #[test]
    fn control_sequences_are_escaped_and_all_else_stays() {
        assert_eq!(
            escape_line(HOSTILE),
            "a\\u{1b}[2J\\r\\n\\t\\u{9b}31m\\u{7f}\\u{202e}b\\u{e0041}é 日本 👩\u{200d}🚀"
        );
        assert_eq!(escape_lines("a\n\tb\r\u{7}"), "a\n\tb\\r\\u{7}");
        assert!(matches!(escape_line("nothing to do"), Cow::Borrowed(_)));
        let mut through = LineEscaper(String::new());
        write!(through, "{HOSTILE}").unwrap();
        assert_eq!(through.0, escape_line(HOSTILE));
    }

    #[test]
    fn json_means_the_same_afterwards() {
        let value = serde_json::json!({"name": HOSTILE, HOSTILE: [HOSTILE]});
        for text in [value.to_string(), format!("{value:#}")] {
            let clean = escape_json(&text);
            assert!(!clean.contains(|c| is_hidden(c) && c != '\n'), "{clean}");
            let read: serde_json::Value = serde_json::from_str(&clean).unwrap();
            assert_eq!(read, value);
        }
    }
}
