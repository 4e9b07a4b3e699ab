//! Describes a plugin's file without running it.

use super::error::LoadError;
use super::module;
use super::trust::FileDigest;
use super::world::World;
use serde::Serialize;
use wasmparser::{Encoding, Parser, Payload};

/// The custom section with the JSON Schema of a plugin's configuration.
const CONFIG_SCHEMA: &str = "step-observer:config-schema";
/// Largest schema that is shown, in bytes.
const MAX_SCHEMA: usize = 256 * 1024;

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
    /// The export that makes it a plugin, with its version.
    pub world: Option<String>,
    /// All imports.
    pub imports: Vec<String>,
    /// All exports.
    pub exports: Vec<String>,
    /// JSON Schema of its configuration, if the file contains one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<serde_json::Value>,
}

impl Inspection {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It is not WebAssembly, or does not fit the contract.
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

fn config_schema(wasm: &[u8]) -> Option<serde_json::Value> {
    let sections = Parser::new(0).parse_all(wasm).filter_map(Result::ok);
    let found = sections.into_iter().find_map(|payload| match payload {
        Payload::CustomSection(section) if section.name() == CONFIG_SCHEMA => Some(section.data()),
        _ => None,
    })?;
    let bounded = found.get(..MAX_SCHEMA.min(found.len()))?;
    serde_json::from_slice(bounded).ok()
}
