//! Applies `onError: strip` to an event on which a redacting plugin has failed: names, numbers,
//! times and the outcome of the step stay; every free text is removed.

use crate::step::{Envelope, StringMap};
use cloudevents::AttributesWriter;
use cloudevents::event::Data;
use serde_json::{Map, Value};
use std::sync::Arc;
use step_observer_event_model::{attribute, field};

/// Strips an event on which `plugin` failed. Also removes the extension attributes that other
/// plugins added.
pub(super) fn strip(envelope: Envelope, plugin: &str) -> Envelope {
    mark(strip_again(envelope, plugin), plugin)
}

/// Strips an event again that was stripped for `plugin` before, because later plugins may have
/// added texts.
pub(super) fn strip_again(envelope: Envelope, plugin: &str) -> Envelope {
    withhold_texts(envelope, &format!("plugin {plugin} failed"))
}

/// Removes all free texts of an event, the extension attributes that plugins added, and the
/// annotations, which later plugins could copy into the event. Adds `reason` to `logInfo`, as the
/// explanation for the missing log.
pub(crate) fn withhold_texts(mut envelope: Envelope, reason: &str) -> Envelope {
    let data = match envelope.event.set_data_unchecked(Value::Null) {
        Some(Data::Json(Value::Object(data))) => data,
        Some(_) | None => Map::new(),
    };
    let mut stripped = field::strip(&data);
    let step = stripped.entry("step").or_insert_with(|| Map::new().into());
    if let Some(step) = step.as_object_mut() {
        // Tekton's v1beta1 `Step` always has it.
        step.insert("resources".to_owned(), Value::Object(Map::new()));
    }
    if let Some(info) = stripped.get_mut("logInfo").and_then(Value::as_object_mut) {
        info.insert(
            "unavailable".to_owned(),
            format!("left out: {reason}").into(),
        );
    }
    if let Some(subject) = subject(&stripped) {
        envelope.event.set_subject(Some(subject));
    }
    envelope.event.set_data_unchecked(Value::Object(stripped));
    let foreign: Vec<String> = envelope
        .event
        .iter_extensions()
        .map(|(name, _)| name.to_owned())
        .filter(|name| !attribute::is_reserved(name))
        .collect();
    for name in foreign {
        envelope.event.remove_extension(&name);
    }
    Arc::make_mut(&mut envelope.context).annotations = StringMap::default();
    envelope
}

/// Rebuilds the subject from the data, because a plugin may have changed it to any text.
fn subject(data: &Map<String, Value>) -> Option<String> {
    let text = |object: &str, member: &str| data.get(object)?.get(member)?.as_str();
    let (namespace, run) = (text("taskRun", "namespace")?, text("taskRun", "name")?);
    let step = text("stepState", "name")?;
    Some(format!("{namespace}/{run}/{step}"))
}

/// Adds the name of a failed plugin to the event's attribute `pluginerror`.
pub(super) fn mark(mut envelope: Envelope, plugin: &str) -> Envelope {
    let before = envelope
        .event
        .extension("pluginerror")
        .map(|names| format!("{names},"))
        .unwrap_or_default();
    envelope
        .event
        .set_extension("pluginerror", format!("{before}{plugin}"));
    envelope
}
