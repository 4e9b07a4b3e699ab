//! Metrics in the OpenMetrics text format. Each room owns its counters, gauges and histograms,
//! registers them here, and counts with the same handles. Only this room uses `prometheus-client`.
//!
//! Labels are bounded: names of plugins and sinks, words of the program, and in metrics of steps the names
//! of namespaces, Pipelines, Tasks and steps up to a bound; never names of runs.

mod bounded_family;
mod exemplar_histogram;
mod handle;
mod histogram;
mod process;
mod registry;
mod samples;

pub use bounded_family::{BoundedFamily, OTHER};
pub use exemplar_histogram::ExemplarHistogram;
pub use handle::{Counter, Gauge};
pub use histogram::Histogram;
pub use process::VERSION;
pub(crate) use process::resident_bytes;
pub use registry::{CONTENT_TYPE, Registry};
pub use samples::Samples;
