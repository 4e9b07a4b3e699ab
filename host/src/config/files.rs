//! Files and variables that a sink names.

use super::SinkConfig;
use serde_json::Value;

/// Those that cannot be read: the path of each field, and what is wrong. Never what stands in a file.
pub(super) fn missing(sink: &SinkConfig) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let dead_letters = sink.dead_letter_sink.as_ref().map(|sink| &sink.to);
    for (field, to) in [("to", Some(&sink.to)), ("deadLetterSink.to", dead_letters)] {
        if let Some(Ok(to)) = to.map(serde_json::to_value) {
            look(field, "", &to, &mut found);
        }
    }
    found
}

fn look(path: &str, name: &str, value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                look(&format!("{path}.{name}"), name, value, found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                look(&format!("{path}[{index}]"), name, value, found);
            }
        }
        Value::String(text) => {
            found.extend(problem(name, text).map(|problem| (path.to_owned(), problem)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What is wrong with what a field names.
fn problem(field: &str, named: &str) -> Option<String> {
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
