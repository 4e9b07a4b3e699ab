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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::SinkKind;
    use serde_json::{Value, json};

    const EVENT: &str =
        r#"{"id":"1","source":"s","specversion":"1.0","type":"t","data":{"log":"masked"}}"#;

    fn sink(name: &str, takes_events: bool, has_own_plugins: bool) -> PageSink {
        let kind: SinkKind = serde_json::from_value(json!({"stdout": {}})).unwrap();
        PageSink {
            name: name.to_owned(),
            form: SentForm::of(&kind),
            takes_events,
            has_own_plugins,
        }
    }

    fn entry(members: &Value) -> HistoryEntry {
        let mut entry = json!({"id": "1", "at": "2026-11-22T13:04:15Z"});
        let all = entry.as_object_mut().unwrap();
        all.extend(members.as_object().unwrap().clone());
        serde_json::from_value(entry).unwrap()
    }

    fn accepted(sinks: &[&str]) -> HistoryEntry {
        entry(&json!({
            "is": "accepted", "observed": "2026-11-22T13:04:15Z", "type": "t", "subject": "s",
            "plugins": [], "sinks": sinks,
        }))
    }

    fn kept(sinks: &[&str], body: Option<&'static str>) -> KeptBody {
        let sinks = sinks.iter().map(|sink| (*sink).to_owned());
        KeptBody {
            sinks: sinks.collect(),
            body: body.map(Into::into),
        }
    }

    fn sinks(history: Vec<HistoryEntry>, kept: &[KeptBody], configured: &[PageSink]) -> Value {
        let event = page_event("1".to_owned(), history, kept, configured);
        assert!(event.bodies.len() <= kept.len());
        serde_json::to_value(event.sinks).unwrap()
    }

    #[test]
    fn each_sink_has_its_body_or_none_yet_or_it_is_gone() {
        let configured = [
            sink("broker", true, false),
            sink("audit", true, false),
            sink("lake", true, true),
            sink("lake.dead-letters", false, false),
        ];
        // Nothing is accepted yet: every sink may get the event.
        assert_eq!(
            sinks(Vec::new(), &[], &configured),
            json!([{"name": "broker"}, {"name": "audit"}, {"name": "lake"}])
        );
        // The plugins of one sink have not finished.
        let shared = kept(&["broker", "audit"], Some(EVENT));
        assert_eq!(
            sinks(
                vec![accepted(&["broker", "audit"])],
                std::slice::from_ref(&shared),
                &configured
            ),
            json!([{"name": "broker", "body": 0}, {"name": "audit", "body": 0}, {"name": "lake"}])
        );
        // They have dropped the event: the sink does not get it.
        let both = vec![accepted(&["broker", "audit"]), accepted(&[])];
        assert_eq!(
            sinks(both, &[shared], &configured),
            json!([{"name": "broker", "body": 0}, {"name": "audit", "body": 0}])
        );
        // A body is gone, another one differs, and a dead letter has gone to its sink.
        let other =
            r#"{"id":"1","source":"s","specversion":"1.0","type":"t","data":{"log":"other"}}"#;
        let bodies = [
            kept(&["broker"], None),
            kept(&["lake"], Some(EVENT)),
            kept(&["lake.dead-letters"], Some(other)),
        ];
        let dead = json!({"is": "dead", "sink": "lake", "attempts": 1, "reason": "400", "to": "lake.dead-letters"});
        let history = vec![
            accepted(&["broker"]),
            accepted(&["lake"]),
            entry(&dead),
            accepted(&["removed"]),
        ];
        assert_eq!(
            sinks(history, &bodies, &configured),
            json!([
                {"name": "broker", "gone": true},
                {"name": "lake", "body": 0},
                {"name": "lake.dead-letters", "body": 1},
                {"name": "removed", "gone": true},
            ])
        );
    }

    #[test]
    fn the_middle_of_a_long_history_is_left_out() {
        let failed = |attempt: usize| {
            entry(
                &json!({"is": "failed", "sink": "broker", "attempt": attempt, "reason": "503", "retryInMs": 1}),
            )
        };
        for (count, left_out) in [(0, 0), (1, 0), (500, 0), (501, 1), (10_000, 9500)] {
            let history = (0..count).map(failed).collect();
            let event = page_event("1".to_owned(), history, &[], &[]);
            assert_eq!(event.history_left_out, left_out);
            assert_eq!(event.history.len() + left_out, count);
            let last = event.history.last().map(|entry| entry.stage.clone());
            assert_eq!(last, count.checked_sub(1).map(|last| failed(last).stage));
            let first = event.history.first().map(|entry| entry.stage.clone());
            assert_eq!(first, (count > 0).then(|| failed(0).stage));
        }
    }
}
