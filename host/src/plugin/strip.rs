//! What is left of an event when a redacting plugin has failed on it: who, what, when, how it ended.
//! Nothing that a person or a program wrote freely.

use super::chain::mark;
use crate::event::attribute;
use crate::step::Envelope;
use cloudevents::AttributesWriter;
use cloudevents::event::Data;
use serde_json::{Map, Value};

/// Members of the data that stay whole.
const KEPT: [&str; 12] = [
    "podRef",
    "taskRun",
    "pipelineRun",
    "pipelineTask",
    "stepIndex",
    "attempt",
    "startedAt",
    "startedAtSource",
    "exitCode",
    "reason",
    "cause",
    "logInfo",
];

/// Members of `stepState`, and of `terminated` in it, that stay.
const KEPT_STATE: [&str; 4] = ["name", "container", "imageID", "running"];
const KEPT_TERMINATED: [&str; 6] = [
    "exitCode",
    "signal",
    "reason",
    "startedAt",
    "finishedAt",
    "containerID",
];

/// Strips an event on which `plugin` failed. What other plugins added goes too.
pub(super) fn strip(mut envelope: Envelope, plugin: &str) -> Envelope {
    let data = match envelope.event.set_data_unchecked(Value::Null) {
        Some(Data::Json(Value::Object(data))) => data,
        Some(_) | None => Map::new(),
    };
    let mut stripped = keep(&data, &KEPT);
    if let Some(state) = data.get("stepState").and_then(Value::as_object) {
        let mut kept = keep(state, &KEPT_STATE);
        if let Some(ended) = state.get("terminated").and_then(Value::as_object) {
            kept.insert(
                "terminated".to_owned(),
                Value::Object(keep(ended, &KEPT_TERMINATED)),
            );
        }
        stripped.insert("stepState".to_owned(), Value::Object(kept));
    }
    let step = data.get("step").and_then(Value::as_object);
    let mut kept = step
        .map(|step| keep(step, &["name", "image"]))
        .unwrap_or_default();
    kept.insert("resources".to_owned(), Value::Object(Map::new()));
    stripped.insert("step".to_owned(), Value::Object(kept));
    if let Some(info) = stripped.get_mut("logInfo").and_then(Value::as_object_mut) {
        info.insert(
            "unavailable".to_owned(),
            format!("left out: plugin {plugin} failed").into(),
        );
    }
    let part = |place: &str| data.get("taskRun")?.get(place)?.as_str().map(str::to_owned);
    let step_name = stripped
        .get("stepState")
        .and_then(|state| state.get("name"))
        .and_then(Value::as_str);
    if let (Some(namespace), Some(run), Some(step)) = (part("namespace"), part("name"), step_name) {
        envelope
            .event
            .set_subject(Some(format!("{namespace}/{run}/{step}")));
    }
    envelope.event.set_data_unchecked(Value::Object(stripped));
    let foreign: Vec<String> = envelope
        .event
        .iter_extensions()
        .map(|(name, _)| name.to_owned())
        .filter(|name| !attribute::is_own_extension(name))
        .collect();
    for name in foreign {
        envelope.event.remove_extension(&name);
    }
    mark(envelope, plugin)
}

fn keep(members: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    members
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
