//! CloudEvents over Kafka (Kafka protocol binding 1.0.2) in binary or structured mode.

#[cfg(feature = "kafka")]
mod cluster;
mod config;
#[cfg(feature = "kafka")]
mod failure;
#[cfg(feature = "kafka")]
mod partitioner;
#[cfg(feature = "kafka")]
mod producer;

pub use config::{Broker, KafkaConfig};
#[cfg(feature = "kafka")]
pub(super) use producer::Kafka;

#[cfg(not(feature = "kafka"))]
pub(super) type Kafka = super::not_built::NotBuilt<KafkaConfig>;
