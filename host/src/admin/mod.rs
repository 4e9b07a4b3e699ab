//! What the observer tells about itself over HTTP. It only reads; whoever can reach it can see which
//! plugins there are, but nothing of any event.

mod metrics;

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
    info!(%address, "telling about plugins at /plugins and /metrics");
    Ok(listener)
}

/// Answers for ever.
///
/// # Errors
///
/// The listener fails.
pub async fn serve(listener: TcpListener, roster: watch::Receiver<Roster>) -> io::Result<()> {
    let router = Router::new()
        .route("/plugins", get(plugins))
        .route("/metrics", get(metrics))
        .route("/readyz", get(ready))
        .with_state(roster);
    axum::serve(listener, router).await
}

async fn plugins(State(roster): State<watch::Receiver<Roster>>) -> Json<Plugins> {
    let roster = roster.borrow().clone();
    Json(Plugins {
        generation: roster.chain.as_ref().map_or(0, |chain| chain.generation()),
        plugins: roster.entries.iter().map(|entry| entry.status()).collect(),
    })
}

async fn metrics(State(roster): State<watch::Receiver<Roster>>) -> Response {
    let roster = roster.borrow().clone();
    match metrics::encode(&roster) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Ready once it is known which plugins events pass.
async fn ready(State(roster): State<watch::Receiver<Roster>>) -> (StatusCode, &'static str) {
    match roster.borrow().chain {
        Some(_) => (StatusCode::OK, "ready\n"),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: the plugins are not known yet\n",
        ),
    }
}
