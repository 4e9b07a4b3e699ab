//! The lines of an armoured key: base64, in lines of its own, in lines with a prefix, or in one line
//! with escaped line breaks.

use crate::text::Text;
use std::ops::Range;

/// Longest key with its markers, in bytes.
pub(super) const LONGEST: usize = 16 * 1024;

/// Maximum number of unrelated lines between two lines of a key.
const FOREIGN_LINES: usize = 4;

/// Maximum number of headers before the lines of a key.
const HEADERS: usize = 8;

/// Minimum length of a line of a key, in bytes. The last line may be shorter.
pub(super) const SHORT_LINE: usize = 16;

/// Minimum length of a line of a key, in bytes, if nothing else shows that there is a key.
pub(super) const LONG_LINE: usize = 40;

/// What was read of a key.
#[derive(Debug, Default)]
pub(super) struct Body {
    /// The words of base64.
    pub(super) words: Vec<Range<usize>>,
    /// The marker at the end.
    pub(super) end: Option<Range<usize>>,
    /// True if there is other text before or after a word, or a line between the words.
    pub(super) mixed: bool,
}

impl Body {
    /// Returns the part from the first to the last word.
    fn span(&self) -> Option<Range<usize>> {
        Some(self.words.first()?.start..self.words.last()?.end)
    }

    /// Reports the words. If nothing else stands between them, reports one part: from `start` to
    /// the end of the last marker. Otherwise reports each word separately.
    pub(super) fn report(&self, start: Option<usize>, mut report: impl FnMut(Range<usize>)) {
        let Some(span) = self.span() else {
            return;
        };
        if self.mixed {
            self.words.iter().cloned().for_each(report);
        } else {
            let end = self.end.as_ref().map_or(span.end, |marker| marker.end);
            report(start.unwrap_or(span.start)..end);
        }
    }
}

/// Returns the place after blanks and escaped line breaks (`\n`, `\\r\\n`, `\u000a`, `%0A`, `&#10;`).
fn after_breaks(text: &Text<'_>, mut at: usize) -> usize {
    loop {
        let next = match text.byte(at) {
            Some(b' ' | b'\t') => at + 1,
            Some(b'\\') => {
                let mut letter = at;
                while text.byte(letter) == Some(b'\\') && letter - at < 16 {
                    letter += 1;
                }
                match text.byte(letter) {
                    Some(b'n' | b'r' | b't') => letter + 1,
                    Some(b'u') if text.continues_with(letter, "u000") => letter + 5,
                    _ => return at,
                }
            }
            Some(b'%')
                if text.continues_with(at, "%0")
                    && matches!(text.byte(at + 2), Some(b'A' | b'a' | b'D' | b'd')) =>
            {
                at + 3
            }
            Some(b'&') if text.continues_with(at, "&#10;") => at + 5,
            Some(b'&') if text.continues_with(at, "&#xA;") => at + 5,
            _ => return at,
        };
        at = next;
    }
}

/// Returns the place after a line break, also an escaped one, and the blanks around it. Returns `at`
/// if there is none.
pub(super) fn after_line_break(text: &Text<'_>, at: usize) -> usize {
    let is_blank = |byte: u8| byte.is_ascii_whitespace();
    let mut end = after_breaks(text, at);
    while end - at < 64 && text.byte(end).is_some_and(is_blank) {
        end = after_breaks(text, end + 1);
    }
    let broken = text.slice(at..end).contains(|c| !matches!(c, ' ' | '\t'));
    if broken { end } else { at }
}

/// Returns the end of the base64 from `at` on. `%2B`, `%2F` and `%3D` stand for its signs in URLs.
fn word_end(text: &Text<'_>, at: usize, limit: usize) -> usize {
    let mut end = at;
    while end < limit {
        match text.byte(end) {
            Some(byte) if is_base64(byte) => end += 1,
            Some(b'%')
                if matches!(
                    text.slice(end + 1..end + 3),
                    "2B" | "2b" | "2F" | "2f" | "3D" | "3d"
                ) =>
            {
                end += 3;
            }
            _ => break,
        }
    }
    end
}

