//! From a file to a component: everything that can be said about a plugin without running it.

use super::failure::Failure;
use super::refusals::Refusals;
use super::shape::{self, ShapeError};
use super::spec::Wasi;
use super::wasi;
use crate::redact::{MAX_LARGE, MAX_RULES, MAX_VALUES, RuleError};
use crate::yaml::FieldPath;
use flate2::read::GzDecoder;
use serde_json::Value;
use std::io::Read;
use wasmparser::{Encoding, Parser, Payload};

/// Largest file.
pub const MAX_FILE: u64 = 32 * 1024 * 1024;
/// Largest module, decompressed.
pub const MAX_MODULE: u64 = 64 * 1024 * 1024;

/// Largest module written as text: reading it takes many times its size.
const MAX_TEXT: u64 = 1024 * 1024;

/// Why a plugin is not loaded. Every text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("failed to read it: {0}")]
    Read(#[from] std::io::Error),
    /// There is no bundled plugin of that name.
    #[error("there is no bundled plugin `{name}`; there are: {known}")]
    NotBundled {
        /// The name asked for.
        name: String,
        /// All names.
        known: String,
    },
    /// Too large.
    #[error("it is larger than {0} bytes: build it with --release and opt-level = \"s\"")]
    TooLarge(u64),
    /// Too much text.
    #[error(
        "written as text it may have 1 MiB: make WebAssembly of it with wat2wasm or wasm-tools"
    )]
    TextTooLarge,
    /// Not gzip or zstd after all.
    #[error("failed to decompress it: {0}; compress the file again")]
    Decompress(String),
    /// Neither WebAssembly nor its text.
    #[error(
        "it is not WebAssembly ({0}); build it with `cargo build --release --target wasm32-unknown-unknown`"
    )]
    NotWasm(String),
    /// Not valid.
    #[error("it is not a valid module ({0}); was the file cut short? Build or copy it again")]
    Invalid(String),
    /// A module that does not fit the contract.
    #[error(
        "it does not fit the plugin contract step-observer:plugin@0.1 ({0}); build it against step-observer-guest 0.1"
    )]
    Contract(String),
    /// It wants something that plugins do not get.
    #[error(
        "it imports `{0}`, which plugins do not get: all they can import is step-observer:plugin/events and \
         step-observer:plugin/logging. Build it for wasm32-unknown-unknown, without files, clock or network"
    )]
    Import(String),
    /// It imports WASI without leave.
    #[error(
        "it imports `{0}`: plugins get no WASI. Build it without (Rust: wasm32-unknown-unknown; JavaScript and \
         Python: --stub-wasi), or set `wasi: denied` to give it an empty one"
    )]
    Wasi(String),
    /// It would keep the compiler busy for too long.
    #[error("it is not a reasonable module: {0}")]
    Shape(#[from] ShapeError),
    /// Its machine code has no place.
    #[error(
        "its machine code and configured memory take more than the {room} bytes that are left of what all plugins have \
         for that (pluginMemory.totalBytes): make the module or what it keeps smaller, or give plugins more"
    )]
    CodeTooLarge {
        /// What is left.
        room: u64,
    },
    /// Compiling it takes too much memory.
    #[error(
        "compiling it takes more than {0} bytes of memory: make the module, or what it keeps when it is configured, \
         smaller, or give the observer more memory"
    )]
    CompilerMemory(u64),
    /// It was dropped in, and asks for more than it may.
    #[error(
        "limits.{name} is {asked}, and the operator allows plugins that are dropped in at most {most} \
         (dropIn.limits.{name}): ask for less, or the operator to allow more"
    )]
    Ceiling {
        /// Which limit.
        name: &'static str,
        /// What it asks for.
        asked: u64,
        /// What it may have.
        most: u64,
    },
    /// The observer died while it ran.
    #[error(
        "the observer died {deaths} times while it ran, and may do so again: mend the module or its settings (any change \
         of them clears this), or delete {file} while the observer is stopped"
    )]
    Crashed {
        /// How often.
        deaths: u32,
        /// Where that is noted.
        file: String,
    },
    /// Loading it took too long.
    #[error("loading it took more than {0} seconds: make it smaller")]
    TooSlow(u64),
    /// Another plugin is in its way.
    #[error("another plugin is still being loaded after {0} seconds; it is tried again")]
    Busy(u64),
    /// It is another file than the one that was meant.
    #[error(
        "its SHA-256 is {found}, but `sha256` says {pinned}: it was altered, or the pin is of another build"
    )]
    Digest {
        /// What was asked for.
        pinned: String,
        /// What is there.
        found: String,
    },
    /// It has no signature.
    #[error(
        "it is not signed, and `trust.requireSignature` is set: sign it with `minisign -Sm FILE` and deliver FILE.minisig with it"
    )]
    Unsigned,
    /// Its signature does not hold.
    #[error(
        "its signature does not hold: {0}. It was altered, or signed with a key that is not trusted"
    )]
    Signature(String),
    /// It fails when it is called.
    #[error("it fails its self-test: called on a sample event, {0}")]
    SelfTest(Failure),
    /// It exports another version, or nothing.
    #[error(
        "it does not export step-observer:plugin/transform@0.1 (it exports: {0}): is `export_plugin!` missing, or is \
         it for another version? This host speaks 0.1"
    )]
    Export(String),
    /// The compiler refuses it.
    #[error("failed to compile it: {0}")]
    Compile(String),
    /// What the process that compiles plugins says; one of the other errors.
    #[error("{0}")]
    Told(String),
    /// The process that compiles plugins did not answer.
    #[error("the process that compiles it {0}")]
    Process(String),
    /// `configure` failed.
    #[error("it refuses its configuration: {0}")]
    Configure(Refusals),
    /// `configure` trapped or ran too long.
    #[error("its configure function failed: {0}")]
    ConfigureTrapped(String),
    /// Too many rules.
    #[error(
        "it declares more than 16 rule sets, {MAX_RULES} rules or {MAX_VALUES} values: leave some out"
    )]
    Rules,
    /// Rules that take too much memory.
    #[error(
        "more than {MAX_LARGE} of its patterns are large when compiled: write [A-Za-z] instead of \\pL, and shorter repetitions"
    )]
    LargeRules,
    /// A rule set is not valid.
    #[error("rule set `{set}`: {source}")]
    RuleSet {
        /// Its name.
        set: String,
        /// What is wrong.
        source: crate::redact::RuleError,
    },
}

