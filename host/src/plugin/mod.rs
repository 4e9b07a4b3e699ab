//! Plugins: loading, configuring, running them in a sandbox. The only room that knows wasmtime.

mod bindings;
mod bundled;
mod chain;
mod draft;
mod engine;
mod failure;
mod host;
mod load;
mod pointer;
mod pool;
mod scrub;
mod setup;
mod strip;

pub use chain::{Chain, ChainError, OnError, Outcome, Plugin, PluginSpec, Report};
pub use engine::{Limits, PluginEngine};
pub use failure::Failure;
pub use load::{LoadError, MAX_FILE, MAX_MODULE, PluginSource};
pub use pool::{ChainPool, PoolError};
