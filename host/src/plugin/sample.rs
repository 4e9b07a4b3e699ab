//! Events to try a plugin on: one of each kind, of an ordinary step.

use crate::event;
use crate::step::Envelope;
use serde_json::{Value, json};

/// A failed step with its log.
const FAILED: &str = include_str!("sample.json");

/// A failed step of an ordinary run, as a CloudEvent in JSON format.
#[must_use]
pub fn sample_event() -> Value {
    of("failed")
}

/// A started, a succeeded, a failed and a skipped step.
pub(super) fn envelopes() -> Vec<Envelope> {
    ["started", "succeeded", "failed", "skipped"]
        .into_iter()
        .filter_map(|phase| event::from_json(of(phase)).ok())
        .collect()
}

/// As a CloudEvent in JSON format.
fn of(phase: &str) -> Value {
    let mut event: Value = serde_json::from_str(FAILED).unwrap_or_default();
    let kind = format!("dev.tekton.event.plugin.step.{phase}.v1");
    let id = format!("00000000-0000-0000-0000-000000000000-push-{kind}");
    let Some(attributes) = event.as_object_mut() else {
        return event;
    };
    attributes.insert("type".to_owned(), kind.into());
    attributes.insert("id".to_owned(), id.into());
    let data = attributes.get_mut("data").and_then(Value::as_object_mut);
    let Some(data) = data else {
        return event;
    };
    match phase {
        "failed" => {}
        "succeeded" => {
            data.insert("exitCode".to_owned(), json!(0));
            data.insert("reason".to_owned(), json!("Completed"));
            if let Some(ended) = data
                .get_mut("stepState")
                .and_then(|state| state.get_mut("terminated"))
            {
                *ended = json!({"exitCode": 0, "reason": "Completed",
                    "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"});
            }
        }
        _ => {
            for name in ["log", "logInfo", "exitCode", "reason"] {
                data.remove(name);
            }
            if let Some(state) = data.get_mut("stepState").and_then(Value::as_object_mut) {
                state.remove("terminated");
            }
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_of_each_kind() {
        let kinds: Vec<_> = envelopes()
            .iter()
            .filter_map(|envelope| event::phase(&envelope.event).map(str::to_owned))
            .collect();
        assert_eq!(kinds, ["started", "succeeded", "failed", "skipped"]);
    }
}
