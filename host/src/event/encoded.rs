//! An accepted event in JSON format. The other encodings are made from it, so that an event that is
//! sent again has the same bytes. The data is located by its offset and never parsed again.

use super::encode::{EncodeError, REQUIRED, STRUCTURED_MEDIA_TYPE};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use step_observer_otlp::RunKind;

/// Characters that are percent-encoded in header values, in addition to all non-ASCII characters
/// (HTTP binding §3.1.3.2): space, double quote, percent. Control characters cannot occur.
const HEADER_ESCAPES: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// Form of an event in a message, for protocols that have only these two modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ContentMode {
    /// Attributes as headers, data as body.
    Binary,
    /// The whole event as body.
    Structured,
}

/// How a protocol binding writes attributes as headers in binary mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Prefix of the names of attributes.
    prefix: &'static str,
    /// Header that holds `datacontenttype`.
    content_type: &'static str,
    /// Whether values are percent-encoded, because headers hold printable ASCII only.
    percent_encoded: bool,
}

impl Binding {
    /// HTTP 1.0.2.
    pub const HTTP: Self = Self {
        prefix: "ce-",
        content_type: "content-type",
        percent_encoded: true,
    };
    /// NATS 1.0.3: `datacontenttype` has a `ce-` header, because `Content-Type` would mean
    /// structured mode.
    pub const NATS: Self = Self {
        prefix: "ce-",
        content_type: "ce-datacontenttype",
        percent_encoded: true,
    };
    /// Kafka 1.0.2.
    pub const KAFKA: Self = Self {
        prefix: "ce_",
        content_type: "content-type",
        percent_encoded: false,
    };

    /// Returns the name of the header for an attribute.
    fn header_name(&self, attribute: &str) -> Cow<'static, str> {
        let mut known = COMMON_HEADERS.into_iter();
        let known = known.find(|known| known.strip_prefix(self.prefix) == Some(attribute));
        known.map_or_else(|| [self.prefix, attribute].concat().into(), Cow::from)
    }

    /// Encodes the text of a header; `None` if its bytes can stay as they are.
    pub(super) fn encode(&self, text: &str) -> Option<Bytes> {
        // Most texts are plain; this check takes a tenth of the time of encoding them.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%');
        (self.percent_encoded && !text.bytes().all(is_plain))
            .then(|| utf8_percent_encode(text, HEADER_ESCAPES).to_string().into())
    }
}

/// Names of the headers that most events have, so that they need not be allocated each time.
const COMMON_HEADERS: [&str; 11] = [
    "ce-dataschema",
    "ce-id",
    "ce-partitionkey",
    "ce-recordedtime",
    "ce-sequence",
    "ce-source",
    "ce-specversion",
    "ce-subject",
    "ce-time",
    "ce-traceparent",
    "ce-type",
];

/// Extension that marks a dead letter: the destination that the event could not reach (Knative
/// Eventing).
pub const DEAD_LETTER_EXTENSION: &str = "knativeerrordest";

/// Media type of data without `datacontenttype` (CloudEvents JSON format §3.1).
const JSON_MEDIA_TYPE: &str = "application/json";

/// Media type of batched mode.
pub const BATCH_MEDIA_TYPE: &str = "application/cloudevents-batch+json";

/// An event in binary mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// Names and values in the form of the protocol binding; the values are UTF-8.
    pub headers: Vec<(Cow<'static, str>, Bytes)>,
    /// The data.
    pub body: Bytes,
}

/// An event in JSON format.
#[derive(Clone, Debug)]
pub struct Encoded {
    structured: Bytes,
}

/// The members of an event in JSON format.
#[derive(Default)]
struct Members<'a> {
    /// Names and values, in the order of the names.
    attributes: Vec<(&'a str, &'a RawValue)>,
    /// Name and bytes of the member that holds the data. It comes last and is not parsed.
    data: Option<(&'a str, Bytes)>,
}

impl Encoded {
    /// Takes an event in the form in which [`super::structured`] writes it: without white space, and
    /// with the data as its last member.
    #[must_use]
    pub fn from_structured(structured: Bytes) -> Self {
        Self { structured }
    }

    /// Returns the JSON format.
    #[must_use]
    pub fn structured(&self) -> Bytes {
        self.structured.clone()
    }

