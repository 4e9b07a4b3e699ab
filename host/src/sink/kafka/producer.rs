//! Produces events to a topic.

use super::super::not_built::OptionalSettings;
use super::super::shared_connection::SharedConnection;
use super::super::wire::{SettingProblem, SinkContext, Wire, tls_problem};
use super::super::{Attempt, SinkError, reject_unencodable};
use super::cluster::Cluster;
use super::config::KafkaConfig;
use super::failure::ProduceFailure;
use crate::clock;
use crate::event::{Binding, ContentMode, EncodeError, Encoded, STRUCTURED_MEDIA_TYPE};
use futures::FutureExt as _;
use rskafka::record::Record;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A topic.
#[derive(Debug)]
pub(crate) struct Kafka {
    config: KafkaConfig,
    /// Opened by the first attempt, because a broker that is not reachable yet is not a
    /// configuration error.
    cluster: SharedConnection<Cluster>,
}

impl Wire for Kafka {
    type Config = KafkaConfig;

    const NAME: &'static str = KafkaConfig::NAME;
    const SILENCED_CRATES: &'static [&'static str] = &["rskafka"];

    fn problems(config: &KafkaConfig) -> Vec<SettingProblem> {
        tls_problem(config.tls.as_deref()).into_iter().collect()
    }

    fn check_files(config: &KafkaConfig) -> Result<(), SinkError> {
        let tls = config.tls.as_deref();
        tls.map(|tls| tls.client_config()).transpose()?;
        Ok(())
    }

    async fn open(config: &KafkaConfig, _: &mut SinkContext<'_>) -> Result<Self, SinkError> {
        // A file that cannot be used is reported now. Every connection reads the files again.
        Self::check_files(config)?;
        Ok(Self {
            config: config.clone(),
            cluster: SharedConnection::default(),
        })
    }

    async fn send(&self, event: &Encoded) -> Attempt {
        // Boxed: the future takes kilobytes.
        self.produce_event(event).boxed().await
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.config.timeout_ms.get())
    }

    fn concurrency(&self) -> usize {
        self.config.concurrency.get()
    }
}

impl Kafka {
    async fn produce_event(&self, event: &Encoded) -> Attempt {
        let key = event.ordering_key();
        let record = match record(event, self.config.mode, &key) {
            Ok(record) => record,
            Err(error) => return reject_unencodable(&error),
        };
        match self.produce(&key, record).await {
            Ok(()) => Attempt::Delivered,
            Err(failure) => failure.attempt(),
        }
    }

    async fn produce(&self, key: &str, record: Record) -> Result<(), ProduceFailure> {
        let deadline = Instant::now() + self.timeout();
        let no_response = |_| ProduceFailure::NoResponse(self.timeout());
        let connected = self
            .cluster
            .get_or_connect(|_| true, || Cluster::connect(&self.config));
        let cluster = timeout_at(deadline, connected).await;
        let cluster = cluster.map_err(no_response).flatten()?;
        let produced = timeout_at(deadline, cluster.produce(key, record)).await;
        let produced = produced.map_err(no_response).flatten();
        if let Err(failure) = &produced
            && failure.breaks_connection()
        {
            self.cluster.invalidate(&cluster);
        }
        produced
    }
}

fn record(event: &Encoded, mode: ContentMode, key: &str) -> Result<Record, EncodeError> {
    let (headers, body) = match mode {
        ContentMode::Structured => {
            let content_type = format!("{STRUCTURED_MEDIA_TYPE}; charset=UTF-8");
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
        // The value is always set: Kafka treats a record without a value as a deletion (tombstone).
        value: Some(body.to_vec()),
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.into_owned(), value.to_vec()))
            .collect(),
        // Time of the record, not of the event, because Kafka uses it to expire records.
        timestamp: chrono::DateTime::from_timestamp_millis(now).unwrap_or_default(),
    })
}
