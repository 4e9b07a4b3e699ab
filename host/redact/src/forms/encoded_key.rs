//! Private keys in base64, and JSON Web Keys.

use super::armor;
use super::plausible::stays;
use super::syntax::again;
use super::{Detector, Form, Found, pem};
use crate::text::Text;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::ops::Range;

/// Secret member of a JSON Web Key.
pub(super) static JWK: Form = Form {
    id: "json-web-key",
    title: "secret member of a JSON Web Key (d, p, q, dp, dq, qi, k)",
    examples: &[
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"→nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A←"}"#,
        r#"{\"k\":\"→AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ←\",\"kty\":\"oct\"}"#,
    ],
};

/// A key or registry credentials in base64.
pub(super) static ENCODED: Form = Form {
    id: "encoded-credentials",
    title: "private key, or credentials of a container registry, as a file in base64",
    examples: &[
        "KEY_B64: →LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1JSUV2UUlCQURBTkJna3Foa2lHOXcwQkFRRUZBQQo=←",
        "eyJ is no key, →eyJhdXRocyI6eyJyLmV4YW1wbGUuY29tIjp7ImF1dGgiOiJZMms2YUhWdWRHVnkifX19← is",
    ],
};

pub(super) static FORMS: &[&Form] = &[&JWK, &ENCODED];

pub(super) static DETECTORS: &[Detector] = &[
    Detector {
        keywords: &["kty\"", "kty\\", "kty'"],
        detect: jwk,
    },
    Detector {
        // Beginnings of keys in base64: `-----BEGIN`, `PuTTY-User-Key-File`, and `-----BEGIN`
        // encoded twice.
        keywords: &[
            "ls0tls1crudjti",
            "uhvuvfktvxnlci1lzxktrmls",
            "tfmwdextmunsvwrkvgl",
        ],
        detect: encoded_key,
    },
    Detector {
        // Beginnings of files in base64: `{"auths`, `{ "auths`, `{\n  "auths`, `{\n\t"auths` and
        // `{"credsStore":`. Also of the passwords of ECR (`{"payload":"`), alone and after `AWS:`.
        keywords: &[
            "eyjhdxrocy",
            "eyaiyxv0ahmi",
            "ewogicjhdxrocyi",
            "ewojimf1dghzij",
            "ewogicagimf1dghzij",
            "eyjwyxlsb2fkijoi",
            "qvdtomv5sndzwgxzyjjga0lqb2",
            "eyjjcmvkc1n0b3jlijo",
        ],
        detect: encoded_file,
    },
];

/// Longest JSON Web Key in bytes.
const LONGEST_JWK: usize = 8 * 1024;

/// Shortest one, in bytes.
const SHORTEST_JWK: usize = 32;

/// Masks the secret members beside `kty`.
fn jwk(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let ends = |byte: u8| matches!(byte, b'{' | b'}');
    let floor = keyword.start.saturating_sub(LONGEST_JWK);
    let mut start = keyword.start;
    while start > floor && !text.byte_before(start).is_some_and(ends) {
        start -= 1;
        // Another key has begun there.
        if start + 1 < keyword.start
            && text.byte(start) == Some(b't')
            && text.slice(start.saturating_sub(1)..start + 2) == "kty"
        {
            return;
        }
    }
    let limit = keyword.end.saturating_add(LONGEST_JWK).min(text.len());
    let mut end = keyword.end;
    while end < limit && !text.byte(end).is_some_and(ends) {
        // Another key has begun there.
        if text.continues_with(end, "kty") {
            break;
        }
        end += 1;
    }
    let object = text.slice(start..end);
    if object.len() < SHORTEST_JWK {
        return;
    }
    for name in ["d", "p", "q", "dp", "dq", "qi", "k"] {
        for mark in ['"', '\''] {
            let member = format!("{mark}{name}");
            for (at, _) in object.match_indices(&member) {
                let after = start + at + member.len();
                if let Some(value) = super::syntax::value_after(text, after)
                    && value.quoted
                    && is_base64url(text.slice(value.range.clone()))
                {
                    found(&JWK, value.range);
                }
            }
        }
    }
}

fn is_base64url(value: &str) -> bool {
    value.len() >= 16
        && !stays(value)
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'='))
}

/// Returns the words of base64 from `at` on, one for each line. All lines but the last must be
/// equally long.
fn wrapped(text: &Text<'_>, at: usize) -> Vec<Range<usize>> {
    let limit = at.saturating_add(armor::LONGEST * 2).min(text.len());
    let is_part = |byte: u8| armor::is_base64(byte) || matches!(byte, b'-' | b'_');
    let run = |from: usize| {
        let mut end = from;
        while end < limit && text.byte(end).is_some_and(|b| is_part(b) && b != b'=') {
            end += 1;
        }
        while end < limit && text.byte(end) == Some(b'=') {
            end += 1;
        }
        end
    };
    let first = at..run(at);
    let width = first.len();
    let mut words = Vec::from([first]);
    loop {
        let last = words.last().map_or(at, |word| word.end);
        // A short line, or padding, is the last one.
        let full = words.last().is_some_and(|word| word.len() == width);
        if !full || text.byte_before(last) == Some(b'=') || last >= limit {
            return words;
        }
        let next = armor::after_line_break(text, last);
        let end = run(next);
        if next == last || end == next || end - next > width || end - next < 2 {
            return words;
        }
        let alone = !text.byte(end).is_some_and(|b| b.is_ascii_graphic())
            || matches!(text.byte(end), Some(b'"' | b'\'' | b'\\'));
        if !alone {
            return words;
        }
        words.push(next..end);
    }
}

fn begins_word(text: &Text<'_>, at: usize) -> bool {
    !text
        .byte_before(at)
        .is_some_and(|byte| byte != b'=' && armor::is_base64(byte))
        || crate::kind::is_free_before(text, at)
}

/// Masks a private key that is encoded in base64, once or twice.
fn encoded_key(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    if !begins_word(text, keyword.start) || again(text, &keyword, usize::MAX) {
        return;
    }
    let words = wrapped(text, keyword.start);
    let joined: String = words.iter().map(|word| text.slice(word.clone())).collect();
    let mut decoded = decode(joined.as_bytes());
    if decoded.starts_with(b"LS0t") {
        decoded = decode(&decoded);
    }
    let is_private = |part: &str| memchr::memmem::find(&decoded, part.as_bytes()).is_some();
    if is_private("PRIVATE KEY") || is_private("PuTTY-User-Key-File") {
        report(&words, &mut |range| found(&pem::PRIVATE_KEY, range));
    }
}

/// Decodes as much as can be decoded.
fn decode(base64: &[u8]) -> Vec<u8> {
    let mut text: Vec<u8> = base64
        .iter()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .take_while(|byte| *byte != b'=')
        .collect();
    text.truncate(text.len() / 4 * 4);
    STANDARD_NO_PAD.decode(text).unwrap_or_default()
}

/// Masks a base64-encoded file with credentials of a container registry.
fn encoded_file(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    if begins_word(text, keyword.start) && !again(text, &keyword, usize::MAX) {
        let words = wrapped(text, keyword.start);
        if words.first().is_some_and(|word| word.len() >= 32) {
            report(&words, &mut |range| found(&ENCODED, range));
        }
    }
}

fn report(words: &[Range<usize>], found: &mut dyn FnMut(Range<usize>)) {
    if let (Some(first), Some(last)) = (words.first(), words.last()) {
        found(first.start..last.end);
    }
}
