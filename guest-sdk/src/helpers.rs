//! What plugins do again and again, on top of the contract.

use crate::bindings::step_observer::plugin::events::{EditError, LogEdit, Phase, Step};
use crate::event::Event;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The run that a step belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Its namespace.
    pub namespace: String,
    /// The TaskRun.
    pub task_run: String,
    /// UID of the TaskRun.
    pub uid: String,
    /// The PipelineRun that the TaskRun belongs to.
    pub pipeline_run: Option<String>,
    /// The task of the pipeline that the TaskRun runs.
    pub pipeline_task: Option<String>,
    /// Attempt of the TaskRun, from 0.
    pub attempt: u32,
}

/// What becomes of a line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// It stays as it is.
    Keep,
    /// It goes, with its line end.
    Remove,
    /// This stands there instead, before the same line end.
    Replace(String),
}

impl dyn Event + '_ {
    /// A part of the data by JSON pointer (RFC 6901), such as `/labels/team`; `None` where there is
    /// none or it is of another type.
    #[must_use]
    pub fn get<T: DeserializeOwned>(&self, pointer: &str) -> Option<T> {
        serde_json::from_str(&self.get_json(pointer)?).ok()
    }

    /// Sets a part of the data by JSON pointer.
    ///
    /// # Errors
    ///
    /// As [`Event::set_json`].
    pub fn set<T: Serialize>(&self, pointer: &str, value: &T) -> Result<(), EditError> {
        let json =
            serde_json::to_string(value).map_err(|error| EditError::Invalid(error.to_string()))?;
        self.set_json(pointer, Some(&json))
    }

    /// Removes a part of the data by JSON pointer.
    ///
    /// # Errors
    ///
    /// As [`Event::set_json`].
    pub fn remove(&self, pointer: &str) -> Result<(), EditError> {
        self.set_json(pointer, None)
    }

    /// The run that the step belongs to.
    #[must_use]
    pub fn run(&self) -> Run {
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

    /// Did the step fail?
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.step().phase == Phase::Failed
    }

    /// Goes through the lines of the log, without their line ends.
    ///
    /// # Errors
    ///
    /// As [`Event::edit_log`].
    pub fn edit_lines(&self, mut edit: impl FnMut(&str) -> Line) -> Result<(), EditError> {
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

    /// Goes through every text that the event carries: the log under the pointer `/log`, and all
    /// strings of the data that a plugin may change, each under its own. What `map` gives stands
    /// there instead.
    ///
    /// Copies everything into the plugin. To mask patterns or known values, [`Event::redact`] is
    /// many times faster.
    ///
    /// # Errors
    ///
    /// As [`Event::set_json`] and [`Event::set_log`].
    pub fn map_strings(
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
        let mut found = Vec::new();
        strings(&data, &mut String::new(), &mut |pointer, text| {
            if let Some(new) = map(pointer, text) {
                found.push((pointer.to_owned(), new));
            }
        });
        for (pointer, new) in found {
            match self.set(&pointer, &new) {
                // Who and what it is about is not a plugin's to change.
                Ok(()) | Err(EditError::ReadOnly(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn strings(value: &Value, pointer: &mut String, tell: &mut impl FnMut(&str, &str)) {
    let length = pointer.len();
    match value {
        Value::String(text) => tell(pointer, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                strings(item, pointer, tell);
                pointer.truncate(length);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                pointer.push('/');
                pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                strings(member, pointer, tell);
                pointer.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// So that `?` in [`Plugin::process`](crate::Plugin::process) tells the operator why a change was
/// refused.
impl From<EditError> for String {
    fn from(error: EditError) -> Self {
        match error {
            EditError::ReadOnly(why) | EditError::Invalid(why) => why,
            EditError::TooLarge => {
                "the changes are larger than the plugin's limit (limits.outputBytes)".to_owned()
            }
        }
    }
}

#[cfg(all(test, feature = "testing"))]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::testing::FakeEvent;
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
        FakeEvent::new(&event, Vec::new()).unwrap()
    }

    #[test]
    fn lines_are_kept_removed_and_replaced() {
        let event = event();
        let dynamic: &dyn Event = &event;
        dynamic
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
        let dynamic: &dyn Event = &event;
        let mut seen = Vec::new();
        dynamic
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
        let dynamic: &dyn Event = &event;
        assert!(dynamic.is_failed());
        let run = dynamic.run();
        assert_eq!(
            (run.namespace.as_str(), run.task_run.as_str()),
            ("ci", "build")
        );
        assert_eq!((run.uid.as_str(), run.pipeline_run), ("u", None));
    }
}
