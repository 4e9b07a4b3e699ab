//! Values that stand under the name of a secret, whatever joins the two.

mod assignment;
mod commands;
mod flags;
mod found_name;
mod names;
mod pairs;
mod prose;
mod shape;
mod stdin;
mod tables;
mod value;
pub(super) mod variable;
pub(super) mod words;
mod xml;

use super::{Detector, Form, Found};

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
];

/// The detectors.
pub(super) static DETECTORS: &[Detector] = &[
    assignment::DETECTOR,
    commands::DETECTOR,
    commands::SQL,
    stdin::DETECTOR,
];
