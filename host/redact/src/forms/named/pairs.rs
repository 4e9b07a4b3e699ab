//! Name and value in two fields (`name: X`, `value: v`), and lists of a name and a value.

use super::flags::skip_space;
use super::found_name::Name;
use super::names::Strength;
use super::report::{report_as, style_of};
use super::shape::Style;
use super::value::{self, Value, after_closing_quote, quote_at, skip_blanks};
use super::{Form, Found};
use crate::memo::Question;
use crate::text::Text;
use crate::word_table::WordTable;
use std::sync::LazyLock;

/// Name and value in two fields.
pub(super) static PAIR: Form = Form {
    id: "name-value-pair",
    title: "Value of a field beside a field with the name of a secret",
    examples: &[
        r#"{"name":"DB_PASSWORD","value":"→97quR90Z←"}"#,
        "- name: API_TOKEN\n  value: →qHO1TKseFOwr24nS←",
        "- value: →qHO1TKseFOwr24nS←\n  name: API_TOKEN",
        r#"<add key="ClearTextPassword" value="→auwxQcQp←" />"#,
        r#"["password","→oyy3ECRVh7nA←"]"#,
        r#"<entry key="db.password">→auwxQcQp1←</entry>"#,
        r#"<setting name="ApiKey"><value>→qHO1TKseFOwr24nS←</value></setting>"#,
        "<name>API_TOKEN</name><value>→qHO1TKseFOwr24nS←</value>",
    ],
};

/// Bytes in which the other field is searched.
const FIELD_REACH: usize = 300;

/// Reports the value beside a name that stands in a field `name` or `key`. Returns true if the name
/// stands in such a field.
pub(super) fn value_beside(text: &Text<'_>, name: &Name<'_>, found: &mut Found<'_>) -> bool {
    let Some(field) = field_before(text, name.start) else {
        return false;
    };
    let close = after_closing_quote(text, name.end);
    let is_whole = close > name.end
        || matches!(
            text.byte(name.end),
            None | Some(b'\n' | b'\r' | b',' | b'<' | b'}' | b' ' | b'\\')
        );
    // Workflow commands of GitHub: `::set-output name=token::value`.
    if text.continues_with(name.end, "::") {
        if let Some(value) = value::unquoted(text, name.end + 2, name.start) {
            report_field(text, name, &value, found);
        }
        return true;
    }
    // `$env:NAME = value` is an assignment.
    if !is_whole || matches!(text.byte(skip_blanks(text, close, 4)), Some(b':' | b'=')) {
        return false;
    }
    if let Some(value) = value_behind(text, close) {
        report_field(text, name, &value, found);
        return true;
    }
    if let Some(value) = value_before(text, field) {
        report_field(text, name, &value, found);
    }
    true
}

fn report_field(text: &Text<'_>, name: &Name<'_>, value: &Value, found: &mut Found<'_>) {
    let style = if value.quoted {
        Style::Quoted
    } else {
        match style_of(text, value) {
            Style::Sentence => Style::Sentence,
            // A field holds nothing but its value.
            _ => Style::Tight,
        }
    };
    report_as(text, name, value, style, &PAIR, found);
}

/// Fields that hold a name, in lower case.
static FIELDS: LazyLock<WordTable<()>> = LazyLock::new(|| {
    let words = [
        "name",
        "key",
        "id",
        "variable",
        "field",
        "label",
        "property",
        "k",
        "param",
        "env",
        "parameterkey",
        "optionname",
        "attribute",
        "setting",
        "option",
        "header",
        "n",
        "env_name",
        "variable_name",
        "keyname",
        "secretname",
        "item",
    ];
    WordTable::new(words.map(|word| (word, ())))
});

/// Returns the start of the field (`name`, `key`, …) in which a text at `at` stands.
fn field_before(text: &Text<'_>, at: usize) -> Option<usize> {
    let mut place = at;
    let back = |place: usize, test: fn(u8) -> bool, most: usize| {
        let mut place = place;
        for _ in 0..most {
            match text.byte_before(place) {
                Some(byte) if test(byte) => place -= 1,
                _ => break,
            }
        }
        place
    };
    place = back(place, |b| matches!(b, b'"' | b'\'' | b'\\'), 16);
    place = back(place, |b| matches!(b, b' ' | b'\t'), 24);
    if !matches!(text.byte_before(place), Some(b':' | b'=' | b'>')) {
        return None;
    }
    place -= 1;
    if text.byte_before(place) == Some(b'=') {
        place -= 1;
    }
    place = back(place, |b| matches!(b, b' ' | b'\t'), 8);
    place = back(place, |b| matches!(b, b'"' | b'\'' | b'\\'), 16);
    let end = place;
    place = back(
        place,
        |b| b.is_ascii_alphabetic() || b == b'_' || b == b'-',
        20,
    );
    let field = text.slice(place..end);
    let is_field = FIELDS.get_any_case(field.as_bytes()).is_some();
    is_field.then_some(place)
}

/// Returns the value of the first field `value` after a place.
fn value_behind(text: &Text<'_>, at: usize) -> Option<Value> {
    // `<entry key="password">value</entry>`.
    let next = skip_blanks(text, at, 4);
    if text.byte(next) == Some(b'>') {
        // `<setting name="ApiKey"><value>value</value>`.
        let inner = super::flags::skip_space(text, next + 1);
        let start = match text.continues_with(inner, "<value>") {
            true => inner + "<value>".len(),
            false => next + 1,
        };
        return super::xml::content(text, start);
    }
    first_field(text, at).flatten()
}

