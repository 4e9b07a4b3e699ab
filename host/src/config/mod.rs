//! The configuration: one YAML file, read into types that hold only valid values. Each room defines
//! the part that configures it.

mod check;
mod duration;
mod file_access;
mod mask;
mod types;

pub use crate::admin::AdminConfig;
pub use crate::yaml::{FieldPath, Mistakes, YamlError as Mistake};
pub use check::ConfigCheck;
pub use duration::ConfigDuration;
pub use types::{Config, DeadLetterConfig, SinkConfig};

use crate::yaml;
use std::path::{Path, PathBuf};

/// Largest configuration file in bytes.
const MAX_SIZE: u64 = 1024 * 1024;

/// An error that prevents the use of a configuration.
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
    /// The file is too large for a configuration.
    #[error("{path} is larger than {MAX_SIZE} bytes")]
    TooLarge {
        /// Its path.
        path: PathBuf,
    },
    /// The file is not text.
    #[error("{path} is not text in UTF-8")]
    NotText {
        /// Its path.
        path: PathBuf,
    },
    /// The file contains mistakes.
    #[error("{0}; `step-observer config schema` prints what is allowed")]
    Invalid(#[from] Mistakes),
}

/// Reads the text of a configuration file.
///
/// # Errors
///
/// The file cannot be read, is too large, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, ConfigError> {
    use std::io::Read as _;
    let read_error = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    // Reads up to the bound instead of asking for the size first: the file may grow before its
    // bytes are read.
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(read_error)?;
    let read = file.take(MAX_SIZE + 1).read_to_end(&mut bytes);
    if read.map_err(read_error)? as u64 > MAX_SIZE {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|_| ConfigError::NotText {
        path: path.to_owned(),
    })
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or contains mistakes: the error has line and field of each.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&path.display().to_string(), &read_text(path)?)
    }

    /// Reads a text. An empty text is the default configuration.
    ///
    /// # Errors
    ///
    /// The text contains mistakes: the error has line and field of each.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        Ok(ConfigCheck::parse(name, text).into_config()?)
    }

    /// Returns the configuration as the YAML text of a file, with every default written out.
    ///
    /// # Errors
    ///
    /// The configuration cannot be written as YAML.
    pub fn to_yaml(&self) -> Result<String, yaml::PrintError> {
        yaml::print(self)
    }

    /// Returns the JSON Schema of the file.
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}

#[cfg(test)]
mod tests;
