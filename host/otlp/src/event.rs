//! Reads a step event, as the journal holds it: a structured CloudEvent in JSON.
//!
//! The members are those of `deploy/schema/step-event.v1.json`. Everything but the attributes, the
//! run, the pod, the exit code and the reason may have been changed or removed by a plugin.

use crate::ids::TraceContext;
use crate::lenient::{self, Texts};
use jiff::Timestamp;
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;
use step_observer_event_model::Phase;

/// Label of a TaskRun with the UID of its PipelineRun
/// (tektoncd/pipeline, `pkg/apis/pipeline/register.go`).
const PIPELINE_RUN_UID_LABEL: &str = "tekton.dev/pipelineRunUID";
/// Label of a TaskRun with the name of the Pipeline (same file).
const PIPELINE_LABEL: &str = "tekton.dev/pipeline";
/// Label of a TaskRun with the name of the Task (same file).
const TASK_LABEL: &str = "tekton.dev/task";

/// Why the bytes are not an event. Quotes nothing of the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is JSON, but not an object.
    #[error("not a CloudEvent in JSON: not an object")]
    NotObject,
    /// It is not one value in JSON, or has a member twice.
    #[error("not a CloudEvent in JSON: line {line}, column {column}")]
    NotJson {
        /// Line of the first error, from 1.
        line: usize,
        /// Column of the first error.
        column: usize,
    },
    /// The end of a run lacks a member, or the member is not valid.
    #[error("the end of a run has no valid `{0}`")]
    RunEnd(&'static str),
}

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> Self {
        Self::NotJson {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// A step event. Members that are missing, or of another type than in the schema, are `None` or
/// empty.
#[derive(Deserialize)]
pub struct StepEvent<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type", deserialize_with = "lenient::text")]
    event_type: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    recordedtime: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    partitionkey: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    traceparent: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    data: Data<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(default, deserialize_with = "lenient::integer")]
    attempt: Option<i64>,
    #[serde(default, deserialize_with = "lenient::integer")]
    exit_code: Option<i64>,
    #[serde(borrow, default, deserialize_with = "lenient::texts")]
    labels: Texts<'a>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    log: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pipeline_run: Option<Cow<'a, str>>,
    #[serde(
        borrow,
        default,
        rename = "pipelineRunUID",
        deserialize_with = "lenient::text"
    )]
    pipeline_run_uid: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    pipeline_task: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    pod_ref: Reference<'a>,
    #[serde(borrow, default, rename = "podUID", deserialize_with = "lenient::text")]
    pod_uid: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    started_at: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    step: Step<'a>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    step_state: StepState<'a>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    task_run: Reference<'a>,
}

/// `podRef` and `taskRun`.
#[derive(Default, Deserialize)]
struct Reference<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    uid: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct Step<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    image: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct StepState<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    container: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    terminated: Terminated<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    finished_at: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    started_at: Option<Cow<'a, str>>,
}

// === impl StepEvent ===

/// Shows no text of the event, such as its log.
impl fmt::Debug for StepEvent<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut event = formatter.debug_struct("StepEvent");
        event.field("id", &self.id).field("type", &self.event_type);
        event.finish_non_exhaustive()
    }
}

impl<'a> StepEvent<'a> {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// It is not an object in JSON, or has one of the members above twice.
    pub fn read(structured: &'a [u8]) -> Result<Self, ReadError> {
        let mut from = serde_json::Deserializer::from_slice(structured);
        let event = lenient::object_or_none(&mut from)?;
        from.end()?;
        event.ok_or(ReadError::NotObject)
    }

