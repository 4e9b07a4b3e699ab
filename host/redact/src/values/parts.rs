//! The parts of a value to search for: the whole value, its lines, the texts of a JSON document.

use super::Policy;
use super::escapes::undo_value;
use super::words::COMMON;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use zeroize::Zeroizing;

/// Shortest part of a value that is searched for by itself, in bytes.
const MIN_PART: usize = 6;

/// Numbers with fewer digits are ordinary: ports, sizes, times.
const MIN_NUMBER: usize = 8;

/// Depth to which JSON documents are read.
const MAX_DEPTH: usize = 16;

/// Why a value is not searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It has too few bytes.
    #[error("is shorter than {0} bytes")]
    Short(usize),
    /// It is an ordinary word.
    #[error("is an ordinary word")]
    Common,
    /// It is a number with few digits.
    #[error("is a number of fewer than {MIN_NUMBER} digits")]
    Number,
    /// It repeats one character.
    #[error("repeats one character")]
    Repeated,
}

/// A text to search.
pub(super) struct Part {
    pub(super) text: Zeroizing<String>,
    /// False if the text has line breaks or is a document.
    pub(super) is_line: bool,
}

/// Returns what to search of a value.
pub(super) fn parts(value: &str, policy: Policy) -> Result<Vec<Part>, Reason> {
    let value = value.trim();
    if value.len() < policy.min_bytes {
        return Err(Reason::Short(policy.min_bytes));
    }
    if policy.refuses_words {
        refuse(value)?;
    }
    let mut parts = Vec::new();
    let document = document(value);
    let mut lines = value.lines().peekable();
    lines.next();
    let is_line = lines.peek().is_none();
    let mut whole = is_line;
    if !is_line {
        for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
            whole |= !add_line(line, &mut parts);
        }
    }
    // If every line is searched for, the whole value needs no search.
    if whole {
        add(value, is_line && document.is_none(), &mut parts);
        if !is_line {
            add(&value.replace('\n', "\r\n"), false, &mut parts);
            add(&value.replace(['\n', '\r'], ""), false, &mut parts);
            add(&value.replace('\n', " "), false, &mut parts);
        }
    }
    if let Some(document) = &document {
        add_texts(document, "", 0, &mut parts);
    }
    Ok(parts)
}

fn add(text: &str, is_line: bool, parts: &mut Vec<Part>) {
    parts.push(Part {
        text: Zeroizing::new(text.to_owned()),
        is_line,
    });
}

/// Adds a line of a text, or the value in a line `name: value`. Returns false if a part of the line
/// is not searched for.
fn add_line(line: &str, parts: &mut Vec<Part>) -> bool {
    if line.starts_with("-----") {
        return false;
    }
    let separator = line.find([':', '=']);
    let (name, rest) = separator
        .and_then(|at| line.split_at_checked(at))
        .unwrap_or(("", line));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_. \"'".contains(&byte);
    let rest = rest.get(1..).unwrap_or_default().trim();
    // A line of base64 may end with `=`.
    if !name.is_empty() && name.bytes().all(is_name) && !rest.trim_matches('=').is_empty() {
        let rest = rest.trim_end_matches([',', ';']);
        let rest = rest.trim_matches(['"', '\'']);
        if is_secret(rest) {
            add(rest, true, parts);
        }
        return false;
    }
    if line.len() < MIN_PART
        || refuse(line).is_err()
        || !line.contains(|c: char| c.is_alphanumeric())
    {
        return false;
    }
    add(line, true, parts);
    // A line that is mostly quotation marks, blanks and other signs has a short skeleton (see
    // `escapes`), and is not found in all encodings.
    undo_value(line.as_bytes()).skeleton.len() >= MIN_PART
}

/// Returns whether a text in a document with several texts may be a secret. A word, or an address
/// without credentials, is too ordinary.
fn is_secret(text: &str) -> bool {
    let is_address = text.contains("://") && !text.contains(['@', '?']);
    let is_word = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || b"-_. ".contains(&byte));
    text.len() >= MIN_PART && !is_address && !is_word && refuse(text).is_ok()
}

fn document(value: &str) -> Option<Value> {
    if value.starts_with(['{', '[']) {
        serde_json::from_str(value).ok()
    } else {
        None
    }
}

/// Names of the public texts in a JSON document: those about accounts and about the document
/// itself.
const PUBLIC: &[&str] = &[
    "type",
    "kind",
    "apiVersion",
    "username",
    "user",
    "email",
    "client_email",
    "project_id",
    "universe_domain",
];

/// Adds the texts of a JSON document.
fn add_texts(value: &Value, name: &str, depth: usize, parts: &mut Vec<Part>) {
    if depth > MAX_DEPTH || PUBLIC.contains(&name) {
        return;
    }
    match value {
        Value::String(text) => {
            let text = text.trim();
            if !is_secret(text) {
                return;
            }
            if text.contains('\n') {
                for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    add_line(line, parts);
                }
            } else {
                add(text, true, parts);
            }
            // The credentials of a registry: base64 of `user:password`.
            if name == "auth"
                && let Ok(decoded) = STANDARD.decode(text)
                && let Ok(decoded) = String::from_utf8(decoded).map(Zeroizing::new)
                && let Some((_, password)) = decoded.split_once(':')
                && password.len() >= MIN_PART
                && refuse(password).is_ok()
            {
                add(password, true, parts);
            }
        }
        Value::Array(list) => list
            .iter()
            .for_each(|item| add_texts(item, name, depth + 1, parts)),
        Value::Object(members) => {
            for (name, item) in members {
                add_texts(item, name, depth + 1, parts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn refuse(value: &str) -> Result<(), Reason> {
    if value.bytes().all(|byte| byte.is_ascii_digit()) && value.len() < MIN_NUMBER {
        return Err(Reason::Number);
    }
    let mut characters = value.chars();
    let first = characters.next();
    if characters.all(|character| Some(character) == first) {
        return Err(Reason::Repeated);
    }
    let lower = Zeroizing::new(value.to_lowercase());
    if COMMON.contains(&lower.as_str()) {
        return Err(Reason::Common);
    }
    Ok(())
}
