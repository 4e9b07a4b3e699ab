//! Sample events of an ordinary step, one for each phase, for trying out a plugin.

use crate::event;
use crate::step::Envelope;
use serde_json::{Value, json};
use step_observer_event_model::Phase;

/// A failed step with its log.
const FAILED: &str = include_str!("sample.json");

/// Returns a failed step of an ordinary run, as a CloudEvent in JSON format.
#[must_use]
pub fn sample_event() -> Value {
    structured(Phase::Failed)
}

/// Returns one sample of each phase.
pub(super) fn envelopes() -> Vec<Envelope> {
    let samples = Phase::ALL.into_iter().map(structured);
    samples
        .filter_map(|sample| event::from_json(sample).ok())
        .collect()
}

/// Makes the sample of a phase, as a CloudEvent in JSON format.
fn structured(phase: Phase) -> Value {
    let mut event: Value = serde_json::from_str(FAILED).unwrap_or_default();
    let event_type = format!("dev.tekton.event.plugin.step.{phase}.v1");
    let id = format!("00000000-0000-0000-0000-000000000000-push-{event_type}");
    let Some(attributes) = event.as_object_mut() else {
        return event;
    };
    attributes.insert("type".to_owned(), event_type.into());
    attributes.insert("id".to_owned(), id.into());
    let data = attributes.get_mut("data").and_then(Value::as_object_mut);
    let Some(data) = data else {
        return event;
    };
    match phase {
        Phase::Failed => {}
        Phase::Succeeded => {
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
        Phase::Started | Phase::Skipped => {
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
    use cloudevents::AttributesReader as _;

    #[test]
    fn there_is_one_of_each_phase() {
        let phases: Vec<_> = envelopes()
            .iter()
            .filter_map(|envelope| Phase::of_type(envelope.event.ty()))
            .collect();
        assert_eq!(phases, Phase::ALL);
    }
}
