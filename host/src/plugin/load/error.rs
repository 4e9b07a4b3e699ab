//! Reasons for which a plugin is not loaded.

use super::module_limits::ModuleLimitError;
use super::refusals::Refusals;
use crate::plugin::sandbox::CallFailure;
use crate::redact::{MAX_LARGE_PATTERNS, MAX_RULES, MAX_VALUES, RuleError, SelectionError};
use crate::yaml::FieldPath;
use serde_json::Value;

/// The reason why a plugin is not loaded. Every message names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("failed to read it: {0}")]
    Read(#[from] std::io::Error),
    /// It cannot be pulled from its registry.
    #[error("it cannot be pulled: {0}")]
    Pull(String),
    /// It is in a registry, and this command pulls nothing.
    #[error(
        "it is in a registry ({0}): pull it first (step-observer plugin pull), and name the file"
    )]
    NotPulled(String),
    /// A value of its configuration cannot be read from its file or variable.
    #[error("configFrom {path}: {problem}")]
    ConfigSource {
        /// Place of the value in the configuration.
        path: String,
        /// The problem.
        problem: String,
    },
    /// There is no bundled plugin of that name.
    #[error("there is no bundled plugin `{name}`; there are: {known}")]
    NotBundled {
        /// The requested name.
        name: String,
        /// The names of all bundled plugins.
        known: String,
    },
    /// The file or module is too large.
    #[error("it is larger than {0} bytes: build it with --release and opt-level = \"s\"")]
    TooLarge(u64),
    /// The module in text form is too large.
    #[error(
        "written as text it may have 1 MiB: make WebAssembly of it with wat2wasm or wasm-tools"
    )]
    TextTooLarge,
    /// The compressed data is invalid.
    #[error("failed to decompress it: {0}; compress the file again")]
    Decompress(String),
    /// Neither WebAssembly nor its text form.
    #[error(
        "it is not WebAssembly ({0}); build it with `cargo build --release --target wasm32-unknown-unknown`"
    )]
    NotWasm(String),
    /// The module is not valid.
    #[error("it is not a valid module ({0}); was the file cut short? Build or copy it again")]
    Invalid(String),
    /// The module does not fit the contract.
    #[error(
        "it does not fit the plugin contract step-observer:plugin@0.1 ({0}); build it with the step-observer-guest of this observer's version, or update the observer"
    )]
    Contract(String),
    /// It imports an interface that plugins do not get.
    #[error(
        "it imports `{0}`, which plugins do not get: all they can import is step-observer:plugin/events and \
         step-observer:plugin/logging. Build it for wasm32-unknown-unknown, without files, clock or network"
    )]
    Import(String),
    /// It imports WASI, and its settings do not allow that.
    #[error(
        "it imports `{0}`: plugins get no WASI. Build it without (Rust: wasm32-unknown-unknown; JavaScript and \
         Python: --stub-wasi), or set `wasi: denied` to give it an empty one"
    )]
    Wasi(String),
    /// It is no component and imports WASI, whose older form the host does not have.
    #[error(
        "it is a module that imports `wasi_snapshot_preview1`: plugins get no WASI. Build it without (C: no libc; Go: \
         stub_wasi.go, which `plugin new --language go` writes), or make a component of it and set `wasi: denied`"
    )]
    WasiModule,
    /// It has more or larger parts than the compiler can handle in reasonable time.
    #[error("it is not a reasonable module: {0}")]
    ModuleLimit(#[from] ModuleLimitError),
    /// Not enough memory is left for its machine code.
    #[error(
        "its machine code and configured memory take more than the {room} bytes that are left of what all plugins have \
         for that (pluginMemory.totalBytes): make the module or what it keeps smaller, or give plugins more"
    )]
    CodeTooLarge {
        /// Bytes that are left.
        room: u64,
    },
    /// The compiler process needs too much memory.
    #[error(
        "compiling it takes more than {0} bytes of memory: make the module, or what it keeps when it is configured, \
         smaller, or give the observer more memory"
    )]
    CompilerMemory(u64),
    /// It is a dropped-in plugin whose limits exceed the ceiling.
    #[error(
        "limits.{name} is {asked}, and the operator allows plugins that are dropped in at most {most} \
         (dropIn.limits.{name}): ask for less, or the operator to allow more"
    )]
    Ceiling {
        /// The name of the limit.
        name: &'static str,
        /// Its value.
        asked: u64,
        /// Its bound.
        most: u64,
    },
    /// The observer died while it ran.
    #[error(
        "the observer died {deaths} times while it ran, and may do so again: mend the module or its settings (any change \
         of them clears this), or delete {file} while the observer is stopped"
    )]
    Crashed {
        /// Number of deaths.
        deaths: u32,
        /// The file that records them.
        file: String,
    },
    /// Loading it took too long.
    #[error("loading it took more than {0} seconds: make it smaller")]
    TooSlow(u64),
    /// Another plugin is still being loaded.
    #[error("another plugin is still being loaded after {0} seconds; it is tried again")]
    Busy(u64),
    /// Its file is not the pinned one.
    #[error(
        "its SHA-256 is {found}, but `sha256` says {pinned}: it was altered, or the pin is of another build"
    )]
    Digest {
        /// The pinned SHA-256.
        pinned: String,
        /// The SHA-256 of the file.
        found: String,
    },
    /// It has no signature.
    #[error(
        "it is not signed, and `trust.requireSignature` is set: sign it with `minisign -Sm FILE` and deliver FILE.minisig with it \
         (step-observer plugin push takes it along)"
    )]
    Unsigned,
    /// Its signature is not valid or not trusted.
    #[error(
        "its signature does not hold: {0}. It was altered, or signed with a key that is not trusted"
    )]
    Signature(String),
    /// Its self-test failed.
    #[error("it fails its self-test: called on a sample event, {0}")]
    SelfTest(CallFailure),
    /// It does not export this version of the contract.
    #[error(
        "it does not export step-observer:plugin/transform@0.1 (it exports: {0}): is `export_plugin!` missing, or is \
         it for another version? This host speaks 0.1"
    )]
    Export(String),
    /// The compiler refuses it.
    #[error("failed to compile it: {0}")]
    Compile(String),
    /// An error that the compiler process returned as text.
    #[error("{0}")]
    FromProcess(String),
    /// The compiler process did not answer.
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
        "it declares more than 16 sets, {MAX_RULES} rules or {MAX_VALUES} values: leave some out"
    )]
    Rules,
    /// Two sets have one name.
    #[error("it declares two sets with the name `{0}`: give each its own")]
    SetName(String),
    /// `mask-sets` gave no mask sets.
    #[error("it has no mask sets: {0}")]
    MaskSets(String),
    /// A mask set is not valid.
    #[error("mask set `{set}`: {source}")]
    MaskSet {
        /// Its name.
        set: String,
        /// Reason.
        source: Box<SelectionError>,
    },
    /// Rules that take too much memory.
    #[error(
        "more than {MAX_LARGE_PATTERNS} of its patterns are large when compiled: write [A-Za-z] instead of \\pL, and shorter repetitions"
    )]
    LargeRules,
    /// A rule set is not valid.
    #[error("rule set `{set}`: {source}")]
    RuleSet {
        /// Its name.
        set: String,
        /// Reason.
        source: crate::redact::RuleError,
    },
}

