//! Places in which logs show a secret.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters that libraries encode in a URL.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A place in a log: its name, and the function that writes a value with a name as this place shows
/// it.
pub(crate) type Context = (&'static str, fn(name: &str, value: &str) -> String);

/// A sentence that gives no hint of a secret except the secret's own form.
pub(crate) const BARE: Context = ("bare", |_, value| format!("made up {value} is here"));

/// All places but [`BARE`].
pub(crate) const NAMED: &[Context] = &[
    ("exported", |name, value| format!("export {name}={value}")),
    ("set -x", |name, value| format!("+ {name}={}", shell(value))),
    ("YAML", |name, value| format!("  {}: {value}", lower(name))),
    ("JSON", |name, value| {
        format!("{{\"{}\": {}, \"n\": 1}}", lower(name), json(value))
    }),
    ("JSON in JSON", |name, value| {
        let inner = format!("{{\"{}\": {}}}", lower(name), json(value));
        format!("{{\"message\": {}}}", json(&inner))
    }),
    ("env list", |name, value| {
        format!("    env:\n    - name: {name}\n      value: {value}\n    - name: HOME")
    }),
    ("flag with =", |name, value| {
        format!("+ tool --{}={} --verbose", flag(name), shell(value))
    }),
    ("flag and blank", |name, value| {
        format!("+ tool --{} {} --verbose", flag(name), shell(value))
    }),
    ("coloured", |name, value| {
        format!("\u{1b}[36m{name}\u{1b}[0m=\u{1b}[33m{value}\u{1b}[0m")
    }),
    ("table", |name, value| {
        format!("| NAME | VALUE |\n| {} | {value} |", lower(name))
    }),
    ("arrow", |name, value| format!("{} => {value}", lower(name))),
    ("header", |name, value| {
        format!("> X-{}: {value}", flag(name))
    }),
    ("query", |name, value| {
        let value = utf8_percent_encode(value, RESERVED);
        format!("GET /v1?page=2&{}={value}&x=1 200", lower(name))
    }),
    ("URL", |_, value| {
        let value = utf8_percent_encode(value, RESERVED);
        format!("Cloning https://ci:{value}@git.example.com/shop/web.git")
    }),
];

fn lower(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn flag(name: &str) -> String {
    lower(name).replace('_', "-")
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Quotes a word as `set -x` prints it.
fn shell(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
