//! Private keys in PEM and its relatives: OpenSSH, OpenPGP, SSH2, PuTTY.

use super::armor::{
    self, Body, LONG_LINE, LONGEST, SHORT_LINE, is_decoration, key_word, last_word,
};
use super::syntax::again;
use super::{Detector, Form, Found};
use crate::text::Text;
use std::ops::Range;

/// A private key.
pub(super) static PRIVATE_KEY: Form = Form {
    id: "private-key",
    title: "private key: PEM, OpenSSH, OpenPGP, SSH2, PuTTY, also in one line, in JSON, or in base64",
    examples: &[
        concat!(
            "→-----BEGIN RSA PRIV",
            "ATE KEY-----\nMIIEogIBAAKCAQEAu5mVxJ8n2bqZ0cLr4tW6yH3kPqRsTuVwXyZ0a1b2c3d4e5f6\n",
            "g7h8i9j0KlMnOpQrStUvWxYz==\n-----END RSA PRIV",
            "ATE KEY-----←\n"
        ),
        concat!(
            "{\"key\": \"→-----BEGIN PRIV",
            "ATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\\n",
            "-----END PRIV",
            "ATE KEY-----←\\n\"}"
        ),
        concat!(
            "12:01:02 -----BEGIN EC PRIV",
            "ATE KEY-----\n12:01:02 →MHcCAQEEIBkg4Lvjk1uE1n0pW4mZsYqTf8aR2xVbC9dEfGhIjKlMnOpQ==←\n",
            "12:01:03 -----END EC PRIV",
            "ATE KEY-----\n"
        ),
        concat!(
            "PuTTY-User-Key-File-3: ssh-ed25519\nPriv",
            "ate-Lines: 1\n",
            "→AAAAIEx4Bz0kq5rT7uVwXyZ1a2B3c4D5e6F7g8H9i0Jk←\nPriv",
            "ate-MAC: 00\n"
        ),
    ],
};

/// The second half of a private key.
pub(super) static PRIVATE_KEY_REST: Form = Form {
    id: "private-key-rest",
    title: "rest of a private key whose beginning is missing",
    examples: &[concat!(
        "→g7h8i9j0KlMnOpQrStUvWxYzMIIEogIBAAKCAQEAu5mVxJ8n2bqZ0cLr4tW6yH3k\nPqRsTuVw\n",
        "-----END RSA PRIV",
        "ATE KEY-----←\n"
    )],
};

pub(super) static FORMS: &[&Form] = &[&PRIVATE_KEY, &PRIVATE_KEY_REST];

pub(super) static DETECTORS: &[Detector] = &[
    Detector {
        keywords: &["private key", "private+key", "private%20key"],
        detect: marker,
    },
    Detector {
        keywords: &["private-lines:"],
        detect: putty,
    },
];

/// Line that begins or ends a key.
struct Marker {
    is_end: bool,
    range: Range<usize>,
}

fn marker(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    match parse_marker(text, &keyword) {
        Some(marker) if marker.is_end => rest(text, marker.range, found),
        Some(marker) => block(text, &marker.range, found),
        None => {}
    }
}

/// Reads `-----BEGIN … PRIVATE KEY-----` around the keyword, which is its last two words. In
/// queries, `+` or `%20` stands for a blank.
fn parse_marker(text: &Text<'_>, keyword: &Range<usize>) -> Option<Marker> {
    let is_label = |byte: u8| {
        byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b' ' | b'+' | b'%')
    };
    let mut start = keyword.start;
    while keyword.start - start < 64 && text.byte_before(start).is_some_and(is_label) {
        start -= 1;
    }
    let label = text.slice(start..keyword.start);
    let label = label.trim_start_matches([' ', '+']);
    let is_end = label.starts_with("END");
    if !is_end && !label.starts_with("BEGIN") {
        return None;
    }
    let dashes = |at: usize| text.byte(at) == Some(b'-');
    let mut begin = start;
    while begin > 0 && start - begin < 8 && dashes(begin - 1) {
        begin -= 1;
    }
    let mut after = keyword.end;
    for block in [" BLOCK", "+BLOCK", "%20BLOCK"] {
        if text.continues_with(after, block) {
            after += block.len();
        }
    }
    while matches!(text.byte(after), Some(b' ' | b'+')) {
        after += 1;
    }
    let mut end = after;
    while end - after < 8 && dashes(end) {
        end += 1;
    }
    (start - begin >= 4 && end - after >= 4).then_some(Marker {
        is_end,
        range: begin..end,
    })
}

