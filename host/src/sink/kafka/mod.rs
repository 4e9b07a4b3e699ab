//! CloudEvents over Kafka (Kafka protocol binding 1.0.2) in binary or structured mode.

#[cfg(feature = "kafka")]
mod cluster;
mod config;
#[cfg(feature = "kafka")]
mod failure;
#[cfg(not(feature = "kafka"))]
mod not_built;
#[cfg(feature = "kafka")]
mod partitioner;
#[cfg(feature = "kafka")]
mod producer;

pub use config::{Broker, KafkaConfig};
#[cfg(not(feature = "kafka"))]
pub(super) use not_built::Kafka;
#[cfg(feature = "kafka")]
pub(super) use producer::Kafka;

use super::SinkError;
use super::wire::SettingProblem;

/// Name of the wire in the configuration.
const NAME: &str = "kafka";
/// The cargo feature that adds the wire.
const FEATURE: &str = "kafka";
/// Crates whose errors the wire reports itself.
const SILENCED_CRATES: &[&str] = &["rskafka"];

/// Returns the settings that contradict each other or need a program with the cargo feature `kafka`.
fn problems(config: &KafkaConfig) -> Vec<SettingProblem> {
    let mut problems = Vec::new();
    if cfg!(not(feature = "kafka")) {
        problems.push((String::new(), not_built()));
    }
    if let Some(Err(problem)) = config.tls.as_deref().map(|tls| tls.check()) {
        problems.push(("tls".to_owned(), problem.into()));
    }
    problems
}

fn not_built() -> SinkError {
    SinkError::NotBuilt {
        wire: NAME,
        feature: FEATURE,
    }
}
