//! Reads the watch events of one recorded or piped stream.

use super::change::Change;
use super::documents::Documents;
use super::error::ObserveError;
use super::slim::{SlimPod, SlimTaskRun};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::Read;

/// One document of a stream: a watch event (a line of a recording, or of `kubectl get -w -o json
/// --output-watch-events`), an object (`kubectl get -w -o json`) or a list of objects (`kubectl get
/// -o json`).
#[derive(Deserialize)]
struct Document<'a> {
    at: Option<Timestamp>,
    #[serde(rename = "type", borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    items: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
}

/// The changes of one document.
pub(super) struct Batch {
    /// Time that the recording states. Without one, the time of this machine if the stream is live,
    /// else the latest time in the document.
    pub(super) at: Timestamp,
    /// True if `at` is the time of this machine.
    pub(super) is_live: bool,
    pub(super) changes: Vec<Change>,
}

/// Reads the documents of one stream.
pub(super) struct RecordingReader<R> {
    name: String,
    documents: Documents<R>,
    /// Time of the last document. Times never go back, although two watches may be recorded
    /// slightly out of order.
    time: Option<Timestamp>,
    /// Number of documents so far.
    number: usize,
    /// Number of Pods and TaskRuns in these documents.
    objects: usize,
}

impl<R: Read> RecordingReader<R> {
    pub(super) fn new(name: String, reader: R) -> Self {
        Self {
            name,
            documents: Documents::new(reader),
            time: None,
            number: 0,
            objects: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of Pods and TaskRuns so far.
    pub(super) fn objects(&self) -> usize {
        self.objects
    }

    /// Reads the next document; `None` at the end. A document without a time gets the time that
    /// `clock` returns, if any.
    ///
    /// # Errors
    ///
    /// The document has none of the forms that a stream may contain. The error names its line.
    pub(super) fn next(
        &mut self,
        clock: impl Fn() -> Option<Timestamp>,
    ) -> Result<Option<Batch>, ObserveError> {
        let (name, event) = (&self.name, self.number + 1);
        let refuse = |line, problem| ObserveError::NotARecording {
            name: name.clone(),
            line,
            event,
            problem,
        };
        let document = self.documents.next();
        let Some(document) = document.map_err(|misread| refuse(misread.line, misread.problem))?
        else {
            return Ok(None);
        };
        let parsed = parse_document(document.text).map_err(|(part, error)| {
            let line = document.line_of(part, &error);
            refuse(line, super::error::without_position(&error))
        })?;
        let now = match parsed.at {
            Some(_) => None,
            None => clock(),
        };
        let at = parsed.at.or(now).or_else(|| latest_time(parsed.timed));
        let at = at.max(self.time).unwrap_or(Timestamp::UNIX_EPOCH);
        self.time = Some(at);
        self.number += 1;
        self.objects += parsed.objects;
        Ok(Some(Batch {
            at,
            is_live: now.is_some(),
            changes: parsed.changes,
        }))
    }
}

/// A parsed document.
struct ParsedDocument<'a> {
    at: Option<Timestamp>,
    /// Text of the event's object, otherwise of the whole document. The latest time in it
    /// approximates the document's time.
    timed: &'a str,
    /// Number of Pods and TaskRuns in the document.
    objects: usize,
    changes: Vec<Change>,
}

impl ParsedDocument<'_> {
    fn add<'o>(
        &mut self,
        kind: &str,
        event: &str,
        object: &'o str,
    ) -> Result<(), (&'o str, serde_json::Error)> {
        self.objects += usize::from(matches!(kind, "Pod" | "TaskRun"));
        let changes = changes(kind, event, object).map_err(|error| (object, error))?;
        self.changes.extend(changes);
        Ok(())
    }
}

/// Parses a document. The error contains the part of the text that is wrong.
fn parse_document(text: &str) -> Result<ParsedDocument<'_>, (&str, serde_json::Error)> {
    let Document {
        at,
        event,
        object,
        kind,
        items,
    } = serde_json::from_str(text).map_err(|error| (text, error))?;
    let mut parsed = ParsedDocument {
        at,
        timed: object.map_or(text, RawValue::get),
        objects: 0,
        changes: Vec::new(),
    };
    let list = kind.as_deref().and_then(|kind| kind.strip_suffix("List"));
    match (object, kind.as_deref(), list, items) {
        (Some(object), ..) => {
            let event = event.ok_or_else(|| (text, serde_json::Error::missing_field("type")))?;
            parsed.add(&kind_of(object.get())?, &event, object.get())?;
        }
        (None, Some(_), Some(of), Some(items)) => {
            let items: Vec<&RawValue> =
                serde_json::from_str(items.get()).map_err(|error| (items.get(), error))?;
            for item in items.into_iter().map(RawValue::get) {
                let kind = kind_of(item)?;
                // The items of a PodList do not state their kind; those of kubectl's List do.
                let kind = if kind.is_empty() { of } else { &kind };
                parsed.add(kind, "ADDED", item)?;
            }
        }
        // Treats a single object as modified, because it does not state the type of its watch
        // event. A deletion therefore appears as a modification.
        (None, Some(kind), ..) => parsed.add(kind, "MODIFIED", text)?,
        (None, None, ..) => return Err((text, missing(event.is_some()))),
    }
    Ok(parsed)
}

