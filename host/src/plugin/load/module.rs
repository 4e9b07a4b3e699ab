//! Makes a component of a plugin's file.

use super::error::LoadError;
use super::module_limits;
use super::world::World;
use crate::plugin::policy::Wasi;
use flate2::read::GzDecoder;
use std::io::Read;
use step_observer_event_model::contract;
use wasmparser::{Encoding, Parser, Payload};

/// Largest file in bytes.
pub const MAX_FILE_BYTES: u64 = 32 * 1024 * 1024;
/// Largest module after decompression, in bytes.
pub const MAX_MODULE_BYTES: u64 = 64 * 1024 * 1024;

/// Largest module in text form, in bytes. Parsing a module takes many times the memory of its text.
const MAX_TEXT_BYTES: u64 = 1024 * 1024;

/// Converts a file in any of the supported forms into a component.
///
/// # Errors
///
/// The reason why the file cannot be used.
pub(crate) fn component(bytes: &[u8], wasi: Wasi) -> Result<Vec<u8>, LoadError> {
    let wasm = binary(bytes)?;
    let component = to_component(wasm)?;
    let world = World::parse(&component)?;
    world.check(wasi)?;
    Ok(component)
}

/// Converts a core module into a component, and returns a component unchanged. Does not check
/// imports and exports.
pub(crate) fn to_component(wasm: Vec<u8>) -> Result<Vec<u8>, LoadError> {
    // The encoder panics on some truncated modules, so the module is validated first.
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::default())
        .validate_all(&wasm)
        .map_err(|error| LoadError::Invalid(error.to_string()))?;
    module_limits::check(&wasm)?;
    match encoding(&wasm)? {
        Encoding::Component => Ok(wasm),
        Encoding::Module => wrap(wasm),
    }
}

/// Decompresses a file, and parses its text form.
pub(crate) fn binary(bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
    to_binary(&decompress(bytes)?)
}

fn decompress(bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge(MAX_FILE_BYTES));
    }
    let failed = |error: &dyn std::fmt::Display| LoadError::Decompress(error.to_string());
    match bytes {
        [0x1f, 0x8b, ..] => read_bounded(GzDecoder::new(bytes)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let decoder =
                ruzstd::decoding::StreamingDecoder::new(bytes).map_err(|error| failed(&error))?;
            read_bounded(decoder)
        }
        _ => Ok(bytes.to_vec()),
    }
}

fn read_bounded(reader: impl Read) -> Result<Vec<u8>, LoadError> {
    let mut unpacked = Vec::new();
    reader
        .take(MAX_MODULE_BYTES + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| LoadError::Decompress(error.to_string()))?;
    if unpacked.len() as u64 > MAX_MODULE_BYTES {
        return Err(LoadError::TooLarge(MAX_MODULE_BYTES));
    }
    Ok(unpacked)
}

fn to_binary(bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
    if bytes.starts_with(b"\0asm") {
        return Ok(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.contains('('));
    match text {
        Some(text) if text.len() as u64 > MAX_TEXT_BYTES => Err(LoadError::TextTooLarge),
        Some(text) => wat::parse_str(text).map_err(|error| {
            // The further lines quote the file.
            let text = error.to_string();
            LoadError::NotWasm(text.lines().next().unwrap_or_default().to_owned())
        }),
        None => {
            let what = match bytes {
                [] => "it is empty",
                [0x7f, b'E', b'L', b'F', ..] => "it is a native library or program",
                _ => "it does not begin with \\0asm",
            };
            Err(LoadError::NotWasm(what.to_owned()))
        }
    }
}

pub(crate) fn encoding(wasm: &[u8]) -> Result<Encoding, LoadError> {
    match Parser::new(0).parse_all(wasm).next() {
        Some(Ok(Payload::Version { encoding, .. })) => Ok(encoding),
        Some(Ok(_)) | None => Err(LoadError::NotWasm("it has no header".to_owned())),
        Some(Err(error)) => Err(LoadError::Invalid(error.to_string())),
    }
}

/// Converts a core module into a component. A module that was not built with wit-bindgen, such as
/// hand-written C, has no description of its world. The description of the contract is added to it;
/// otherwise the encoder would return an empty component without an error.
fn wrap(mut module: Vec<u8>) -> Result<Vec<u8>, LoadError> {
    let refused = |error: &dyn std::fmt::Display| LoadError::Contract(format!("{error:#}"));
    let described = Parser::new(0).parse_all(&module).any(|payload| {
        matches!(payload, Ok(Payload::CustomSection(section)) if section.name().starts_with("component-type"))
    });
    if !described {
        let mut resolve = wit_parser::Resolve::default();
        let (text, world) = contract_of(&module);
        let package = resolve
            .push_str("plugin.wit", text)
            .map_err(|error| refused(&error))?;
        let world = resolve
            .select_world(&[package], Some(world))
            .map_err(|error| refused(&error))?;
        wit_component::embed_component_metadata(
            &mut module,
            &resolve,
            world,
            wit_component::StringEncoding::UTF8,
            false,
        )
        .map_err(|error| refused(&error))?;
    }
    // Hostile metadata has made the encoder panic before.
    let encoded = std::panic::catch_unwind(|| {
        wit_component::ComponentEncoder::default()
            .validate(true)
            .module(&module)?
            .encode()
    });
    match encoded {
        Ok(Ok(component)) => Ok(component),
        Ok(Err(_)) if imports_old_wasi(&module) => Err(LoadError::WasiModule),
        Ok(Err(error)) => Err(LoadError::Contract(format!("{error:#}"))),
        Err(_) => Err(LoadError::Contract(
            "its component metadata is damaged".to_owned(),
        )),
    }
}

/// Returns true if a core module imports the form of WASI that is older than the component model.
fn imports_old_wasi(module: &[u8]) -> bool {
    let payloads = Parser::new(0).parse_all(module).filter_map(Result::ok);
    let imports = payloads.filter_map(|payload| match payload {
        Payload::ImportSection(imports) => Some(imports),
        _ => None,
    });
    let mut imports = imports.flat_map(|imports| imports.into_imports().filter_map(Result::ok));
    imports.any(|import| import.module == "wasi_snapshot_preview1")
}

/// Finds the contract for which a core module was built, by the names of the module's exports.
/// Returns the text and the world of that contract.
fn contract_of(module: &[u8]) -> (&'static str, &'static str) {
    let payloads = Parser::new(0).parse_all(module).filter_map(Result::ok);
    let exports = payloads.filter_map(|payload| match payload {
        Payload::ExportSection(exports) => Some(exports),
        _ => None,
    });
    let exports = exports.flat_map(|exports| exports.into_iter().filter_map(Result::ok));
    let names: Vec<&str> = exports.map(|export| export.name).collect();
    let text = names.iter().find_map(|name| contract::wit_of(name));
    (
        text.unwrap_or(contract::NEWEST.1),
        contract::world_of(names),
    )
}
