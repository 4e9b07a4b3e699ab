//! Whether a value can be a secret: not a variable, not a placeholder, not words.

use super::named::variable::{is_placeholder, is_variable};
use super::named::words::{is_wordy, looks_random};

/// Returns true for a variable, a template, a placeholder, or a mask.
pub(super) fn stays(value: &str) -> bool {
    value.is_empty() || is_variable(value) || is_placeholder(value)
}

/// Returns true for a value of at least `least` bytes that looks randomly generated.
pub(super) fn is_random(value: &str, least: usize) -> bool {
    value.len() >= least && !stays(value) && looks_random(value, least)
}

/// Returns true for a value that is no variable, no placeholder, and not made of words.
pub(super) fn is_no_word(value: &str, least: usize) -> bool {
    value.len() >= least && !stays(value) && !is_wordy(value)
}
