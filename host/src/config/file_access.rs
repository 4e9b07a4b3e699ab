//! Checks that the files and environment variables that a configuration names can be read.

use super::SinkConfig;
use serde::Serialize;
use serde_json::Value;

/// Returns the fields of a sink that name something unreadable, each with its problem. A problem never
/// quotes the content of a file.
pub(super) fn unreadable_in_sink(sink: &SinkConfig) -> Vec<(String, String)> {
    let mut found = unreadable_in("to", &sink.to);
    if let Some(dead_letters) = &sink.dead_letter_sink {
        found.extend(unreadable_in("deadLetterSink.to", &dead_letters.to));
    }
    found
}

/// Returns the fields of a value that name something unreadable. `path` is the path of the value.
pub(super) fn unreadable_in(path: &str, configured: &impl Serialize) -> Vec<(String, String)> {
    let mut found = Vec::new();
    // Never fails: a value that was read from YAML can be serialized.
    let configured = serde_json::to_value(configured).unwrap_or_default();
    visit(path, "", &configured, &mut found);
    found
}

fn visit(path: &str, name: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                visit(&format!("{path}.{name}"), name, value, found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                visit(&format!("{path}[{index}]"), name, value, found);
            }
        }
        Value::String(text) => {
            found.extend(access_problem(name, text).map(|problem| (path.to_owned(), problem)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns why the file or variable that a field names cannot be read.
fn access_problem(field: &str, named: &str) -> Option<String> {
    if field == "fromEnv" {
        let variable = std::env::var_os(named);
        let problem = format!("the environment variable {named} is not set: set it");
        return variable.is_none().then_some(problem);
    }
    let is_file = field == "file" || field.ends_with("File") || field.ends_with("Files");
    if !is_file {
        return None;
    }
    let error = match std::fs::metadata(named) {
        // Opening a pipe would wait for its writer.
        Ok(metadata) if !metadata.is_file() => return None,
        Ok(_) => std::fs::File::open(named).err()?,
        Err(error) => error,
    };
    Some(format!(
        "failed to read {named}: {error}; is it mounted, and may the observer read it?"
    ))
}
