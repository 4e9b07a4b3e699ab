//! Decodes the words of a text that contain escapes (of percent encoding or JSON), and maps places
//! in a decoded word back to places in the text.

use crate::text::Text;
use std::ops::Range;

/// Beginnings of the escapes of printable ASCII characters, and of line breaks in percent encoding.
pub(crate) const KEYWORDS: &[&str] = &[
    "%0a", "%2", "%3", "%4", "%5", "%7", r"\/", r"\u002", r"\u003", r"\u004", r"\u005", r"\u007",
];

/// Maximum number of backslashes in one escape. JSON in JSON doubles them.
const MAX_BACKSLASHES: usize = 8;

/// Maximum number of times that a word is decoded. An address within an address is encoded twice.
pub(crate) const MAX_DEPTH: usize = 2;

/// Longest part of a word before its first escape, in bytes.
const LEAD: usize = 1024;

/// Longest word in bytes.
const LONGEST: usize = 8 * 1024;

/// Length of most words in bytes.
const USUAL: usize = 64;

/// Shortest decoded word that is searched, in bytes. No credential is shorter.
const SHORTEST: usize = 12;

/// A word that had escapes.
#[derive(Debug)]
pub(crate) struct Word {
    decoded: String,
    /// For each byte of the decoded word, and for its end, the place in the text.
    places: Vec<usize>,
}

impl Word {
    /// Decodes the word whose first escape is at `at`. Returns `None` for a short word, or if `at`
    /// is a later escape of a word, so that each word is decoded once.
    pub(crate) fn at(text: &Text<'_>, at: usize) -> Option<Self> {
        let is_json = text.byte(at) == Some(b'\\');
        let is_backslash = |at: &usize| text.byte(*at) == Some(b'\\');
        let before = (at.saturating_sub(MAX_BACKSLASHES)..=at).rev();
        let backslashes = before.take_while(is_backslash).count();
        // The first backslash of the escape.
        let at = at - backslashes.saturating_sub(1);
        escaped(text, at)?;
        let mut start = at;
        while at - start < LEAD {
            let Some(before) = start.checked_sub(1) else {
                break;
            };
            if escaped(text, before).is_some() {
                return None;
            }
            if !is_word(text, before, is_json) {
                // Another escape: `\n`.
                let is_letter = matches!(text.byte(start), Some(b'n' | b't' | b'r'));
                start += usize::from(is_backslash(&before) && is_letter);
                break;
            }
            start = before;
        }
        let mut decoded = String::with_capacity(USUAL);
        let mut places = Vec::with_capacity(USUAL);
        let mut place = start;
        while place - start < LONGEST {
            if let Some((byte, length)) = escaped(text, place) {
                decoded.push(char::from(byte));
                places.push(place);
                place += length;
            } else if let Some(byte) = text.byte(place).filter(|_| is_word(text, place, is_json)) {
                decoded.push(char::from(byte));
                places.push(place);
                place += 1;
            } else {
                break;
            }
        }
        places.push(place);
        (decoded.len() >= SHORTEST).then_some(Self { decoded, places })
    }

    /// Returns the decoded word.
    pub(crate) fn decoded(&self) -> &str {
        &self.decoded
    }

    /// Returns where a part of the decoded word stands in the text.
    pub(crate) fn source(&self, decoded: Range<usize>) -> Range<usize> {
        let place = |at: usize| self.places.get(at).or(self.places.last()).copied();
        place(decoded.start).unwrap_or_default()..place(decoded.end).unwrap_or_default()
    }
}

