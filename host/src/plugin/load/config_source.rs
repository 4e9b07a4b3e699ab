//! Values of a plugin's configuration that are not in the observer's configuration, because they are
//! secrets.

use super::error::LoadError;
use super::spec;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use step_observer_event_model::pointer;

/// Largest number of values of one plugin that come from files and variables.
pub(super) const MAX_SOURCES: usize = 64;

/// Largest file with a value, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A value of a plugin's configuration that is read from a file or an environment variable when the
/// plugin is loaded. A line break at its end is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigSource {
    /// Place of the value in `config`, as a JSON pointer (RFC 6901), for example `/replacement/token`.
    /// Objects on the way to it are created; `/values/-` appends to a list.
    #[serde(deserialize_with = "valid_pointer")]
    pub path: String,
    /// Environment variable that holds the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_env: Option<String>,
    /// File that holds the value, of at most 64 KiB of UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_file: Option<PathBuf>,
}

fn valid_pointer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    pointer::check(&text).map_err(serde::de::Error::custom)?;
    Ok(text)
}

impl ConfigSource {
    /// Reads the value and sets it in the configuration of its plugin.
    ///
    /// # Errors
    ///
    /// The value cannot be read, or the configuration has no such place. The error never quotes the
    /// value.
    pub(super) fn apply(&self, config: &mut Value) -> Result<(), LoadError> {
        let failed = |problem: String| LoadError::ConfigSource {
            path: self.path.clone(),
            problem,
        };
        let value = Value::String(self.read().map_err(failed)?);
        pointer::set(config, &self.path, Some(value.clone()));
        let list = self.path.strip_suffix("/-");
        let appended = list.and_then(|list| config.pointer(list)?.as_array()?.last());
        match config.pointer(&self.path).or(appended) == Some(&value) {
            true => Ok(()),
            false => Err(failed(
                "config has no object and no list for it: write its parent in config".to_owned(),
            )),
        }
    }

    fn read(&self) -> Result<String, String> {
        match (&self.from_env, &self.from_file) {
            #[expect(
                clippy::disallowed_methods,
                reason = "configuration names the variable"
            )]
            (Some(variable), None) => std::env::var(variable)
                .map_err(|_| format!("the environment variable {variable} is not set: set it")),
            (None, Some(file)) => {
                read_line(file).map_err(|problem| format!("{}: {problem}", file.display()))
            }
            _ => Err("give exactly one of fromEnv and fromFile".to_owned()),
        }
    }
}

/// Reads a value without the line break at its end. Other white space belongs to the value.
fn read_line(file: &Path) -> Result<String, String> {
    let bytes = spec::read(file, MAX_FILE_BYTES).map_err(|error| match error {
        LoadError::TooLarge(most) => format!("it is larger than {most} bytes"),
        other => other.to_string(),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err("it is empty".to_owned()),
        value => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn source(path: &str, file: &std::path::Path) -> ConfigSource {
        ConfigSource {
            path: path.to_owned(),
            from_env: None,
            from_file: Some(file.to_owned()),
        }
    }

    #[test]
    fn values_are_set_in_objects_and_lists() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("key");
        std::fs::write(&file, "sixteen letters!\r\n").unwrap();
        for (path, before, after) in [
            (
                "/replacement/token",
                Value::Null,
                json!({"replacement": {"token": "sixteen letters!"}}),
            ),
            (
                "/values/-",
                json!({"values": ["a"]}),
                json!({"values": ["a", "sixteen letters!"]}),
            ),
            (
                "/values/0",
                json!({"values": ["a"]}),
                json!({"values": ["sixteen letters!"]}),
            ),
        ] {
            let mut config = before;
            source(path, &file).apply(&mut config).unwrap();
            assert_eq!(config, after, "{path}");
        }
    }

    #[test]
    fn a_value_without_a_place_or_a_source_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("key");
        std::fs::write(&file, "hunter2hunter2").unwrap();
        let refused = |source: ConfigSource, mut config: Value| {
            let error = source.apply(&mut config).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            error
        };
        for config in [json!({"a": 5}), json!({"a": []}), json!("text")] {
            let error = refused(source("/a/1", &file), config);
            assert!(error.contains("/a/1: config has no object"), "{error}");
        }
        std::fs::write(&file, "\n").unwrap();
        let error = refused(source("/a", &file), Value::Null);
        assert!(error.contains("is empty"), "{error}");
        std::fs::write(&file, vec![b'a'; 65_537]).unwrap();
        let error = refused(source("/a", &file), Value::Null);
        assert!(error.contains("larger than 65536 bytes"), "{error}");
        std::fs::write(&file, [0xff]).unwrap();
        let error = refused(source("/a", &file), Value::Null);
        assert!(error.contains("not UTF-8"), "{error}");
        let error = refused(source("/a", &temp.path().join("none")), Value::Null);
        assert!(error.contains("failed to read"), "{error}");
        let neither = ConfigSource {
            from_file: None,
            ..source("/a", &file)
        };
        let both = ConfigSource {
            from_env: Some("A".to_owned()),
            ..source("/a", &file)
        };
        for wrong in [neither, both] {
            let error = refused(wrong, Value::Null);
            assert!(error.contains("exactly one of"), "{error}");
        }
    }
}
