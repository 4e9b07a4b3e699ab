//! CloudEvents in JSON format, read: what tests of plugins and dry runs begin with.

use crate::step::{Envelope, EventContext};
use cloudevents::{AttributesReader as _, Event};
use serde_json::Value;
use std::sync::Arc;

/// Why it is no event.
#[derive(Debug, thiserror::Error)]
#[error("not a CloudEvent in JSON format: {0}")]
pub struct DecodeError(String);

/// Reads a CloudEvent in JSON format.
///
/// # Errors
///
/// It is none, or lacks what every event must have.
pub fn from_json(event: Value) -> Result<Envelope, DecodeError> {
    // Not the text of the cause: it quotes values.
    let event: Event = serde_json::from_value(event)
        .map_err(|_| DecodeError("specversion, id, source, type and data are needed".to_owned()))?;
    super::encode::check(&event).map_err(|error| DecodeError(error.to_string()))?;
    let context = EventContext {
        run_uid: run_uid(&event),
        ..EventContext::default()
    };
    Ok(Envelope {
        event,
        context: context.into(),
    })
}

/// UID of the TaskRun of an event in JSON format.
///
/// # Errors
///
/// It is no event.
pub fn run_of(structured: &[u8]) -> Result<Arc<str>, DecodeError> {
    let event: Value =
        serde_json::from_slice(structured).map_err(|_| DecodeError("it is no JSON".to_owned()))?;
    Ok(from_json(event)?.context.run_uid.clone())
}

fn run_uid(event: &Event) -> Arc<str> {
    let partition = event.extension("partitionkey").map(ToString::to_string);
    partition.unwrap_or_else(|| event.id().to_owned()).into()
}
