//! What comes from files and the environment, and the client that uses it. Files are read again while
//! the observer runs.

use super::super::SinkError;
use super::config::{HttpConfig, ProxyUse};
use super::credentials::{self, Tls};
use super::proxy;
use super::signer::Signer;
use crate::locked::Locked;
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How often files with secrets are read again.
const READ_AGAIN: Duration = Duration::from_secs(10);

/// What is used of them at the moment.
#[derive(Clone)]
pub(super) struct ClientSnapshot {
    pub(super) client: reqwest::Client,
    pub(super) headers: Arc<HeaderMap>,
    pub(super) signer: Option<Signer>,
}

/// The files of a receiver.
pub(super) struct ReloadingClient {
    config: HttpConfig,
    state: Locked<State>,
}

struct State {
    in_use: ClientSnapshot,
    files: Files,
    read_at: Instant,
    failing: bool,
}

/// What stands in files and the environment.
#[derive(PartialEq, Eq)]
struct Files {
    headers: HeaderMap,
    tls: Tls,
    signing: Vec<String>,
}

impl std::fmt::Debug for ReloadingClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReloadingClient").finish_non_exhaustive()
    }
}

impl ReloadingClient {
    pub(super) fn read(config: &HttpConfig) -> Result<Self, SinkError> {
        let (files, signer) = read(config)?;
        let state = State {
            in_use: in_use(config, &files, signer)?,
            files,
            read_at: Instant::now(),
            failing: false,
        };
        Ok(Self {
            config: config.clone(),
            state: Locked::new(state),
        })
    }

    /// What is to be used now.
    pub(super) fn now(&self) -> ClientSnapshot {
        self.look(false).0
    }

    /// Reads the files again, and tells whether they have changed.
    pub(super) fn have_changed(&self) -> bool {
        self.look(true).1
    }

    fn look(&self, read_again: bool) -> (ClientSnapshot, bool) {
        let mut state = self.state.lock();
        let mut changed = false;
        if read_again || state.read_at.elapsed() >= READ_AGAIN {
            state.read_at = Instant::now();
            let host = self.config.url.host();
            match self.changed(&state.files) {
                Ok(None) => state.failing = false,
                Ok(Some((files, in_use))) => {
                    info!(host, "secrets for a sink have changed");
                    (state.files, state.in_use, state.failing) = (files, in_use, false);
                    changed = true;
                }
                // A file that is being replaced, perhaps: the ones before may still do.
                Err(problem) => {
                    if !std::mem::replace(&mut state.failing, true) {
                        warn!(host, %problem, "secrets for a sink cannot be read again");
                    }
                }
            }
        }
        (state.in_use.clone(), changed)
    }

    fn changed(&self, before: &Files) -> Result<Option<(Files, ClientSnapshot)>, SinkError> {
        let (files, signer) = read(&self.config)?;
        if files == *before {
            return Ok(None);
        }
        let in_use = in_use(&self.config, &files, signer)?;
        Ok(Some((files, in_use)))
    }
}

fn read(config: &HttpConfig) -> Result<(Files, Option<Signer>), SinkError> {
    let signing = config.signing.as_ref().map(Signer::read_from).transpose()?;
    let (signer, signing) = signing.unzip();
    let files = Files {
        headers: credentials::headers(config)?,
        tls: Tls::read_from(config)?,
        signing: signing.unwrap_or_default(),
    };
    Ok((files, signer))
}

fn in_use(
    config: &HttpConfig,
    files: &Files,
    signer: Option<Signer>,
) -> Result<ClientSnapshot, SinkError> {
    Ok(ClientSnapshot {
        client: client(config, &files.tls)?,
        headers: Arc::new(files.headers.clone()),
        signer,
    })
}

fn client(config: &HttpConfig, tls: &Tls) -> Result<reqwest::Client, SinkError> {
    let failed = |error: &dyn std::error::Error| SinkError::Client(super::describe(error));
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("step-observer/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .timeout(Duration::from_millis(config.timeout_ms.get()))
        .connect_timeout(Duration::from_secs(10))
        .tcp_keepalive(Duration::from_secs(30))
        .pool_max_idle_per_host(config.concurrency.get());
    let direct = config.proxy == ProxyUse::None;
    if direct {
        builder = builder.no_proxy();
    }
    if config.url.0.scheme() == "http" && (direct || !proxy::is_tls(&config.url)) {
        // Without this, plain HTTP would need a bundle of CA certificates too.
        builder = builder.tls_backend_preconfigured(no_roots().map_err(|error| failed(&error))?);
    } else {
        builder = tls.apply(builder, &config.roots)?;
    }
    builder.build().map_err(|error| failed(&error))
}

pub(super) fn no_roots() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}