    /// `type`, or an empty text.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.event_type.as_deref().unwrap_or_default()
    }

    /// The phase in `type`.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        Phase::of_type(self.event_type())
    }

    /// When the step ended: `time`, which no plugin can change, else `finishedAt` of its container.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        let time = parse_time(self.time.as_ref());
        time.or_else(|| parse_time(self.data.step_state.terminated.finished_at.as_ref()))
    }

    /// When the step started: `startedAt`, else that of its container. A step that never ran has no
    /// start.
    #[must_use]
    pub fn started_at(&self) -> Option<Timestamp> {
        let exact = parse_time(self.data.started_at.as_ref());
        exact.or_else(|| parse_time(self.data.step_state.terminated.started_at.as_ref()))
    }

    /// When the observer saw that the step had ended.
    #[must_use]
    pub fn recorded_at(&self) -> Option<Timestamp> {
        parse_time(self.recordedtime.as_ref())
    }

    /// The trace context that Tekton gave; an invalid one counts as missing.
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::parse(self.traceparent.as_deref()?)
    }

    /// `id`, or an empty text.
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    pub(crate) fn attempt(&self) -> u32 {
        let attempt = self.data.attempt.unwrap_or_default();
        u32::try_from(attempt).unwrap_or_default()
    }

    pub(crate) fn exit_code(&self) -> Option<i64> {
        self.data.exit_code
    }

    pub(crate) fn reason(&self) -> &str {
        self.data.reason.as_deref().unwrap_or_default()
    }

    pub(crate) fn log(&self) -> Option<&str> {
        self.data.log.as_deref()
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        present(self.data.labels.get(name))
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        let of_run = present(self.data.task_run.namespace.as_ref());
        of_run.or_else(|| present(self.data.pod_ref.namespace.as_ref()))
    }

    pub(crate) fn task_run(&self) -> Option<&str> {
        present(self.data.task_run.name.as_ref())
    }

    /// UID of the TaskRun. `partitionkey` holds it, too, and is reserved.
    pub(crate) fn task_run_uid(&self) -> Option<&str> {
        let uid = present(self.data.task_run.uid.as_ref());
        uid.or_else(|| present(self.partitionkey.as_ref()))
    }

    pub(crate) fn pipeline_run(&self) -> Option<&str> {
        present(self.data.pipeline_run.as_ref())
    }

    /// UID of the PipelineRun. Events that were accepted by an earlier release have it only as label.
    pub(crate) fn pipeline_run_uid(&self) -> Option<&str> {
        let uid = present(self.data.pipeline_run_uid.as_ref());
        uid.or_else(|| {
            self.pipeline_run()
                .and_then(|_| self.label(PIPELINE_RUN_UID_LABEL))
        })
    }

    pub(crate) fn pipeline(&self) -> Option<&str> {
        self.label(PIPELINE_LABEL)
    }

    pub(crate) fn pipeline_task(&self) -> Option<&str> {
        present(self.data.pipeline_task.as_ref())
    }

    pub(crate) fn task(&self) -> Option<&str> {
        self.label(TASK_LABEL)
    }

    pub(crate) fn pod(&self) -> Option<&str> {
        present(self.data.pod_ref.name.as_ref())
    }

    pub(crate) fn pod_uid(&self) -> Option<&str> {
        present(self.data.pod_uid.as_ref())
    }

    pub(crate) fn container(&self) -> Option<&str> {
        present(self.data.step_state.container.as_ref())
    }

    pub(crate) fn step(&self) -> Option<&str> {
        present(self.data.step_state.name.as_ref())
    }

    pub(crate) fn image(&self) -> Option<&str> {
        present(self.data.step.image.as_ref())
    }
}

/// An empty name counts as missing.
fn present<'t>(text: Option<&'t Cow<'_, str>>) -> Option<&'t str> {
    text.map(|text| &**text).filter(|text| !text.is_empty())
}

fn parse_time(text: Option<&Cow<'_, str>>) -> Option<Timestamp> {
    text?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_a_wrong_type_count_as_missing() {
        let event = br#"{"id":7,"type":null,"time":[1],"traceparent":{"a":[{}]},"partitionkey":"uid",
            "data":{"attempt":"1","exitCode":1.5,"labels":{"a":"x","b":3,"c":null,"tekton.dev/task":"t"},
            "podRef":[],"taskRun":"x","step":{"image":{}},"stepState":{"name":false,"terminated":9}}}"#;
        let event = StepEvent::read(event).unwrap();
        assert_eq!(
            (event.id(), event.event_type(), event.ended_at()),
            ("", "", None)
        );
        assert_eq!((event.attempt(), event.exit_code()), (0, None));
        assert_eq!((event.task(), event.label("b")), (Some("t"), None));
        assert_eq!(
            (event.step(), event.image(), event.pod()),
            (None, None, None)
        );
        assert_eq!(event.task_run_uid(), Some("uid"));
        for data in ["null", "[]", "\"text\"", "7", "-7", "1e300", "true"] {
            let event = format!("{{\"data\":{data}}}");
            assert!(StepEvent::read(event.as_bytes()).is_ok(), "{data}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_without_a_quote_of_it() {
        for bytes in [
            &b"secret"[..],
            b"\"secret\"",
            b"[]",
            b"",
            b"{",
            b"{} x",
            b"\xff",
            b"{\"id\":\"1\",\"id\":\"2\"}",
        ] {
            let error = StepEvent::read(bytes).unwrap_err().to_string();
            assert!(error.starts_with("not a CloudEvent in JSON: "), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
