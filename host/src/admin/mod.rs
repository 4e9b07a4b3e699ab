//! What the observer tells about itself over HTTP. It only reads; whoever can reach it can see which
//! plugins there are and which events went where, but nothing of what they say.

mod metric;
mod metrics;
mod process;
mod sinks;
mod status;
mod vitals;

pub use sinks::{JournalStatus, SinkStatus};
pub use status::{Events, LogReads, Reloads, Standing, Transitions, Vitals, Waiting, WatchStatus};

use crate::history::History;
use crate::plugin::dropin::{PluginStatus, Roster};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use status::Status;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;

/// What is told about.
#[derive(Clone)]
struct Told {
    roster: watch::Receiver<Roster>,
    standing: Standing,
    history: History,
}

impl Told {
    fn status(&self) -> Status {
        let roster = self.roster.borrow().clone();
        Status::new(&roster, (self.standing)())
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

/// Listens on an address.
///
/// # Errors
///
/// It is taken, or not this machine's.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    info!(%address, "telling about the observer at /status, /plugins, /sinks, /events/ID, /metrics, /healthz and /readyz");
    Ok(listener)
}

/// Longest wait for those who are being answered at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Answers until `end`.
///
/// # Errors
///
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    roster: watch::Receiver<Roster>,
    standing: Standing,
    history: History,
    end: impl Future<Output = ()> + Clone + Send + 'static,
) -> io::Result<()> {
    let router = Router::new()
        .route("/status", get(status))
        .route("/healthz", get(async || "alive\n"))
        .route("/plugins", get(plugins))
        .route("/sinks", get(sinks))
        .route("/events/{id}", get(event))
        .route("/metrics", get(metrics))
        .route("/readyz", get(ready))
        .with_state(Told {
            roster,
            standing,
            history,
        });
    let serving = axum::serve(listener, router).with_graceful_shutdown(end.clone());
    let late = async {
        end.await;
        tokio::time::sleep(LAST_ANSWERS).await;
    };
    tokio::select! {
        served = serving => served,
        () = late => Ok(()),
    }
}

async fn status(State(told): State<Told>) -> Json<Status> {
    Json(told.status())
}

async fn plugins(State(told): State<Told>) -> Json<Plugins> {
    let Status {
        generation,
        plugins,
        ..
    } = told.status();
    Json(Plugins {
        generation,
        plugins,
    })
}

async fn sinks(State(told): State<Told>) -> Json<JournalStatus> {
    Json((told.standing)().journal)
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
    match metrics::encode(told.status()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(told): State<Told>) -> (StatusCode, String) {
    let status = told.status();
    match status.ready {
        true => (StatusCode::OK, "ready\n".to_owned()),
        false => {
            let missing = format!("not ready: {}\n", status.not_ready.join("; "));
            (StatusCode::SERVICE_UNAVAILABLE, missing)
        }
    }
}
