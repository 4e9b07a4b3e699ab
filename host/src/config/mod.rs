//! The configuration: one YAML file, read whole into types that cannot be wrong.

mod types;

pub use types::{
    Config, LogCaptureMode, LogConfig, PluginConfig, PluginFrom, SinkConfig, SinkKind, Span,
};

use serde::Deserialize as _;
use std::path::{Path, PathBuf};

/// Largest configuration file in bytes.
const MAX_SIZE: u64 = 1024 * 1024;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read {path}: {source}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is too large to be one.
    #[error("{path} is larger than {MAX_SIZE} bytes")]
    TooLarge {
        /// Its path.
        path: PathBuf,
    },
    /// Something in it is wrong.
    #[error(
        "{name}:{line}:{column}: {field}: {problem}\n  see `step-observer config schema` for what is allowed"
    )]
    Invalid {
        /// Name of the file.
        name: String,
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
        /// Path of the field.
        field: String,
        /// What is wrong.
        problem: String,
    },
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Names the file, the line and the field.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let read_error = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        if std::fs::metadata(path).map_err(read_error)?.len() > MAX_SIZE {
            return Err(ConfigError::TooLarge {
                path: path.to_owned(),
            });
        }
        let text = std::fs::read_to_string(path).map_err(read_error)?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a text. An empty one is the default configuration.
    ///
    /// # Errors
    ///
    /// Names the line and the field.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        if text
            .lines()
            .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
        {
            return Ok(Self::default());
        }
        let mut track = serde_path_to_error::Track::new();
        // Without the snippet: a line of the file may hold what does not belong there.
        let options = serde_saphyr::options! { with_snippet: false };
        let parsed =
            serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
                Self::deserialize(serde_path_to_error::Deserializer::new(
                    deserializer,
                    &mut track,
                ))
            });
        parsed.map_err(|error| {
            let location = error.location();
            let field = track.path().to_string();
            ConfigError::Invalid {
                name: name.to_owned(),
                line: location.map_or(0, |location| location.line()),
                column: location.map_or(0, |location| location.column()),
                field: if field == "." {
                    "configuration".to_owned()
                } else {
                    field
                },
                problem: problem(&error.to_string()),
            }
        })
    }

    /// The file as it would be with every default written out.
    ///
    /// # Errors
    ///
    /// It cannot be written as YAML.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::SerializeError> {
        serde_saphyr::to_string(self)
    }

    /// JSON Schema of the file.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

/// The place stands before the message already.
fn problem(message: &str) -> String {
    let first = message.lines().next().unwrap_or(message);
    let first = first.strip_prefix("error: ").unwrap_or(first);
    match first.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest.to_owned(),
        _ => match first.rsplit_once(" at line ") {
            Some((rest, _)) => rest.to_owned(),
            None => first.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests;
