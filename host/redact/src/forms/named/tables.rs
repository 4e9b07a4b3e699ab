//! Tables: a name in one column, its value in the next.

use super::found_name::Name;
use super::nested::{is_hopeless, repeats_name};
use super::report::{report_as, style_of};
use super::shape::Style;
use super::value::{self, quote_at, skip_blanks};
use super::{Form, Found};
use crate::text::Text;

/// A cell of a table.
pub(super) static CELL: Form = Form {
    id: "secret-table",
    title: "Cell of a table beside the name of a secret",
    examples: &[
        "password    →3ah2B84MGVC0←\nusername    app",
        "| API_TOKEN | →qHO1TKseFOwr24nS← |",
        "│ db_password │ →3ah2B84MGVC0← │",
        "token                →qHO1TKseFOwr24nS←",
    ],
};

/// Reports the cell after a column separator, such as `│`.
pub(super) fn cell(text: &Text<'_>, name: &Name<'_>, at: usize, found: &mut Found<'_>) {
    let at = skip_blanks(text, at, 120);
    if is_hopeless(text, name, at, None) || repeats_name(text, name, at) {
        return;
    }
    let value = match quote_at(text, at) {
        Some(quote) => value::quoted(text, quote),
        None => value::unquoted(text, at, name.start),
    };
    if let Some(value) = value {
        let style = match style_of(text, &value) {
            Style::Sentence if !ends_cell(text, value.after) => Style::Gap,
            _ => Style::Alone,
        };
        report_as(text, name, &value, style, &CELL, found);
    }
}

fn ends_cell(text: &Text<'_>, at: usize) -> bool {
    let at = skip_blanks(text, at, 120);
    ["│", "┃", "║", "┆"]
        .iter()
        .any(|line| text.continues_with(at, line))
}

/// Reports the value in the next column, several blanks after the name. Returns true if there is
/// one.
pub(super) fn column(text: &Text<'_>, name: &Name<'_>, at: usize, found: &mut Found<'_>) -> bool {
    if repeats_name(text, name, at) {
        return false;
    }
    let value = match quote_at(text, at) {
        Some(quote) => value::quoted(text, quote),
        None => value::unquoted(text, at, name.start),
    };
    let Some(value) = value else {
        return false;
    };
    report_as(text, name, &value, Style::Gap, &CELL, found)
}
