//! One event on the live page: its history, and what each sink got.

use super::super::PageSink;
use super::super::routes::RouteState;
use crate::history::{EventStage, HistoryEntry};
use crate::page::KeptBody;
use crate::sink::{SentEvent, SentForm};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

/// Entries of a history that are shown: the first and the last ones.
const FIRST_ENTRIES: usize = 100;
const LAST_ENTRIES: usize = 400;

/// The answer of `GET /page/events/ID`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageEvent {
    id: String,
    history: Vec<HistoryEntry>,
    history_left_out: usize,
    sinks: Vec<EventOfSink>,
    bodies: Vec<SentEvent>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct EventOfSink {
    name: String,
    /// Position among the bodies.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<usize>,
    /// Whether the body is no longer kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
}

pub(super) async fn event(State(state): State<RouteState>, Path(id): Path<String>) -> Response {
    let history = match state.history().entries(id.clone()).await {
        Ok(history) => history,
        Err(error) => {
            return (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response();
        }
    };
    let bodies = state.page().bodies(&id);
    if history.is_empty() && bodies.is_empty() && !state.page().has_event(&id) {
        let unknown = "neither the history nor the page contains this event: it is too old, or the id is wrong\n";
        return (StatusCode::NOT_FOUND, unknown).into_response();
    }
    Json(page_event(id, history, &bodies, state.sinks())).into_response()
}

fn page_event(
    id: String,
    mut history: Vec<HistoryEntry>,
    kept: &[KeptBody],
    configured: &[PageSink],
) -> PageEvent {
    let mut bodies: Vec<SentEvent> = Vec::new();
    let names = sink_names(&history, kept, configured);
    let accepted: Vec<&String> = accepted_sinks(&history).collect();
    let sinks = names.into_iter().map(|name| {
        let of_sink = kept.iter().rfind(|body| body.sinks.contains(&name));
        let form = configured.iter().find(|sink| sink.name == name);
        let shown = of_sink
            .and_then(|kept| kept.body.as_ref())
            .map(|body| match form {
                Some(sink) => sink.form.show(body),
                // The sink was removed from the configuration.
                None => SentForm::default().show(body),
            });
        let body = shown.map(|shown| {
            let known = bodies.iter().position(|body| *body == shown);
            known.unwrap_or_else(|| {
                bodies.push(shown);
                bodies.len() - 1
            })
        });
        let was_made = of_sink.is_some() || accepted.contains(&&name);
        EventOfSink {
            gone: body.is_none() && was_made,
            name,
            body,
        }
    });
    let sinks = sinks.collect();
    let history_left_out = history.len().saturating_sub(FIRST_ENTRIES + LAST_ENTRIES);
    let first = FIRST_ENTRIES.min(history.len());
    history.drain(first..first + history_left_out);
    PageEvent {
        id,
        history,
        history_left_out,
        sinks,
        bodies,
    }
}

/// Returns the sinks that the event was accepted for.
fn accepted_sinks(history: &[HistoryEntry]) -> impl Iterator<Item = &String> {
    history.iter().flat_map(|entry| match &entry.stage {
        EventStage::Accepted { sinks, .. } => sinks.iter().collect(),
        EventStage::Dead { to: Some(sink), .. } | EventStage::SentAgain { sink, .. } => vec![sink],
        EventStage::Held { .. }
        | EventStage::Failed { .. }
        | EventStage::Paused { .. }
        | EventStage::Delivered { .. }
        | EventStage::Dead { to: None, .. }
        | EventStage::Discarded { .. } => Vec::new(),
    })
}

/// Returns the sinks that the event was accepted for, or may still be accepted for.
fn sink_names(history: &[HistoryEntry], kept: &[KeptBody], configured: &[PageSink]) -> Vec<String> {
    let accepted = |entry: &&HistoryEntry| matches!(entry.stage, EventStage::Accepted { .. });
    let accepted = history.iter().filter(accepted).count().max(kept.len());
    // The sinks without plugins of their own get an event together.
    let own = configured
        .iter()
        .filter(|sink| sink.has_own_plugins)
        .count();
    let is_shared = |sink: &PageSink| sink.takes_events && !sink.has_own_plugins;
    let expected = own + usize::from(configured.iter().any(is_shared));
    let pending = configured
        .iter()
        .filter(|sink| sink.takes_events && accepted < expected);
    let of_bodies = kept.iter().flat_map(|kept| kept.sinks.iter());
    let all = accepted_sinks(history).chain(of_bodies);
    let mut names: Vec<String> = Vec::new();
    for name in all.chain(pending.map(|sink| &sink.name)) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}
