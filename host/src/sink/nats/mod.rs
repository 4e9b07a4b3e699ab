//! CloudEvents over NATS JetStream (NATS protocol binding 1.0.3) in structured or binary mode.

mod config;
#[cfg(feature = "nats")]
mod connection;
#[cfg(feature = "nats")]
mod failure;
#[cfg(feature = "nats")]
mod publisher;

pub use config::{NatsAuth, NatsConfig, NatsUrl};
#[cfg(feature = "nats")]
pub(super) use publisher::Nats;

#[cfg(not(feature = "nats"))]
pub(super) type Nats = super::not_built::NotBuilt<NatsConfig>;
