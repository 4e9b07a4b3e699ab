//! Loads plugins, configures them, and runs them in a sandbox. Only this room uses wasmtime.
//!
//! Each part uses only the parts named before it: `sandbox` bounds one call, `load` makes a plugin
//! from a file, `run` passes events through chains of plugins, and `dropin` replaces chains while
//! the observer runs.

mod compiler;
pub mod dropin;
mod load;
mod policy;
mod run;
mod sandbox;

pub use compiler::{Compiler, CompilerProgram};
pub use load::{
    COMPLETE_BUILD, ConfigSource, FileDigest, Inspection, LoadError, MAX_FILE_BYTES,
    MAX_MODULE_BYTES, PluginAbout, PluginConfig, PluginFrom, PluginMemoryConfig, PluginSettings,
    PluginSource, PluginSpec, PublicKey, Refusals, SetSummary, TrustConfig, bundled_plugins,
    compile_for_parent, missing_plugins, plugins_in_source, read_signature,
};
pub(crate) use load::{omit_fields, original_path};
pub use policy::{OnError, Wasi};
pub(crate) use run::withhold_texts;
pub use run::{
    CallMarker, CallResult, Chain, ChainError, ChainPool, CrashError, CrashRecord, Outcome, Plugin,
    PluginCall, PluginCounts, PluginIdentity, PoolError, Report, sample_event,
};
pub(crate) use sandbox::RuleSets;
pub use sandbox::{
    CallFailure, LimitCeiling, Limits, MemoryBudget, PluginEngine, RunningFunctions,
    default_plugin_memory,
};

#[cfg(test)]
pub(crate) use sandbox::RuleSet;
