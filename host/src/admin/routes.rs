//! The routes of the admin server.

use super::PageSink;
use super::auth::{self, Guard};
use super::config::{ListenAddress, RouteSet};
use super::live_page::{self, HostRule};
use super::paced::Paced;
use super::status::{JournalStatus, Status, StatusProvider};
use crate::clock;
use crate::history::History;
use crate::metrics::{CONTENT_TYPE, Registry};
use crate::page::{self, LivePage};
use crate::plugin::dropin::{PluginStatus, Roster};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use futures::future::{BoxFuture, Shared};
use jiff::Timestamp;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// Shared state of the routes.
#[derive(Clone)]
pub(super) struct RouteState {
    roster: watch::Receiver<Roster>,
    status_provider: StatusProvider,
    registry: Arc<Registry>,
    history: History,
    status: Paced<Arc<Status>>,
    scrape: Paced<Result<Arc<str>, fmt::Error>>,
    page: LivePage,
    sinks: Arc<[PageSink]>,
    page_status: Paced<Option<Bytes>>,
    end: Shared<BoxFuture<'static, ()>>,
}

/// The data of a `status` message of the live page.
#[derive(Serialize)]
struct PageStatus<'a> {
    #[serde(flatten)]
    status: &'a Status,
    now: Timestamp,
}

impl RouteState {
    pub(super) fn new(
        (roster, status_provider, registry, history): (
            watch::Receiver<Roster>,
            StatusProvider,
            Registry,
            History,
        ),
        (page, sinks): (LivePage, Vec<PageSink>),
        end: Shared<BoxFuture<'static, ()>>,
    ) -> Self {
        Self {
            roster,
            status_provider,
            registry: Arc::new(registry),
            history,
            status: Paced::default(),
            scrape: Paced::default(),
            page,
            sinks: sinks.into(),
            page_status: Paced::default(),
            end,
        }
    }

    pub(super) fn page(&self) -> &LivePage {
        &self.page
    }

    pub(super) fn sinks(&self) -> &[PageSink] {
        &self.sinks
    }

    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// Returns a future that resolves when streams must end.
    pub(super) fn end(&self) -> Shared<BoxFuture<'static, ()>> {
        self.end.clone()
    }

    /// Returns the `status` message of the live page, encoded once for all pages that ask together.
    pub(super) async fn page_status(&self) -> Option<Bytes> {
        let status = self.status().await;
        let read = || {
            let (status, now) = (&*status, self.page.time(clock::now()));
            page::message("status", None, &PageStatus { status, now })
        };
        self.page_status.get(read).await
    }

    async fn status(&self) -> Arc<Status> {
        let read = || {
            let roster = self.roster.borrow().clone();
            Arc::new(Status::new(&roster, (self.status_provider)()))
        };
        self.status.get(read).await
    }

    async fn scrape(&self) -> Result<Arc<str>, fmt::Error> {
        let read = || self.registry.encode().map(Arc::from);
        self.scrape.get(read).await
    }
}

/// The answer of `GET /plugins`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Plugins {
    /// Generation of the current chain; 0 until the plugins are known.
    generation: u64,
    plugins: Vec<PluginStatus>,
}

/// Builds the routes of one listener.
pub(super) fn router(listen: &ListenAddress, state: RouteState, runs: Guard) -> Router {
    let hosts = HostRule::of(listen.address);
    let probes = || {
        Router::new()
            .route("/healthz", get(async || "alive\n"))
            .route("/readyz", get(ready))
    };
    let scrapes = || Router::new().route("/metrics", get(metrics));
    let all = |guard: Guard| {
        let page = live_page::router(&state, guard.clone(), hosts);
        let runs = Router::new()
            .route("/status", get(status))
            .route("/plugins", get(plugins))
            .route("/sinks", get(sinks))
            .route("/events/{id}", get(event))
            .route_layer(axum::middleware::from_fn_with_state(guard, auth::guard));
        runs.merge(page).merge(probes()).merge(scrapes())
    };
    let router = match listen.routes {
        RouteSet::Probes => probes(),
        RouteSet::Metrics => scrapes(),
        RouteSet::All | RouteSet::Guarded => all(runs),
        RouteSet::Withheld => all(Guard::closed()),
    };
    router.with_state(state)
}

async fn status(State(state): State<RouteState>) -> Response {
    Json(&*state.status().await).into_response()
}

async fn plugins(State(state): State<RouteState>) -> Json<Plugins> {
    let status = state.status().await;
    Json(Plugins {
        generation: status.generation,
        plugins: status.plugins.clone(),
    })
}

async fn sinks(State(state): State<RouteState>) -> Json<JournalStatus> {
    Json(state.status().await.snapshot.journal.clone())
}

/// Answers with the history of an event.
async fn event(State(state): State<RouteState>, Path(id): Path<String>) -> Response {
    match state.history.entries(id).await {
        Ok(entries) if entries.is_empty() => {
            let unknown = "the history does not contain this event: it is older than the history, or the id is wrong\n";
            (StatusCode::NOT_FOUND, unknown).into_response()
        }
        Ok(entries) => Json(entries).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn metrics(State(state): State<RouteState>) -> Response {
    match state.scrape().await {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text.to_string()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(state): State<RouteState>) -> (StatusCode, String) {
    let status = state.status().await;
    match status.ready {
        true => match status
            .snapshot
            .standby
            .as_ref()
            .filter(|standby| standby.is_waiting())
        {
            Some(standby) => {
                let (lease, holder) = (&standby.lease, standby.holder.as_deref());
                let holder = holder.unwrap_or("nobody");
                let text = format!("ready: standby; {holder} holds the Lease {lease}\n");
                (StatusCode::OK, text)
            }
            None => (StatusCode::OK, "ready\n".to_owned()),
        },
        false => {
            let reasons = format!("not ready: {}\n", status.not_ready.join("; "));
            (StatusCode::SERVICE_UNAVAILABLE, reasons)
        }
    }
}
