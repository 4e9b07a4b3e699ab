//! What the observer tells about itself over HTTP. It only reads; whoever can reach it can see which
//! plugins there are and which events went where, but nothing of what they say.

mod metrics;
mod sinks;

pub use sinks::{JournalStatus, SinkStatus, Standing};

use crate::history::History;
use crate::plugin::dropin::{PluginStatus, Roster};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;

/// What is told about.
#[derive(Clone)]
struct Told {
    roster: watch::Receiver<Roster>,
    journal: Standing,
    history: History,
}

/// What `GET /plugins` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Plugins {
    /// Of the chain that events pass now; 0 before there is one.
    generation: u64,
    plugins: Vec<PluginStatus>,
}

/// Listens on an address.
///
/// # Errors
///
/// It is taken, or not this machine's.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    info!(%address, "telling about plugins and sinks at /plugins, /sinks, /events/ID and /metrics");
    Ok(listener)
}

/// Answers for ever.
///
/// # Errors
///
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    roster: watch::Receiver<Roster>,
    journal: Standing,
    history: History,
) -> io::Result<()> {
    let router = Router::new()
        .route("/plugins", get(plugins))
        .route("/sinks", get(sinks))
        .route("/events/{id}", get(event))
        .route("/metrics", get(metrics))
        .route("/readyz", get(ready))
        .with_state(Told {
            roster,
            journal,
            history,
        });
    axum::serve(listener, router).await
}

async fn plugins(State(told): State<Told>) -> Json<Plugins> {
    let roster = told.roster.borrow().clone();
    Json(Plugins {
        generation: roster.chain.as_ref().map_or(0, |chain| chain.generation()),
        plugins: roster.entries.iter().map(|entry| entry.status()).collect(),
    })
}

async fn sinks(State(told): State<Told>) -> Json<JournalStatus> {
    Json((told.journal)())
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
    let roster = told.roster.borrow().clone();
    match metrics::encode(&roster, (told.journal)()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Ready once it is known which plugins events pass.
async fn ready(State(told): State<Told>) -> (StatusCode, &'static str) {
    match told.roster.borrow().chain {
        Some(_) => (StatusCode::OK, "ready\n"),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the plugins are not known yet\n",
        ),
    }
}
