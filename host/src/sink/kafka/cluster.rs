//! Connections to one Kafka cluster. After a failure all of them are discarded: the next attempt
//! connects again, with the current files and the current state of the cluster.

use super::config::KafkaConfig;
use super::failure::ProduceFailure;
use super::partitioner::partition_of_key;
use rskafka::BackoffConfig;
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// Maximum size of a broker's response, in bytes. Topic lists are the largest responses.
const MAX_RESPONSE_BYTES: usize = 16 * 1024 * 1024;

/// Limits reconnection inside the client to one immediate retry, because brokers close idle
/// connections. After any other failure, the next delivery attempt connects again.
const RECONNECT_BACKOFF: BackoffConfig = BackoffConfig {
    init_backoff: Duration::from_millis(10),
    max_backoff: Duration::from_millis(50),
    base: 2.0,
    deadline: Some(Duration::from_millis(100)),
};

/// A cluster with the partitions of the topic.
#[derive(Debug)]
pub(super) struct Cluster {
    client: Client,
    topic: String,
    /// Sorted by number. Each partition opens its own connection at its first use.
    partitions: Vec<(i32, OnceCell<PartitionClient>)>,
}

impl Cluster {
    pub(super) async fn connect(config: &KafkaConfig) -> Result<Self, ProduceFailure> {
        let brokers = config.brokers.iter().cloned().map(String::from).collect();
        let mut builder = ClientBuilder::new(brokers)
            .client_id("step-observer")
            .max_message_size(MAX_RESPONSE_BYTES)
            .backoff_config(RECONNECT_BACKOFF);
        if let Some(tls) = &config.tls {
            let tls = tls.client_config();
            let tls = tls.map_err(|error| ProduceFailure::Setup(error.to_string()))?;
            builder = builder.tls_config(Arc::new(tls));
        }
        let client = builder.build().await?;
        let topics = client.list_topics().await?;
        let topic = topics.into_iter().find(|topic| topic.name == config.topic);
        let partitions: Vec<_> = topic
            .into_iter()
            .flat_map(|topic| topic.partitions)
            .map(|number| (number, OnceCell::new()))
            .collect();
        if partitions.is_empty() {
            return Err(ProduceFailure::NoTopic(config.topic.clone()));
        }
        Ok(Self {
            client,
            topic: config.topic.clone(),
            partitions,
        })
    }

    /// Produces a record, and waits until all replicas in sync have it.
    pub(super) async fn produce(&self, key: &str, record: Record) -> Result<(), ProduceFailure> {
        let index = partition_of_key(key.as_bytes(), self.partitions.len());
        let Some((number, partition)) = self.partitions.get(index) else {
            return Err(ProduceFailure::NoTopic(self.topic.clone()));
        };
        let connect = || {
            let unknown = UnknownTopicHandling::Error;
            self.client.partition_client(&self.topic, *number, unknown)
        };
        let partition = partition.get_or_try_init(connect).await?;
        let records = vec![record];
        partition
            .produce(records, Compression::NoCompression)
            .await?;
        Ok(())
    }
}
