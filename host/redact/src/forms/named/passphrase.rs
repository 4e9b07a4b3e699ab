//! Values that are found only if their line is the setting of a program: passphrases of several
//! words, values in braces, base64 in LDIF.

use super::found_name::Name;
use super::names::Strength;
use super::shape::{Style, is_secret_in};
use super::value::{Value, quote_at, shown, skip_blanks};
use super::words::is_wordy;
use crate::text::Text;

/// Fewest words of a passphrase.
const LEAST: usize = 4;

/// Longest passphrase in bytes.
const LONGEST: usize = 160;

/// Returns the passphrase that follows a name at the beginning of a line: short words in lower case
/// that form no sentence, up to the end of the line.
pub(super) fn words(text: &Text<'_>, name: &Name<'_>, at: usize) -> Option<Value> {
    if name.strength != Strength::Strong || !begins_line(text, name.start) {
        return None;
    }
    let end = text.line_end(at);
    let shown = text.slice(at..end.min(at + LONGEST + 1)).trim_end();
    let mut count = 0;
    let mut letters = 0;
    for word in shown.split(' ') {
        let is_word = word.len() <= 12
            && (word.bytes().all(|b| b.is_ascii_lowercase()) && word.len() >= 2
                || (1..=6).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit()));
        if !is_word || is_of_sentences(word) {
            return None;
        }
        count += 1;
        letters += usize::from(word.bytes().any(|b| b.is_ascii_lowercase()));
    }
    (count >= LEAST && letters >= LEAST - 1 && shown.len() <= LONGEST).then(|| Value {
        range: at..at + shown.len(),
        after: end,
        quoted: false,
    })
}

/// Returns true if only blanks, or the mark of a list, are before a place in its line.
fn begins_line(text: &Text<'_>, at: usize) -> bool {
    let line = text.line_start(at).max(at.saturating_sub(40));
    let before = text.slice(line..at);
    text.byte_before(line).is_none_or(|b| b == b'\n')
        && before.bytes().all(|b| matches!(b, b' ' | b'\t' | b'-'))
}

/// Words of messages about passwords, and words that connect other words (`and`). Sorted, for a
/// binary search.
const WORDS: &[&str] = &[
    "about",
    "above",
    "account",
    "after",
    "again",
    "all",
    "allowed",
    "already",
    "also",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "auth",
    "authentication",
    "based",
    "be",
    "because",
    "been",
    "before",
    "below",
    "between",
    "blank",
    "but",
    "by",
    "can",
    "cannot",
    "change",
    "changed",
    "character",
    "characters",
    "check",
    "config",
    "configured",
    "contain",
    "contains",
    "could",
    "default",
    "did",
    "digit",
    "digits",
    "disabled",
    "do",
    "does",
    "done",
    "each",
    "empty",
    "enabled",
    "enter",
    "env",
    "environment",
    "error",
    "expected",
    "expired",
    "failed",
    "failure",
    "field",
    "file",
    "for",
    "found",
    "from",
    "generated",
    "given",
    "go",
    "had",
    "has",
    "have",
    "here",
    "if",
    "in",
    "incorrect",
    "input",
    "interactive",
    "into",
    "invalid",
    "is",
    "it",
    "its",
    "key",
    "least",
    "length",
    "letter",
    "letters",
    "like",
    "login",
    "long",
    "longer",
    "lower",
    "lowercase",
    "match",
    "matches",
    "max",
    "maximum",
    "may",
    "min",
    "minimum",
    "mismatch",
    "missing",
    "must",
    "need",
    "needed",
    "needs",
    "new",
    "no",
    "not",
    "now",
    "number",
    "numbers",
    "of",
    "off",
    "old",
    "on",
    "one",
    "only",
    "option",
    "or",
    "other",
    "our",
    "out",
    "over",
    "passphrase",
    "password",
    "passwords",
    "please",
    "policy",
    "prompt",
    "provide",
    "provided",
    "read",
    "reading",
    "required",
    "requires",
    "reset",
    "same",
    "secret",
    "see",
    "set",
    "setting",
    "should",
    "so",
    "some",
    "stdin",
    "string",
    "such",
    "supplied",
    "supported",
    "than",
    "that",
    "the",
    "their",
    "then",
    "there",
    "this",
    "to",
    "token",
    "too",
    "type",
    "under",
    "unset",
    "upper",
    "uppercase",
    "use",
    "used",
    "user",
    "username",
    "using",
    "valid",
    "value",
    "variable",
    "via",
    "was",
    "we",
    "when",
    "which",
    "will",
    "with",
    "without",
    "would",
    "wrong",
    "yes",
    "you",
    "your",
];