/// Returns the printable ASCII character, or the line break, that an escape at a place stands for, and
/// the length of the escape.
fn escaped(text: &Text<'_>, at: usize) -> Option<(u8, usize)> {
    let hex = |at: usize| {
        let digit = |at: usize| char::from(text.byte(at)?).to_digit(16);
        u8::try_from(16 * digit(at)? + digit(at + 1)?).ok()
    };
    match text.byte(at)? {
        b'%' => {
            let byte = hex(at + 1)?;
            (byte.is_ascii_graphic() || matches!(byte, b' ' | b'\n')).then_some((byte, 3))
        }
        b'\\' => {
            let is_backslash = |at: &usize| text.byte(*at) == Some(b'\\');
            let count = (at..at + MAX_BACKSLASHES).take_while(is_backslash).count();
            match text.byte(at + count)? {
                b'/' => Some((b'/', count + 1)),
                b'u' if text.continues_with(at + count + 1, "00") => {
                    let byte = hex(at + count + 3)?;
                    // A quotation mark ends a word, and so does a tag.
                    let is_sign = byte.is_ascii_graphic() && !b"\"'\\<>".contains(&byte);
                    is_sign.then_some((byte, count + 5))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// Returns true if a byte can belong to a word without an escape. Percent encoding leaves few
/// characters unescaped, JSON nearly all.
fn is_word(text: &Text<'_>, at: usize, is_json: bool) -> bool {
    text.byte(at).is_some_and(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'_' | b'.' | b'~' | b'/' | b'+' | b'!' | b'*' | b'%'
            )
            || is_json && matches!(byte, b':' | b'@' | b'=' | b'?' | b'&' | b'#' | b'$' | b';')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::mask;
    use crate::{Engine, Masker, Options, catalog};
    use std::sync::Arc;

    fn encode(text: &str) -> String {
        let one = |byte: u8| {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        };
        text.bytes().map(one).collect()
    }

    /// Escapes the characters that JSON encoders escape: once as in JSON, and twice as in JSON in
    /// JSON.
    fn escape(text: &str) -> [String; 2] {
        let text = text
            .replace('/', r"\/")
            .replace('+', r"\u002B")
            .replace('=', r"\u003d")
            .replace('&', r"\u0026");
        let twice = text.replace('\\', r"\\");
        [text, twice]
    }

    /// Of the examples that encoding changes, at least 97 % are masked: in a query, encoded once
    /// and twice, and in JSON.
    #[test]
    fn encoded_credentials_are_masked() {
        let engine = Engine::new(&Options::default()).unwrap();
        let (mut all, mut found) = (0, 0);
        for template in catalog::kinds().flat_map(|kind| kind.examples) {
            let value = catalog::example(template, 7);
            let other = catalog::example(template, 1007);
            let mut encoded = vec![
                (encode(&value), encode(&other)),
                (encode(&encode(&value)), encode(&encode(&other))),
            ];
            // A backslash in the value itself would be escaped, too.
            if !value.contains('\\') {
                encoded.extend(escape(&value).into_iter().zip(escape(&other)));
            }
            for (encoded, other) in encoded {
                if encoded == value {
                    continue;
                }
                let masked = mask(&engine, &format!("GET /v1?next={encoded}&x=1 200"));
                let left = encoded
                    .as_bytes()
                    .windows(8)
                    .filter_map(|part| std::str::from_utf8(part).ok())
                    .any(|part| !other.contains(part) && masked.contains(part));
                all += 1;
                found += usize::from(!left);
            }
        }
        assert!(all > 500 && found * 100 >= all * 97, "{found} of {all}");
    }

    #[test]
    fn an_encoded_word_is_searched_as_what_it_encodes() {
        let engine = Engine::new(&Options::default()).unwrap();
        let cases = [
            (
                "u=https%3A%2F%2Fci%3Ahunter2222%40git.example.com%2Fx&y",
                "u=https%3A%2F%2Fci%3A[redacted:url-credentials]%40git.example.com%2Fx&y",
            ),
            (
                "q=https%253A%252F%252Fci%253Ahunter2222%2540git.example.com",
                "q=https%253A%252F%252Fci%253A[redacted:url-credentials]%2540git.example.com",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(mask(&engine, text), expected);
            assert_eq!(mask(&engine, expected), expected);
        }
        // JSON, and JSON in JSON.
        let key = "kT7q9ZxWpL3vR8nB5cY2hJ4mQ6sD1fG0aE7uW9bN";
        let key = key.replace("n", "/").replace("W", "+");
        for (slash, plus) in [(r"\/", r"\u002B"), (r"\\\/", r"\\u002b")] {
            let key = key.replace('/', slash).replace('+', plus);
            let text = format!("PUT https:{slash}{slash}ci:{key}@git.example.com{slash}x");
            let masked = mask(&engine, &text);
            assert!(
                !masked.contains("kT7q9Zx") && !masked.contains("Y2hJ4mQ6"),
                "{masked}"
            );
        }
        for text in [
            r#"{"html":"\u003cdiv class=x\u003eTitle\u003c\/div\u003e","url":"https:\/\/example.com\/a\/b"}"#,
            r#"{"query":"a=1\u0026b=2\u0026title=\u003cb\u003e","path":"C:\\users\\u0041bc"}"#,
            "npm http fetch GET 200 https://registry.example.org/@babel%2fhelper-plugin-utils 50ms",
            "GET /search?q=key%3Dvalue%20and%20token%3A%20required 200",
            "https://auth.example.com/token?scope=repository%3Ashop%2Fweb%3Apull&service=x",
            "100%2B of 45%3 and %zz%2 done 99%",
            "pkg:npm/%40angular/core@12.3.1?vcs_url=git%2Bhttps%3A%2F%2Fgit.example.com%2Fx",
        ] {
            assert_eq!(mask(&engine, text), text);
        }
    }

    /// Each word is decoded once, and each byte is looked at a bounded number of times.
    #[test]
    fn a_word_is_decoded_once() {
        let run = "%2B".repeat(20_000);
        let parts = format!("{} {}", "a%3Db".repeat(40), "%C3%A9%2Fabcdefghijkl");
        let json = r"a\/b\u003D\\\/\\u002bc".repeat(1000);
        for (text, words) in [(run, 1), (parts, 2), (json, 1)] {
            let text = Text::new(&text);
            let starts = (0..text.len()).filter(|at| Word::at(&text, *at).is_some());
            assert_eq!(starts.count(), words);
        }
    }

    #[test]
    fn a_stream_gives_what_the_whole_text_gives() {
        let engine = Arc::new(Engine::new(&Options::default()).unwrap());
        let secret = encode("https://ci:kT7/q9+Zx=W@git.example.com/");
        let long = encode(&"ab/+".repeat(4000));
        let line = format!("GET /a?u={secret}&v={long}{secret}&w={secret} 200\n");
        let text = format!("{}{}", "x".repeat(60_000), line.repeat(12));
        let whole = mask(&engine, &text);
        assert!(whole.contains("[redacted:url-credentials]"));
        let mut masker = Masker::new(engine);
        let mut streamed = Vec::new();
        for part in text.as_bytes().chunks(997) {
            masker.push(part, &mut streamed);
        }
        drop(masker.finish(&mut streamed));
        assert!(String::from_utf8(streamed).unwrap() == whole);
    }
}
