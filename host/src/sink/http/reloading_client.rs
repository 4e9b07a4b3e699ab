//! HTTP client together with its secrets, which come from files and environment variables and are
//! read again while the observer runs.

use super::super::SinkError;
use super::config::HttpConfig;
use super::headers;
use super::signer::Signer;
use crate::http::{ClientOptions, HttpClient, LocalAddresses, TlsFiles};
use crate::locked::Locked;
use http::HeaderMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How often files with secrets are read again.
const RELOAD_INTERVAL: Duration = Duration::from_secs(10);

/// The current client with its current secrets.
#[derive(Clone)]
pub(in crate::sink) struct ClientSnapshot {
    pub(super) client: HttpClient,
    pub(super) headers: Arc<HeaderMap>,
    pub(super) signer: Option<Signer>,
}

/// A client that is built again when its secrets have changed.
pub(super) struct ReloadingClient {
    config: HttpConfig,
    state: Locked<State>,
}

struct State {
    snapshot: ClientSnapshot,
    secrets: Secrets,
    read_at: Instant,
    is_failing: bool,
}

/// The content of the files and variables.
#[derive(PartialEq, Eq)]
struct Secrets {
    headers: HeaderMap,
    tls: TlsFiles,
    signing: Vec<String>,
}

impl std::fmt::Debug for ReloadingClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReloadingClient").finish_non_exhaustive()
    }
}

impl ReloadingClient {
    /// Reads the secrets and builds the client.
    ///
    /// # Errors
    ///
    /// A secret cannot be read or used.
    pub(super) fn new(config: &HttpConfig) -> Result<Self, SinkError> {
        let (secrets, signer) = read(config)?;
        let state = State {
            snapshot: build(config, &secrets, signer)?,
            secrets,
            read_at: Instant::now(),
            is_failing: false,
        };
        Ok(Self {
            config: config.clone(),
            state: Locked::new(state),
        })
    }

    /// Returns the client to use now. Reads the secrets again if the last time was long ago.
    pub(super) fn snapshot(&self) -> ClientSnapshot {
        self.refresh(false).0
    }

    /// Reads the secrets again, and returns whether they have changed.
    pub(super) fn have_secrets_changed(&self) -> bool {
        self.refresh(true).1
    }

    fn refresh(&self, now: bool) -> (ClientSnapshot, bool) {
        let mut state = self.state.lock();
        let mut has_changed = false;
        if now || state.read_at.elapsed() >= RELOAD_INTERVAL {
            state.read_at = Instant::now();
            let host = self.config.url.host();
            match self.changes(&state.secrets) {
                Ok(None) => state.is_failing = false,
                Ok(Some((secrets, snapshot))) => {
                    info!(host, "secrets of a sink have changed");
                    (state.secrets, state.snapshot, state.is_failing) = (secrets, snapshot, false);
                    has_changed = true;
                }
                // The old secrets stay in use, because they may still work: a file may be only
                // partly replaced at this moment.
                Err(problem) => {
                    if !std::mem::replace(&mut state.is_failing, true) {
                        warn!(host, %problem, "failed to read the secrets of a sink again; the old ones stay in use");
                    }
                }
            }
        }
        (state.snapshot.clone(), has_changed)
    }

    fn changes(&self, before: &Secrets) -> Result<Option<(Secrets, ClientSnapshot)>, SinkError> {
        let (secrets, signer) = read(&self.config)?;
        if secrets == *before {
            return Ok(None);
        }
        let snapshot = build(&self.config, &secrets, signer)?;
        Ok(Some((secrets, snapshot)))
    }
}

fn read(config: &HttpConfig) -> Result<(Secrets, Option<Signer>), SinkError> {
    let signing = config.signing.as_ref().map(Signer::read).transpose()?;
    let (signer, signing) = signing.unzip();
    let tls = config.tls.as_deref().map(TlsFiles::read).transpose()?;
    let secrets = Secrets {
        headers: headers::read(config)?,
        tls: tls.unwrap_or_default(),
        signing: signing.unwrap_or_default(),
    };
    Ok((secrets, signer))
}

fn build(
    config: &HttpConfig,
    secrets: &Secrets,
    signer: Option<Signer>,
) -> Result<ClientSnapshot, SinkError> {
    let client = HttpClient::new(&ClientOptions {
        url: &config.url,
        timeout: Duration::from_millis(config.timeout_ms.get()),
        max_idle: config.concurrency.get(),
        proxy: config.proxy,
        tls: &secrets.tls,
        extra_roots: &config.roots,
        local_addresses: LocalAddresses::Permitted,
    })?;
    Ok(ClientSnapshot {
        client,
        headers: Arc::new(secrets.headers.clone()),
        signer,
    })
}