/// Searches as [`search_field`] does. Remembers bytes that hold no field, so that equal bytes are
/// not searched again.
fn first_field(text: &Text<'_>, at: usize) -> Option<Option<Value>> {
    // Number of bytes before and after `at`. A search that finds no field reads fewer.
    const BEFORE: usize = 60;
    const AFTER: usize = FIELD_REACH + 200;
    let Some(start) = at.checked_sub(BEFORE) else {
        return search_field(text, at);
    };
    let mut found = None;
    let none = text.recall(Question::NoField, text.slice(start..at + AFTER), || {
        found = search_field(text, at);
        u8::from(found.is_none())
    });
    match found {
        None if none == 0 => search_field(text, at),
        found => found,
    }
}

/// Returns the value of the first field `value` after a place. Returns `None` if there is no field,
/// and `Some(None)` if another field ends the search.
fn search_field(text: &Text<'_>, at: usize) -> Option<Option<Value>> {
    let mut place = at;
    while place < at + FIELD_REACH {
        let byte = text.byte(place)?;
        match byte {
            b'}' => return None,
            b'-' if text.byte(place + 1) == Some(b' ') && is_line_start(text, place) => {
                return None;
            }
            _ => {}
        }
        if !byte.is_ascii_alphabetic() {
            place += 1;
            continue;
        }
        let end = word_end(text, place);
        let value = field_value(text, place, end);
        if value.is_some() {
            return value;
        }
        place = end;
    }
    None
}

fn is_line_start(text: &Text<'_>, at: usize) -> bool {
    let mut place = at;
    while at - place < 40 && matches!(text.byte_before(place), Some(b' ' | b'\t')) {
        place -= 1;
    }
    matches!(text.byte_before(place), None | Some(b'\n'))
}

fn word_end(text: &Text<'_>, at: usize) -> usize {
    let mut end = at;
    while end < at + 40
        && text
            .byte(end)
            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        end += 1;
    }
    end.max(at + 1)
}

/// What a field beside a name holds.
#[derive(Clone, Copy, Debug)]
enum Member {
    Value,
    /// A name, or a reference to a value.
    Name,
}

/// Fields in lower case.
static MEMBERS: LazyLock<WordTable<Member>> = LazyLock::new(|| {
    let values = [
        "value",
        "default",
        "values",
        "val",
        "v",
        "parametervalue",
        "optionvalue",
        "defaultvalue",
        "default_value",
        "string",
        "currentvalue",
        "newvalue",
        "secretvalue",
    ];
    let names = ["name", "key", "parameterkey", "valuefrom", "secretkeyref"];
    let values = values.into_iter().map(|word| (word, Member::Value));
    let names = names.into_iter().map(|word| (word, Member::Name));
    WordTable::new(values.chain(names))
});

/// Returns the value of the field whose name stands at `start..end`. Returns `None` if the field is
/// another one, and `Some(None)` if it ends the search.
fn field_value(text: &Text<'_>, start: usize, end: usize) -> Option<Option<Value>> {
    let word = text.slice(start..end);
    let is_value = match MEMBERS.get_any_case(word.as_bytes())? {
        Member::Value => true,
        Member::Name => false,
    };
    let close = after_closing_quote(text, end);
    let sign = skip_blanks(text, close, 8);
    let after = match text.byte(sign)? {
        b'>' if close == end && text.byte_before(start) == Some(b'<') => {
            return is_value.then(|| super::xml::content(text, sign + 1));
        }
        b'=' if text.byte(sign + 1) == Some(b'>') => sign + 2,
        b'=' | b':' => sign + 1,
        _ => return None,
    };
    if !is_value {
        return Some(None);
    }
    // A text may be called so.
    let at = skip_blanks(text, after, 24);
    let value = match quote_at(text, at) {
        Some(quote) => value::quoted(text, quote),
        None => match text.byte(at)? {
            b'{' | b'[' | b'\n' | b'\r' => None,
            _ => value::unquoted(text, at, start),
        },
    };
    Some(value)
}

/// Returns the value of a field `value` that stands directly before the field at `field`.
fn value_before(text: &Text<'_>, field: usize) -> Option<Value> {
    let start = field.saturating_sub(FIELD_REACH);
    let before = text.slice(start..field);
    let start = field - before.len();
    let mut from = before.len();
    for _ in 0..3 {
        let known = before.get(..from)?;
        let at = known.rfind("alue")?;
        let word = at.checked_sub(1)?;
        from = word;
        let Some(Some(value)) = field_value(text, start + word, start + at + 4) else {
            continue;
        };
        if value.after > field {
            continue;
        }
        let between = text.slice(value.after..field);
        let joins = between.len() < 80
            && !between.contains(['}', '{'])
            && !between.contains("- ")
            && !between.contains('>');
        return joins.then_some(value);
    }
    None
}

/// Reports the second item of `["password", "value"]` or `("password", "value")`.
pub(super) fn list(text: &Text<'_>, name: &Name<'_>, at: usize, found: &mut Found<'_>) {
    if !matches!(text.byte(skip_blanks(text, at, 4)), Some(b',')) || name.strength < Strength::Weak
    {
        return;
    }
    // The name is the whole item.
    if !matches!(
        text.byte_before(name.start - name.dashes),
        Some(b'"' | b'\'')
    ) {
        return;
    }
    let place = skip_space(text, skip_blanks(text, at, 4) + 1);
    let Some(quote) = quote_at(text, place) else {
        return;
    };
    if let Some(value) = value::quoted(text, quote) {
        report_as(text, name, &value, Style::Gap, &PAIR, found);
    }
}
