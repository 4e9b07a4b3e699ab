//! What the observer tells about itself over HTTP. It only reads; whoever can reach it can see which
//! plugins there are, but nothing of any event.

mod metrics;
mod sinks;

pub use sinks::{JournalStatus, SinkStatus, Standing};

use crate::plugin::dropin::{PluginStatus, Roster};
use axum::extract::State;
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
    info!(%address, "telling about plugins and sinks at /plugins, /sinks and /metrics");
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
) -> io::Result<()> {
    let router = Router::new()
        .route("/plugins", get(plugins))
        .route("/sinks", get(sinks))
        .route("/metrics", get(metrics))
        .route("/readyz", get(ready))
        .with_state(Told { roster, journal });
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
