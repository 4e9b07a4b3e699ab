//! Files and variables that a configuration names.

use super::SinkConfig;
use serde::Serialize;
use serde_json::Value;

/// Those of a sink that cannot be read: the path of each field, and what is wrong. Never what stands in a file.
pub(super) fn unreadable_in_sink(sink: &SinkConfig) -> Vec<(String, String)> {
    let mut found = unreadable_in("to", &sink.to);
    if let Some(dead_letters) = &sink.dead_letter_sink {
        found.extend(unreadable_in("deadLetterSink.to", &dead_letters.to));
    }
    found
}

/// The same of whatever stands at a path.
pub(super) fn unreadable_in(path: &str, configured: &impl Serialize) -> Vec<(String, String)> {
    let mut found = Vec::new();
    // What has been read can be written.
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

/// What is wrong with what a field names.
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
        // To open a pipe would wait for a writer.
        Ok(metadata) if !metadata.is_file() => return None,
        Ok(_) => std::fs::File::open(named).err()?,
        Err(error) => error,
    };
    Some(format!(
        "failed to read {named}: {error}; is it mounted, and may the observer read it?"
    ))
}