    /// Returns the length of the JSON format in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.structured.len()
    }

    /// Returns the media type of the JSON format.
    #[must_use]
    pub fn content_type() -> String {
        format!("{STRUCTURED_MEDIA_TYPE}; charset=utf-8")
    }

    /// Returns the media type of a batch.
    #[must_use]
    pub fn batch_content_type() -> String {
        format!("{BATCH_MEDIA_TYPE}; charset=utf-8")
    }

    /// Makes one body of several events (CloudEvents JSON format §4). Returns the body and its
    /// media type.
    #[must_use]
    pub fn batch<'a>(events: impl IntoIterator<Item = &'a Self>) -> (Bytes, String) {
        let mut body = vec![b'['];
        for event in events {
            if body.len() > 1 {
                body.push(b',');
            }
            body.extend_from_slice(&event.structured);
        }
        body.push(b']');
        (body.into(), Self::batch_content_type())
    }

    /// Returns an attribute as text, if the event has it.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<String> {
        let mut found = None;
        let looked = self.visit_attributes(|known, value| {
            found = (known == name).then_some(value);
            found.is_none()
        });
        // Ignored: the error only says that the rest of the text was not read.
        looked.ok();
        text(found?).map(Cow::into_owned)
    }

    /// Returns the id, for messages.
    #[must_use]
    pub fn id(&self) -> String {
        self.attribute("id").unwrap_or_else(|| "?".to_owned())
    }

    /// Returns whether this is the end of a TaskRun or a PipelineRun instead of a step.
    #[must_use]
    pub fn is_run_end(&self) -> bool {
        let ty = self.attribute("type");
        ty.is_some_and(|ty| RunKind::of_type(&ty).is_some())
    }

    /// Returns the ordering key; events with the same key keep their order. The key is the UID of
    /// the TaskRun, or the id of an event that has none.
    #[must_use]
    pub fn ordering_key(&self) -> String {
        let run = self.attribute("partitionkey");
        run.unwrap_or_else(|| self.id())
    }

    /// Returns the event with these extension attributes added. The caller has checked the
    /// attributes.
    ///
    /// # Errors
    ///
    /// The bytes are not an event.
    pub fn extended<V: Serialize>(
        &self,
        extensions: &BTreeMap<String, V>,
    ) -> Result<Self, EncodeError> {
        if extensions.is_empty() {
            return Ok(self.clone());
        }
        let members = self.members()?;
        let values: Vec<Box<RawValue>> = extensions
            .values()
            .map(serde_json::value::to_raw_value)
            .collect::<Result<_, _>>()?;
        let mut attributes: BTreeMap<&str, &RawValue> = members.attributes.into_iter().collect();
        for (name, value) in extensions.keys().zip(&values) {
            attributes.insert(name, value);
        }
        let mut json = Vec::with_capacity(2 * self.structured.len());
        for (name, value) in attributes {
            let before = if json.is_empty() { "{\"" } else { ",\"" };
            for part in [before, name, "\":", value.get()] {
                json.extend_from_slice(part.as_bytes());
            }
        }
        if let Some((name, data)) = &members.data {
            json.extend_from_slice(format!(",\"{name}\":").as_bytes());
            json.extend_from_slice(data);
        }
        json.push(b'}');
        Ok(Self::from_structured(json.into()))
    }

    /// Makes a message in binary mode.
    ///
    /// # Errors
    ///
    /// A required attribute is missing, or the bytes are not an event.
    pub fn binary(&self, binding: Binding) -> Result<Binary, EncodeError> {
        let Members { attributes, data } = self.members()?;
        let attribute = |name| {
            let found = attributes.iter().find(|(known, _)| *known == name);
            found.and_then(|(_, value)| text(value))
        };
        for name in REQUIRED {
            if attribute(name).is_none_or(|value| value.is_empty()) {
                return Err(EncodeError::Missing(name));
            }
        }
        let content_type = attribute("datacontenttype");
        let after = data.as_ref().map_or(0, |(_, data)| data.len());
        let head = self.structured.len() - after;
        let head = Bytes::copy_from_slice(self.structured.get(..head).unwrap_or_default());
        let body = match data {
            None => Bytes::new(),
            Some(("data", data)) if content_type.as_deref().is_none_or(is_json) => data,
            Some((name, data)) => {
                let data: &RawValue = serde_json::from_slice(&data)?;
                let data = text(data).unwrap_or_default();
                match name {
                    "data" => data.into_owned().into(),
                    _ => STANDARD
                        .decode(data.as_ref())
                        .map_err(|_| EncodeError::Missing("data"))?
                        .into(),
                }
            }
        };
        let mut headers = Vec::with_capacity(attributes.len() + 1);
        let others = (attributes.iter()).filter(|(name, _)| *name != "datacontenttype");
        for (name, value) in others {
            if let Some(text) = text(value) {
                let value = binding
                    .encode(&text)
                    .unwrap_or_else(|| self.header(&head, text));
                headers.push((binding.header_name(name), value));
            }
        }
        let content_type =
            content_type.map_or(JSON_MEDIA_TYPE.into(), |text| self.header(&head, text));
        headers.push((binding.content_type.into(), content_type));
        Ok(Binary { headers, body })
    }

    /// Makes the value of a header. A text that is a part of the event becomes a slice of `head`,
    /// which is a copy of everything before the data. A slice of the event itself would keep the
    /// data in memory as long as a connection keeps the header (HPACK).
    fn header(&self, head: &Bytes, text: Cow<'_, str>) -> Bytes {
        match text {
            Cow::Borrowed(part) => {
                let from = part.as_ptr() as usize - self.structured.as_ptr() as usize;
                head.slice(from..from + part.len())
            }
            Cow::Owned(text) => text.into(),
        }
    }

    /// Returns the data, if it is JSON.
    pub(super) fn data_json(&self) -> Result<Option<Bytes>, EncodeError> {
        let members = self.members()?;
        Ok(members
            .data
            .filter(|(name, _)| *name == "data")
            .map(|(_, data)| data))
    }

    /// Returns the event with other data in place of its JSON data.
    pub(super) fn with_data(&self, data: &[u8]) -> Result<Self, EncodeError> {
        let before = self.data_json()?.map_or(0, |data| data.len() + "}".len());
        let head = self.structured.len().saturating_sub(before);
        let head = self.structured.get(..head).unwrap_or_default();
        Ok(Self::from_structured([head, data, b"}"].concat().into()))
    }

    fn members(&self) -> Result<Members<'_>, EncodeError> {
        let mut attributes = Vec::new();
        let data = self.visit_attributes(|name, value| {
            attributes.push((name, value));
            true
        })?;
        let data = match data {
            Some(name) => Some((name, self.value_at_end(name)?)),
            None => None,
        };
        Ok(Members { attributes, data })
    }

    /// Calls `visit` with each attribute until it returns `false`. Returns the name of the member that
    /// holds the data, if that was reached.
    fn visit_attributes<'a>(
        &'a self,
        visit: impl FnMut(&'a str, &'a RawValue) -> bool,
    ) -> Result<Option<&'a str>, serde_json::Error> {
        let mut data = None;
        let mut json = serde_json::Deserializer::from_slice(&self.structured);
        let read = json.deserialize_map(AttributeVisitor {
            visit,
            data: &mut data,
        });
        match data {
            Some(name) => Ok(Some(name)),
            // An error of the parser counts only if no data was found. At the data, the parser
            // stops early and reports the unread rest as an error.
            None => read.map(|()| None),
        }
    }

    /// Returns the value of the last member of the event. `name` is the name of this member, and
    /// must be a slice of the event.
    fn value_at_end(&self, name: &str) -> Result<Bytes, EncodeError> {
        let begin = name.as_ptr() as usize - self.structured.as_ptr() as usize + name.len();
        let rest = self.structured.get(begin..).unwrap_or_default();
        let value = rest.strip_prefix(b"\":");
        let value = value.and_then(|value| value.strip_suffix(b"}"));
        let value = value.ok_or(EncodeError::Missing("data"))?;
        Ok(self.structured.slice_ref(value))
    }
}

/// Returns whether a member holds the data, as JSON or in base64.
fn is_data(name: &str) -> bool {
    matches!(name, "data" | "data_base64")
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type == "application/json" || media_type == "text/json" || media_type.ends_with("+json")
}

/// Calls `visit` with each attribute until it returns `false`, and notes the name of the member that
/// holds the data.
struct AttributeVisitor<'d, 'de, F> {
    visit: F,
    data: &'d mut Option<&'de str>,
}

impl<'de, F: FnMut(&'de str, &'de RawValue) -> bool> Visitor<'de> for AttributeVisitor<'_, 'de, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<&str>()? {
            if is_data(name) {
                *self.data = Some(name);
                break;
            }
            if !(self.visit)(name, members.next_value()?) {
                break;
            }
        }
        Ok(())
    }
}

/// Returns the canonical text of a value (CloudEvents 1.0 §3.1). For numbers and booleans, this is
/// their JSON text.
fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    let quoted = json
        .strip_prefix('"')
        .and_then(|json| json.strip_suffix('"'));
    match quoted {
        Some(plain) if !plain.contains('\\') => Some(plain.into()),
        Some(_) => serde_json::from_str::<String>(json).ok().map(Cow::from),
        None => (json != "null").then(|| json.into()),
    }
}
