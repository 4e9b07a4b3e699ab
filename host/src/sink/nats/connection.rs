//! Connection to NATS. A lost connection is not used again: the next attempt connects again, with
//! the current content of the files.

use super::super::SinkError;
use super::config::{NatsAuth, NatsConfig};
use super::failure::PublishFailure;
use crate::http::{TlsConfig, read_password, read_secret, read_token};
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::{Context, message::PublishMessage};
use async_nats::{ConnectOptions, Event, ServerAddr};
use std::time::Duration;
use tokio::sync::watch;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    jetstream: Context,
    state: watch::Receiver<ServerState>,
}

/// State of the server, from its messages that are not responses.
#[derive(Debug, Default)]
struct ServerState {
    is_lost: bool,
    last_error: Option<String>,
}

impl ServerState {
    fn update(&mut self, event: &Event) {
        match event {
            Event::ServerError(error) => self.last_error = Some(error.to_string()),
            Event::Disconnected | Event::Closed => self.is_lost = true,
            Event::Connected
            | Event::LameDuckMode
            | Event::Draining
            | Event::SlowConsumer(_)
            | Event::ClientError(_) => {}
        }
    }
}

impl Connection {
    pub(super) async fn open(config: &NatsConfig) -> Result<Self, PublishFailure> {
        let servers = config.servers.iter();
        let servers: Result<Vec<ServerAddr>, _> = servers
            .map(|server| ServerAddr::from_url(server.0.clone()))
            .collect();
        let servers = servers.map_err(|error| PublishFailure::Setup(error.to_string()))?;
        let options = options(config).map_err(|error| PublishFailure::Setup(error.to_string()))?;
        let (sender, state) = watch::channel(ServerState::default());
        let client = options
            .event_callback(move |event| {
                sender.send_modify(|state| state.update(&event));
                std::future::ready(())
            })
            .connect(servers)
            .await
            .map_err(PublishFailure::Connect)?;
        let timeout = Duration::from_millis(config.timeout_ms.get());
        let context = ContextBuilder::new().timeout(timeout).ack_timeout(timeout);
        Ok(Self {
            jetstream: context.build(client),
            state,
        })
    }

    pub(super) fn is_lost(&self) -> bool {
        // An error of `has_changed` means that the connection is closed: the client has dropped the
        // callback, and with it the sender.
        self.state.borrow().is_lost || self.state.has_changed().is_err()
    }

    /// Returns the last error that the server has reported.
    pub(super) fn last_error(&self) -> Option<String> {
        self.state.borrow().last_error.clone()
    }

    /// Publishes a message, and waits for the acknowledgement of the stream.
    pub(super) async fn publish(
        &self,
        subject: &str,
        message: PublishMessage,
    ) -> Result<(), PublishFailure> {
        let acknowledged = async {
            let ack = self.jetstream.send_publish(subject.to_owned(), message);
            ack.await?.await
        };
        let mut state = self.state.clone();
        tokio::select! {
            biased;
            ack = acknowledged => ack.map(drop).map_err(PublishFailure::Publish),
            // No acknowledgement arrives on a lost connection.
            _ = state.wait_for(|state| state.is_lost) => Err(PublishFailure::Lost),
        }
    }
}

/// Returns the options of a connection, read from the settings and their files.
///
/// # Errors
///
/// A file cannot be read or used. The error contains the name of the file, never its content.
pub(super) fn options(config: &NatsConfig) -> Result<ConnectOptions, SinkError> {
    let options = ConnectOptions::new()
        .name("step-observer")
        .connection_timeout(Duration::from_millis(config.timeout_ms.get()))
        // Each server is tried once. The client does not reconnect; this module opens a new
        // connection instead.
        .max_reconnects(config.servers.len());
    let options = authenticate(options, config.auth.as_ref()).map_err(SinkError::Auth)?;
    let has_tls_url = config.servers.iter().any(|url| url.0.scheme() == "tls");
    Ok(match &config.tls {
        Some(tls) => options
            .require_tls(true)
            .tls_client_config(tls.client_config()?),
        None if has_tls_url => options.tls_client_config(TlsConfig::default().client_config()?),
        None => options,
    })
}

fn authenticate(
    options: ConnectOptions,
    auth: Option<&NatsAuth>,
) -> Result<ConnectOptions, String> {
    Ok(match auth {
        None => options,
        Some(NatsAuth::Token { file }) => options.token(read_token(file)?),
        Some(NatsAuth::User {
            name,
            password_file,
        }) => options.user_and_password(name.clone(), read_password(password_file)?),
        Some(NatsAuth::Nkey { seed_file }) => options.nkey(read_token(seed_file)?),
        Some(NatsAuth::Credentials { file }) => {
            let text = read_secret(file)?;
            let options = options.credentials(&text);
            options.map_err(|_| {
                format!(
                    "{} holds no JWT with the seed of its key; write it with `nsc generate creds`",
                    file.display()
                )
            })?
        }
    })
}
