//! Percent-encoded words of a text, and the way back from the decoded word to the text.

use crate::text::Text;
use std::ops::Range;

/// Beginnings of the escapes of printable ASCII characters and of line breaks.
pub(crate) const KEYWORDS: &[&str] = &["%0a", "%2", "%3", "%4", "%5", "%7"];

/// Most times that a word is decoded: an address within an address is encoded twice.
pub(crate) const MAX_DEPTH: usize = 2;

/// Longest part of a word before its first escape, in bytes.
const LEAD: usize = 1024;

/// Longest word in bytes.
const LONGEST: usize = 8 * 1024;

/// Length of most words in bytes.
const USUAL: usize = 64;

/// Shortest decoded word that is searched, in bytes. No credential is shorter.
const SHORTEST: usize = 12;

/// A word that was percent-encoded.
#[derive(Debug)]
pub(crate) struct Word {
    decoded: String,
    /// Where each byte of the decoded word, and its end, stands in the text.
    places: Vec<usize>,
}

impl Word {
    /// Decodes the word whose first escape is at `at`. `None` for another escape of a word, so that
    /// each word is decoded once, and for a short word.
    pub(crate) fn at(text: &Text<'_>, at: usize) -> Option<Self> {
        escaped(text, at)?;
        let mut start = at;
        while at - start < LEAD {
            let Some(before) = start.checked_sub(1).filter(|before| is_word(text, *before)) else {
                break;
            };
            if escaped(text, before).is_some() {
                return None;
            }
            start = before;
        }
        let mut decoded = String::with_capacity(USUAL);
        let mut places = Vec::with_capacity(USUAL);
        let mut place = start;
        while place - start < LONGEST {
            if let Some(byte) = escaped(text, place) {
                decoded.push(char::from(byte));
                places.push(place);
                place += 3;
            } else if let Some(byte) = text.byte(place).filter(|_| is_word(text, place)) {
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

/// Returns the printable ASCII character, or the line break, that is encoded at a place.
fn escaped(text: &Text<'_>, at: usize) -> Option<u8> {
    if text.byte(at) != Some(b'%') {
        return None;
    }
    let digit = |at: usize| char::from(text.byte(at)?).to_digit(16);
    let byte = u8::try_from(16 * digit(at + 1)? + digit(at + 2)?).ok()?;
    (byte.is_ascii_graphic() || matches!(byte, b' ' | b'\n')).then_some(byte)
}

/// Returns true for what stands in a percent-encoded word beside escapes.
fn is_word(text: &Text<'_>, at: usize) -> bool {
    text.byte(at).is_some_and(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'_' | b'.' | b'~' | b'/' | b'+' | b'!' | b'*' | b'%'
            )
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

    /// Each example of a kind that has signs is masked in a query, once and twice encoded.
    #[test]
    fn encoded_credentials_are_masked() {
        let engine = Engine::new(&Options::default()).unwrap();
        let (mut all, mut found) = (0, 0);
        for template in catalog::kinds().flat_map(|kind| kind.examples) {
            let once = encode(&catalog::example(template, 7));
            let other = encode(&catalog::example(template, 1007));
            let encoded = [
                (once.clone(), other.clone()),
                (encode(&once), encode(&other)),
            ];
            for (value, other) in encoded {
                if value == catalog::example(template, 7) {
                    continue;
                }
                let masked = mask(&engine, &format!("GET /v1?next={value}&x=1 200"));
                let left = value
                    .as_bytes()
                    .windows(8)
                    .filter_map(|part| std::str::from_utf8(part).ok())
                    .any(|part| !other.contains(part) && masked.contains(part));
                all += 1;
                found += usize::from(!left);
            }
        }
        assert!(all > 150 && found * 100 >= all * 97, "{found} of {all}");
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
        for text in [
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
        for (text, words) in [(run, 1), (parts, 2)] {
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
