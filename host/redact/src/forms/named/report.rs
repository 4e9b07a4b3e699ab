//! Whether a value under a name is reported, and under which form.

use super::assignment::{PASSWORD, SECRET};
use super::found_name::Name;
use super::names::Strength;
use super::shape::{Style, is_secret, is_secret_in};
use super::value::{self, Value, skip_blanks};
use super::variable::is_variable;
use super::words::is_wordy;
use super::{Form, Found, flags};
use crate::text::Text;

/// Returns the form of a value under a name of this strength.
pub(super) fn form_of(strength: Strength) -> &'static Form {
    if strength >= Strength::Loose {
        &PASSWORD
    } else {
        &SECRET
    }
}

/// Returns the style of a value without quotation marks: alone, or in a sentence.
pub(super) fn style_of(text: &Text<'_>, value: &Value) -> Style {
    let mut at = value.after;
    while at < value.after + 8
        && matches!(
            text.byte(at),
            Some(b',' | b';' | b')' | b'}' | b']' | b'"' | b'\'' | b'.')
        )
    {
        at += 1;
    }
    let at = skip_blanks(text, at, 40);
    match text.byte(at) {
        None | Some(b'\n' | b'\r' | b'#' | b'|' | b'\\' | b'}' | b')' | b']' | b'<' | b'&') => {
            Style::Alone
        }
        Some(b'/') if text.byte(at + 1) == Some(b'/') => Style::Alone,
        Some(_) => {
            // Another name with a sign.
            let rest = text.slice(at..at + 48);
            let length = rest
                .bytes()
                .take_while(|b| {
                    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'"' | b'\'')
                })
                .count();
            if length > 0 && matches!(text.byte(at + length), Some(b'=' | b':')) {
                Style::Alone
            } else {
                Style::Sentence
            }
        }
    }
}

/// Reports a value if its shape is that of a secret under this name. Returns true if it was
/// reported.
pub(super) fn report(
    text: &Text<'_>,
    name: &Name<'_>,
    value: &Value,
    style: Style,
    found: &mut Found<'_>,
) -> bool {
    report_as(text, name, value, style, name.form(), found)
}

/// Reports a value under a form.
pub(super) fn report_as(
    text: &Text<'_>,
    name: &Name<'_>,
    value: &Value,
    style: Style,
    form: &'static Form,
    found: &mut Found<'_>,
) -> bool {
    let shown = value::shown(text, &value.range);
    let mut range = value.range.clone();
    if is_pair(name.text)
        && let Some(colon) = shown.find(':')
    {
        // `user:password`.
        let password = shown.get(colon + 1..).unwrap_or_default();
        if colon < 64
            && !is_variable(password)
            && is_secret(Strength::Strong, style, password)
            && !password.starts_with('/')
            && !is_wordy(password)
        {
            range.start += colon + 1;
            found(&flags::USER, range);
            return true;
        }
    }
    if is_pin(name.text) && shown.bytes().all(|b| b.is_ascii_digit()) {
        let is_secret = (4..=8).contains(&shown.len()) && style != Style::Sentence;
        if is_secret {
            found(form, range);
        }
        return is_secret;
    }
    // `TESTS_PASS = 120` counts.
    let is_count = name.strength == Strength::Strong
        && shown.bytes().all(|b| b.is_ascii_digit())
        && name.text.len() >= 5
        && name
            .text
            .get(name.text.len() - 5..)
            .is_some_and(|end| end.eq_ignore_ascii_case("_pass"));
    if is_count || !is_secret_in(text, name.strength, style, shown) {
        return false;
    }
    found(form, range);
    true
}

/// Returns true for names whose values are four to eight digits.
fn is_pin(name: &str) -> bool {
    ["pin", "otp", "totp"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// Returns true for names whose values are a user and a password.
fn is_pair(name: &str) -> bool {
    let lower = name
        .get(name.len().saturating_sub(5)..)
        .unwrap_or_default()
        .to_ascii_lowercase();
    matches!(lower.as_str(), "creds" | "ident")
        || lower.ends_with("cred")
        || lower.ends_with("auth")
}
