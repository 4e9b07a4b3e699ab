//! Files of JSON: cases and events.

use crate::cli::outcome::CommandError;
use serde_json::Value;
use std::path::Path;

pub(super) fn read(file: &Path) -> Result<Value, CommandError> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("failed to read {}: {error}", file.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| format!("{} is not JSON: {error}", file.display()).into())
}

pub(super) fn write(file: &Path, value: &Value) -> Result<(), CommandError> {
    std::fs::write(file, format!("{value:#}\n"))
        .map_err(|error| format!("failed to write {}: {error}", file.display()).into())
}
