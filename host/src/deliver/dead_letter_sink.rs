//! Builds the events for a dead-letter sink: the event itself, with the attributes that Knative
//! channels and brokers add.

use crate::event::{self, DEAD_LETTER_EXTENSION, Encoded};
use crate::journal::{DeadLetter, NewEvent};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The dead-letter sink of a sink.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetterSink {
    /// Its name in the journal.
    name: String,
    /// The sink that did not take the events.
    destination: String,
}

impl DeadLetterSink {
    pub(crate) fn new(name: String, destination: String) -> Self {
        Self { name, destination }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the event for the dead-letter sink, and its run. Id, time and data are unchanged.
    /// Added extensions name the sink (`knativeerrordest`), the status (`knativeerrorcode`) and the
    /// reason (`deadletterreason`); Knative event delivery defines the first two. Returns `None` if
    /// the body is not an event.
    pub(super) fn addressed(
        &self,
        event: &Encoded,
        letter: &DeadLetter,
        code: Option<u16>,
    ) -> Option<(Arc<str>, NewEvent)> {
        let mut extensions = BTreeMap::from([
            (
                DEAD_LETTER_EXTENSION.to_owned(),
                Value::from(&*self.destination),
            ),
            ("deadletterreason".to_owned(), Value::from(&*letter.reason)),
        ]);
        if let Some(code) = code {
            extensions.insert("knativeerrorcode".to_owned(), code.into());
        }
        let body = event.extended(&extensions).ok()?.structured();
        let run = event::run_uid_of(&body).ok()?;
        let sinks = vec![self.name.clone()];
        Some((run, NewEvent { sinks, body }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_is_the_event_with_its_failure() {
        let sink = DeadLetterSink::new("all.dead-letters".to_owned(), "http://sink".to_owned());
        let event = r#"{"datacontenttype":"application/json","id":"1","partitionkey":"run","sequence":2,"source":"s","specversion":"1.0","type":"t","data":{"b":1,"a":1.50}}"#;
        let encoded = Encoded::from_structured(event.into());
        let letter = DeadLetter {
            reason: "400 Bad Request".to_owned(),
            attempts: 1,
            first: "2026-11-22T13:00:00Z".parse().unwrap(),
            last: "2026-11-22T13:00:01Z".parse().unwrap(),
            refused: true,
        };
        let (run, new) = sink.addressed(&encoded, &letter, Some(400)).unwrap();
        assert_eq!(
            (&*run, &*new.sinks),
            ("run", &["all.dead-letters".to_owned()][..])
        );
        let mut sent: Value = serde_json::from_slice(&new.body).unwrap();
        let members = sent.as_object_mut().unwrap();
        assert_eq!(members.remove("knativeerrordest").unwrap(), "http://sink");
        assert_eq!(members.remove("knativeerrorcode").unwrap(), 400);
        assert_eq!(
            members.remove("deadletterreason").unwrap(),
            "400 Bad Request"
        );
        assert_eq!(sent, serde_json::from_str::<Value>(event).unwrap());

        let nothing = Encoded::from_structured(bytes::Bytes::new());
        assert!(sink.addressed(&nothing, &letter, None).is_none());
    }
}
