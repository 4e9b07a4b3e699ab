//! Events as bytes: the CloudEvents JSON format. What else there is, [`super::Encoded`] makes of that.
//!
//! Members are in a fixed order: the same event gives the same bytes.

use bytes::Bytes;
use cloudevents::event::{AttributeValue, Data};
use cloudevents::{AttributesReader, Event};
use serde::Serialize;
use serde::ser::SerializeMap;
use std::collections::BTreeMap;

/// Media type of structured mode.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// Attributes without which nothing is an event.
pub(super) const REQUIRED: [&str; 3] = ["id", "source", "type"];

/// Why an event cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// It lacks what every event must have.
    #[error("the event has no {0}")]
    Missing(&'static str),
    /// Its data is not JSON.
    #[error("failed to encode the event: {0}")]
    Json(#[from] serde_json::Error),
}

/// One JSON object, attributes in order of their names, then the data.
///
/// # Errors
///
/// The event lacks a required attribute.
pub fn structured(event: &Event) -> Result<Bytes, EncodeError> {
    check(event)?;
    Ok(serde_json::to_vec(&Structured(event))?.into())
}

/// cloudevents-sdk builds events without identity.
pub(super) fn check(event: &Event) -> Result<(), EncodeError> {
    let values = [event.id(), event.source().as_str(), event.ty()];
    for (name, value) in REQUIRED.into_iter().zip(values) {
        if value.is_empty() {
            return Err(EncodeError::Missing(name));
        }
    }
    Ok(())
}

fn attributes(event: &Event) -> BTreeMap<&str, AttributeValue<'_>> {
    event.iter().collect()
}

/// The canonical string of a value (CloudEvents 1.0 §3.1).
pub(crate) fn text(value: &AttributeValue<'_>) -> String {
    match value {
        AttributeValue::Boolean(value) => value.to_string(),
        AttributeValue::Integer(value) => value.to_string(),
        AttributeValue::String(value) => (*value).to_owned(),
        AttributeValue::Binary(value) => {
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value)
        }
        AttributeValue::URI(value) => value.to_string(),
        AttributeValue::URIRef(value) => value.to_string(),
        AttributeValue::Time(value) => value.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        AttributeValue::SpecVersion(value) => value.to_string(),
    }
}

struct Structured<'a>(&'a Event);

impl Serialize for Structured<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in attributes(self.0) {
            match value {
                AttributeValue::Boolean(value) => map.serialize_entry(name, value)?,
                AttributeValue::Integer(value) => map.serialize_entry(name, value)?,
                value => map.serialize_entry(name, &text(&value))?,
            }
        }
        match self.0.data() {
            None => {}
            Some(Data::Json(value)) => map.serialize_entry("data", value)?,
            Some(Data::String(value)) => map.serialize_entry("data", value)?,
            Some(Data::Binary(bytes)) => {
                map.serialize_entry("data_base64", &text(&AttributeValue::Binary(bytes)))?;
            }
        }
        map.end()
    }
}
