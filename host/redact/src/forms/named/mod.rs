//! Values that stand under the name of a secret, whatever joins the two.

mod assignment;
mod calls;
mod command_line;
mod command_table;
mod commands;
mod flags;
mod found_name;
mod insert;
mod logins;
mod name_words;
mod names;
mod nested;
mod ordinary;
mod pairs;
mod passphrase;
mod prose;
mod quote;
mod recovery;
mod report;
mod shape;
mod sign;
mod stdin;
mod tables;
mod value;
pub(super) mod variable;
pub(super) mod words;
mod xml;

use super::{Detector, Form, Found};
use crate::text::Text;
use std::ops::Range;

pub(super) use flags::USER;
pub(crate) use names::{Strength, judge};

/// Returns the form of a whole value under a name of this strength, or `None` if the value cannot be
/// a secret.
pub(crate) fn form_of_value(strength: Strength, value: &str) -> Option<&'static Form> {
    let number = value.bytes().all(|b| b.is_ascii_digit());
    let is_secret = if number {
        match strength {
            Strength::Strong => value.len() >= 2,
            Strength::Medium => value.len() >= 6,
            _ => false,
        }
    } else {
        let look = value
            .get(..value.floor_char_boundary(words::LOOK))
            .unwrap_or(value);
        shape::is_secret(strength, shape::Style::Field, look)
    };
    is_secret.then_some(report::form_of(strength))
}

/// Returns the text in the quotation marks at a place, and the place after it.
pub(super) fn quoted_at(text: &Text<'_>, at: usize) -> Option<(Range<usize>, usize)> {
    let value = value::quoted(text, value::quote_at(text, at)?)?;
    Some((value.range, value.after))
}

/// The forms.
pub(super) static FORMS: &[&Form] = &[
    &assignment::PASSWORD,
    &assignment::SECRET,
    &flags::PASSWORD,
    &flags::SECRET,
    &flags::USER,
    &pairs::PAIR,
    &prose::PROSE,
    &prose::BLOCK,
    &tables::CELL,
    &xml::ELEMENT,
    &commands::COMMAND,
    &stdin::STDIN,
    &stdin::BASE64,
    &calls::CALL,
];

/// The detectors.
pub(super) static DETECTORS: &[Detector] = &[
    assignment::DETECTOR,
    commands::DETECTOR,
    commands::SQL,
    stdin::DETECTOR,
    calls::CALLS,
    calls::SQL,
    calls::WORKFLOW,
    calls::PROTOCOL,
    insert::DETECTOR,
    logins::IMAP,
    logins::FTP,
    logins::SENTENCE,
    recovery::DETECTOR,
];

#[cfg(test)]
mod tests;
