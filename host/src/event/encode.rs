//! Writes events in the CloudEvents JSON format. [`super::Encoded`] makes the other formats from that.
//!
//! Members are in a fixed order, so that the same event gives the same bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloudevents::event::{AttributeValue, Data};
use cloudevents::{AttributesReader, Event};
use serde::ser::{Serialize, SerializeMap as _, Serializer as _};
use std::borrow::Cow;

/// Media type of structured mode.
pub const STRUCTURED_MEDIA_TYPE: &str = "application/cloudevents+json";

/// Attributes that every event must have, beside `specversion`.
pub(super) const REQUIRED: [&str; 3] = ["id", "source", "type"];

/// Initial capacity in bytes, which most events without their log do not exceed. A buffer that grows
/// is copied each time; one that is too large keeps unused memory.
const INITIAL_CAPACITY: usize = 1024;

/// Why an event cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A required attribute is missing.
    #[error("the event has no {0}")]
    Missing(&'static str),
    /// The data is not JSON.
    #[error("failed to encode the event: {0}")]
    Json(#[from] serde_json::Error),
    /// An attribute is not valid as a header of the protocol.
    #[error("the event's {0} cannot be a header")]
    Header(String),
}

/// Writes an event as one JSON object: attributes in the order of their names, then the data.
///
/// # Errors
///
/// A required attribute is missing.
pub fn structured(event: &Event) -> Result<Bytes, EncodeError> {
    match event.data() {
        None => json(event, None::<(&str, &str)>, 0),
        Some(Data::Json(data)) => json(event, Some(("data", data)), 0),
        Some(Data::String(data)) => json(event, Some(("data", data)), data.len()),
        Some(Data::Binary(data)) => {
            let data = canonical_text(AttributeValue::Binary(data));
            json(event, Some(("data_base64", &data)), data.len())
        }
    }
}

/// Writes the attributes of an event, then `data` in place of the event's own data. `data` is the
/// name and the value of the member; the value takes about `length` bytes.
pub(super) fn json(
    event: &Event,
    data: Option<(&str, impl Serialize)>,
    length: usize,
) -> Result<Bytes, EncodeError> {
    check_required(event)?;
    let mut json = Vec::with_capacity(INITIAL_CAPACITY + length);
    let mut serializer = serde_json::Serializer::new(&mut json);
    let mut members = serializer.serialize_map(None)?;
    let mut attributes: Vec<_> = event.iter().collect();
    attributes.sort_unstable_by_key(|(name, _)| *name);
    for (name, value) in attributes {
        match value {
            AttributeValue::Boolean(value) => members.serialize_entry(name, value)?,
            AttributeValue::Integer(value) => members.serialize_entry(name, value)?,
            value => members.serialize_entry(name, &canonical_text(value))?,
        }
    }
    if let Some((name, data)) = data {
        members.serialize_entry(name, &data)?;
    }
    members.end()?;
    Ok(json.into())
}

/// Checks that the required attributes are not empty: cloudevents-sdk does not check this.
pub(super) fn check_required(event: &Event) -> Result<(), EncodeError> {
    let values = [event.id(), event.source().as_str(), event.ty()];
    for (name, value) in REQUIRED.into_iter().zip(values) {
        if value.is_empty() {
            return Err(EncodeError::Missing(name));
        }
    }
    Ok(())
}

/// Returns the canonical text of an attribute's value (CloudEvents 1.0 §3.1).
pub(crate) fn canonical_text(value: AttributeValue<'_>) -> Cow<'_, str> {
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
