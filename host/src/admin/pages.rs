//! What is answered, page by page.

use super::auth::{self, Guard};
use super::config::Pages;
use super::connections::Connections;
use super::metrics;
use super::sinks::JournalStatus;
use super::status::{Standing, Status};
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
const PACE: Duration = Duration::from_millis(20);

/// What is told about.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) roster: watch::Receiver<Roster>,
    pub(super) standing: Standing,
    pub(super) history: History,
    pub(super) connections: Connections,
    pub(super) last: Arc<Mutex<Option<Look>>>,
}

/// How the observer stood at a time.
#[derive(Clone)]
pub(super) struct Look {
    at: Instant,
    status: Arc<Status>,
}

impl Told {
    /// How the observer stands, no earlier than when this is asked for.
    async fn status(&self) -> Arc<Status> {
        let asked = Instant::now();
        let mut last = self.last.lock().await;
        if let Some(look) = last.as_ref() {
            if look.at >= asked {
                return look.status.clone();
            }
            tokio::time::sleep_until(look.at + PACE).await;
        }
        let at = Instant::now();
        let roster = self.roster.borrow().clone();
        let status = Arc::new(Status::new(&roster, (self.standing)()));
        *last = Some(Look {
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
pub(super) fn router(pages: Pages, told: Told, runs: Guard) -> Router {
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
    let router = match pages {
        Pages::Probes => probes(),
        Pages::Metrics => scrapes(),
        Pages::All | Pages::Guarded => all(runs),
        Pages::Withheld => all(Guard::closed()),
    };
    router.with_state(told)
}

async fn status(State(told): State<Told>) -> Response {
    Json(&*told.status().await).into_response()
}

async fn plugins(State(told): State<Told>) -> Json<Plugins> {
    let status = told.status().await;
    Json(Plugins {
        generation: status.generation,
        plugins: status.plugins.clone(),
    })
}

async fn sinks(State(told): State<Told>) -> Json<JournalStatus> {
    Json(told.status().await.vitals.journal.clone())
}

/// What happened to an event.
async fn event(State(told): State<Told>, Path(id): Path<String>) -> Response {
    match told.history.of(id).await {
        Ok(facts) if facts.is_empty() => {
            let unknown =
                "nothing is known of this event: it is older than the history, or has another id\n";
            (StatusCode::NOT_FOUND, unknown).into_response()
        }
        Ok(facts) => Json(facts).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn metrics(State(told): State<Told>) -> Response {
    let status = told.status().await;
    match metrics::encode(&status, told.connections.clone()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(told): State<Told>) -> (StatusCode, String) {
    let status = told.status().await;
    match status.ready {
        true => (StatusCode::OK, "ready\n".to_owned()),
        false => {
            let missing = format!("not ready: {}\n", status.not_ready.join("; "));
            (StatusCode::SERVICE_UNAVAILABLE, missing)
        }
    }
}