/// Reads the words of a key from `at`, the place after its first marker. `end_marker` returns the
/// last marker if it begins at the given place.
pub(super) fn read(
    text: &Text<'_>,
    at: usize,
    end_marker: impl Fn(&Text<'_>, usize) -> Option<Range<usize>>,
) -> Body {
    let limit = at.saturating_add(LONGEST).min(text.len());
    let mut body = Body::default();
    let mut at = at;
    // The rest of the line of the marker.
    while at < limit {
        at = after_breaks(text, at);
        if let Some(marker) = end_marker(text, at) {
            body.end = Some(marker);
            return body;
        }
        if body.words.is_empty()
            && let Some(end) = header_end(text, at)
        {
            at = end;
            continue;
        }
        let end = word_end(text, at, limit);
        if end == at {
            break;
        }
        body.words.push(at..end);
        at = end;
    }
    let clean = is_decoration(text.slice(at..text.line_end(at)));
    let continues = clean && strict(text, &body.words);
    if !body.words.is_empty() && !continues {
        body.words.truncate(strict_words(text, &body.words));
        return body;
    }
    read_lines(
        text,
        text.line_end(at) + 1,
        limit,
        clean,
        &end_marker,
        &mut body,
    );
    body
}

/// Reads the lines of a key.
fn read_lines(
    text: &Text<'_>,
    mut at: usize,
    limit: usize,
    clean: bool,
    end_marker: &impl Fn(&Text<'_>, usize) -> Option<Range<usize>>,
    body: &mut Body,
) {
    let least = if clean { SHORT_LINE } else { LONG_LINE };
    let mut foreign = 0;
    let mut headers = 0;
    let mut last_line = None;
    while at < limit {
        let end = text.line_end(at).min(limit);
        let line = text.slice(at..end);
        let shown = line.trim_end();
        let place = shown.find("----").or_else(|| shown.find("Private-"));
        let marker = place.and_then(|offset| Some((offset, end_marker(text, at + offset)?)));
        if let Some((offset, marker)) = marker {
            body.words.extend(last_line.take());
            body.mixed |= !is_decoration(text.slice(at..at + offset));
            body.end = Some(marker);
            return;
        }
        if shown.contains("----") {
            break;
        }
        let first = body.words.is_empty();
        if let Some(word) = key_word(line, if foreign > 0 { LONG_LINE } else { least }) {
            let word = at + word.start..at + word.end;
            body.mixed |= foreign > 0 && !first;
            body.mixed |= !is_decoration(text.slice(at..word.start))
                || !is_decoration(text.slice(word.end..end));
            body.words.push(word);
            foreign = 0;
            last_line = None;
        } else if is_decoration(line) {
        } else if first && headers < HEADERS && header_end(text, at).is_some() {
            headers += 1;
        } else if let Some(word) = last_word(line).filter(|_| !first && foreign == 0) {
            // Either the last line of the key (if the marker follows), or its checksum.
            let word = at + word.start..at + word.end;
            if text.byte(word.start) == Some(b'=') {
                body.words.extend(last_line.take());
            }
            body.mixed |= !is_decoration(text.slice(at..word.start));
            if end >= text.len() {
                body.words.push(word);
                return;
            }
            if last_line.is_some() {
                foreign += 1;
            }
            last_line = Some(word);
        } else {
            last_line = None;
            foreign += 1;
            if foreign > FOREIGN_LINES || (first && foreign > 1) {
                break;
            }
        }
        at = end + 1;
    }
}

/// Returns the end of a header of a key (`Proc-Type: 4,ENCRYPTED`, `Version: GnuPG`) at `at`.
fn header_end(text: &Text<'_>, at: usize) -> Option<usize> {
    let name = text.slice(at..at + 32);
    let (name, _) = name.split_once(": ")?;
    let name = name.trim_start_matches([' ', '\t']);
    let is_name = name.len() >= 3 && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
    let rest = text.slice(at..at + 160);
    let end = rest.find(['\\', '\n', '\r']).unwrap_or(rest.len());
    (is_name && end > 0).then_some(at + end)
}

/// Returns the number of words at the beginning that are certainly parts of a key.
fn strict_words(text: &Text<'_>, words: &[Range<usize>]) -> usize {
    let is_strict = |word: &&Range<usize>| is_key(text.slice((*word).clone()), LONG_LINE);
    let strict = words.iter().take_while(is_strict).count();
    // The text ends within a line of the key, so the last word may be short.
    match words.get(strict) {
        Some(last) if strict > 0 && words.len() == strict + 1 && last.end >= text.len() => {
            strict + 1
        }
        _ => strict,
    }
}

fn strict(text: &Text<'_>, words: &[Range<usize>]) -> bool {
    words
        .first()
        .is_some_and(|word| is_key(text.slice(word.clone()), SHORT_LINE))
}

/// Returns the longest word of base64 in a line, if it looks like a part of a key and has `least`
/// bytes or more.
pub(super) fn key_word(line: &str, least: usize) -> Option<Range<usize>> {
    let bytes = line.as_bytes();
    let mut longest = 0..0;
    let mut start = None;
    for (at, byte) in bytes.iter().enumerate() {
        // Padding is at the end of a word.
        if is_base64(*byte) && !(start.is_none() && *byte == b'=') {
            start = start.or(Some(at));
        } else if let Some(begin) = start.take()
            && at - begin > longest.len()
        {
            longest = begin..at;
        }
    }
    if let Some(begin) = start
        && bytes.len() - begin > longest.len()
    {
        longest = begin..bytes.len();
    }
    let word = line.get(longest.clone())?;
    is_key(word, least).then_some(longest)
}

/// Returns the last word of a line, if it is base64.
pub(super) fn last_word(line: &str) -> Option<Range<usize>> {
    let shown = line.trim_end_matches(|c: char| is_decorative(c) && c != '+');
    let shown = shown.strip_suffix("\\n").unwrap_or(shown);
    let start = shown
        .bytes()
        .rposition(|byte| !is_base64(byte))
        .map_or(0, |place| place + 1);
    let is_word = start < shown.len()
        && shown
            .get(..start)
            .is_some_and(|before| before.is_empty() || before.ends_with(is_decorative));
    is_word.then_some(start..shown.len())
}

/// Returns true if a word of base64 looks like a part of a key: long enough, letters of both cases,
/// a digit or a sign in shorter words, and not a path.
pub(super) fn is_key(word: &str, least: usize) -> bool {
    let count = |is: fn(&u8) -> bool| word.as_bytes().iter().filter(|byte| is(byte)).count();
    let slashes = count(|b| *b == b'/');
    word.len() >= least
        && count(u8::is_ascii_uppercase) > 1
        && count(u8::is_ascii_lowercase) > 1
        && (word.len() >= LONG_LINE || count(|b| !b.is_ascii_alphabetic()) > 0)
        && slashes <= 2 + word.len() / 16
}

/// Returns true for text that stands around lines of a key in sources and lists: blanks, quotation
/// marks, `\n`, `+`.
pub(super) fn is_decoration(text: &str) -> bool {
    let text = text.trim_matches(is_decorative);
    text.is_empty() || text == "n" || text == "r\\n"
}

fn is_decorative(c: char) -> bool {
    c.is_ascii_whitespace()
        || matches!(
            c,
            '"' | '\'' | '+' | ',' | ';' | '\\' | '|' | '>' | '#' | ')'
        )
}

pub(super) fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}
