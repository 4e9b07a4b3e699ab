//! Reads YAML texts into types. All mistakes in a text are reported together: after each mistake,
//! the wrong field is omitted and the text is read again. A mistake contains a line and a field but
//! never a value, because a configuration may contain secrets.

mod lenient;
mod mistakes;
mod path;
mod problem;
mod source_map;

pub use mistakes::{Mistakes, YamlError};
pub use path::{FieldPath, Segment};
pub use serde_saphyr::SerializeError as PrintError;

use lenient::{FailedAt, ReadState, WithPath};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serde_saphyr::options::DuplicateKeyPolicy;
use source_map::{Duplicate, Position, SourceMap, SyntaxError};
use std::borrow::Cow;
use std::cell::RefCell;

/// Limits for reading one text repeatedly: total bytes, and number of reads.
const MAX_READ_BYTES: usize = 128 * 1024 * 1024;
const MAX_READ_PASSES: usize = 1000;
/// Maximum number of syntax errors that are reported for one text.
const MAX_SYNTAX_ERRORS: usize = 16;
/// Maximum number of values in a text, including the values of its aliases.
const MAX_VALUES: usize = 100_000;
/// Deepest nesting of its values.
const MAX_DEPTH: usize = 64;

/// The result of reading a text that may contain mistakes.
#[derive(Debug)]
pub(crate) struct LenientParse<T> {
    /// The valid part. `None` if no field can be read.
    pub(crate) value: Option<T>,
    /// The mistakes in the rest.
    pub(crate) mistakes: Mistakes,
    name: String,
    root_name: &'static str,
    source_map: SourceMap,
    /// Fields and items with mistakes. In `value` they are missing or not as the author intended.
    invalid: Vec<FieldPath>,
    omitted: Vec<FieldPath>,
}

impl<T> LenientParse<T> {
    /// Adds a mistake at the value of a field.
    pub(crate) fn add_mistake(&mut self, path: &FieldPath, problem: impl Into<String>) {
        let place = self.source_map.value_position(path);
        let problem = problem.into();
        let lines: Vec<&str> = problem.lines().map(str::trim).collect();
        self.add_mistake_at(path, place, lines.join(" "));
    }

    fn add_mistake_at(
        &mut self,
        path: &FieldPath,
        Position { line, column }: Position,
        problem: String,
    ) {
        let field = match path.to_string() {
            none if none.is_empty() => self.root_name.to_owned(),
            field => field,
        };
        self.mistakes.add(YamlError {
            name: self.name.clone(),
            line,
            column,
            field,
            problem,
        });
    }

    /// Returns whether the field, or a field above or below it, has a mistake. Its value is then
    /// not what the author intended.
    pub(crate) fn is_invalid(&self, path: &FieldPath) -> bool {
        let touches = |invalid: &FieldPath| path.contains(invalid) || invalid.contains(path);
        self.invalid.iter().any(touches)
    }

    /// Returns the paths of the items of a sequence in the text, without the omitted items. They
    /// correspond to the items in `value`.
    pub(crate) fn items(&self, sequence: &FieldPath) -> Vec<FieldPath> {
        let items = (0..self.source_map.sequence_len(sequence)).map(|index| sequence.index(index));
        let is_omitted = |item: &FieldPath| {
            let is_it = |path: &FieldPath| path.0.len() == item.0.len() && path.contains(item);
            self.omitted.iter().any(is_it)
        };
        items.filter(|item| !is_omitted(item)).collect()
    }
}

/// Parses a text. Returns the default value if the text is empty or contains only comments.
/// Mistakes that belong to no field are reported with the name `root_name`.
pub(crate) fn parse<T: DeserializeOwned + Default>(
    name: &str,
    root_name: &'static str,
    text: &str,
) -> Result<T, Mistakes> {
    let parsed = parse_lenient(name, root_name, text);
    match parsed.value {
        Some(value) if parsed.mistakes.is_empty() => Ok(value),
        _ => Err(parsed.mistakes),
    }
}

/// Parses a text like `parse`. Also reports the mistake that `check` finds in the value, with the
/// field of the mistake.
///
/// # Errors
///
/// The text contains mistakes. The error contains line and field of each mistake.
pub fn parse_checked<T: DeserializeOwned + Default>(
    name: &str,
    root_name: &'static str,
    text: &str,
    check: impl FnOnce(&T) -> Option<(FieldPath, String)>,
) -> Result<T, Mistakes> {
    let mut parsed = parse_lenient(name, root_name, text);
    if parsed.mistakes.is_empty()
        && let Some((field, problem)) = parsed.value.as_ref().and_then(check)
    {
        parsed.add_mistake(&field, problem);
    }
    match parsed.value {
        Some(value) if parsed.mistakes.is_empty() => Ok(value),
        _ => Err(parsed.mistakes),
    }
}

