//! Plugins: loading, configuring, running them in a sandbox. The only room that knows wasmtime.

mod aside;
mod bindings;
mod bundled;
mod chain;
mod draft;
pub mod dropin;
mod engine;
mod failure;
mod host;
mod inspect;
mod load;
mod loaded;
mod pointer;
mod pool;
mod sample;
mod scrub;
mod setup;
mod shape;
mod spec;
mod stats;
mod strip;
mod trust;
mod wasi;

pub use aside::{Compiler, CompilerProgram, compile_for_parent};
pub use chain::{Chain, ChainError, Outcome, Report};
pub use engine::{Limits, PluginEngine};
pub use failure::Failure;
pub use inspect::Inspection;
pub use load::{LoadError, MAX_FILE, MAX_MODULE};
pub use loaded::Plugin;
pub use pool::{ChainPool, PoolError};
pub use sample::sample_event;
pub use spec::{OnError, PluginSource, PluginSpec, Wasi};
pub use stats::PluginCounts;
pub use trust::{FileDigest, PublicKey, TrustConfig};
