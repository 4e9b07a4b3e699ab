//! Plugins: loading, configuring, running them in a sandbox. The only room that knows wasmtime.
//!
//! Its parts use each other in one direction only: `sandbox` bounds one call, `load` makes a plugin
//! of a file, `run` passes events through chains of plugins, and `dropin` replaces chains while the
//! observer runs.

mod bindings;
mod compiler;
mod config;
mod draft;
pub mod dropin;
mod host;
mod load;
mod policy;
mod run;
mod sample;
mod sandbox;
mod strip;

pub use compiler::{Compiler, CompilerProgram};
pub use config::{PluginConfig, PluginFrom, PluginMemoryConfig};
pub(crate) use draft::RuleSets;
pub use load::{
    COMPLETE_BUILD, FileDigest, Inspection, LoadError, MAX_FILE_BYTES, MAX_MODULE_BYTES,
    PluginSource, PluginSpec, PublicKey, Refusals, TrustConfig, bundled_plugins,
    compile_for_parent, missing_plugins,
};
pub(crate) use load::{omit_fields, original_path};
pub use policy::{OnError, Wasi};
pub use run::{
    CallMarker, Chain, ChainError, ChainPool, CrashError, CrashRecord, Outcome, Plugin,
    PluginCounts, PoolError, Report,
};
pub use sample::sample_event;
pub use sandbox::{
    CallFailure, LimitCeiling, Limits, MemoryBudget, PluginEngine, default_plugin_memory,
};
