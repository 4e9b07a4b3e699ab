//! Secrets of Kubernetes as manifests, in YAML and JSON.

use super::json::Reader;
use super::plausible::stays;
use super::{Detector, Form, Found};
use crate::text::Text;
use std::ops::Range;

/// A value in a Secret.
pub(super) static SECRET_MANIFEST: Form = Form {
    id: "secret-manifest",
    title: "value in the manifest of a Kubernetes Secret",
    examples: &[
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  dsn: →cG9zdGdyZXM6Ly94←\n  user: →YWRtaW4=←\n",
        "stringData:\n  config: |\n    →mode: x\n    word: y←\nkind: Secret\n",
        r#"{"apiVersion":"v1","data":{"dsn":"→cG9zdGdyZXM6Ly94←"},"kind":"Secret"}"#,
        r#"{\"kind\":\"Secret\",\"stringData\":{\"dsn\":\"→plain words←\"}}"#,
    ],
};

pub(super) static FORMS: &[&Form] = &[&SECRET_MANIFEST];

pub(super) static DETECTORS: &[Detector] = &[
    Detector {
        keywords: &["kind: secret", "kind: \"secret\"", "kind:   secret"],
        detect: yaml,
    },
    Detector {
        keywords: &["\"kind\"", "\"kind\\"],
        detect: json,
    },
    Detector {
        keywords: &["\"data\"", "\"data\\", "\"stringdata\"", "\"stringdata\\"],
        detect: json_data,
    },
];

/// Longest manifest before or after its kind, in bytes.
const LONGEST: usize = 16 * 1024;

/// Most bytes between the data and the kind that follows.
const BETWEEN: usize = 512;

fn is_data(name: &str) -> bool {
    name == "data" || name == "stringData"
}

/// Masks the data after `"kind": "Secret"`.
fn json(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let _ = json_after_kind(text, keyword.start + "\"kind".len(), found);
}

fn json_after_kind(text: &Text<'_>, name_end: usize, found: &mut Found<'_>) -> Option<()> {
    let mut reader = Reader::after_name(text, name_end, LONGEST)?;
    reader.take(b':')?;
    let kind = reader.string()?;
    if text.slice(kind) != "Secret" {
        return None;
    }
    loop {
        reader.take(b',')?;
        let name = reader.string()?;
        let name = text.slice(name);
        if name == "kind" {
            return None;
        }
        reader.take(b':')?;
        if is_data(name) && reader.peek()? == b'{' {
            reader.strings(&mut |value| report(text, value, found))?;
        } else {
            reader.skip()?;
        }
    }
}

/// Masks the data before `"kind": "Secret"`.
fn json_data(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let name = text.slice(keyword.start + 1..keyword.end - 1);
    let mut values = Vec::new();
    if is_data(name) && json_before_kind(text, keyword.end - 1, &mut values).is_some() {
        for value in values {
            report(text, value, found);
        }
    }
}

fn json_before_kind(
    text: &Text<'_>,
    name_end: usize,
    values: &mut Vec<Range<usize>>,
) -> Option<()> {
    let mut reader = Reader::after_name(text, name_end, LONGEST)?;
    reader.take(b':')?;
    reader.strings(&mut |value| values.push(value))?;
    let from = reader.at;
    loop {
        reader.take(b',')?;
        let name = reader.string()?;
        reader.take(b':')?;
        match text.slice(name) {
            "kind" => {
                let kind = reader.string()?;
                return (text.slice(kind) == "Secret").then_some(());
            }
            "data" => return None,
            "stringData" => reader.strings(&mut |value| values.push(value))?,
            _ => reader.skip()?,
        }
        if reader.at - from > BETWEEN {
            return None;
        }
    }
}

fn report(text: &Text<'_>, value: Range<usize>, found: &mut Found<'_>) {
    if !stays(text.slice(value.clone())) {
        found(&SECRET_MANIFEST, value);
    }
}

/// A line of YAML.
struct Line<'t> {
    /// Column of the first character, counted after the prefix that a log puts before the line.
    indent: usize,
    /// Its text from there on.
    text: &'t str,
    /// Where that begins.
    start: usize,
    /// Where the next line begins.
    next: usize,
}

/// Reads the line that begins at `start`. The first `prefix` bytes are not part of the document.
fn line<'t>(text: &Text<'t>, start: usize, prefix: usize) -> Line<'t> {
    let end = text.line_end(start);
    let whole = text.slice((start + prefix).min(end)..end).trim_end();
    let shown = whole.trim_start_matches(' ');
    let indent = whole.len() - shown.len();
    Line {
        indent,
        text: shown,
        start: (start + prefix).min(end) + indent,
        next: end + 1,
    }
}

