//! Steps as spans, and their logs as log records, over OTLP/HTTP (OTLP 1.9).

mod config;
#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp")]
mod options;

pub use config::{OtlpConfig, OtlpEncoding, OtlpLogs};
#[cfg(feature = "otlp")]
pub(super) use exporter::Otlp;

#[cfg(not(feature = "otlp"))]
pub(super) type Otlp = super::not_built::NotBuilt<Box<OtlpConfig>>;
