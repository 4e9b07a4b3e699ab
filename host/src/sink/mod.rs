//! Where events go: one file per wire. A sink tries once and says what to do next; trying again is
//! `deliver`'s business.

mod attempt;
mod batcher;
mod defaults;
mod dynamic_http;
mod file;
mod http;
mod kafka;
mod nats;
mod pause_gate;
mod rate_limiter;
mod retry_action;
mod secret_file;
mod shared_connection;
mod stdout;
mod tls;

pub use attempt::{Attempt, DeliveryFailure, RetryAction};
pub use dynamic_http::{DynamicHttp, DynamicUrl};
pub use file::{FileConfig, Rotation};
pub use http::JsonClient;
pub use http::{
    BatchConfig, Compression, Handshake, Header, HttpAuth, HttpConfig, HttpMode, HttpUrl, ProxyUse,
    Signing,
};
pub use kafka::{Broker, KafkaConfig};
pub use nats::{NatsAuth, NatsConfig, NatsUrl};
pub use pause_gate::PauseGate;
pub(crate) use rate_limiter::RateLimiter;
use retry_action::http_date;
pub use retry_action::{after_status, retry_after};
pub use stdout::StdoutConfig;
pub use tls::{ExtraRoots, TlsConfig};

use crate::event::Encoded;
use futures::FutureExt as _;
use std::time::Duration;

/// Why a sink cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file cannot be opened.
    #[error("failed to open {path}: {source}")]
    Open {
        /// Its path.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The HTTP client cannot be built.
    #[error(
        "failed to set up HTTP: {0}; is a bundle of CA certificates installed (package ca-certificates)?"
    )]
    Client(String),
    /// An extension attribute cannot be added.
    #[error("extension `{name}`: {reason}")]
    Extension {
        /// Its name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Certificates or keys cannot be used.
    #[error("tls: {0}")]
    Tls(String),
    /// Events cannot be signed.
    #[error("signing: {0}")]
    Signing(String),
    /// The proxy of the environment is not for it.
    #[error("the proxy {0} of the environment: {1}")]
    Proxy(String, &'static str),
    /// What is configured does not go together.
    #[error("{0}")]
    Contradiction(&'static str),
    /// The program was built without it.
    #[error(
        "this program has no sink `{wire}`; build it with it: cargo xtask build --release --features {feature}"
    )]
    Absent {
        /// What the configuration calls it.
        wire: &'static str,
        /// The feature that it needs.
        feature: &'static str,
    },
    /// A token, password or key cannot be had.
    #[error("auth: {0}")]
    Auth(String),
    /// A header's value cannot be had.
    #[error("header `{name}`: {reason}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong. Never the value.
        reason: String,
    },
}

/// A sink that is ready.
#[derive(Debug)]
pub enum Sink {
    /// JSON lines to standard output.
    Stdout(stdout::Stdout),
    /// JSON lines to a file.
    File(file::File),
    /// CloudEvents over HTTP.
    Http(Box<http::Http>),
    /// The same, at a URL that may change.
    Dynamic(Box<DynamicHttp>),
    /// CloudEvents to a NATS JetStream stream.
    Nats(Box<nats::Nats>),
    /// CloudEvents to a Kafka topic.
    Kafka(Box<kafka::Kafka>),
}

impl Sink {
    /// Standard output.
    #[must_use]
    pub fn stdout(config: &StdoutConfig) -> Self {
        let StdoutConfig {} = config;
        Self::Stdout(stdout::Stdout::default())
    }

    /// A file, which is made or appended to.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub async fn file(config: &FileConfig) -> Result<Self, SinkError> {
        file::File::open(config).await.map(Self::File)
    }

    /// An HTTP receiver.
    ///
    /// # Errors
    ///
    /// The client cannot be built, or a header's value cannot be had.
    pub fn http(config: &HttpConfig) -> Result<Self, SinkError> {
        http::Http::new(config).map(|http| Self::Http(Box::new(http)))
    }

    /// Keeps the pauses that a receiver asks for. Wires on which none can ask for one make no use of it.
    #[must_use]
    pub fn pausing(self, pause: PauseGate) -> Self {
        match self {
            Self::Http(http) => Self::Http(Box::new(http.pausing(pause))),
            Self::Dynamic(http) => Self::Dynamic(Box::new(http.pausing(pause))),
            Self::Stdout(_) | Self::File(_) | Self::Nats(_) | Self::Kafka(_) => self,
        }
    }

    /// Ends when the receiver is another than the one that was tried last.
    pub(crate) async fn moved(&self) {
        match self {
            Self::Dynamic(http) => http.moved().await,
            Self::Stdout(_) | Self::File(_) | Self::Http(_) | Self::Nats(_) | Self::Kafka(_) => {
                std::future::pending().await
            }
        }
    }

    /// An HTTP receiver whose URL is told later, and may change.
    #[must_use]
    pub fn dynamic_http(url: DynamicUrl) -> Self {
        Self::Dynamic(Box::new(DynamicHttp::new(url)))
    }

    /// A subject of a NATS JetStream stream.
    ///
    /// # Errors
    ///
    /// A file that it needs cannot be used.
    pub fn nats(config: &NatsConfig) -> Result<Self, SinkError> {
        nats::Nats::new(config).map(|nats| Self::Nats(Box::new(nats)))
    }

    /// A Kafka topic.
    ///
    /// # Errors
    ///
    /// The program was built without it, or a file that it needs cannot be used.
    pub fn kafka(config: &KafkaConfig) -> Result<Self, SinkError> {
        kafka::Kafka::new(config).map(|kafka| Self::Kafka(Box::new(kafka)))
    }

    /// Tries once.
    pub async fn send(&self, event: &Encoded) -> Attempt {
        // Some take kilobytes for it: on their own, so that the others need not move them.
        match self {
            Self::Stdout(stdout) => stdout.send(event).await,
            Self::File(file) => file.send(event).await,
            Self::Http(http) => http.send(event).await,
            Self::Dynamic(http) => http.send(event).await,
            Self::Nats(nats) => nats.send(event).boxed().await,
            Self::Kafka(kafka) => kafka.send(event).boxed().await,
        }
    }

    /// How long an attempt may take.
    #[must_use]
    pub fn longest_attempt(&self) -> Duration {
        match self {
            Self::Stdout(_) | Self::File(_) => Duration::from_secs(10),
            Self::Http(http) => http.timeout(),
            Self::Dynamic(_) => defaults::TIMEOUT,
            Self::Nats(nats) => nats.timeout(),
            Self::Kafka(kafka) => kafka.timeout(),
        }
    }

    /// How many events it may be given at a time. One where lines must not mix.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        match self {
            Self::Stdout(_) => 1,
            Self::File(file) => file.concurrency(),
            Self::Http(http) => http.concurrency(),
            Self::Dynamic(_) => defaults::CONCURRENCY,
            Self::Nats(nats) => nats.concurrency(),
            Self::Kafka(kafka) => kafka.concurrency(),
        }
    }
}

/// An event that cannot even be encoded will never be delivered.
fn unencodable(error: &crate::event::EncodeError) -> Attempt {
    Attempt::reject(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_takes_no_more_memory_than_its_wire_needs() {
        let url = HttpUrl::try_from("http://receiver/".to_owned()).unwrap();
        let sink = Sink::http(&HttpConfig::new(url)).unwrap();
        let event = Encoded::stored("{}".into());
        // Those of NATS and Kafka take up to 14 KiB.
        assert!(size_of_val(&sink.send(&event)) < 2048);
    }
}
