//! Helpers that plugins need often, made of the functions of the contract.

use crate::bindings::step_observer::plugin::events::{EditError, LogEdit};
use crate::event::Event;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use step_observer_event_model::{Phase, Step, pointer};

/// The run that a step belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Namespace of the run.
    pub namespace: String,
    /// Name of the TaskRun.
    pub task_run: String,
    /// UID of the TaskRun.
    pub uid: String,
    /// Name of the PipelineRun that the TaskRun belongs to.
    pub pipeline_run: Option<String>,
    /// Name of the TaskRun's task in the pipeline.
    pub pipeline_task: Option<String>,
    /// Attempt of the TaskRun, from 0.
    pub attempt: u32,
}

/// The treatment of a line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// The line stays as it is.
    Keep,
    /// The line is removed, with its line end.
    Remove,
    /// The line is replaced by this text; its line end stays.
    Replace(String),
}

/// Helpers on top of [`Event`]: bring it into scope with `use step_observer_guest::EventExt`.
pub trait EventExt: Event {
    /// Returns a part of the data by JSON Pointer (RFC 6901), such as `/labels/team`; `None` if
    /// there is none, or if it has another type.
    #[must_use]
    fn get<T: DeserializeOwned>(&self, pointer: &str) -> Option<T> {
        serde_json::from_str(&self.get_json(pointer)?).ok()
    }

    /// Sets a part of the data by JSON Pointer.
    ///
    /// # Errors
    ///
    /// As [`Event::set_json`].
    fn set<T: Serialize>(&self, pointer: &str, value: &T) -> Result<(), EditError> {
        let json =
            serde_json::to_string(value).map_err(|error| EditError::Invalid(error.to_string()))?;
        self.set_json(pointer, Some(&json))
    }

    /// Removes a part of the data by JSON Pointer.
    ///
    /// # Errors
    ///
    /// As [`Event::set_json`].
    fn remove(&self, pointer: &str) -> Result<(), EditError> {
        self.set_json(pointer, None)
    }

    /// Returns the run that the step belongs to.
    #[must_use]
    fn run(&self) -> Run {
        let Step {
            namespace,
            pipeline_run,
            pipeline_task,
            task_run,
            attempt,
            ..
        } = self.step();
        Run {
            namespace,
            task_run,
            uid: self.get("/taskRun/uid").unwrap_or_default(),
            pipeline_run,
            pipeline_task,
            attempt,
        }
    }

    /// Returns whether the step failed.
    #[must_use]
    fn is_failed(&self) -> bool {
        self.step().phase == Phase::Failed
    }

    /// Calls `edit` with each line of the log, without its line end, and applies the returned
    /// change.
    ///
    /// # Errors
    ///
    /// As [`Event::edit_log`].
    fn edit_lines(&self, mut edit: impl FnMut(&str) -> Line) -> Result<(), EditError> {
        let log = self.log();
        let (mut edits, mut start) = (Vec::new(), 0_usize);
        for line in log.split_inclusive('\n') {
            let end = start + line.len();
            let text = line.trim_end_matches(['\n', '\r']);
            let range = |end: usize, text: String| LogEdit {
                start: start as u64,
                end: end as u64,
                text,
            };
            match edit(text) {
                Line::Keep => {}
                Line::Remove => edits.push(range(end, String::new())),
                Line::Replace(new) => edits.push(range(start + text.len(), new)),
            }
            start = end;
        }
        if edits.is_empty() {
            return Ok(());
        }
        self.edit_log(&edits)
    }

    /// Calls `map` with every text of the event and its JSON Pointer: the log, as `/log`, and all
    /// strings of the data. Replaces the text with the returned text; `None` keeps it. Strings that
    /// no plugin may change stay as they are.
    ///
    /// Copies everything into the plugin. To mask patterns or known values, [`Event::redact`] is
    /// many times faster.
    ///
    /// # Errors
    ///
    /// As [`Event::set_json`] and [`Event::set_log`].
    fn map_strings(
        &self,
        mut map: impl FnMut(&str, &str) -> Option<String>,
    ) -> Result<(), EditError> {
        let log = self.log();
        if !log.is_empty()
            && let Some(new) = map("/log", &log)
        {
            self.set_log(&new)?;
        }
        let data: Value = serde_json::from_str(&self.data_json()).unwrap_or_default();
        let mut replaced = Vec::new();
        for_each_string(&data, &mut String::new(), &mut |pointer, text| {
            if let Some(new) = map(pointer, text) {
                replaced.push((pointer.to_owned(), new));
            }
        });
        for (pointer, new) in replaced {
            match self.set(&pointer, &new) {
                Ok(()) | Err(EditError::ReadOnly(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<E: Event + ?Sized> EventExt for E {}

/// Calls `visit` with each string in a JSON value and its JSON Pointer.
fn for_each_string(value: &Value, place: &mut String, visit: &mut impl FnMut(&str, &str)) {
    let length = place.len();
    match value {
        Value::String(text) => visit(place, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer::push(place, &index.to_string());
                for_each_string(item, place, visit);
                place.truncate(length);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                pointer::push(place, name);
                for_each_string(member, place, visit);
                place.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(all(test, feature = "testing"))]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::testing::{FakeEvent, Sets};
    use serde_json::json;

    fn event() -> FakeEvent {
        let event = json!({
            "type": "dev.tekton.event.plugin.step.failed.v1",
            "data": {
                "log": "one\ntwo\r\nthree",
                "taskRun": {"namespace": "ci", "name": "build", "uid": "u"},
                "step": {"args": ["x", "two"], "env": [{"name": "a/b", "value": "two"}]},
            },
        });
        FakeEvent::new(&event, Sets::default()).unwrap()
    }

    #[test]
    fn lines_are_kept_removed_and_replaced() {
        let event = event();
        event
            .edit_lines(|line| match line {
                "one" => Line::Remove,
                "two" => Line::Replace("2".to_owned()),
                _ => Line::Keep,
            })
            .unwrap();
        assert_eq!(event.into_json().unwrap()["data"]["log"], "2\r\nthree");
    }

    #[test]
    fn every_string_is_mapped_except_the_identity_of_the_step() {
        let event = event();
        let mut seen = Vec::new();
        event
            .map_strings(|pointer, text| {
                seen.push(pointer.to_owned());
                Some(text.to_uppercase())
            })
            .unwrap();
        assert!(seen.contains(&"/step/env/0/value".to_owned()), "{seen:?}");
        let data = &event.into_json().unwrap()["data"];
        assert_eq!(data["log"], "ONE\nTWO\r\nTHREE");
        assert_eq!(data["step"]["args"], json!(["X", "TWO"]));
        assert_eq!(
            data["step"]["env"][0],
            json!({"name": "A/B", "value": "TWO"})
        );
        assert_eq!(data["taskRun"]["name"], "build");
    }

    #[test]
    fn a_run_has_its_names() {
        let event = event();
        assert!(event.is_failed());
        let run = event.run();
        assert_eq!(
            (run.namespace.as_str(), run.task_run.as_str()),
            ("ci", "build")
        );
        assert_eq!((run.uid.as_str(), run.pipeline_run), ("u", None));
    }
}