impl LoadError {
    /// The rule of a configuration that the error is about, as `redact-secrets` writes rules: `rules` with an `id` each, and
    /// `values`. `None` if it is about another thing, or if there is none like it.
    pub(crate) fn rule_in(&self, config: &Value) -> Option<FieldPath> {
        let Self::RuleSet { source, .. } = self else {
            return None;
        };
        let root = FieldPath::default();
        match source {
            RuleError::Pattern { rule, .. } => {
                let is_it = |item: &Value| item.get("id").and_then(Value::as_str) == Some(rule);
                let index = config.get("rules")?.as_array()?.iter().position(is_it)?;
                Some(root.key("rules").index(index))
            }
            RuleError::Value { index } => {
                config.get("values")?.get(index)?;
                Some(root.key("values").index(*index))
            }
            RuleError::TooMany { .. } => None,
        }
    }
}

/// The bytes of a component, made from whatever form a plugin has.
///
/// # Errors
///
/// Says what is wrong with the bytes.
pub(super) fn component(bytes: &[u8], wasi: Wasi) -> Result<Vec<u8>, LoadError> {
    let wasm = binary(bytes)?;
    let component = to_component(wasm)?;
    let world = World::of(&component)?;
    world.check(wasi)?;
    Ok(component)
}

/// A component of a component or a core module, whatever it imports and exports.
pub(super) fn to_component(wasm: Vec<u8>) -> Result<Vec<u8>, LoadError> {
    // The encoder panics on some modules that were cut short: validate first.
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::default())
        .validate_all(&wasm)
        .map_err(|error| LoadError::Invalid(error.to_string()))?;
    shape::check(&wasm)?;
    match encoding(&wasm)? {
        Encoding::Component => Ok(wasm),
        Encoding::Module => wrap(wasm),
    }
}

