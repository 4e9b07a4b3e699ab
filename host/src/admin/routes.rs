//! What is answered, page by page.

use super::auth::{self, Guard};
use super::config::RouteSet;
use super::connections::Connections;
use super::metrics;
use super::sinks::JournalStatus;
use super::status::{Status, StatusProvider};
use crate::history::History;
use crate::plugin::dropin::{PluginStatus, Roster};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

/// Shortest time between two looks at how the observer stands, which takes locks that events wait for. Who asks
/// meanwhile waits, and all of them share the next one.
const MIN_STATUS_INTERVAL: Duration = Duration::from_millis(20);

/// What is told about.
#[derive(Clone)]
pub(super) struct RouteState {
    pub(super) roster: watch::Receiver<Roster>,
    pub(super) status_provider: StatusProvider,
    pub(super) history: History,
    pub(super) connections: Connections,
    pub(super) last: Arc<Mutex<Option<TimedStatus>>>,
}

/// How the observer stood at a time.
#[derive(Clone)]
pub(super) struct TimedStatus {
    at: Instant,
    status: Arc<Status>,
}

impl RouteState {
    /// How the observer stands, no earlier than when this is asked for.
    async fn status(&self) -> Arc<Status> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some(timed) = last.as_ref() {
            if timed.at >= asked {
                return timed.status.clone();
            }
            tokio::time::sleep_until(timed.at + MIN_STATUS_INTERVAL).await;
        }
        let at = Instant::now();
        let roster = self.roster.borrow().clone();
        let status = Arc::new(Status::new(&roster, (self.status_provider)()));
        *last = Some(TimedStatus {
            at,
            status: status.clone(),
        });
        status
    }
}

/// What `GET /plugins` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Plugins {
    /// Of the chain that events pass now; 0 before there is one.
    generation: u64,
    plugins: Vec<PluginStatus>,
}

/// The pages of an address.
pub(super) fn router(routes: RouteSet, state: RouteState, runs: Guard) -> Router {
    let probes = || {
        Router::new()
            .route("/healthz", get(async || "alive\n"))
            .route("/readyz", get(ready))
    };
    let scrapes = || Router::new().route("/metrics", get(metrics));
    let all = |guard| {
        let runs = Router::new()
            .route("/status", get(status))
            .route("/plugins", get(plugins))
            .route("/sinks", get(sinks))
            .route("/events/{id}", get(event))
            .route_layer(axum::middleware::from_fn_with_state(guard, auth::guard));
        runs.merge(probes()).merge(scrapes())
    };
    let router = match routes {
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

/// What happened to an event.
async fn event(State(state): State<RouteState>, Path(id): Path<String>) -> Response {
    match state.history.entries(id).await {
        Ok(facts) if facts.is_empty() => {
            let unknown =
                "nothing is known of this event: it is older than the history, or has another id\n";
            (StatusCode::NOT_FOUND, unknown).into_response()
        }
        Ok(facts) => Json(facts).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn metrics(State(state): State<RouteState>) -> Response {
    let status = state.status().await;
    match metrics::encode(&status, state.connections.clone()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(state): State<RouteState>) -> (StatusCode, String) {
    let status = state.status().await;
    match status.ready {
        true => (StatusCode::OK, "ready\n".to_owned()),
        false => {
            let missing = format!("not ready: {}\n", status.not_ready.join("; "));
            (StatusCode::SERVICE_UNAVAILABLE, missing)
        }
    }
}
