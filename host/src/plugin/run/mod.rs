//! Runs plugins: a loaded plugin and its call, the chain that an event passes, the threads that run
//! chains, and the record of calls during which the process died.

mod attributes;
mod chain;
mod crash_record;
mod identity;
mod metrics;
mod plugin;
mod pool;
mod report;
mod sample;
mod strip;

pub use chain::{Chain, ChainError, Outcome};
pub use crash_record::{CallMarker, CrashError, CrashRecord};
pub use identity::PluginIdentity;
pub use metrics::PluginCounts;
pub(super) use metrics::PluginMetrics;
pub use plugin::Plugin;
pub use pool::{ChainPool, PoolError};
pub use report::{CallResult, PluginCall, Report};
pub use sample::sample_event;
pub(crate) use strip::withhold_texts;