/// Returns the marker at the end of a key, if it begins at `at`.
fn end_marker(text: &Text<'_>, at: usize) -> Option<Range<usize>> {
    if !text.continues_with(at, "----") {
        return None;
    }
    let near = text.slice(at..at + 96);
    let label = near.trim_start_matches('-').trim_start_matches([' ', '+']);
    if !label.starts_with("END") {
        return None;
    }
    let word = ["PRIVATE KEY", "PRIVATE+KEY", "PRIVATE%20KEY"]
        .iter()
        .find_map(|word| Some(near.find(word)?..near.find(word)? + word.len()))?;
    let marker = parse_marker(text, &(at + word.start..at + word.end))?;
    (marker.range.start == at).then_some(marker.range)
}

/// Masks a key from its first line on.
fn block(text: &Text<'_>, begin: &Range<usize>, found: &mut Found<'_>) {
    let body = armor::read(text, begin.end, end_marker);
    let is_key = |word: &Range<usize>| {
        word.len()
            >= if body.end.is_some() {
                SHORT_LINE
            } else {
                LONG_LINE
            }
    };
    if body.words.iter().any(is_key) {
        body.report(Some(begin.start), |range| found(&PRIVATE_KEY, range));
    }
}

/// Masks the lines before the last line of a key, unless its first line is there, too.
fn rest(text: &Text<'_>, end: Range<usize>, found: &mut Found<'_>) {
    let line = text.line_start(end.start);
    let mut body = Body::default();
    if is_decoration(text.slice(line..end.start)) || text.byte_before(end.start) == Some(b' ') {
        if end.start - line > LONGEST || read_back(text, line, &mut body).is_none() {
            return;
        }
        body.mixed |= !is_decoration(text.slice(line..end.start));
    } else {
        // In one line, with escaped line breaks.
        let floor = end.start.saturating_sub(LONGEST).max(line);
        let is_part = |byte: u8| armor::is_base64(byte) || matches!(byte, b'\\' | b'%');
        let mut start = end.start;
        while start > floor && text.byte_before(start).is_some_and(is_part) {
            start -= 1;
        }
        if text.byte_before(start) == Some(b'-') {
            return;
        }
        body.words.push(start..end.start);
    }
    body.end = Some(end);
    if body
        .words
        .iter()
        .any(|word| armor::is_key(&text.slice(word.clone()).replace('\\', "+"), 32))
    {
        body.report(None, |range| found(&PRIVATE_KEY_REST, range));
    }
}

/// Reads the lines of a key before `line`, the start of a line. Returns `None` if the first line of
/// the key is reached.
fn read_back(text: &Text<'_>, line: usize, body: &mut Body) -> Option<()> {
    let mut start = line;
    let mut short = 0;
    while start > 0 && line - start < LONGEST {
        let end = start - 1;
        start = text.line_start(end);
        if line - start > LONGEST {
            break;
        }
        let shown = text.slice(start..end);
        if shown.contains("----") {
            let is_begin = shown.contains("BEGIN") && shown.contains("PRIVATE KEY");
            if is_begin {
                return None;
            }
            break;
        }
        let word = match key_word(shown, SHORT_LINE) {
            Some(word) => word,
            None if is_decoration(shown) => continue,
            // The last line of the key, its checksum, or the rest of a line at the start of the text.
            None if short < 2 || start == 0 => match last_word(shown) {
                Some(word) => word,
                None => break,
            },
            None => break,
        };
        if !armor::is_key(text.slice(start + word.start..start + word.end), SHORT_LINE) {
            short += 1;
        } else {
            short = short.max(2);
        }
        body.mixed |= !is_decoration(text.slice(start..start + word.start))
            || !is_decoration(text.slice(start + word.end..end));
        body.words.insert(0, start + word.start..start + word.end);
    }
    Some(())
}

/// Masks the private lines of a PuTTY key file.
fn putty(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    if again(text, &keyword, usize::MAX) {
        return;
    }
    let mut at = keyword.end;
    while matches!(text.byte(at), Some(b' ' | b'0'..=b'9')) && at - keyword.end < 8 {
        at += 1;
    }
    let mac = |text: &Text<'_>, at: usize| text.continues_with(at, "Private-").then_some(at..at);
    let mut body = armor::read(text, at, mac);
    body.end = None;
    if body.words.iter().any(|word| word.len() >= SHORT_LINE) {
        body.report(None, |range| found(&PRIVATE_KEY, range));
    }
}
