//! Makes plain lines of a log: without colours, timestamps and control characters, and not too long.

/// Most bytes of a line that are read. Reports of tests have shorter lines, except events of `go test -json` with long outputs.
const MAX_LINE: usize = 16 * 1024;

/// Returns a line without colours, control characters and the timestamp before it. Of a line that overwrote itself, as progress bars do, the
/// last text.
pub(crate) fn plain(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit('\r').next().unwrap_or(line);
    let line = cut(line, MAX_LINE);
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' => plain.push(c),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    without_timestamp(&plain).to_owned()
}

/// Returns the beginning of a text, cut between characters.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// Skips the rest of an escape sequence (ECMA-48): CSI until its final byte, OSC until BEL or ESC, else one character.
fn skip_escape(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('[') => {
            chars.find(|c| ('\u{40}'..='\u{7e}').contains(c));
        }
        Some(']') if chars.find(|c| matches!(c, '\u{7}' | '\u{1b}')) == Some('\u{1b}') => {
            chars.next();
        }
        _ => {}
    }
}

/// Returns what follows a timestamp and one space: `2026-11-22T13:31:16.753Z `, `[2026-11-22 13:31:16] `, `13:31:16 `. Further spaces stay,
/// because some formats need the indentation.
fn without_timestamp(line: &str) -> &str {
    let (inner, is_bracketed) = match line.strip_prefix('[') {
        Some(inner) => (inner, true),
        None => (line, false),
    };
    let time = match digits(inner, &[4, 2, 2], '-') {
        Some(rest) => match rest.strip_prefix(['T', ' ']) {
            Some(time) => time,
            None => return line,
        },
        None => inner,
    };
    let Some(rest) = digits(time, &[2, 2, 2], ':') else {
        return line;
    };
    let rest = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    let rest = zone(rest);
    let rest = match is_bracketed {
        true => rest.strip_prefix(']'),
        false => Some(rest),
    };
    match rest {
        Some("") => "",
        Some(rest) => rest.strip_prefix([' ', '\t']).unwrap_or(line),
        None => line,
    }
}

/// Skips `Z`, `+01:00` or `+0100`.
fn zone(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix('Z') {
        return rest;
    }
    let Some(rest) = text.strip_prefix(['+', '-']) else {
        return text;
    };
    let after = digits(rest, &[2, 2], ':').or_else(|| digits(rest, &[4], ':'));
    after.unwrap_or(text)
}

/// Skips groups of digits with these lengths and a separator between them.
fn digits<'a>(text: &'a str, groups: &[usize], separator: char) -> Option<&'a str> {
    let mut rest = text;
    for (index, length) in groups.iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(separator)?;
        }
        let (group, after) = rest.split_at_checked(*length)?;
        if !group.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        rest = after;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_timestamps_and_control_characters_are_removed() {
        for (line, expected) in [
            ("ok", "ok"),
            ("\u{1b}[1;31mFAILED\u{1b}[0m x\r", "FAILED x"),
            ("\u{1b}]8;;http://a\u{7}link\u{1b}]8;;\u{1b}\\ x", "link x"),
            ("10%\r50%\r100%", "100%"),
            ("a\u{0}b\u{8}c\td", "abc\td"),
            ("2026-11-22T13:31:16.753074Z   ok", "  ok"),
            ("2026-11-22T13:31:16+01:00 ok", "ok"),
            ("[2026-11-22 13:31:16,123] ok", "ok"),
            ("[13:31:16] ok", "ok"),
            ("13:31:16\tok", "ok"),
            ("2026-11-22T13:31:16Z", ""),
            ("2026-11-22 a", "2026-11-22 a"),
            ("13:31:16ok", "13:31:16ok"),
            ("1\u{fc}:31:16 ok", "1\u{fc}:31:16 ok"),
            ("\u{1b}", ""),
            ("\u{1b}[31", ""),
        ] {
            assert_eq!(plain(line), expected, "{line:?}");
        }
        assert_eq!(plain(&"ß".repeat(MAX_LINE)).len(), MAX_LINE);
    }
}