/// Masks the data around `kind: Secret`.
fn yaml(text: &Text<'_>, keyword: Range<usize>, found: &mut Found<'_>) {
    let start = text.line_start(keyword.start);
    let before = text.slice(start..keyword.start);
    let value = text.slice(keyword.start + "kind:".len()..text.line_end(keyword.start));
    if !is_secret(value) || before.len() > 200 {
        return;
    }
    // The prefix of each line before the document: a time, or the sign of a diff.
    let blanks = before.len() - before.trim_end_matches(' ').len();
    let dash = before.trim_end().ends_with("- ") || before.trim() == "-";
    let prefix = if dash || before.trim().is_empty() {
        0
    } else {
        before.len() - blanks + usize::from(blanks > 0)
    };
    let column = before.len().saturating_sub(prefix);
    yaml_after(
        text,
        text.line_end(keyword.start) + 1,
        prefix,
        column,
        found,
    );
    if !dash {
        yaml_before(text, start, prefix, column, found);
    }
}

/// Returns true for the value `Secret`, in quotation marks or not, with a comment or nothing after it.
fn is_secret(value: &str) -> bool {
    let marks = ['"', '\''];
    let value = value.trim_start().trim_start_matches(marks);
    let Some(after) = value.strip_prefix("Secret") else {
        return false;
    };
    let after = after.trim_start_matches(marks);
    let rest = after.trim_start();
    rest.is_empty() || rest.len() < after.len() && rest.starts_with('#')
}

/// Masks the data in the lines after the kind.
fn yaml_after(text: &Text<'_>, from: usize, prefix: usize, column: usize, found: &mut Found<'_>) {
    let mut at = from;
    while at < text.len() && at - from < LONGEST {
        let line = line(text, at, prefix);
        if line.text.is_empty() {
            at = line.next;
            continue;
        }
        if line.indent < column || (line.indent == column && is_end(line.text)) {
            return;
        }
        at = if line.indent == column && line.text.strip_suffix(':').is_some_and(is_data) {
            yaml_members(text, line.next, prefix, column, found)
        } else {
            line.next
        };
    }
}

/// Returns true for a line with which another document or object begins.
fn is_end(text: &str) -> bool {
    text.starts_with("---")
        || text.starts_with("kind:")
        || text.starts_with("- ")
        || text.starts_with("...")
}

/// Masks the data in the lines before the kind.
fn yaml_before(text: &Text<'_>, from: usize, prefix: usize, column: usize, found: &mut Found<'_>) {
    let mut start = from;
    while start > 0 && from - start < LONGEST {
        start = text.line_start(start - 1);
        let line = line(text, start, prefix);
        if line.text.is_empty() {
            continue;
        }
        // `- data:` is the first line of an item of a list.
        let item = line
            .text
            .strip_prefix("- ")
            .filter(|_| line.indent + 2 == column);
        if item.is_none() && (line.indent < column || (line.indent == column && is_end(line.text)))
        {
            return;
        }
        if line.text.starts_with("kind: Secret") {
            return;
        }
        let is_member = item.is_some() || line.indent == column;
        if is_member
            && item
                .unwrap_or(line.text)
                .strip_suffix(':')
                .is_some_and(is_data)
        {
            yaml_members(text, line.next, prefix, column, found);
        }
        if item.is_some() {
            return;
        }
    }
}

/// Masks the values of the members that are indented by more than `column`. Returns the place after
/// the members.
fn yaml_members(
    text: &Text<'_>,
    from: usize,
    prefix: usize,
    column: usize,
    found: &mut Found<'_>,
) -> usize {
    let mut at = from;
    let mut member_column = None;
    let mut value: Option<Range<usize>> = None;
    while at < text.len() && at - from < LONGEST {
        let line = line(text, at, prefix);
        let end = line.start + line.text.len();
        if line.text.is_empty() {
            at = line.next;
            continue;
        }
        if line.indent <= column {
            break;
        }
        if line.indent > *member_column.get_or_insert(line.indent) {
            // A block, or the next line of a value.
            let start = value.as_ref().map_or(line.start, |value| value.start);
            value = Some(start..end);
        } else {
            if let Some(value) = value.take() {
                report(text, value, found);
            }
            if let Some((name, shown)) = line.text.split_once(':') {
                let shown = shown.trim_start();
                let start = end - shown.len();
                let quote = usize::from(
                    shown.len() > 1
                        && shown.starts_with(['"', '\''])
                        && shown.ends_with(['"', '\'']),
                );
                let is_block = shown.starts_with(['|', '>']) && shown.len() <= 3;
                if !is_block && !shown.is_empty() && !name.starts_with('#') {
                    value = Some(start + quote..end - quote);
                }
            }
        }
        at = line.next;
    }
    if let Some(value) = value {
        report(text, value, found);
    }
    at
}
