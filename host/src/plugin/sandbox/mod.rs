//! The sandbox of one plugin call: wasmtime narrowed to what plugins need, the bounds on time,
//! memory and output, the failures that follow from them, and the mask over everything a plugin
//! writes to a log.

mod config_values;
mod engine;
mod failure;
mod limits;
mod mask_output;
mod memory_budget;
mod wasi;

pub use engine::PluginEngine;
pub use failure::CallFailure;
pub(super) use limits::MAX_PLUGIN_THREADS;
pub use limits::{LimitCeiling, Limits};
pub(super) use mask_output::OutputMask;
pub(super) use memory_budget::{CallMemory, CodeMemory, PluginMemory};
pub use memory_budget::{MemoryBudget, default_plugin_memory};
pub(super) use wasi::{WASI_PREFIX, add_empty_wasi};
