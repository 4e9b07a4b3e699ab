//! One connection to NATS. One that is lost is not used again: the next attempt makes another, from
//! what the files say by then.

use super::super::{SinkError, secret_file, tls};
use super::config::{NatsAuth, NatsConfig};
use super::failure::PublishFailure;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::{Context, message::PublishMessage};
use async_nats::{ConnectOptions, Event, ServerAddr};
use std::time::Duration;
use tokio::sync::watch;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    jetstream: Context,
    told: watch::Receiver<ServerState>,
}

/// What the server has told beside its answers.
#[derive(Debug, Default)]
struct ServerState {
    lost: bool,
    /// The last thing that it did not like.
    error: Option<String>,
}

impl ServerState {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::ServerError(error) => self.error = Some(error.to_string()),
            Event::Disconnected | Event::Closed => self.lost = true,
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
        let (tell, told) = watch::channel(ServerState::default());
        let client = options
            .event_callback(move |event| {
                tell.send_modify(|told| told.hear(&event));
                std::future::ready(())
            })
            .connect(servers)
            .await
            .map_err(PublishFailure::Connect)?;
        let timeout = Duration::from_millis(config.timeout_ms.get());
        let context = ContextBuilder::new().timeout(timeout).ack_timeout(timeout);
        Ok(Self {
            jetstream: context.build(client),
            told,
        })
    }

    pub(super) fn is_lost(&self) -> bool {
        // Who tells is gone when the connection is.
        self.told.borrow().lost || self.told.has_changed().is_err()
    }

    /// What the server complained of last.
    pub(super) fn last_error(&self) -> Option<String> {
        self.told.borrow().error.clone()
    }

    /// Publishes, and waits until the stream has it.
    pub(super) async fn publish(
        &self,
        subject: &str,
        message: PublishMessage,
    ) -> Result<(), PublishFailure> {
        let acknowledged = async {
            let ack = self.jetstream.send_publish(subject.to_owned(), message);
            ack.await?.await
        };
        let mut told = self.told.clone();
        tokio::select! {
            biased;
            ack = acknowledged => ack.map(drop).map_err(PublishFailure::Publish),
            // The acknowledgement would not come any more.
            _ = told.wait_for(|told| told.lost) => Err(PublishFailure::Lost),
        }
    }
}

/// Everything that comes from the configuration and its files.
///
/// # Errors
///
/// Names the file, never its content.
pub(super) fn options(config: &NatsConfig) -> Result<ConnectOptions, SinkError> {
    let options = ConnectOptions::new()
        .name("step-observer")
        .connection_timeout(Duration::from_millis(config.timeout_ms.get()))
        // Each server once: a connection that is lost is made again here, not there.
        .max_reconnects(config.servers.len());
    let options = authenticate(options, config.auth.as_ref()).map_err(SinkError::Auth)?;
    let by_url = config.servers.iter().any(|url| url.0.scheme() == "tls");
    Ok(match &config.tls {
        Some(files) => options
            .require_tls(true)
            .tls_client_config(tls::client(files)?),
        None if by_url => options.tls_client_config(tls::client(&Default::default())?),
        None => options,
    })
}

fn authenticate(
    options: ConnectOptions,
    auth: Option<&NatsAuth>,
) -> Result<ConnectOptions, String> {
    Ok(match auth {
        None => options,
        Some(NatsAuth::Token { file }) => options.token(secret_file::read_token(file)?),
        Some(NatsAuth::User {
            name,
            password_file,
        }) => options.user_and_password(name.clone(), secret_file::read_password(password_file)?),
        Some(NatsAuth::Nkey { seed_file }) => options.nkey(secret_file::read_token(seed_file)?),
        Some(NatsAuth::Credentials { file }) => {
            let text = secret_file::read(file)?;
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
