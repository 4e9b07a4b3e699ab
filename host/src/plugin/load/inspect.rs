//! Describes a plugin's file without running it.

use super::error::LoadError;
use super::module;
use super::trust::FileDigest;
use super::world::World;
use crate::plugin::sandbox::OutputMask;
use serde::Serialize;
use serde_json::Value;
use wasmparser::{Encoding, Parser, Payload};

/// The custom section with the JSON Schema of a plugin's configuration.
const CONFIG_SCHEMA: &str = "step-observer:config-schema";
/// Largest schema that is shown, in bytes.
const MAX_SCHEMA: usize = 256 * 1024;
/// Largest part of a description that a warning shows, in bytes.
const MAX_DESCRIPTION: usize = 256;

/// The description of a plugin's file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// `component` or `core module`, and its compression.
    pub form: String,
    /// Size of the file in bytes.
    pub file_bytes: usize,
    /// Size of the WebAssembly in it in bytes.
    pub module_bytes: usize,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The export by which the host calls the plugin, with its version.
    pub world: Option<String>,
    /// All imports.
    pub imports: Vec<String>,
    /// All exports.
    pub exports: Vec<String>,
    /// JSON Schema of its configuration, if the file contains one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<Value>,
}

impl Inspection {
    /// Reads and describes a file.
    ///
    /// # Errors
    ///
    /// The file is not WebAssembly, or does not fit the contract.
    pub fn parse(bytes: &[u8]) -> Result<Self, LoadError> {
        let wasm = module::binary(bytes)?;
        let form = match module::encoding(&wasm)? {
            Encoding::Component => "component",
            Encoding::Module => "core module",
        };
        let packed = match bytes {
            [0x1f, 0x8b, ..] => ", gzip",
            [0x28, 0xb5, 0x2f, 0xfd, ..] => ", zstd",
            [0, b'a', b's', b'm', ..] => "",
            _ => ", written as text",
        };
        let component = module::to_component(wasm.clone())?;
        let world = World::parse(&component)?;
        Ok(Self {
            form: format!("{form}{packed}"),
            file_bytes: bytes.len(),
            module_bytes: wasm.len(),
            sha256: FileDigest::compute(bytes).as_str().to_owned(),
            world: world.transform().map(str::to_owned),
            config_schema: config_schema(&wasm),
            imports: world.imports,
            exports: world.exports,
        })
    }
}

fn config_schema(wasm: &[u8]) -> Option<Value> {
    let sections = Parser::new(0).parse_all(wasm).filter_map(Result::ok);
    let found = sections.into_iter().find_map(|payload| match payload {
        Payload::CustomSection(section) if section.name() == CONFIG_SCHEMA => Some(section.data()),
        _ => None,
    })?;
    let bounded = found.get(..MAX_SCHEMA.min(found.len()))?;
    serde_json::from_slice(bounded).ok()
}

/// A setting of a configuration that the plugin's schema marks as deprecated.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DeprecatedSetting {
    pub(super) name: String,
    /// Description of the setting in the schema, for example its new name.
    pub(super) description: String,
}

/// Lists the settings of a configuration that the schema in the plugin's file marks with
/// `"deprecated": true`. Considers only the top-level members of the configuration, not nested
/// ones.
pub(super) fn deprecated_settings(file: &[u8], config: &Value) -> Vec<DeprecatedSetting> {
    let Some(settings) = config.as_object().filter(|settings| !settings.is_empty()) else {
        return Vec::new();
    };
    let wasm = module::binary(file).unwrap_or_default();
    let schema = config_schema(&wasm).unwrap_or_default();
    let deprecated = settings.keys().filter_map(|name| {
        let setting = schema.get("properties")?.get(name)?;
        let is_deprecated = setting.get("deprecated") == Some(&Value::Bool(true));
        let description = setting.get("description").and_then(Value::as_str);
        is_deprecated.then(|| DeprecatedSetting {
            name: name.clone(),
            description: OutputMask::default()
                .mask_line(description.unwrap_or_default(), MAX_DESCRIPTION),
        })
    });
    deprecated.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_that_the_schema_marks_as_deprecated_are_found() {
        let schema = json!({"properties": {
            "phases": {"type": "array"},
            "types": {"deprecated": true, "description": "Old name of `phases`."},
        }});
        let schema = schema.to_string().replace('"', "\\22");
        let module = format!("(module (@custom {CONFIG_SCHEMA:?} \"{schema}\"))");
        let found = |config| deprecated_settings(module.as_bytes(), &config);
        let expected = DeprecatedSetting {
            name: "types".to_owned(),
            description: "Old name of `phases`.".to_owned(),
        };
        assert_eq!(found(json!({"types": ["failed"], "new": 1})), [expected]);
        for config in [
            json!(null),
            json!({}),
            json!({"phases": []}),
            json!("types"),
        ] {
            assert_eq!(found(config), []);
        }
        assert_eq!(deprecated_settings(b"(module)", &json!({"types": 1})), []);
        assert_eq!(deprecated_settings(b"no module", &json!({"types": 1})), []);
    }
}
