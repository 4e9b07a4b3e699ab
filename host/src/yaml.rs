//! YAML texts into types. What is wrong is told with its line and field, never with its value: a
//! configuration may hold secrets.

use serde::de::DeserializeOwned;

pub use serde_saphyr::SerializeError as PrintError;

/// Something in a text is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}:{line}:{column}: {field}: {problem}")]
pub struct YamlError {
    /// Name of the text.
    pub name: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// Path of the field.
    pub field: String,
    /// What is wrong.
    pub problem: String,
}

/// Reads a text; an empty one, or one of comments only, is the default. `whole` is what the text is
/// called where no field of it is to blame.
pub(crate) fn parse<T: DeserializeOwned + Default>(
    name: &str,
    whole: &str,
    text: &str,
) -> Result<T, YamlError> {
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(T::default());
    }
    let mut track = serde_path_to_error::Track::new();
    // Without the snippet: a line of the text may hold what does not belong into a message.
    let options = serde_saphyr::options! { with_snippet: false };
    let parsed =
        serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
            T::deserialize(serde_path_to_error::Deserializer::new(
                deserializer,
                &mut track,
            ))
        });
    parsed.map_err(|error| {
        let location = error.location();
        let field = track.path().to_string();
        YamlError {
            name: name.to_owned(),
            line: location.map_or(0, |location| location.line()),
            column: location.map_or(0, |location| location.column()),
            field: if field == "." {
                whole.to_owned()
            } else {
                field
            },
            problem: problem(&error.to_string()),
        }
    })
}

/// A value as YAML.
pub(crate) fn print<T: serde::Serialize>(value: &T) -> Result<String, PrintError> {
    serde_saphyr::to_string(value)
}

/// The place stands before the message already.
fn problem(message: &str) -> String {
    let first = message.lines().next().unwrap_or(message);
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let problem = match first.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest,
        _ => first
            .rsplit_once(" at line ")
            .map_or(first, |(rest, _)| rest),
    };
    without_value(problem)
}

/// What serde quotes of the text where a value does not fit.
fn without_value(problem: &str) -> String {
    let quotes = ["invalid type", "invalid value", "unknown variant"]
        .iter()
        .any(|start| problem.starts_with(start));
    if let (true, Some(first), Some(last)) = (quotes, problem.find('"'), problem.rfind('"'))
        && first < last
    {
        let (before, after) = (problem.get(..=first), problem.get(last..));
        return format!(
            "{}…{}",
            before.unwrap_or_default(),
            after.unwrap_or_default()
        );
    }
    let mut parts = problem.splitn(3, '`');
    match (quotes, parts.next(), parts.next(), parts.next()) {
        (true, Some(before), Some(_), Some(after)) => format!("{before}`…`{after}"),
        _ => problem.to_owned(),
    }
}
