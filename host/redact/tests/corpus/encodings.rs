//! Encodings in which logs show known values.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write as _;

/// An encoding: its name, and the function that encodes a text.
pub(crate) type Encoding = (&'static str, fn(&str) -> String);

/// All encodings.
pub(crate) const ENCODINGS: &[Encoding] = &[
    ("raw", str::to_owned),
    ("base64", |value| STANDARD.encode(value)),
    ("base64 after 1 byte", |value| {
        STANDARD.encode(format!(":{value}"))
    }),
    ("base64 after 2 bytes", |value| {
        STANDARD.encode(format!("u:{value}@host"))
    }),
    ("base64 without padding", |value| {
        STANDARD_NO_PAD.encode(value)
    }),
    ("base64 for URLs", |value| {
        URL_SAFE.encode(format!("??>{value}"))
    }),
    ("base64 for URLs, no padding", |value| {
        URL_SAFE_NO_PAD.encode(value)
    }),
    ("base64, wrapped", |value| {
        wrap(
            &STANDARD.encode(format!("user: ci, password: {value}, host: db")),
            20,
        )
    }),
    ("base64 twice", |value| {
        STANDARD.encode(STANDARD.encode(format!("u:{value}")))
    }),
    ("base64 of UTF-16", |value| {
        let bytes: Vec<u8> = value.encode_utf16().flat_map(u16::to_le_bytes).collect();
        STANDARD.encode(bytes)
    }),
    ("hexadecimal", |value| hex(value, "", false)),
    ("HEXADECIMAL", |value| hex(value, "", true)),
    ("hexadecimal, \\x", |value| hex(value, "\\x", false)),
    ("percent", |value| {
        utf8_percent_encode(value, NON_ALPHANUMERIC).to_string()
    }),
    ("percent, lower case", |value| {
        let mut text = String::new();
        for byte in value.bytes() {
            match byte.is_ascii_alphanumeric() {
                true => text.push(char::from(byte)),
                false => write!(text, "%{byte:02x}").unwrap(),
            }
        }
        text
    }),
    ("form", |value| {
        utf8_percent_encode(value, NON_ALPHANUMERIC)
            .to_string()
            .replace("%20", "+")
    }),
    ("JSON", json),
    ("JSON in JSON", |value| json(&json(value))),
    ("JSON, escaped slash", |value| {
        json(value).replace('/', "\\/")
    }),
    ("JSON, \\u", |value| {
        let escape = |unit: u16| format!("\\u{unit:04x}");
        value.encode_utf16().map(escape).collect()
    }),
    ("HTML", |value| {
        value
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;")
    }),
    ("shell, quoted", |value| {
        format!("'{}'", value.replace('\'', r"'\''"))
    }),
    ("shell, other quotes", |value| {
        format!("'{}'", value.replace('\'', r#"'"'"'"#))
    }),
    ("shell, backslashes", |value| {
        let escape = |c: char| match c.is_ascii_alphanumeric() {
            true => c.to_string(),
            false => format!("\\{c}"),
        };
        value.chars().map(escape).collect()
    }),
    ("YAML and SQL", |value| {
        format!("'{}'", value.replace('\'', "''"))
    }),
    ("coloured", |value| {
        let (head, tail) = value.split_at(value.len() / 2);
        format!("\u{1b}[1m{head}\u{1b}[0m\u{1b}[32m{tail}\u{1b}[0m")
    }),
];

fn json(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    quoted[1..quoted.len() - 1].to_owned()
}

fn hex(value: &str, before: &str, upper: bool) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match upper {
            true => write!(text, "{before}{byte:02X}").unwrap(),
            false => write!(text, "{before}{byte:02x}").unwrap(),
        }
    }
    text
}

fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::new();
    for (index, c) in text.chars().enumerate() {
        if index > 0 && index % width == 0 {
            wrapped.push('\n');
        }
        wrapped.push(c);
    }
    wrapped
}
