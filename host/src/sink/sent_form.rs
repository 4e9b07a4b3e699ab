//! How an event looks at its receiver, for people who look at it: without credentials and without the
//! rest of a batch.

use super::{HttpMode, SinkKind};
use crate::event::{Binding, ContentMode, Encoded};
use bytes::Bytes;
use serde::Serialize;
use std::collections::BTreeMap;

/// Longest text that is shown, in bytes.
const MAX_SHOWN_BYTES: usize = 1 << 20;

/// The form in which a sink gets events.
#[derive(Clone, Debug, Default)]
pub struct SentForm {
    mode: Mode,
    /// Attributes that the sink adds.
    extensions: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Mode {
    #[default]
    Structured,
    Batch,
    Binary(Binding),
    /// The event from which spans and log records are made.
    Otlp,
}

/// An event as a sink gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentEvent {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// Headers that carry attributes of the event.
    headers: Vec<(String, String)>,
    text: String,
    /// Size of the text before it was truncated.
    bytes: usize,
}

impl Mode {
    fn of(mode: ContentMode, binding: Binding) -> Self {
        match mode {
            ContentMode::Binary => Self::Binary(binding),
            ContentMode::Structured => Self::Structured,
        }
    }

    fn of_http(mode: HttpMode) -> Self {
        match mode {
            HttpMode::Binary => Self::Binary(Binding::HTTP),
            HttpMode::Structured => Self::Structured,
            HttpMode::Batch => Self::Batch,
        }
    }
}

impl SentForm {
    /// Returns the form of a sink with these settings.
    #[must_use]
    pub fn of(kind: &SinkKind) -> Self {
        let (mode, extensions) = match kind {
            SinkKind::Stdout(_) | SinkKind::File(_) => (Mode::Structured, BTreeMap::new()),
            SinkKind::Http(config) => (Mode::of_http(config.mode), config.extensions.clone()),
            SinkKind::Nats(config) => (Mode::of(config.mode, Binding::NATS), BTreeMap::new()),
            SinkKind::Kafka(config) => (Mode::of(config.mode, Binding::KAFKA), BTreeMap::new()),
            SinkKind::Otlp(_) => (Mode::Otlp, BTreeMap::new()),
            SinkKind::Tekton(_) => (Mode::of_http(HttpMode::default()), BTreeMap::new()),
        };
        Self { mode, extensions }
    }

    /// Returns an event in this form. An event that cannot be encoded so is shown as it is.
    #[must_use]
    pub fn show(&self, body: &Bytes) -> SentEvent {
        let event = Encoded::from_structured(body.clone());
        let event = event.extended(&self.extensions).unwrap_or(event);
        let structured = |mode, content_type: Option<String>| {
            SentEvent::new(mode, content_type, Vec::new(), &event.structured())
        };
        match self.mode {
            Mode::Structured => structured("structured", Some(Encoded::content_type())),
            Mode::Batch => structured("batch", Some(Encoded::batch_content_type())),
            Mode::Otlp => structured("otlp", None),
            Mode::Binary(binding) => match event.binary(binding) {
                Ok(binary) => {
                    let text = |value: &Bytes| String::from_utf8_lossy(value).into_owned();
                    let headers = binary.headers.iter();
                    let headers =
                        headers.map(|(name, value)| (name.clone().into_owned(), text(value)));
                    let content_type = event.attribute("datacontenttype");
                    SentEvent::new("binary", content_type, headers.collect(), &binary.body)
                }
                Err(_) => structured("structured", Some(Encoded::content_type())),
            },
        }
    }
}

impl SentEvent {
    fn new(
        mode: &'static str,
        content_type: Option<String>,
        headers: Vec<(String, String)>,
        body: &[u8],
    ) -> Self {
        let mut text = String::from_utf8_lossy(body).into_owned();
        text.truncate(text.floor_char_boundary(MAX_SHOWN_BYTES));
        Self {
            mode,
            content_type,
            headers,
            text,
            bytes: body.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const EVENT: &str = r#"{"datacontenttype":"application/json","id":"1","source":"s","specversion":"1.0","type":"t","data":{"log":"masked"}}"#;

    fn shown(kind: Value) -> Value {
        let kind: SinkKind = serde_json::from_value(kind).unwrap();
        serde_json::to_value(SentForm::of(&kind).show(&EVENT.into())).unwrap()
    }

    #[test]
    fn each_wire_shows_what_it_sends() {
        let http = |mode: &str| {
            let secret = json!({"bearer": {"tokenFile": "/secret"}});
            json!({"http": {"url": "http://receiver/path", "mode": mode, "auth": secret, "extensions": {"cluster": "a"}}})
        };
        let binary = shown(http("binary"));
        assert_eq!(binary["mode"], "binary");
        assert_eq!(binary["text"], r#"{"log":"masked"}"#);
        let headers = binary["headers"].as_array().unwrap();
        assert!(headers.contains(&json!(["ce-cluster", "a"])), "{headers:?}");
        assert!(headers.contains(&json!(["ce-id", "1"])), "{headers:?}");
        for (kind, mode) in [
            (http("structured"), "structured"),
            (http("batch"), "batch"),
            (json!({"stdout": {}}), "structured"),
            (json!({"file": {"path": "events"}}), "structured"),
            (json!({"otlp": {"url": "http://collector:4318"}}), "otlp"),
        ] {
            let sent = shown(kind.clone());
            assert_eq!(sent["mode"], mode);
            let event: Value = serde_json::from_str(sent["text"].as_str().unwrap()).unwrap();
            assert_eq!(event["data"]["log"], "masked");
            assert_eq!(event.get("cluster").is_some(), kind.get("http").is_some());
            assert!(!sent.to_string().contains("secret"));
        }
        let kafka =
            shown(json!({"kafka": {"brokers": ["b:9092"], "topic": "t", "mode": "binary"}}));
        let headers = kafka["headers"].as_array().unwrap();
        assert!(headers.contains(&json!(["ce_id", "1"])), "{headers:?}");
    }

    #[test]
    fn any_bytes_are_shown_as_text_up_to_the_bound() {
        for mode in [
            Mode::Structured,
            Mode::Batch,
            Mode::Binary(Binding::HTTP),
            Mode::Otlp,
        ] {
            let form = SentForm {
                mode,
                extensions: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            };
            assert_eq!(form.show(&Bytes::from_static(b"\xff{")).text, "\u{fffd}{");
            assert_eq!(form.show(&Bytes::new()).text, "");
            let large = "\u{e9}".repeat(MAX_SHOWN_BYTES);
            let shown = form.show(&large.clone().into());
            assert_eq!(
                (shown.text.len(), shown.bytes),
                (MAX_SHOWN_BYTES, large.len())
            );
        }
    }
}
