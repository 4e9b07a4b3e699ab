//! The configuration: one YAML file, read whole into types that cannot be wrong.

mod mask;
mod types;

pub use crate::admin::AdminConfig;
pub use types::{
    Config, DeadLetterConfig, DropInConfig, LogCaptureMode, LogConfig, PluginConfig, PluginFrom,
    PluginMemoryConfig, SinkConfig, SinkKind, Span, TektonConfig,
};

use crate::yaml::{self, YamlError};
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
    #[error("{0}\n  see `step-observer config schema` for what is allowed")]
    Invalid(#[from] YamlError),
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
        Ok(yaml::parse(name, "configuration", text)?)
    }

    /// The file as it would be with every default written out.
    ///
    /// # Errors
    ///
    /// It cannot be written as YAML.
    pub fn to_yaml(&self) -> Result<String, yaml::PrintError> {
        yaml::print(self)
    }

    /// JSON Schema of the file.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

#[cfg(test)]
mod tests;
