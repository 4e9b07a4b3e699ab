//! The admin server: shows the state of the observer over HTTP, and changes nothing. It shows which
//! events and plugins exist and their outcomes, but never the content of an event or the settings
//! of a plugin.

mod access_cache;
mod auth;
mod config;
mod connection_metrics;
mod connection_slots;
mod live_page;
mod paced;
mod readiness;
mod request_progress;
mod routes;
mod server;
mod status;

pub use auth::{Access, AccessReviewer, AuthError};
pub use config::{AdminConfig, AdminConfigError, AuthConfig, BearerConfig, KubernetesConfig};
pub use status::{
    EventStatus, GapStatus, JournalStatus, LogReadStatus, ReloadStatus, SinkStatus, StandbyRole,
    StandbyStatus, StatusProvider, StatusSnapshot, TransitionStatus, WaitingStatus, WatchStatus,
};

use crate::history::History;
use crate::metrics::Registry;
use crate::page::LivePage;
use crate::plugin::dropin::Roster;
use crate::sink::SentForm;
use auth::Guard;
use config::{ListenAddress, RouteSet};
use connection_metrics::ConnectionMetrics;
use futures::FutureExt as _;
use futures::future::join_all;
use routes::RouteState;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::sync::watch;
use tracing::{info, warn};

/// Why the admin server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// An address would show too much.
    #[error(transparent)]
    Config(#[from] AdminConfigError),
    /// No client could be authorized.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// An address cannot be used.
    #[error("failed to listen on {address} ({field}): {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The field of the configuration that has the address.
        field: &'static str,
        /// Why it cannot be used.
        source: io::Error,
    },
}

/// The listening sockets of the admin server. Cheap to clone. They outlive a change of the
/// configuration: each new pipeline answers on the same sockets.
#[derive(Clone, Debug, Default)]
pub struct Listeners(Vec<(ListenAddress, Arc<TcpListener>)>);

impl Listeners {
    /// Listens on the addresses of a configuration. `has_cluster` says whether there is a cluster
    /// that can review tokens.
    ///
    /// # Errors
    ///
    /// An address would show runs without authorization, an address cannot be used, or no client
    /// could be authorized.
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
            info!(
                listener = name,
                paths = paths(routes),
                %address,
                "admin server listening"
            );
            let listener = listener.into_std().map_err(failed)?;
            listeners.push((listen, Arc::new(listener)));
        }
        Ok(Self(listeners))
    }

    /// Returns the address that shows runs, if there is one.
    pub(crate) fn runs_address(&self) -> Option<SocketAddr> {
        let mut listeners = self.0.iter();
        let (_, listener) = listeners.find(|(listen, _)| listen.routes.shows_runs())?;
        listener.local_addr().ok()
    }

    /// Returns whether a listener shows runs, to everybody or to authorized clients.
    pub(crate) fn show_runs(&self) -> bool {
        self.0.iter().any(|(listen, _)| listen.routes.shows_runs())
    }

    /// Answers requests until `end` resolves.
    ///
    /// # Errors
    ///
    /// A listener cannot be used any more, or `auth` needs a `reviewer` and there is none.
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
        let Subject {
            roster,
            status,
            mut registry,
            history,
            page,
            sinks,
        } = subject;
        let names: Vec<&'static str> = self.0.iter().map(|(listen, _)| listen.name).collect();
        let metrics = ConnectionMetrics::register(&mut registry, &names);
        let end_of_streams = end.clone().boxed().shared();
        let state = RouteState::new(
            (roster, status, registry, history),
            (page, sinks),
            end_of_streams,
        );
        let servers: Result<Vec<_>, AdminError> = self
            .0
            .iter()
            .zip(metrics)
            .map(|((listen, listener), metrics)| {
                let router = routes::router(listen, state.clone(), guard.clone());
                let listener = in_runtime(listener).map_err(|source| AdminError::Listen {
                    address: listen.address,
                    field: listen.field,
                    source,
                })?;
                let limits = match listen.routes.shows_runs() {
                    true => server::PAGE_LIMITS,
                    false => server::LIMITS,
                };
                Ok(server::serve(
                    listener,
                    router,
                    limits,
                    metrics,
                    end.clone(),
                ))
            })
            .collect();
        Ok(join_all(servers?).map(drop))
    }
}

/// Sources of the admin server's pages.
#[expect(
    missing_debug_implementations,
    reason = "a function has nothing to show"
)]
pub struct Subject {
    /// The plugins.
    pub roster: watch::Receiver<Roster>,
    /// The state of everything else.
    pub status: StatusProvider,
    /// The metrics. The server adds its own.
    pub registry: Registry,
    /// The history of the events.
    pub history: History,
    /// The runs and events that the live page shows.
    pub page: LivePage,
    /// The sinks, for the live page.
    pub sinks: Vec<PageSink>,
}

/// A sink, as the live page knows it.
#[derive(Clone, Debug)]
pub struct PageSink {
    /// Its name.
    pub name: String,
    /// The form in which it gets events.
    pub form: SentForm,
    /// Whether it takes events from the pipeline. Otherwise it takes only the dead letters of another sink.
    pub takes_events: bool,
    /// Whether it has plugins of its own, so that it is accepted for separately.
    pub has_own_plugins: bool,
}

/// Registers a listener with the current runtime.
fn in_runtime(listener: &TcpListener) -> io::Result<tokio::net::TcpListener> {
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