/// Reads the valid part of a text, and collects the mistakes in the rest.
pub(crate) fn parse_lenient<T: DeserializeOwned + Default>(
    name: &str,
    root_name: &'static str,
    text: &str,
) -> LenientParse<T> {
    let mut parsed = LenientParse {
        value: None,
        mistakes: Mistakes::default(),
        name: name.to_owned(),
        root_name,
        source_map: SourceMap::default(),
        invalid: Vec::new(),
        omitted: Vec::new(),
    };
    let Some((text, duplicates)) = parsed.blank_syntax_errors(text) else {
        return parsed;
    };
    let is_comment = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.lines().all(is_comment) {
        parsed.value = Some(T::default());
        return parsed;
    }
    let policy = match duplicates.is_empty() {
        true => DuplicateKeyPolicy::Error,
        false => DuplicateKeyPolicy::FirstWins,
    };
    for Duplicate { path, at, first } in duplicates {
        let problem = format!(
            "it stands in line {} already: remove one of them",
            first.line
        );
        parsed.add_mistake_at(&path, at, problem);
        parsed.invalid.push(path);
    }
    let reading = RefCell::new(ReadState::default());
    let most = (MAX_READ_BYTES / text.len().max(1)).clamp(2, MAX_READ_PASSES);
    for _ in 0..most {
        match read(&text, policy, &reading) {
            Ok(value) => {
                parsed.value = Some(value);
                parsed.omitted = reading.into_inner().omitted.into_iter().collect();
                return parsed;
            }
            Err(error) => {
                let mut reading = reading.borrow_mut();
                if exceeds_budget(&error) {
                    parsed.add_fatal_mistake(&reading, &error);
                    return parsed;
                }
                if !parsed.omit_mistake(&mut reading, &error) || parsed.mistakes.has_more() {
                    return parsed;
                }
                reading.restart();
            }
        }
    }
    parsed.mistakes.mark_incomplete();
    parsed
}

fn read<T: DeserializeOwned>(
    text: &str,
    duplicates: DuplicateKeyPolicy,
    reading: &RefCell<ReadState>,
) -> Result<T, serde_saphyr::Error> {
    // Switches off the snippet in errors, which quotes a line of the text and so perhaps a secret.
    let options = serde_saphyr::options! {
        with_snippet: false,
        // With comment events, the parser would refuse more than 32 lines of comments in one place.
        emit_comments: false,
        duplicate_keys: duplicates,
        budget: serde_saphyr::budget! { max_nodes: MAX_VALUES, max_depth: MAX_DEPTH },
    };
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        T::deserialize(WithPath::new(deserializer, reading))
    })
}

