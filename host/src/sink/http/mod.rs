//! CloudEvents over HTTP (HTTP protocol binding 1.0.2), binary or structured mode.

mod config;
mod material;

pub(super) use config::{DEFAULT_CONCURRENCY, DEFAULT_TIMEOUT};
pub use config::{Header, HttpAuth, HttpConfig, HttpMode, HttpTls, SinkUrl};

use super::{Attempt, Disposition, SinkError, after_status, retry_after, unencodable};
use crate::event::attribute::{self, AttributeError};
use crate::event::{Encoded, STRUCTURED};
use jiff::Timestamp;
use material::Tls;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Longest wait that a receiver may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Most of an answer that is read so that its connection can be used again.
const MAX_ANSWER: usize = 64 * 1024;

/// How often files with secrets are read again.
const READ_AGAIN: Duration = Duration::from_secs(10);

/// A receiver with its client.
#[derive(Debug)]
pub struct Http {
    config: HttpConfig,
    secrets: Mutex<Secrets>,
}

/// What comes from files and the environment, and the client that uses it.
struct Secrets {
    headers: Arc<HeaderMap>,
    tls: Tls,
    client: reqwest::Client,
    read_at: Instant,
    failing: bool,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    fn read(config: &HttpConfig) -> Result<Self, SinkError> {
        let tls = Tls::read_from(config)?;
        Ok(Self {
            headers: Arc::new(material::headers(config)?),
            client: client(config, &tls)?,
            tls,
            read_at: Instant::now(),
            failing: false,
        })
    }
}

fn client(config: &HttpConfig, tls: &Tls) -> Result<reqwest::Client, SinkError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("step-observer/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .timeout(Duration::from_millis(config.timeout_ms.max(1)))
        .connect_timeout(Duration::from_secs(10))
        .tcp_keepalive(Duration::from_secs(30))
        .pool_max_idle_per_host(config.concurrency);
    if config.url.0.scheme() == "http" {
        // Without this, plain HTTP would need a bundle of CA certificates too.
        builder =
            builder.tls_backend_preconfigured(no_roots().map_err(|error| client_error(&error))?);
    } else {
        builder = tls.apply(builder)?;
    }
    builder.build().map_err(|error| client_error(&error))
}

impl Http {
    pub(super) fn new(config: &HttpConfig) -> Result<Self, SinkError> {
        check(&config.extensions)?;
        if config.tls.is_some() && config.url.0.scheme() == "http" {
            let problem = "the URL is not https: nothing of this would be used";
            return Err(SinkError::Tls(problem.to_owned()));
        }
        Ok(Self {
            secrets: Mutex::new(Secrets::read(config)?),
            config: config.clone(),
        })
    }

    pub(super) fn concurrency(&self) -> usize {
        self.config.concurrency.max(1)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.config.timeout_ms.max(1))
    }

    /// Client and headers of the moment, and whether they are others than before.
    fn secrets(&self, read_again: bool) -> (reqwest::Client, Arc<HeaderMap>, bool) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        if read_again || secrets.read_at.elapsed() >= READ_AGAIN {
            secrets.read_at = Instant::now();
            match self.changed(&secrets) {
                Ok(None) => secrets.failing = false,
                Ok(Some(now)) => {
                    let host = self.config.url.host();
                    info!(host, "secrets for a sink have changed");
                    *secrets = now;
                    changed = true;
                }
                // A file that is being replaced, perhaps: the ones before may still do.
                Err(problem) => {
                    if !std::mem::replace(&mut secrets.failing, true) {
                        let host = self.config.url.host();
                        warn!(host, %problem, "secrets for a sink cannot be read again");
                    }
                }
            }
        }
        (secrets.client.clone(), secrets.headers.clone(), changed)
    }

    /// What the files say now, where that is something else.
    fn changed(&self, before: &Secrets) -> Result<Option<Secrets>, SinkError> {
        let same_headers = *before.headers == material::headers(&self.config)?;
        if same_headers && before.tls == Tls::read_from(&self.config)? {
            return Ok(None);
        }
        Secrets::read(&self.config).map(Some)
    }

    pub(super) async fn send(&self, event: &Encoded) -> Attempt {
        let (client, headers, _) = self.secrets(false);
        let request = client.post(self.config.url.0.clone());
        let request = request.headers((*headers).clone());
        let extended = event.extended(&self.config.extensions);
        let request = match self.config.mode {
            HttpMode::Structured => extended.map(|event| {
                request
                    .header("content-type", format!("{STRUCTURED}; charset=utf-8"))
                    .body(event.structured())
            }),
            HttpMode::Binary => extended.and_then(|event| event.binary()).map(|binary| {
                let request = request.body(binary.body);
                binary
                    .headers
                    .into_iter()
                    .fold(request, |request, (name, value)| {
                        request.header(name, value)
                    })
            }),
        };
        let request = match request {
            Ok(request) => request,
            Err(error) => return unencodable(&error),
        };
        match request.send().await {
            // The URL, which may hold a token, stays out of the message.
            Err(error) => Attempt::Retry {
                reason: describe(&error.without_url()),
                after: None,
            },
            Ok(answer) => {
                let status = answer.status();
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the edge where the clock is read"
                )]
                let now = Timestamp::now();
                let header = answer
                    .headers()
                    .get(RETRY_AFTER)
                    .and_then(|value| value.to_str().ok());
                let after = header.and_then(|header| retry_after(header, now, MAX_RETRY_AFTER));
                drain(answer).await;
                // A token that has run out was replaced before.
                if status == StatusCode::UNAUTHORIZED && self.secrets(true).2 {
                    return Attempt::Retry {
                        reason: "401 Unauthorized, with secrets that have changed since".to_owned(),
                        after: None,
                    };
                }
                match after_status(status.as_u16()) {
                    Disposition::Done => Attempt::Delivered,
                    Disposition::Retry => Attempt::Retry {
                        reason: status.to_string(),
                        after,
                    },
                    Disposition::Reject => Attempt::Rejected {
                        reason: status.to_string(),
                    },
                    Disposition::Suspend => Attempt::Suspended {
                        reason: status.to_string(),
                    },
                }
            }
        }
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

/// Reads what is left of an answer: a connection with unread bytes cannot be used again.
async fn drain(mut answer: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(piece)) = answer.chunk().await {
        read += piece.len();
        if read > MAX_ANSWER {
            break;
        }
    }
}

fn client_error(error: &dyn std::error::Error) -> SinkError {
    SinkError::Client(describe(error))
}

fn no_roots() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

fn check(extensions: &BTreeMap<String, String>) -> Result<(), SinkError> {
    for (name, value) in extensions {
        attribute::check_extension(name, value).map_err(|error| SinkError::Extension {
            name: name.clone(),
            reason: match error {
                AttributeError::ReadOnly(_) => {
                    "it identifies the event or belongs to the observer".to_owned()
                }
                error => error.to_string(),
            },
        })?;
    }
    Ok(())
}
