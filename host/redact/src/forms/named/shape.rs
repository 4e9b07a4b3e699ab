//! The shape of a value: whether it can be a secret, or is a variable, a word, a path, code.

use super::names::Strength;
use super::ordinary::{
    is_code, is_constant, is_digest, is_path, is_reference, is_time, is_version,
};
use super::variable::{is_placeholder, is_variable};
use super::words::{classes, is_mixed_letters, is_sentence, is_wordy, looks_random};
use crate::memo::Question;
use crate::text::Text;

/// How a value stands beside its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// In quotation marks.
    Quoted,
    /// The whole value of a member of JSON.
    Field,
    /// Directly after `=`: as in an environment or a shell.
    Tight,
    /// After a sign and blanks, alone up to the end of its line or list.
    Alone,
    /// Alone, in a line with only the name `password` and the value: YAML.
    Line,
    /// After a sign and blanks, with more words after it: YAML with a comment, or prose.
    Sentence,
    /// After blanks only: an option, a table, prose.
    Gap,
}

/// Calls [`is_secret`] for a value in a text, and remembers the result.
pub(super) fn is_secret_in<'t>(
    text: &Text<'t>,
    strength: Strength,
    style: Style,
    value: &'t str,
) -> bool {
    let question = Question::Secret(strength as u8, style as u8);
    text.recall(question, value, || {
        u8::from(is_secret(strength, style, value))
    }) == 1
}

/// Returns true if a value under a name of this strength is a secret.
#[must_use]
pub(crate) fn is_secret(strength: Strength, style: Style, value: &str) -> bool {
    let value = value.trim();
    if value.len() < 2 || is_variable(value) || is_placeholder(value) || is_constant(value) {
        return false;
    }
    let is_text = matches!(style, Style::Quoted | Style::Field | Style::Tight);
    match strength {
        Strength::None => false,
        Strength::Strong => is_password(style, value),
        Strength::Loose => {
            let digits = value.bytes().filter(u8::is_ascii_digit).count();
            let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
            let plain = digits == 0 && is_wordy(value);
            value.len() >= 4
                && letters > 0
                && !is_path(value)
                && !is_code(value)
                && !value.contains(' ')
                && if is_text {
                    !plain
                } else {
                    !is_wordy(value) && digits > 0
                }
                && is_password(style, value)
        }
        Strength::Medium if style == Style::Field && value.contains(' ') => value.len() >= 6,
        Strength::Medium if is_text && is_word_with_digits(value) => true,
        Strength::Medium => {
            is_token(value) && (matches!(style, Style::Quoted | Style::Field) || !is_code(value))
        }
        Strength::Weak => {
            looks_random(value, 12) && is_token(value) && (is_text || !is_code(value))
        }
        Strength::Faint => {
            let (upper, lower, digit) = classes(value);
            upper
                && lower
                && digit
                && looks_random(value, 16)
                && is_token(value)
                && (style == Style::Quoted || !is_code(value))
        }
    }
}

/// Returns true for a word of small letters that no program prints after `password: `.
fn is_plain_password(value: &str) -> bool {
    (5..=24).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_lowercase())
        && !matches!(
            value,
            "accepted"
                | "cleared"
                | "compat"
                | "created"
                | "deleted"
                | "denied"
                | "encrypted"
                | "entered"
                | "expired"
                | "files"
                | "found"
                | "generated"
                | "granted"
                | "ignored"
                | "initial"
                | "locked"
                | "mismatch"
                | "missing"
                | "needed"
                | "omitted"
                | "password"
                | "passwords"
                | "present"
                | "prompted"
                | "protected"
                | "provided"
                | "received"
                | "removed"
                | "reset"
                | "secret"
                | "skipped"
                | "stored"
                | "success"
                | "supplied"
                | "updated"
                | "valid"
                | "verified"
                | "identifier"
        )
}

/// Returns true for words with an escaped quotation mark between them. A text that begins with a
/// capital letter counts as a sentence instead.
fn is_escaped_words(value: &str) -> bool {
    value.contains("\\\"") && !value.starts_with(|c: char| c.is_ascii_uppercase())
}

/// Returns true if a value contains special characters that do not join words, such as `$` or `!`.
fn has_unusual_signs(value: &str) -> bool {
    value.bytes().any(|b| {
        matches!(
            b,
            b'$' | b'&' | b';' | b'!' | b'#' | b'%' | b'^' | b'*' | b'?' | b'~'
        )
    })
}

fn is_password(style: Style, value: &str) -> bool {
    if is_path(value) || is_reference(value) || is_version(value) {
        return false;
    }
    let digits = || value.bytes().filter(u8::is_ascii_digit).count();
    match style {
        Style::Quoted => {
            (!is_sentence(value) || is_escaped_words(value)) && !is_name_of_secret(value)
        }
        Style::Field => !is_name_of_secret(value),
        Style::Tight => !is_code(value) && !names_itself(value),
        Style::Line if is_plain_password(value) => true,
        Style::Alone | Style::Line => {
            let digits = digits();
            if digits == value.len() {
                return digits >= 4;
            }
            let one_word = value.bytes().all(|b| b.is_ascii_alphanumeric());
            !is_code(value)
                && !names_itself(value)
                && (!is_wordy(value) || (digits > 0 && (one_word || has_unusual_signs(value))))
        }
        Style::Sentence | Style::Gap => {
            let signs = value.bytes().any(|b| b.is_ascii_punctuation());
            let letters = value.bytes().any(|b| b.is_ascii_alphabetic());
            value.len() >= 6
                && letters
                && (digits() > 0 || signs || is_mixed_letters(value))
                && !is_wordy(value)
                && !is_code(value)
                && !is_digest(value)
                && !is_time(value)
        }
    }
}

/// Returns true for a word in lower case that ends in at least three digits, but not in a year:
/// `hunter2222`. It must have at least eight characters.
fn is_word_with_digits(value: &str) -> bool {
    let digits = value.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (letters, number) = value
        .split_at_checked(value.len() - digits)
        .unwrap_or_default();
    let is_year = digits == 4 && (number.starts_with("19") || number.starts_with("20"));
    value.len() >= 8
        && digits >= 3
        && !is_year
        && letters.len() >= 3
        && letters.bytes().all(|b| b.is_ascii_lowercase())
}

/// Returns true for a possible token: at least six characters, and no words, number, digest, date
/// or address.
fn is_token(value: &str) -> bool {
    value.len() >= 6
        && value.bytes().any(|b| b.is_ascii_alphabetic())
        && !is_path(value)
        && !is_wordy(value)
        && !is_digest(value)
        && !is_time(value)
        && !is_reference(value)
        && !is_sentence(value)
        && !["[0-9", "0-9]", "a-z", "A-Z"]
            .iter()
            .any(|class| value.contains(class))
}

/// Returns true if a value repeats the name of a secret: `password=db_password`.
fn names_itself(value: &str) -> bool {
    value.len() <= 60
        && value.bytes().all(|b| {
            b.is_ascii_alphabetic() || matches!(b, b'_' | b'-' | b'.' | b'?' | b',' | b';' | b')')
        })
        && !is_mixed_letters(value)
        && {
            let lower = value.to_ascii_lowercase();
            ["pass", "pwd", "secret", "token", "credential"]
                .iter()
                .any(|word| lower.contains(word))
        }
}

/// Returns true for a value that is only the word for a secret.
fn is_name_of_secret(value: &str) -> bool {
    [
        "password",
        "passwd",
        "passphrase",
        "pass",
        "secret",
        "token",
        "user_password",
    ]
    .iter()
    .any(|word| value.eq_ignore_ascii_case(word))
}
