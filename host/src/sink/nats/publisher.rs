//! Publishes events to a subject.

use super::super::not_built::OptionalSettings;
use super::super::shared_connection::SharedConnection;
use super::super::wire::{SettingProblem, SinkContext, Wire, tls_problem};
use super::super::{Attempt, SinkError, reject_unencodable};
use super::config::NatsConfig;
use super::connection::{self, Connection};
use super::failure::PublishFailure;
use crate::event::{
    Binding, ContentMode, DEAD_LETTER_EXTENSION, EncodeError, Encoded, STRUCTURED_MEDIA_TYPE,
};
use async_nats::HeaderMap;
use async_nats::header::{HeaderName, HeaderValue, NATS_MESSAGE_ID};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use futures::FutureExt as _;
use std::borrow::Cow;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A subject of a stream.
#[derive(Debug)]
pub(crate) struct Nats {
    config: NatsConfig,
    /// Opened by the first attempt, because a server that is not reachable yet is not a
    /// configuration error.
    connection: SharedConnection<Connection>,
}

impl Wire for Nats {
    type Config = NatsConfig;

    const NAME: &'static str = NatsConfig::NAME;
    const SILENCED_CRATES: &'static [&'static str] = &["async_nats"];

    fn problems(config: &NatsConfig) -> Vec<SettingProblem> {
        tls_problem(config.tls.as_deref()).into_iter().collect()
    }

    fn check_files(config: &NatsConfig) -> Result<(), SinkError> {
        connection::options(config).map(drop)
    }

    fn mask(config: &mut NatsConfig) {
        OptionalSettings::mask(config);
    }

    async fn open(config: &NatsConfig, _: &mut SinkContext<'_>) -> Result<Self, SinkError> {
        // A file that cannot be used is reported now. Every connection reads the files again.
        Self::check_files(config)?;
        Ok(Self {
            config: config.clone(),
            connection: SharedConnection::default(),
        })
    }

    async fn send(&self, event: &Encoded) -> Attempt {
        // Boxed: the future takes kilobytes.
        self.publish_event(event).boxed().await
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.config.timeout_ms.get())
    }

    fn concurrency(&self) -> usize {
        self.config.concurrency.get()
    }
}

impl Nats {
    async fn publish_event(&self, event: &Encoded) -> Attempt {
        let message = match self.message(event) {
            Ok(Some(message)) => message,
            Ok(None) => {
                return Attempt::reject("its attributes cannot be headers".to_owned());
            }
            Err(error) => return reject_unencodable(&error),
        };
        match self.publish(message).await {
            Ok(()) => Attempt::Delivered,
            Err(failure) => failure.attempt(),
        }
    }

    async fn publish(&self, message: PublishMessage) -> Result<(), PublishFailure> {
        let deadline = Instant::now() + self.timeout();
        let is_usable = |connection: &Connection| !connection.is_lost();
        let connect = || Connection::open(&self.config);
        let connected = self.connection.get_or_connect(is_usable, connect);
        let connection = match timeout_at(deadline, connected).await {
            Ok(connection) => connection?,
            Err(_) => return Err(self.no_response(None)),
        };
        let publish = connection.publish(&self.config.subject, message);
        let published = match timeout_at(deadline, publish).await {
            Ok(published) => published,
            Err(_) => Err(self.no_response(connection.last_error())),
        };
        if let Err(failure) = &published
            && failure.breaks_connection()
        {
            self.connection.invalidate(&connection);
        }
        published
    }

    fn no_response(&self, server_error: Option<String>) -> PublishFailure {
        PublishFailure::NoResponse {
            waited: self.timeout(),
            server_error,
        }
    }

    /// Encodes an event. Returns `None` if an attribute cannot be a header.
    fn message(&self, event: &Encoded) -> Result<Option<PublishMessage>, EncodeError> {
        let (pairs, body) = match self.config.mode {
            ContentMode::Structured => {
                let content_type = ("Content-Type".into(), STRUCTURED_MEDIA_TYPE.into());
                (vec![content_type], event.structured())
            }
            ContentMode::Binary => {
                let binary = event.binary(Binding::NATS)?;
                (binary.headers, binary.body)
            }
        };
        // A dead letter has its own id. Otherwise a stream that already has the event would drop
        // its dead letter as a duplicate.
        let id = match event.attribute(DEAD_LETTER_EXTENSION) {
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
