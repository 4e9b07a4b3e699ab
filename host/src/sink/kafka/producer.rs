//! One attempt to produce an event.

use super::super::shared_connection::SharedConnection;
use super::super::{Attempt, SinkError, tls, unencodable};
use super::cluster::Cluster;
use super::config::KafkaConfig;
use super::failure::ProduceFailure;
use crate::clock;
use crate::event::{Binding, ContentMode, EncodeError, Encoded, STRUCTURED};
use rskafka::record::Record;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A topic, with the connections of the moment.
#[derive(Debug)]
pub struct Kafka {
    config: KafkaConfig,
    /// Made by the first attempt that needs it; a broker that is not there yet is no mistake.
    cluster: SharedConnection<Cluster>,
}

impl Kafka {
    pub(in super::super) fn new(config: &KafkaConfig) -> Result<Self, SinkError> {
        // A file that cannot be used is told now. It is read again for every connection.
        config.tls.as_deref().map(tls::client).transpose()?;
        Ok(Self {
            config: config.clone(),
            cluster: SharedConnection::default(),
        })
    }

    pub(in super::super) fn concurrency(&self) -> usize {
        self.config.concurrency.get()
    }

    pub(in super::super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.config.timeout_ms.get())
    }

    pub(in super::super) async fn send(&self, event: &Encoded) -> Attempt {
        let key = event.run();
        let record = match record(event, self.config.mode, &key) {
            Ok(record) => record,
            Err(error) => return unencodable(&error),
        };
        match self.produce(&key, record).await {
            Ok(()) => Attempt::Delivered,
            Err(failure) => failure.attempt(),
        }
    }

    async fn produce(&self, key: &str, record: Record) -> Result<(), ProduceFailure> {
        let deadline = Instant::now() + self.timeout();
        let silence = |_| ProduceFailure::Silence(self.timeout());
        let connected = self
            .cluster
            .get_or_connect(|_| true, || Cluster::connect(&self.config));
        let cluster = timeout_at(deadline, connected).await;
        let cluster = cluster.map_err(silence).flatten()?;
        let produced = timeout_at(deadline, cluster.produce(key, record)).await;
        let produced = produced.map_err(silence).flatten();
        if let Err(failure) = &produced
            && failure.breaks_connection()
        {
            self.cluster.forget(&cluster);
        }
        produced
    }
}

fn record(event: &Encoded, mode: ContentMode, key: &str) -> Result<Record, EncodeError> {
    let (headers, body) = match mode {
        ContentMode::Structured => {
            let content_type = format!("{STRUCTURED}; charset=UTF-8");
            let headers = vec![("content-type".into(), content_type.into())];
            (headers, event.structured())
        }
        ContentMode::Binary => {
            let binary = event.binary(Binding::KAFKA)?;
            (binary.headers, binary.body)
        }
    };
    let now = clock::now().as_millisecond();
    Ok(Record {
        key: Some(key.as_bytes().to_vec()),
        // No value at all would be a tombstone.
        value: Some(body.to_vec()),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.to_vec()))
            .collect(),
        // Of the record, not of the event: topics forget by it.
        timestamp: chrono::DateTime::from_timestamp_millis(now).unwrap_or_default(),
    })
}
