//! What the observer tells about itself over HTTP. It only reads; nothing of what plugins and events say is shown, but
//! which there are, and what became of them.

mod access_cache;
mod auth;
mod config;
mod connection_slots;
mod connections;
mod metric;
mod metrics;
mod process;
mod request_progress;
mod routes;
mod server;
mod sinks;
mod status;
mod vitals;

pub use auth::{Access, AccessReviewer, AuthError};
pub use config::{AdminConfig, AdminConfigError, AuthConfig, BearerConfig, KubernetesConfig};
pub use sinks::{JournalStatus, SinkStatus};
pub use status::{
    EventStatus, LogReadStatus, ReloadStatus, StatusProvider, StatusSnapshot, TransitionStatus,
    WaitingStatus, WatchStatus,
};

use crate::history::History;
use crate::plugin::dropin::Roster;
use auth::Guard;
use config::{ListenAddress, RouteSet};
use connections::Connections;
use futures::FutureExt as _;
use futures::future::join_all;
use routes::RouteState;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::sync::watch;
use tracing::{info, warn};

/// Why the observer cannot tell about itself.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Somebody would see what they must not.
    #[error(transparent)]
    Config(#[from] AdminConfigError),
    /// Nobody could be let in.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// An address cannot be used.
    #[error("failed to listen on {address} ({field}): {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Which field has it.
        field: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// Where the observer answers. Cheap to clone: runs answer there one after the other.
#[derive(Clone, Debug, Default)]
pub struct Listeners(Vec<(ListenAddress, Arc<TcpListener>)>);

impl Listeners {
    /// Listens on the addresses of a configuration. `has_cluster`: there is one that can be asked whose a token is.
    ///
    /// # Errors
    ///
    /// One of them would show too much or cannot be used, or there is no token.
    pub fn open(config: &AdminConfig, has_cluster: bool) -> Result<Self, AdminError> {
        let addresses = config.listen_addresses()?;
        auth::check(config.auth.as_ref(), has_cluster)?;
        let mut listeners = Vec::new();
        for listen in addresses {
            let ListenAddress {
                field,
                name,
                address,
                routes,
            } = listen;
            let failed = |source| AdminError::Listen {
                address,
                field,
                source,
            };
            let listener = server::bind(address).map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            if routes == RouteSet::Withheld {
                warn!(
                    "admin.listen is reached by other machines and there is no admin.auth: /status, /plugins, /sinks and \
                     /events/ID are not shown there. Set admin.auth, or listen on 127.0.0.1 and give admin.probes and \
                     admin.metrics addresses of their own"
                );
            }
            info!(listener = name, %address, "telling about the observer at {}", paths(routes));
            let listener = listener.into_std().map_err(failed)?;
            listeners.push((listen, Arc::new(listener)));
        }
        Ok(Self(listeners))
    }

    /// Answers until `end`.
    ///
    /// # Errors
    ///
    /// A listener cannot be used any more, or there is no `reviewer` for tokens of the cluster.
    pub fn serve<E>(
        &self,
        auth: Option<&AuthConfig>,
        reviewer: Option<AccessReviewer>,
        subject: Subject,
        end: &E,
    ) -> Result<impl Future<Output = ()> + Send + use<E>, AdminError>
    where
        E: Future<Output = ()> + Clone + Send + 'static,
    {
        let guard = Guard::new(auth, reviewer)?;
        let metrics = self
            .0
            .iter()
            .map(|(listen, _)| (listen.name, Arc::default()));
        let metrics: Arc<connections::Named> = Arc::new(metrics.collect());
        let state = RouteState {
            roster: subject.roster,
            status_provider: subject.status,
            history: subject.history,
            connections: Connections(metrics.clone()),
            last: Arc::default(),
        };
        let each = self.0.iter().zip(metrics.iter());
        let servers: Result<Vec<_>, AdminError> = each
            .map(|((listen, listener), (_, metrics))| {
                let router = routes::router(listen.routes, state.clone(), guard.clone());
                let listener = again(listener).map_err(|source| AdminError::Listen {
                    address: listen.address,
                    field: listen.field,
                    source,
                })?;
                let (metrics, end) = (metrics.clone(), end.clone());
                Ok(server::serve(
                    listener,
                    router,
                    server::LIMITS,
                    metrics,
                    end,
                ))
            })
            .collect();
        Ok(join_all(servers?).map(drop))
    }
}

/// What is told about.
#[expect(
    missing_debug_implementations,
    reason = "a function has nothing to show"
)]
pub struct Subject {
    /// The plugins.
    pub roster: watch::Receiver<Roster>,
    /// Everything else.
    pub status: StatusProvider,
    /// What happened to events.
    pub history: History,
}

/// The same listener once more, in the runtime.
fn again(listener: &TcpListener) -> io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(listener.try_clone()?)
}

fn paths(routes: RouteSet) -> &'static str {
    match routes {
        RouteSet::Probes => "/healthz and /readyz",
        RouteSet::Metrics => "/metrics",
        RouteSet::Withheld => "/metrics, /healthz and /readyz",
        RouteSet::All | RouteSet::Guarded => {
            "/status, /plugins, /sinks, /events/ID, /metrics, /healthz and /readyz"
        }
    }
}
