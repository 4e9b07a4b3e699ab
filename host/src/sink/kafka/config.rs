//! The settings of Kafka.

use super::super::defaults;
use super::super::not_built::OptionalSettings;
use crate::bounded::Bounded;
use crate::event::ContentMode;
use crate::http::TlsConfig;
use serde::{Deserialize, Deserializer, Serialize};

/// A topic of Kafka. The program has this sink only if it was built with the cargo feature `kafka`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaConfig {
    /// Brokers to ask first, such as `broker:9092`. They name the other brokers.
    #[schemars(length(min = 1, max = 16))]
    #[serde(deserialize_with = "crate::bounded::list::<MAX_BROKERS, _, _>")]
    pub brokers: Vec<Broker>,
    /// Topic to which events are written. As long as it does not exist, events wait. The key of a record is the UID of the
    /// TaskRun. Its hash (murmur2, as in the Java client) chooses the partition, so that the events of a run keep their
    /// order as long as the number of partitions stays the same.
    #[schemars(length(min = 1, max = 249))]
    #[serde(deserialize_with = "topic")]
    pub topic: String,
    /// How events are encoded.
    #[serde(default = "binary")]
    pub mode: ContentMode,
    /// TLS settings: the certificate authorities that the observer trusts, and its own certificate.
    /// Without this setting nothing is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<TlsConfig>>,
    /// Longest wait for the acknowledgement of all replicas that are in sync, including the time to connect, in
    /// milliseconds.
    #[serde(default = "defaults::timeout_ms")]
    pub timeout_ms: Bounded<1, 600_000>,
    /// Most events in flight at a time. Events of one TaskRun are sent one after the other.
    #[serde(default = "defaults::concurrency")]
    pub concurrency: Bounded<1, 256, usize>,
}

impl OptionalSettings for KafkaConfig {
    const NAME: &'static str = "kafka";
}

fn binary() -> ContentMode {
    ContentMode::Binary
}

/// Maximum number of brokers in the settings. A few are enough, because each broker announces the
/// other brokers.
const MAX_BROKERS: usize = 16;

fn topic<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let topic = String::deserialize(deserializer)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=249).contains(&topic.len()) && topic.bytes().all(allowed) {
        Ok(topic)
    } else {
        Err(serde::de::Error::custom(
            "a topic is 1 to 249 letters, digits, `-`, `_` and `.`",
        ))
    }
}

/// Host and port of a broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Broker(String);

impl TryFrom<String> for Broker {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let parts = text.split_once(':').filter(|(host, port)| {
            let port: Result<u16, _> = port.parse();
            !host.is_empty() && host.bytes().all(allowed) && port.is_ok_and(|port| port > 0)
        });
        match parts {
            Some(_) => Ok(Self(text)),
            // The error does not repeat the text, which may hold a password.
            None => Err("write host and port of a broker, such as broker:9092".to_owned()),
        }
    }
}

impl From<Broker> for String {
    fn from(broker: Broker) -> Self {
        broker.0
    }
}
