//! CloudEvents over Kafka (Kafka protocol binding 1.0.2), binary or structured mode.

#[cfg(feature = "kafka")]
mod cluster;
mod config;
#[cfg(feature = "kafka")]
mod failure;
#[cfg(feature = "kafka")]
mod partitioner;
#[cfg(feature = "kafka")]
mod producer;
#[cfg(not(feature = "kafka"))]
mod unsupported;

pub use config::{Broker, KafkaConfig};
#[cfg(feature = "kafka")]
pub(super) use producer::Kafka;
#[cfg(not(feature = "kafka"))]
pub(super) use unsupported::Kafka;

use super::SinkError;

impl KafkaConfig {
    /// Refuses what this program cannot do.
    pub(crate) fn check(&self) -> Result<(), SinkError> {
        match cfg!(feature = "kafka") {
            true => Ok(()),
            false => Err(absent()),
        }
    }
}

fn absent() -> SinkError {
    SinkError::Absent {
        wire: "kafka",
        feature: "kafka",
    }
}
