//! The sandbox of one plugin call: wasmtime with only the features that plugins need, and bounds on
//! time, memory and output. Also defines the failures when a bound is exceeded, and the mask for
//! everything that a plugin writes to a log.

mod bindings;
mod config_values;
mod deadline_clock;
mod draft;
mod engine;
mod event_handle;
mod failure;
mod host;
mod limits;
mod mask_output;
mod memory_budget;
mod rule_sets;
mod running_functions;
mod shared_loads;
mod wasi;

pub(super) use bindings::exports::step_observer::plugin::transform;
pub(super) use bindings::optional::{
    Masker as GuestMasker, exports::step_observer::plugin::masking,
};
pub(super) use bindings::{Plugin as GuestPlugin, PluginPre};
pub(super) use draft::Draft;
pub use engine::PluginEngine;
pub use failure::CallFailure;
pub(super) use host::Host;
pub(super) use limits::MAX_PLUGIN_THREADS;
pub use limits::{LimitCeiling, Limits};
pub(super) use mask_output::OutputMask;
pub(super) use memory_budget::{CallMemory, CodeMemory, PluginMemory};
pub use memory_budget::{MemoryBudget, default_plugin_memory};
pub(crate) use rule_sets::{RuleSet, RuleSets};
pub use running_functions::RunningFunctions;
pub(super) use shared_loads::{LoadKey, SharedLoads};
pub(super) use wasi::{WASI_PREFIX, add_empty_wasi};
