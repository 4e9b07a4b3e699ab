//! Known secrets in logs of steps: their encodings, and proof that none of them is left.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// Number of consecutive characters of a secret, or of its encoding, that must not remain.
const WINDOW: usize = 10;

/// Returns a value in six encodings, each with a name: as it is, in base64 alone and within a longer
/// text, in hexadecimal, percent-encoded, and in JSON.
#[must_use]
pub fn encodings(value: &str) -> Vec<(&'static str, String)> {
    let hex = value.bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let percent = value.bytes().fold(String::new(), |mut text, byte| {
        match byte.is_ascii_alphanumeric() {
            true => text.push(char::from(byte)),
            false => write!(text, "%{byte:02X}").unwrap(),
        }
        text
    });
    vec![
        ("raw", value.to_owned()),
        ("base64", STANDARD.encode(value)),
        ("pair", STANDARD.encode(format!("robot:{value}"))),
        ("hex", hex),
        ("percent", percent),
        ("json", serde_json::to_string(value).unwrap()),
    ]
}

/// Returns a log that prints a value in six encodings, one in a line.
#[must_use]
pub fn log_of(value: &str) -> String {
    let lines = encodings(value).into_iter();
    let lines = lines.map(|(name, text)| format!("the {name} form is {text} here\n"));
    lines.collect()
}

/// Asserts that bytes hold no part of a value in any of these encodings.
pub fn assert_absent(place: &str, bytes: &[u8], value: &str) {
    let text = String::from_utf8_lossy(bytes);
    for (name, encoded) in encodings(value) {
        let encoded = encoded.trim_matches('"');
        // Skips the bytes that encode the text before the value.
        let skipped = if name == "pair" { 10 } else { 0 };
        let encoded: Vec<char> = encoded.chars().skip(skipped).collect();
        for part in encoded.windows(WINDOW.min(encoded.len())) {
            let part: String = part.iter().collect();
            assert!(
                !text.contains(&part),
                "{place} holds a part of a value ({name}): {part}"
            );
        }
    }
}
