//! CloudEvents over NATS JetStream (NATS protocol binding 1.0.3), structured or binary mode.

mod config;
mod connection;
mod failure;

pub use config::{NatsAuth, NatsConfig, NatsUrl};

use super::shared_connection::SharedConnection;
use super::{Attempt, SinkError, unencodable};
use crate::event::{Binding, ContentMode, DEAD_LETTER, EncodeError, Encoded, STRUCTURED};
use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue, NATS_MESSAGE_ID};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use connection::Connection;
use failure::PublishFailure;
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A subject of a stream, with the connection of the moment.
#[derive(Debug)]
pub struct Nats {
    config: NatsConfig,
    /// Made by the first attempt that needs it; a server that is not there yet is no mistake.
    connection: SharedConnection<Connection>,
}

impl Nats {
    pub(super) fn new(config: &NatsConfig) -> Result<Self, SinkError> {
        // A file that cannot be used is told now. It is read again for every connection.
        connection::options(config)?;
        Ok(Self {
            config: config.clone(),
            connection: SharedConnection::default(),
        })
    }

    pub(super) fn concurrency(&self) -> usize {
        self.config.concurrency.get()
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.config.timeout_ms.get())
    }

    pub(super) async fn send(&self, event: &Encoded) -> Attempt {
        let message = match self.message(event) {
            Ok(Some(message)) => message,
            Ok(None) => {
                return Attempt::reject("its attributes cannot be headers".to_owned());
            }
            Err(error) => return unencodable(&error),
        };
        match self.publish(message).await {
            Ok(()) => Attempt::Delivered,
            Err(failure) => failure.attempt(),
        }
    }

    async fn publish(&self, message: PublishMessage) -> Result<(), PublishFailure> {
        let deadline = Instant::now() + self.timeout();
        let usable = |connection: &Connection| !connection.is_lost();
        let connected = (self.connection).get_or_connect(usable, || Connection::open(&self.config));
        let connection = match timeout_at(deadline, connected).await {
            Ok(connection) => connection?,
            Err(_) => return Err(self.silence(None)),
        };
        let publish = connection.publish(&self.config.subject, message);
        let published = match timeout_at(deadline, publish).await {
            Ok(published) => published,
            Err(_) => Err(self.silence(connection.last_error())),
        };
        if let Err(failure) = &published
            && failure.breaks_connection()
        {
            self.connection.forget(&connection);
        }
        published
    }

    fn silence(&self, last_error: Option<String>) -> PublishFailure {
        PublishFailure::Silence {
            waited: self.timeout(),
            last_error,
        }
    }

    /// Nothing where an attribute cannot be a header.
    fn message(&self, event: &Encoded) -> Result<Option<PublishMessage>, EncodeError> {
        let (pairs, body) = match self.config.mode {
            ContentMode::Structured => {
                let content_type = ("Content-Type".into(), STRUCTURED.into());
                (vec![content_type], event.structured())
            }
            ContentMode::Binary => {
                let binary = event.binary(Binding::NATS)?;
                (binary.headers, binary.body)
            }
        };
        // A stream that has the event may get its dead letter, too.
        let id = match event.attribute(DEAD_LETTER) {
            Some(_) => format!("{}/dead-letter", event.id()),
            None => event.id(),
        };
        let id = (NATS_MESSAGE_ID.to_string().into(), id.into());
        let headers: Option<HeaderMap> = pairs.into_iter().chain([id]).map(header).collect();
        let message = |headers| PublishMessage::build().headers(headers).payload(body);
        Ok(headers.map(message))
    }
}

fn header((name, value): (Cow<'static, str>, Bytes)) -> Option<(HeaderName, HeaderValue)> {
    let value = std::str::from_utf8(&value).ok()?;
    Some((name.parse().ok()?, value.parse().ok()?))
}
