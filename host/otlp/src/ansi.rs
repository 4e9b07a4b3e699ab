//! Removes the escape codes of terminals (ECMA-48) from logs: colours, cursor movements, titles.

use std::borrow::Cow;

const ESCAPE: char = '\u{1b}';
const BELL: char = '\u{7}';
/// Control Sequence Introducer as one character (ECMA-48 §5.4).
const CSI: char = '\u{9b}';
/// Operating System Command as one character.
const OSC: char = '\u{9d}';
/// String Terminator as one character.
const ST: char = '\u{9c}';

/// Returns the text without escape codes. Of a code that is not complete only its introducer is
/// removed, so that it hides no text: above all, no code reaches beyond its line.
pub(crate) fn strip(text: &str) -> Cow<'_, str> {
    if !text.contains([ESCAPE, CSI, OSC, ST]) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, code)) = split_at_code(rest) {
        plain.push_str(before);
        rest = after_code(code);
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

fn split_at_code(text: &str) -> Option<(&str, &str)> {
    text.split_at_checked(text.find([ESCAPE, CSI, OSC, ST])?)
}

/// Returns what follows the code at the beginning of the text.
fn after_code(text: &str) -> &str {
    let mut chars = text.chars();
    match chars.next() {
        Some(CSI) => after_sequence(chars.as_str()),
        Some(OSC) => after_string(chars.as_str()),
        Some(ESCAPE) => match chars.next() {
            Some('[') => after_sequence(chars.as_str()),
            // Operating system command, device control, start of string, privacy message, application
            // program command: all end with a string terminator.
            Some(']' | 'P' | 'X' | '^' | '_') => after_string(chars.as_str()),
            // Intermediate characters, then the final one (ECMA-35 §13.2), such as the choice of a
            // character set.
            Some(' '..='/') => {
                let end = chars
                    .as_str()
                    .trim_start_matches(|char| matches!(char, ' '..='/'));
                end.strip_prefix(|char| matches!(char, '0'..='~'))
                    .unwrap_or(chars.as_str())
            }
            Some('0'..='~') => chars.as_str(),
            // Nothing of the code is left but its introducer.
            _ => text.strip_prefix(ESCAPE).unwrap_or_default(),
        },
        _ => chars.as_str(),
    }
}

/// Skips parameters, intermediate characters and the final character of a control sequence
/// (ECMA-48 §5.4).
fn after_sequence(text: &str) -> &str {
    let end = text.trim_start_matches(|char| matches!(char, '0'..='?'));
    let end = end.trim_start_matches(|char| matches!(char, ' '..='/'));
    end.strip_prefix(|char| matches!(char, '@'..='~'))
        .unwrap_or(text)
}

/// Skips a string up to its terminator in the same line. Terminals accept BEL, too (xterm, "Operating
/// System Commands").
fn after_string(text: &str) -> &str {
    let end = text.find(['\n', BELL, ST, ESCAPE]);
    let Some((_, end)) = end.and_then(|at| text.split_at_checked(at)) else {
        return text;
    };
    let terminated = end.strip_prefix("\u{1b}\\");
    terminated
        .or_else(|| end.strip_prefix([BELL, ST]))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_are_removed_and_text_stays() {
        for (text, expected) in [
            ("plain é\n", "plain é\n"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{9b}31mred\u{1b}[m", "red"),
            ("\u{1b}[?25l\u{1b}[2K\rprogress", "\rprogress"),
            ("\u{1b}]0;title\u{7}text", "text"),
            (
                "\u{1b}]8;;https://a.example\u{1b}\\link\u{1b}]8;;\u{1b}\\",
                "link",
            ),
            ("\u{9d}0;title\u{9c}text", "text"),
            ("\u{1b}Pq#0\u{1b}\\text", "text"),
            ("\u{1b}(Btext\u{1b}7\u{1b}=", "text"),
            // Not complete: the text stays.
            ("\u{1b}[31", "31"),
            ("\u{1b}[31\nnext", "31\nnext"),
            ("\u{1b}]0;title\nnext\u{7}", "0;title\nnext\u{7}"),
            ("\u{1b}]0;title\u{1b}[0mtext", "0;titletext"),
            ("\u{1b}", ""),
            ("\u{1b}\ntext", "\ntext"),
            ("\u{1b}\u{1b}[0mtext", "text"),
            ("\u{1b}étext", "étext"),
            ("\u{1b}(\ntext", "\ntext"),
        ] {
            assert_eq!(strip(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_code_is_left_and_no_line_is_lost(text in "([a-z0-9;?é \n\\[\\]\\(m\\\\\u{7}]|\u{1b}|\u{1b}\\[|\u{9b}|\u{9c}|\u{9d}){0,40}") {
            let plain = strip(&text);
            prop_assert!(!plain.contains([ESCAPE, CSI, OSC, ST]));
            prop_assert_eq!(plain.matches('\n').count(), text.matches('\n').count());
            prop_assert_eq!(strip(&plain), plain.clone());
            // What is left is a part of the text, in its order.
            let mut all = text.chars();
            prop_assert!(plain.chars().all(|char| all.any(|other| other == char)));
        }

        #[test]
        fn text_without_codes_is_not_changed(text in "[^\u{1b}\u{9b}\u{9c}\u{9d}]{0,60}") {
            prop_assert_eq!(&*strip(&text), &*text);
        }
    }
}
