//! Reads CloudEvents in JSON format.

use crate::step::{Envelope, EventContext};
use cloudevents::{AttributesReader as _, Event};
use serde_json::Value;
use std::sync::Arc;

/// Why a text is not an event.
#[derive(Debug, thiserror::Error)]
#[error("not a CloudEvent in JSON format: {0}")]
pub struct DecodeError(String);

/// Reads a CloudEvent in JSON format.
///
/// # Errors
///
/// It is not a CloudEvent, or lacks a required attribute.
pub fn from_json(event: Value) -> Result<Envelope, DecodeError> {
    // The text of the cause quotes values of the event, so it is not passed on.
    let event: Event = serde_json::from_value(event)
        .map_err(|_| DecodeError("specversion, id, source, type and data are needed".to_owned()))?;
    super::encode::check_required(&event).map_err(|error| DecodeError(error.to_string()))?;
    let context = EventContext {
        run_uid: run_uid(&event),
        ..EventContext::default()
    };
    Ok(Envelope {
        event,
        context: context.into(),
    })
}

/// Reads the UID of the TaskRun from an event in JSON format.
///
/// # Errors
///
/// It is not an event.
pub fn run_uid_of(structured: &[u8]) -> Result<Arc<str>, DecodeError> {
    let event: Value =
        serde_json::from_slice(structured).map_err(|_| DecodeError("it is not JSON".to_owned()))?;
    Ok(from_json(event)?.context.run_uid.clone())
}

fn run_uid(event: &Event) -> Arc<str> {
    let partition = event.extension("partitionkey").map(ToString::to_string);
    partition.unwrap_or_else(|| event.id().to_owned()).into()
}
