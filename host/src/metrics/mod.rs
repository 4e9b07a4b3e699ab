//! Metrics in the OpenMetrics text format. Each room owns its counters, gauges and histograms,
//! registers them here, and counts with the same handles. Only this room uses `prometheus-client`.
//!
//! Labels are bounded: names of plugins and sinks, and words of the program; never names of runs.

mod handle;
mod histogram;
mod process;
mod registry;
mod samples;

pub use handle::{Counter, Gauge};
pub use histogram::Histogram;
pub use process::VERSION;
pub use registry::{CONTENT_TYPE, Registry};
pub use samples::Samples;
