//! One event as the sinks of an observer get it (`admin/page/README.md`, One event).

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Map, Value};

/// An event, as far as the observer still has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ShownEvent {
    /// What happened to it, oldest first.
    history: Vec<Stage>,
    /// The sinks that get it.
    pub sinks: Vec<SinkBody>,
    /// What they get.
    pub bodies: Vec<EventBody>,
}

/// A stage of its history.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Stage {
    is: String,
}

/// What one sink gets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SinkBody {
    /// Name of the sink.
    pub name: String,
    /// Index in `bodies`.
    pub body: Option<usize>,
    /// The body is no longer kept.
    pub gone: bool,
}

/// The event in the encoding of a sink.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventBody {
    /// `structured`, `batch`, `binary` or `otlp`.
    pub mode: String,
    /// Media type of `text`.
    pub content_type: String,
    /// Headers with attributes of the event.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub text: String,
    /// Its full size: the observer truncates what it shows.
    pub bytes: usize,
}

/// What is known about the event of a sink.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BodyState<'a> {
    /// It is there.
    Made(&'a EventBody),
    /// It is no longer kept.
    Gone,
    /// It has not been made yet, or the sink gets none.
    Pending,
    /// The event was accepted, and not for the sink.
    NotForSink,
}

impl ShownEvent {
    /// Returns what a sink gets; without a name, what the first sink gets that gets something.
    #[must_use]
    pub fn body_for(&self, sink: Option<&str>) -> BodyState<'_> {
        let of_sink = |body: &&SinkBody| sink.is_none_or(|sink| body.name == sink);
        let mut sinks = self.sinks.iter().filter(of_sink);
        let made = |sink: &SinkBody| self.bodies.get(sink.body?);
        if let Some(body) = sinks.clone().find_map(made) {
            return BodyState::Made(body);
        }
        let is_listed = sinks.clone().next().is_some();
        match sinks.any(|sink| sink.gone) {
            true => BodyState::Gone,
            false if !is_listed && self.history.iter().any(|stage| stage.is == "accepted") => {
                BodyState::NotForSink
            }
            false => BodyState::Pending,
        }
    }
}

impl PartialEq for EventBody {
    fn eq(&self, other: &Self) -> bool {
        (&self.mode, &self.text, &self.headers) == (&other.mode, &other.text, &other.headers)
    }
}

impl EventBody {
    /// Returns the event as structured JSON in one line.
    ///
    /// # Errors
    ///
    /// The observer has shortened the body, or it holds no event.
    pub fn structured(&self) -> Result<String, String> {
        if self.bytes > self.text.len() {
            return Err(format!(
                "the event has {} bytes, of which the observer shows {}",
                self.bytes,
                self.text.len()
            ));
        }
        if self.mode == "binary" {
            return Ok(self.joined().to_string());
        }
        if !self.text.contains(['\n', '\r'])
            && serde_json::from_str::<&serde_json::value::RawValue>(&self.text).is_ok()
        {
            return Ok(self.text.clone());
        }
        // The error of the parser is dropped: it may quote the text.
        let event: Value = serde_json::from_str(&self.text)
            .map_err(|_| "the observer shows an event that is not JSON")?;
        Ok(event.to_string())
    }

    /// Joins attributes and data: `ce-NAME` of HTTP and NATS with percent-encoding, `ce_NAME` of Kafka without
    /// (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#3132-http-header-values>).
    fn joined(&self) -> Value {
        let mut event = Map::new();
        for (name, value) in &self.headers {
            let name = name.to_ascii_lowercase();
            if let Some(name) = name.strip_prefix("ce-") {
                let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
                event.insert(name.to_owned(), value.into());
            } else if let Some(name) = name.strip_prefix("ce_") {
                event.insert(name.to_owned(), value.as_str().into());
            }
        }
        if !self.content_type.is_empty() {
            event.insert(
                "datacontenttype".to_owned(),
                self.content_type.as_str().into(),
            );
        }
        let data = serde_json::from_str(&self.text).unwrap_or_else(|_| self.text.as_str().into());
        event.insert("data".to_owned(), data);
        Value::Object(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(value: Value) -> ShownEvent {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_state_of_a_body_is_told_apart() {
        let body = json!({"mode": "structured", "text": "{}", "bytes": 2});
        let event = shown(json!({
            "history": [{"is": "accepted", "sinks": ["a"]}],
            "sinks": [{"name": "late"}, {"name": "old", "gone": true}, {"name": "a", "body": 0}, {"name": "odd", "body": 7}],
            "bodies": [body], "unknown": 1,
        }));
        let made = BodyState::Made(&event.bodies[0]);
        assert_eq!(event.body_for(Some("a")), made);
        assert_eq!(event.body_for(None), made);
        assert_eq!(event.body_for(Some("old")), BodyState::Gone);
        assert_eq!(event.body_for(Some("late")), BodyState::Pending);
        assert_eq!(event.body_for(Some("odd")), BodyState::Pending);
        assert_eq!(event.body_for(Some("other")), BodyState::NotForSink);
        assert_eq!(
            shown(json!({"sinks": []})).body_for(None),
            BodyState::Pending
        );
    }

    #[test]
    fn every_mode_gives_one_line_of_structured_json() {
        let body = |value: Value| {
            serde_json::from_value::<EventBody>(value)
                .unwrap()
                .structured()
        };
        assert_eq!(
            body(json!({"mode": "structured", "text": "{\"z\":1.50,\"a\":2}", "bytes": 16}))
                .unwrap(),
            "{\"z\":1.50,\"a\":2}"
        );
        assert_eq!(
            body(json!({"mode": "batch", "text": "{\n \"a\": 2}", "bytes": 10})).unwrap(),
            "{\"a\":2}"
        );
        let binary = json!({
            "mode": "binary", "contentType": "application/json", "text": "{\"x\":1}", "bytes": 7,
            "headers": [["ce-id", "a"], ["Ce-Subject", "%C3%A9%20b"], ["ce_run", "100%25"], ["content-type", "no"]],
        });
        let binary: Value = serde_json::from_str(&body(binary).unwrap()).unwrap();
        assert_eq!(
            binary,
            json!({"id": "a", "subject": "é b", "run": "100%25", "datacontenttype": "application/json", "data": {"x": 1}})
        );
        let problem =
            body(json!({"mode": "structured", "text": "{\"secret", "bytes": 9000})).unwrap_err();
        assert!(
            problem.contains("9000 bytes") && !problem.contains("secret"),
            "{problem}"
        );
        assert!(
            body(json!({"mode": "structured", "text": "no secret", "bytes": 9}))
                .unwrap_err()
                .ends_with("not JSON")
        );
    }
}
