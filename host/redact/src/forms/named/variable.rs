//! Variables and placeholders, which stand in the place of a secret.

use super::ordinary::begins_with;
use super::words::{classes, is_mixed_letters, is_wordy};

/// Returns true if a whole value is a variable, or made of variables and words.
#[must_use]
pub(in crate::forms) fn is_variable(value: &str) -> bool {
    let inner = |open: &str, close: &str| {
        value
            .strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
    };
    if let Some(name) = inner("%", "%").or_else(|| inner("@", "@")) {
        return is_variable_name(name);
    }
    if inner("{{", "}}").is_some() || inner("<%", "%>").is_some() || inner("`", "`").is_some() {
        return true;
    }
    if value.starts_with("{{") && value.contains("}}") {
        return true;
    }
    if let Some(name) = inner("{", "}") {
        // A format's place, or an object.
        return name.is_empty()
            || is_wordy(name)
            || name.contains([' ', '"', '\'', ':'])
            || is_variable_name(name);
    }
    if value.starts_with('%') && value.len() <= 4 {
        return true;
    }
    let Some(at) = value.find('$') else {
        return false;
    };
    let rest = value.get(at + 1..).unwrap_or_default();
    let before = value.get(..at).unwrap_or_default();
    if let Some(expression) = rest.strip_prefix(['{', '(']) {
        // `${X}`, `${X:-d}`, `$(params.x)`, `$(cat f)`, `${{ … }}`.
        let close = if rest.starts_with('{') { '}' } else { ')' };
        let name = expression
            .split(['}', ')', ':', ' ', '['])
            .next()
            .unwrap_or_default();
        let is_name =
            name.is_empty() || name.starts_with(['{', '!', '<', '#']) || !looks_mixed(name);
        let tail = expression.rsplit(close).next().unwrap_or_default();
        let closed = expression.contains(close);
        return is_name
            && (before.is_empty() || is_wordy(before))
            && (!closed || tail.is_empty() || tail.contains('$') || is_wordy(tail));
    }
    let name = rest.strip_prefix("env:").unwrap_or(rest);
    let length = name
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count();
    let (name, tail) = name.split_at_checked(length).unwrap_or((name, ""));
    if name.is_empty() {
        return before.is_empty() && (tail.is_empty() || tail.len() == 1);
    }
    (before.is_empty() || is_wordy(before))
        && is_variable_name(name)
        && (tail.is_empty() || is_wordy(tail) || tail.contains('$') && is_variable(tail))
}

/// Returns true for the name of a variable: not letters and digits at random.
fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b':'))
        && !(name.bytes().next().is_some_and(|b| b.is_ascii_digit()) && name.len() > 1)
        && (is_wordy(name) || (!looks_mixed(name) && name.contains('_')))
}

/// Returns true if letters of both cases and digits are mixed in a way that does not occur in
/// names.
fn looks_mixed(text: &str) -> bool {
    let (upper, lower, digit) = classes(text);
    upper && lower && (digit || is_mixed_letters(text)) && !is_wordy(text)
}

/// Returns true for a placeholder, which stands in the place of a secret.
#[must_use]
pub(in crate::forms) fn is_placeholder(value: &str) -> bool {
    let bytes = value.as_bytes();
    let Some(first) = bytes.first() else {
        return true;
    };
    // These characters begin placeholders such as `[redacted:…]`, also if they are truncated or
    // within a longer text.
    let begins = memchr::memchr3(b'[', b'*', 0xE2, bytes).is_some();
    if begins && value.contains("[redacted:") {
        return true;
    }
    if bytes.iter().all(|b| b == first) && !first.is_ascii_digit() {
        return true;
    }
    if bytes
        .iter()
        .all(|b| matches!(b, b'*' | b'.' | b'x' | b'X' | b'-' | b'_' | b'#' | b'?'))
    {
        return true;
    }
    if begins && (value.contains("***") || value.contains("•••") || value.contains('…')) {
        return true;
    }
    let closed = match first {
        b'<' => bytes.last() == Some(&b'>') || value.contains("> "),
        b'[' => bytes.last() == Some(&b']'),
        b'(' => bytes.last() == Some(&b')'),
        _ => false,
    };
    if closed {
        return true;
    }
    // `<your` and `(sensitive`, cut at a blank.
    let opened = matches!(first, b'<' | b'[' | b'(');
    if opened && is_wordy(value.get(1..).unwrap_or_default()) {
        return true;
    }
    let begin = value.get(..value.len().min(24)).unwrap_or_default();
    let starts = [
        "your-",
        "your_",
        "my-secret",
        "change-me",
        "change_me",
        "replace",
        "redacted",
        "insert-",
        "enter-",
        "<your",
        "example-",
        "put-your",
        "fake-",
        "dummy-",
        "masked",
        "hidden",
    ];
    starts.iter().any(|start| begins_with(begin, start)) && is_wordy(value)
}

#[cfg(test)]
mod tests;