impl<T> LenientParse<T> {
    /// Reports syntax errors. Replaces every top-level field that contains a syntax error with
    /// empty lines, so that the other fields can be read. Returns the resulting text and the
    /// duplicate fields, or `None` if nothing can be read.
    fn blank_syntax_errors<'a>(&mut self, text: &'a str) -> Option<(Cow<'a, str>, Vec<Duplicate>)> {
        let mut text = Cow::Borrowed(text);
        for _ in 0..MAX_SYNTAX_ERRORS {
            match SourceMap::read(&text) {
                Ok((source_map, duplicates)) => {
                    self.source_map = source_map;
                    return Some((text, duplicates));
                }
                Err(SyntaxError { path, at, problem }) => {
                    self.add_mistake_at(&path, at, problem::describe(&problem));
                    let (field, rest) = blank_field_at(&text, at.line, path.0.first())?;
                    self.invalid.push(FieldPath::default().key(&field));
                    text = rest.into();
                }
            }
        }
        None
    }

    /// Reports a mistake, unless it is a consequence of an earlier mistake, and omits its field
    /// from the next read. Returns false if the field cannot be omitted.
    fn omit_mistake(&mut self, reading: &mut ReadState, error: &serde_saphyr::Error) -> bool {
        let problem = problem::describe(&error.to_string());
        let Some(FailedAt {
            mut path,
            mut is_name,
        }) = reading.failed.take()
        else {
            self.add_fatal_mistake(reading, error);
            return false;
        };
        // A last segment that is not in the text may be the value of a field. It is removed,
        // because a value must not be quoted.
        if let (Some(Segment::Variant(_)), false) = (path.0.last(), self.source_map.contains(&path))
        {
            path.0.pop();
            is_name = false;
        }
        if let Some(field) = missing_field(&problem) {
            let missing = path.key(field);
            if !reading.omitted.contains(&missing) {
                let place = self.source_map.key_position(&path);
                self.add_mistake_at(&missing, place, "it is missing: add it".to_owned());
                self.invalid.push(missing);
            }
            if let Some(placeholder) = placeholder(field, reading.added.len()) {
                let added = reading.added.entry(path).or_default();
                added.push((field.to_owned(), placeholder));
                return true;
            }
            return omit(reading, path);
        }
        // If something below this field was omitted, the mistake is only a consequence: the field
        // lacks the omitted part.
        let follows = |omitted: &FieldPath| path != *omitted && path.contains(omitted);
        if is_name || !reading.omitted.iter().any(follows) {
            let place = match is_name {
                true => self.source_map.key_position(&path),
                false => self.source_map.value_position(&path),
            };
            self.add_mistake_at(&path, place, problem);
            // An unknown field does not make the value of any other field wrong. An unknown variant
            // makes the value of its field wrong.
            if !is_name || matches!(path.0.last(), Some(Segment::Variant(_))) {
                self.invalid.push(path.clone());
            }
        }
        omit(reading, path)
    }

    /// Reports a mistake that makes the rest of the text, or the whole text, unreadable.
    fn add_fatal_mistake(&mut self, reading: &ReadState, error: &serde_saphyr::Error) {
        let location = error.location();
        let place = Position {
            line: location.map_or(1, |location| location.line()),
            column: location.map_or(1, |location| location.column()),
        };
        let path = reading.failed.as_ref().map(|failed| failed.path.clone());
        self.add_mistake_at(
            &path.unwrap_or_default(),
            place,
            problem::describe(&error.to_string()),
        );
    }
}

/// Replaces the top-level field that contains a syntax error with empty lines. This is the field
/// that the parser was reading; if that is unknown, the field that contains the line. Returns the
/// name of the field and the resulting text.
fn blank_field_at(text: &str, line: u64, being_read: Option<&Segment>) -> Option<(String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let is_field = |line: &str| line.starts_with(|c: char| c.is_alphabetic() || "\"'_".contains(c));
    let is_it = |line: &str| match being_read.map(Segment::name) {
        Some(Ok(name)) => line.trim_start_matches(['"', '\'']).starts_with(name),
        Some(Err(_)) | None => true,
    };
    let at = usize::try_from(line).ok()?.min(lines.len());
    let before = || lines.iter().take(at);
    let begin = before().rposition(|line| is_field(line) && is_it(line));
    let begin = begin.or_else(|| before().rposition(|line| is_field(line)))?;
    let behind = lines.iter().skip(begin + 1).position(|line| is_field(line));
    let end = behind.map_or(lines.len(), |behind| begin + 1 + behind);
    let field = lines.get(begin)?.split(':').next()?.to_owned();
    let kept = lines.iter().enumerate().map(|(index, line)| {
        let is_omitted = (begin..end).contains(&index);
        if is_omitted { "" } else { *line }
    });
    Some((field, kept.collect::<Vec<_>>().join("\n")))
}

/// Returns whether the error says that the text, with its aliases, exceeds a bound.
fn exceeds_budget(error: &serde_saphyr::Error) -> bool {
    let message = error.to_string();
    [
        "budget breached",
        "recursion limit exceeded",
        "alias replay",
    ]
    .iter()
    .any(|bound| message.contains(bound))
}

/// Omits a field or item from the next read. For a variant, omits the field whose value is the
/// variant. Returns false if there is no field to omit, or it is omitted already.
fn omit(reading: &mut ReadState, mut path: FieldPath) -> bool {
    while let Some(Segment::Variant(_)) = path.0.last() {
        path.0.pop();
    }
    !path.0.is_empty() && reading.omitted.insert(path)
}

/// Returns a placeholder value for a missing field, if the other fields cannot be read without it.
fn placeholder(field: &str, number: usize) -> Option<Value> {
    match field {
        "name" => Some(json!(format!("unnamed-{number}"))),
        "from" => Some(json!({"bundled": "passthrough"})),
        "to" => Some(json!({"stdout": {}})),
        "url" => Some(json!("https://placeholder.invalid")),
        _ => None,
    }
}

fn missing_field(problem: &str) -> Option<&str> {
    let field = problem.strip_prefix("missing field `")?;
    field.split('`').next()
}

/// Writes a value as YAML.
pub(crate) fn print<T: serde::Serialize>(value: &T) -> Result<String, PrintError> {
    serde_saphyr::to_string(value)
}