fn missing(has_type: bool) -> serde_json::Error {
    if has_type {
        serde_json::Error::missing_field("object")
    } else {
        serde_json::Error::custom("missing field `type` of a watch event, or `kind` of an object")
    }
}

fn kind_of(object: &str) -> Result<Cow<'_, str>, (&str, serde_json::Error)> {
    let read: Kind<'_> = serde_json::from_str(object).map_err(|error| (object, error))?;
    Ok(read.kind.unwrap_or_default())
}

fn changes(kind: &str, event: &str, object: &str) -> Result<Vec<Change>, serde_json::Error> {
    let deleted = match event {
        "ADDED" | "MODIFIED" => false,
        "DELETED" => true,
        // Bookmarks and errors concern no step.
        _ => return Ok(Vec::new()),
    };
    let mut changes = Vec::new();
    match kind {
        "Pod" => {
            let pod: SlimPod = serde_json::from_str(object)?;
            let gone = pod.gone();
            changes.push(Change::Pod(Box::new(pod)));
            changes.extend(gone.filter(|_| deleted));
        }
        "TaskRun" => {
            let run: SlimTaskRun = serde_json::from_str(object)?;
            let gone = run.gone();
            changes.push(Change::TaskRun(Box::new(run)));
            changes.extend(gone.filter(|_| deleted));
        }
        _ => {}
    }
    Ok(changes)
}

/// Returns the latest time in an object, which approximates when it was sent. Its
/// `deletionTimestamp` does not count: it is in the future.
fn latest_time(object: &str) -> Option<Timestamp> {
    let mut latest = None;
    let mut name = "";
    for text in object.split('"') {
        let is_time = text.len() >= 20 && text.starts_with("20") && text.ends_with('Z');
        if is_time && name != "deletionTimestamp" {
            latest = latest.max(text.parse().ok());
        } else if text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !text.is_empty() {
            name = text;
        }
    }
    latest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(text: &str) -> Result<Batch, ObserveError> {
        let mut events = RecordingReader::new("a stream".to_owned(), text.as_bytes());
        events.next(|| None).map(Option::unwrap)
    }

    fn pod(kind: &str) -> String {
        format!(
            r#"{{{kind} "metadata": {{"uid": "p", "creationTimestamp": "2026-11-22T12:00:00Z",
            "ownerReferences": [{{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "controller": true, "name": "r",
            "uid": "r"}}]}}}}"#
        )
    }

    #[test]
    fn every_form_of_kubectl_is_read() {
        let named = pod(r#""kind": "Pod","#);
        let unnamed = pod("");
        for (text, changes) in [
            (format!(r#"{{"type": "ADDED", "object": {named}}}"#), 1),
            (format!(r#"{{"type": "DELETED", "object": {named}}}"#), 2),
            (format!(r#"{{"type": "BOOKMARK", "object": {named}}}"#), 0),
            (named.clone(), 1),
            (
                format!(r#"{{"kind": "List", "items": [{named}, {named}]}}"#),
                2,
            ),
            (format!(r#"{{"items": [{unnamed}], "kind": "PodList"}}"#), 1),
            (r#"{"kind": "TaskRunList", "items": []}"#.to_owned(), 0),
            (r#"{"kind": "ShoppingList"}"#.to_owned(), 0),
        ] {
            assert_eq!(batch(&text).unwrap().changes.len(), changes, "{text}");
        }
        let at = batch(&named).unwrap().at;
        assert_eq!(at.to_string(), "2026-11-22T12:00:00Z");
    }

    #[test]
    fn an_invalid_line_is_named_by_its_number() {
        let list = "{\"kind\": \"List\",\n \"items\": [\n  {\"kind\": \"Pod\", \"spec\":\n    {\"containers\": 7}}]}";
        for (text, line, problem) in [
            ("\n\n{\"type\": \"ADDED\"}", 3, "missing field `object`"),
            ("{\"object\": {}}", 1, "missing field `type`"),
            ("{\n\"type\": 7}", 2, "invalid type: integer `7`"),
            ("\n{\"a\":\n", 3, "EOF while parsing"),
            (list, 4, "invalid type: integer `7`"),
        ] {
            let Err(ObserveError::NotARecording {
                line: found,
                problem: message,
                ..
            }) = batch(text)
            else {
                panic!("{text}");
            };
            assert_eq!(found, line, "{text}");
            assert!(message.starts_with(problem), "{message}");
            assert!(!message.contains(" at line "), "{message}");
        }
    }
}
