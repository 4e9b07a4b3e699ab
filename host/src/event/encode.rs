//! Events as bytes: the CloudEvents JSON format. What else there is, [`super::Encoded`] makes of that.
//!
//! Members are in a fixed order: the same event gives the same bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloudevents::event::{AttributeValue, Data};
use cloudevents::{AttributesReader, Event};
use serde::ser::{Serialize, SerializeMap as _, Serializer as _};
use std::borrow::Cow;

/// Media type of structured mode.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// Attributes without which nothing is an event.
pub(super) const REQUIRED: [&str; 3] = ["id", "source", "type"];

/// Bytes that are enough for most events without their log: what grows while it is written is copied each time, and
/// what is not needed stays taken.
const ROOM: usize = 1024;

/// Why an event cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// It lacks what every event must have.
    #[error("the event has no {0}")]
    Missing(&'static str),
    /// Its data is not JSON.
    #[error("failed to encode the event: {0}")]
    Json(#[from] serde_json::Error),
    /// An attribute does not go with the protocol.
    #[error("the event's {0} cannot be a header")]
    Header(String),
}

/// One JSON object, attributes in order of their names, then the data.
///
/// # Errors
///
/// The event lacks a required attribute.
pub fn structured(event: &Event) -> Result<Bytes, EncodeError> {
    match event.data() {
        None => json(event, None::<(&str, &str)>, 0),
        Some(Data::Json(data)) => json(event, Some(("data", data)), 0),
        Some(Data::String(data)) => json(event, Some(("data", data)), data.len()),
        Some(Data::Binary(data)) => {
            let data = text(AttributeValue::Binary(data));
            json(event, Some(("data_base64", &data)), data.len())
        }
    }
}

/// The same of an event without data, with the name of the member and the data, whose length in bytes is
/// about this.
pub(super) fn json(
    event: &Event,
    data: Option<(&str, impl Serialize)>,
    length: usize,
) -> Result<Bytes, EncodeError> {
    check(event)?;
    let mut json = Vec::with_capacity(ROOM + length);
    let mut serializer = serde_json::Serializer::new(&mut json);
    let mut members = serializer.serialize_map(None)?;
    let mut attributes: Vec<_> = event.iter().collect();
    attributes.sort_unstable_by_key(|(name, _)| *name);
    for (name, value) in attributes {
        match value {
            AttributeValue::Boolean(value) => members.serialize_entry(name, value)?,
            AttributeValue::Integer(value) => members.serialize_entry(name, value)?,
            value => members.serialize_entry(name, &text(value))?,
        }
    }
    if let Some((name, data)) = data {
        members.serialize_entry(name, &data)?;
    }
    members.end()?;
    Ok(json.into())
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

/// The canonical string of a value (CloudEvents 1.0 §3.1).
pub(crate) fn text(value: AttributeValue<'_>) -> Cow<'_, str> {
    match value {
        AttributeValue::Boolean(value) => value.to_string().into(),
        AttributeValue::Integer(value) => value.to_string().into(),
        AttributeValue::String(value) => value.into(),
        AttributeValue::Binary(value) => STANDARD.encode(value).into(),
        AttributeValue::URI(value) => value.as_str().into(),
        AttributeValue::URIRef(value) => value.as_str().into(),
        AttributeValue::Time(value) => {
            let text = value.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
            text.into()
        }
        AttributeValue::SpecVersion(value) => value.to_string().into(),
    }
}