impl LoadError {
    /// Returns the path of the id, rule or value that caused this error. Expects a configuration
    /// with the members of `redact-secrets`: `without` and `only`, `rules` with an `id` each,
    /// `values`, and `replacement`. Returns `None` for other errors, and if the configuration has
    /// no such member.
    pub(crate) fn rule_in(&self, config: &Value) -> Option<FieldPath> {
        let root = FieldPath::default();
        let item = |list: &str, index: usize| {
            config.get(list)?.get(index)?;
            Some(root.key(list).index(index))
        };
        match self {
            Self::RuleSet { source, .. } => match source {
                RuleError::Pattern { rule, .. } => {
                    let is_it = |item: &Value| item.get("id").and_then(Value::as_str) == Some(rule);
                    let index = config.get("rules")?.as_array()?.iter().position(is_it)?;
                    item("rules", index)
                }
                RuleError::Value { index } => item("values", *index),
                RuleError::TooMany { .. } => None,
            },
            Self::MaskSet { source, .. } => match &**source {
                SelectionError::UnknownId { list, index, .. } => item(list, *index),
                SelectionError::Rule { index, .. } => item("rules", *index),
                SelectionError::Value { index } => item("values", *index),
                SelectionError::Replacement { .. } => {
                    config.get("replacement")?;
                    Some(root.key("replacement"))
                }
                SelectionError::TooMany { .. } => None,
            },
            _ => None,
        }
    }
}
