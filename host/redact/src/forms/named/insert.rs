//! Rows of SQL whose columns have the names of secrets: `INSERT INTO users (name, password) VALUES
//! ('ci', 'PW')`.

use super::flags::skip_space;
use super::names::{Strength, judge};
use super::report::form_of;
use super::shape::{Style, is_secret};
use super::value::{self, Value, quote_at, shown};
use super::{Detector, Found};
use crate::text::Text;
use std::ops::Range;

/// Searches for statements.
pub(super) const DETECTOR: Detector = Detector {
    keywords: &["insert into ", "replace into "],
    detect: insert,
};

/// Number of bytes of a statement that are read.
const LONGEST: usize = 8 * 1024;
/// Most columns of a table.
const MOST_COLUMNS: usize = 64;
/// Longest name of a table or column, with its schema and quotation marks.
const LONGEST_NAME: usize = 128;
/// Longest item that is no text: a number, or a call.
const LONGEST_ITEM: usize = 256;

fn insert(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let limit = keyword.end + LONGEST;
    let (_, at) = name(text, skip_space(text, keyword.end));
    let Some((columns, at)) = columns(text, skip_space(text, at)) else {
        return;
    };
    if columns.iter().all(|column| *column == Strength::None) {
        return;
    }
    let mut at = skip_space(text, at);
    if !text.slice(at..at + 6).eq_ignore_ascii_case("values") {
        return;
    }
    at += 6;
    while at < limit {
        at = skip_space(text, at);
        if text.byte(at) != Some(b'(') {
            return;
        }
        for (index, column) in columns.iter().enumerate() {
            let Some((value, after)) = item(text, skip_space(text, at + 1)) else {
                return;
            };
            let end = if index + 1 == columns.len() {
                b')'
            } else {
                b','
            };
            at = skip_space(text, after);
            if text.byte(at) != Some(end) {
                return;
            }
            if let Some(value) = value
                && is_secret(*column, Style::Quoted, shown(text, &value.range))
            {
                found(form_of(*column), value.range);
            }
        }
        at = skip_space(text, at + 1);
        if text.byte(at) != Some(b',') {
            return;
        }
        at += 1;
    }
}

/// Returns the name at a place without its schema and quotation marks, and the place after it.
fn name<'t>(text: &Text<'t>, at: usize) -> (&'t str, usize) {
    let is_name = |c: char| c.is_alphanumeric() || "_.$`\"\\[]".contains(c);
    let shown = text.slice(at..at + LONGEST_NAME);
    let shown = shown
        .find(|c| !is_name(c))
        .map_or("", |end| shown.get(..end).unwrap_or_default());
    let name = shown.rsplit('.').next().unwrap_or(shown);
    let name = name.trim_matches(['`', '"', '\\', '[', ']']);
    (name, at + shown.len())
}

/// Returns how surely each column of a list holds a secret, and the place after the list.
fn columns(text: &Text<'_>, at: usize) -> Option<(Vec<Strength>, usize)> {
    let mut at = at;
    let mut columns = Vec::new();
    let mut sign = b'(';
    while columns.len() < MOST_COLUMNS {
        if text.byte(at) != Some(sign) {
            return None;
        }
        let (column, after) = name(text, skip_space(text, at + 1));
        if column.is_empty() {
            return None;
        }
        columns.push(judge(column));
        at = skip_space(text, after);
        if text.byte(at) == Some(b')') {
            return Some((columns, at + 1));
        }
        sign = b',';
    }
    None
}

/// Returns the text of an item, or the first text in a call (`crypt('PW', …)`), and the place after the
/// item.
fn item(text: &Text<'_>, at: usize) -> Option<(Option<Value>, usize)> {
    // `N'…'`, `E'…'`.
    let prefix = matches!(text.byte(at), Some(b'N' | b'E')) && text.byte(at + 1) == Some(b'\'');
    if let Some(quote) = quote_at(text, at + usize::from(prefix)) {
        let value = value::quoted(text, quote)?;
        let after = value.after;
        return Some((Some(value), after));
    }
    let mut first = None;
    let mut depth = 0_usize;
    let mut place = at;
    while place < at + LONGEST_ITEM {
        match text.byte(place)? {
            b')' if depth == 0 => return Some((first, place)),
            b',' if depth == 0 => return Some((first, place)),
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'\'' => {
                let value = value::quoted(text, quote_at(text, place)?)?;
                place = value.after;
                first = first.or(Some(value));
                continue;
            }
            _ => {}
        }
        place += 1;
    }
    None
}