/// Returns true for words of messages about passwords, and for words that connect other words.
fn is_of_sentences(word: &str) -> bool {
    WORDS.binary_search(&word).is_ok()
}

/// Returns the value in braces of a connection string (`PWD={a;b}`). Within the value, `}}` stands
/// for a brace.
pub(super) fn in_braces(text: &Text<'_>, name: &Name<'_>, at: usize) -> Option<Value> {
    if name.strength < Strength::Loose || text.byte(at) != Some(b'{') {
        return None;
    }
    let limit = text.line_end(at).min(at + 256);
    let mut from = at + 1;
    let end = loop {
        let brace = text.find(b'}', from).filter(|brace| *brace < limit)?;
        if text.byte(brace + 1) != Some(b'}') {
            break brace;
        }
        from = brace + 2;
    };
    let ends = text
        .byte(end + 1)
        .is_none_or(|b| b.is_ascii_whitespace() || matches!(b, b';' | b'"' | b'\'' | b'<' | b'\\'));
    let value = Value {
        range: at + 1..end,
        after: end + 1,
        quoted: true,
    };
    let content = shown(text, &value.range);
    let is_name = is_wordy(content)
        && content
            .bytes()
            .all(|b| b.is_ascii_alphabetic() || b == b'_');
    (ends && !content.starts_with('{') && !is_name).then_some(value)
}

/// Returns the base64 after `::` in LDIF (RFC 2849): `userPassword:: …`.
pub(super) fn in_ldif(text: &Text<'_>, name: &Name<'_>, at: usize) -> Option<Value> {
    if name.strength < Strength::Medium || !text.continues_with(at, ":: ") {
        return None;
    }
    let start = skip_blanks(text, at + 2, 4);
    let end = text.word_end(start);
    let shown = text.slice(start..end.min(start + 200));
    let is_base64 = shown.len() >= 8
        && shown.len().is_multiple_of(4)
        && shown
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
    let alone = text.byte(end).is_none_or(|b| matches!(b, b'\n' | b'\r'));
    (is_base64 && alone && quote_at(text, start).is_none()).then_some(Value {
        range: start..end,
        after: end,
        quoted: false,
    })
}

/// Returns true for settings of servers whose value follows after a blank: LDAP, Redis, HAProxy,
/// keepalived.
pub(super) fn is_directive(text: &Text<'_>, name: &Name<'_>) -> bool {
    const NAMES: &[&str] = &[
        "bindpw",
        "rootbindpw",
        "rootpw",
        "requirepass",
        "masterauth",
        "auth_pass",
        "auth-pass",
        "sentinel-pass",
        "insecure-password",
        "ldap_default_authtok",
    ];
    let known = NAMES
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name.text));
    known && (begins_line(text, name.start) || name.text == "insecure-password")
}

/// Returns true if a value is a secret under the name of a password.
pub(super) fn is_password(text: &Text<'_>, value: &Value) -> bool {
    is_secret_in(
        text,
        Strength::Strong,
        Style::Quoted,
        shown(text, &value.range),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_sentences_are_in_order() {
        assert!(WORDS.is_sorted());
        assert!(is_of_sentences("password") && !is_of_sentences("horse"));
    }
}