/// A file without its compression, and WAT as WebAssembly.
pub(super) fn binary(bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
    to_binary(&decompress(bytes)?)
}

fn decompress(bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
    if bytes.len() as u64 > MAX_FILE {
        return Err(LoadError::TooLarge(MAX_FILE));
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
        .take(MAX_MODULE + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| LoadError::Decompress(error.to_string()))?;
    if unpacked.len() as u64 > MAX_MODULE {
        return Err(LoadError::TooLarge(MAX_MODULE));
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
        Some(text) if text.len() as u64 > MAX_TEXT => Err(LoadError::TextTooLarge),
        Some(text) => wat::parse_str(text).map_err(|error| {
            // Its further lines quote the file.
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

pub(super) fn encoding(wasm: &[u8]) -> Result<Encoding, LoadError> {
    match Parser::new(0).parse_all(wasm).next() {
        Some(Ok(Payload::Version { encoding, .. })) => Ok(encoding),
        Some(Ok(_)) | None => Err(LoadError::NotWasm("it has no header".to_owned())),
        Some(Err(error)) => Err(LoadError::Invalid(error.to_string())),
    }
}

/// Wraps a core module. One that was not built with wit-bindgen (hand-written C) carries no
/// description of its world: it gets ours, or the encoder would silently give an empty component.
fn wrap(mut module: Vec<u8>) -> Result<Vec<u8>, LoadError> {
    let contract = |error: &dyn std::fmt::Display| LoadError::Contract(format!("{error:#}"));
    let described = Parser::new(0).parse_all(&module).any(|payload| {
        matches!(payload, Ok(Payload::CustomSection(section)) if section.name().starts_with("component-type"))
    });
    if !described {
        let mut resolve = wit_parser::Resolve::default();
        let package = resolve
            .push_str(
                "plugin.wit",
                include_str!("../../../guest-sdk/wit/v0.1/plugin.wit"),
            )
            .map_err(|error| contract(&error))?;
        let world = resolve
            .select_world(&[package], Some("plugin"))
            .map_err(|error| contract(&error))?;
        wit_component::embed_component_metadata(
            &mut module,
            &resolve,
            world,
            wit_component::StringEncoding::UTF8,
            false,
        )
        .map_err(|error| contract(&error))?;
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
        Ok(Err(error)) => Err(LoadError::Contract(format!("{error:#}"))),
        Err(_) => Err(LoadError::Contract(
            "its component metadata is damaged".to_owned(),
        )),
    }
}

/// What a component imports and exports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct World {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

impl World {
    pub(super) fn of(component: &[u8]) -> Result<Self, LoadError> {
        let mut world = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload.map_err(|error| LoadError::Invalid(error.to_string()))?;
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let import =
                            import.map_err(|error| LoadError::Invalid(error.to_string()))?;
                        world.imports.push(import.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let export =
                            export.map_err(|error| LoadError::Invalid(error.to_string()))?;
                        world.exports.push(export.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(world)
    }

    /// Imports nothing but our packages, exports the transform.
    fn check(&self, wasi: Wasi) -> Result<(), LoadError> {
        let ours = [
            "step-observer:plugin/events@0.1.",
            "step-observer:plugin/logging@0.1.",
        ];
        for name in &self.imports {
            if name.starts_with(wasi::PREFIX) {
                match wasi {
                    Wasi::Denied => continue,
                    Wasi::Refused => return Err(LoadError::Wasi(name.clone())),
                }
            }
            if !ours.iter().any(|prefix| name.starts_with(prefix)) {
                return Err(LoadError::Import(name.clone()));
            }
        }
        if self.transform().is_some() {
            return Ok(());
        }
        let exports = match self.exports.is_empty() {
            true => "nothing".to_owned(),
            false => self.exports.join(", "),
        };
        Err(LoadError::Export(exports))
    }

    /// The export that makes it a plugin, with its version.
    pub(super) fn transform(&self) -> Option<&str> {
        let prefix = "step-observer:plugin/transform@0.1.";
        let found = self.exports.iter().find(|name| name.starts_with(prefix));
        found.map(String::as_str)
    }
}
