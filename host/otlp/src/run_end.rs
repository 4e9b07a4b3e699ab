//! The end of a TaskRun's attempt or of a PipelineRun, as the journal holds it for sinks of type
//! `otlp`: a structured CloudEvent in JSON. It holds names, UIDs, times and the result, and no free
//! text, because it passes no plugin.

use crate::event::ReadError;
use crate::ids::TraceContext;
use crate::run_result::RunResult;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `type` of the end of a TaskRun's attempt.
pub const TASK_RUN_ENDED: &str = "dev.step-observer.taskrun.ended.v1";
/// `type` of the end of a PipelineRun.
pub const PIPELINE_RUN_ENDED: &str = "dev.step-observer.pipelinerun.ended.v1";

/// What has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// One attempt of a TaskRun.
    TaskRun,
    /// A PipelineRun.
    PipelineRun,
}

/// The end of a TaskRun's attempt or of a PipelineRun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Wire", try_from = "Wire")]
pub struct RunEnd {
    /// What has ended.
    pub kind: RunKind,
    /// `source` of the event: that of all events of the observer.
    pub source: String,
    /// Namespace.
    pub namespace: String,
    /// UID of what has ended.
    pub uid: String,
    /// Name of the TaskRun.
    pub task_run: Option<String>,
    /// Name of the PipelineRun.
    pub pipeline_run: Option<String>,
    /// UID of the PipelineRun. That of a PipelineRun is in `uid`.
    pub pipeline_run_uid: Option<String>,
    /// Name of the Pipeline.
    pub pipeline: Option<String>,
    /// Task of the Pipeline.
    pub pipeline_task: Option<String>,
    /// Name of the Task.
    pub task: Option<String>,
    /// Attempt of the TaskRun, from 0. A PipelineRun has only attempt 0.
    pub attempt: u32,
    /// Start. Of an attempt that never started: when it was created.
    pub started_at: Timestamp,
    /// End.
    pub ended_at: Timestamp,
    /// Result.
    pub result: RunResult,
    /// Low-cardinality reason of an error: [`RunResult::error_type`].
    pub error_type: Option<String>,
    /// W3C `traceparent` that Tekton gave.
    pub traceparent: Option<String>,
}

/// A [`RunEnd`] in JSON. Unknown members are ignored, so that a later release may add some.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Wire {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    subject: String,
    time: Timestamp,
    datacontenttype: String,
    partitionkey: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    data: WireData,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireData {
    attempt: u32,
    ended_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_type: Option<String>,
    namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pipeline: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pipeline_run: Option<String>,
    #[serde(
        default,
        rename = "pipelineRunUID",
        skip_serializing_if = "Option::is_none"
    )]
    pipeline_run_uid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pipeline_task: Option<String>,
    result: RunResult,
    started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    task_run: Option<String>,
    uid: String,
}

// === impl RunKind ===

impl RunKind {
    /// `type` of the event.
    #[must_use]
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::TaskRun => TASK_RUN_ENDED,
            Self::PipelineRun => PIPELINE_RUN_ENDED,
        }
    }

    /// The kind that an event of this type is about; `None` if it is not the end of a run.
    #[must_use]
    pub fn of_type(event_type: &str) -> Option<Self> {
        let all = [Self::TaskRun, Self::PipelineRun];
        all.into_iter().find(|kind| kind.event_type() == event_type)
    }

    /// The kind that an event with this id is about; `None` if it is not the end of a run.
    #[must_use]
    pub fn of_id(id: &str) -> Option<Self> {
        let all = [Self::TaskRun, Self::PipelineRun];
        all.into_iter().find(|kind| id.ends_with(kind.event_type()))
    }
}

// === impl RunEnd ===

impl RunEnd {
    /// `id` of the event: the same for the same end after a restart.
    #[must_use]
    pub fn id(&self) -> String {
        Self::id_of(self.kind, &self.uid, self.attempt)
    }

    /// `id` of the event of the end of this run.
    #[must_use]
    pub fn id_of(kind: RunKind, uid: &str, attempt: u32) -> String {
        format!("{uid}-{attempt}-{}", kind.event_type())
    }

    /// `subject` of the event: namespace and name.
    #[must_use]
    pub fn subject(&self) -> String {
        let name = match self.kind {
            RunKind::TaskRun => &self.task_run,
            RunKind::PipelineRun => &self.pipeline_run,
        };
        [&*self.namespace, "/", name.as_deref().unwrap_or(&self.uid)].concat()
    }

    /// Reads an end of a run that [`serde_json::to_vec`] wrote.
    ///
    /// # Errors
    ///
    /// It is not the end of a run, or lacks a member.
    pub fn read(structured: &[u8]) -> Result<Self, ReadError> {
        // The text of an error of serde may quote values, so only its position is passed on.
        Ok(serde_json::from_slice(structured)?)
    }

    /// The trace context that Tekton gave; an invalid one counts as missing.
    #[must_use]
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::parse(self.traceparent.as_deref()?)
    }
}

impl From<RunEnd> for Wire {
    fn from(end: RunEnd) -> Self {
        let (id, subject) = (end.id(), end.subject());
        let RunEnd {
            kind,
            source,
            namespace,
            uid,
            task_run,
            pipeline_run,
            pipeline_run_uid,
            pipeline,
            pipeline_task,
            task,
            attempt,
            started_at,
            ended_at,
            result,
            error_type,
            traceparent,
        } = end;
        Self {
            specversion: "1.0".to_owned(),
            id,
            source,
            event_type: kind.event_type().to_owned(),
            subject,
            time: ended_at,
            datacontenttype: "application/json".to_owned(),
            partitionkey: uid.clone(),
            traceparent,
            data: WireData {
                attempt,
                ended_at,
                error_type,
                namespace,
                pipeline,
                pipeline_run,
                pipeline_run_uid,
                pipeline_task,
                result,
                started_at,
                task,
                task_run,
                uid,
            },
        }
    }
}

impl TryFrom<Wire> for RunEnd {
    type Error = ReadError;

    fn try_from(wire: Wire) -> Result<Self, ReadError> {
        let kind = RunKind::of_type(&wire.event_type).ok_or(ReadError::RunEnd("type"))?;
        if wire.data.uid.is_empty() {
            return Err(ReadError::RunEnd("uid"));
        }
        let WireData {
            attempt,
            ended_at,
            error_type,
            namespace,
            pipeline,
            pipeline_run,
            pipeline_run_uid,
            pipeline_task,
            result,
            started_at,
            task,
            task_run,
            uid,
        } = wire.data;
        Ok(Self {
            kind,
            source: wire.source,
            namespace,
            uid,
            task_run,
            pipeline_run,
            pipeline_run_uid,
            pipeline,
            pipeline_task,
            task,
            attempt,
            started_at,
            ended_at,
            result,
            error_type,
            traceparent: wire.traceparent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end() -> RunEnd {
        RunEnd {
            kind: RunKind::TaskRun,
            source: "observer".to_owned(),
            namespace: "ci".to_owned(),
            uid: "e3e81e11-09f2-4a3b-9dc8-65f45f46c32e".to_owned(),
            task_run: Some("web-build".to_owned()),
            pipeline_run: None,
            pipeline_run_uid: None,
            pipeline: None,
            pipeline_task: None,
            task: Some("build".to_owned()),
            attempt: 1,
            started_at: "2026-11-22T13:31:13Z".parse().unwrap(),
            ended_at: "2026-11-22T13:31:24.5Z".parse().unwrap(),
            result: RunResult::Failure,
            error_type: Some("StepFailed".to_owned()),
            traceparent: None,
        }
    }

    /// Journals of this release must be readable by all later ones: the text must not change.
    #[test]
    fn the_record_of_version_1_is_this() {
        let text = r#"{"specversion":"1.0","id":"e3e81e11-09f2-4a3b-9dc8-65f45f46c32e-1-dev.step-observer.taskrun.ended.v1","source":"observer","type":"dev.step-observer.taskrun.ended.v1","subject":"ci/web-build","time":"2026-11-22T13:31:24.5Z","datacontenttype":"application/json","partitionkey":"e3e81e11-09f2-4a3b-9dc8-65f45f46c32e","data":{"attempt":1,"endedAt":"2026-11-22T13:31:24.5Z","errorType":"StepFailed","namespace":"ci","result":"failure","startedAt":"2026-11-22T13:31:13Z","task":"build","taskRun":"web-build","uid":"e3e81e11-09f2-4a3b-9dc8-65f45f46c32e"}}"#;
        assert_eq!(serde_json::to_string(&end()).unwrap(), text);
        assert_eq!(RunEnd::read(text.as_bytes()), Ok(end()));
        let later = text.replace("\"attempt\":1", "\"attempt\":1,\"later\":{}");
        assert_eq!(RunEnd::read(later.as_bytes()), Ok(end()));
    }

    #[test]
    fn what_is_not_the_end_of_a_run_is_refused_without_a_quote_of_it() {
        let text = serde_json::to_string(&end()).unwrap();
        for wrong in [
            text.replace(
                "taskrun.ended.v1\",\"subject",
                "taskrun.ended.v2\",\"subject",
            ),
            text.replace("\"result\":\"failure\"", "\"result\":\"secret\""),
            text.replace(
                "\"startedAt\":\"2026-11-22T13:31:13Z\"",
                "\"startedAt\":\"secret\"",
            ),
            text.replace("\"attempt\":1", "\"attempt\":-1"),
            text.replace(
                ",\"uid\":\"e3e81e11-09f2-4a3b-9dc8-65f45f46c32e\"",
                ",\"uid\":\"\"",
            ),
            text.replace("\"namespace\":\"ci\",", ""),
            String::new(),
        ] {
            assert_ne!(wrong, text);
            let error = RunEnd::read(wrong.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_end_is_read_as_it_was_written(
            names in proptest::collection::vec(proptest::option::of("\\PC{0,12}"), 7),
            is_pipeline_run: bool, uid in "\\PC{1,40}", attempt: u32,
            times in proptest::array::uniform2(-10_000_000_000..200_000_000_000_i64), result in 0..6_usize,
        ) {
            let [task_run, pipeline_run, pipeline_run_uid, pipeline, pipeline_task, task, traceparent] =
                names.try_into().unwrap();
            let [started_at, ended_at] = times.map(|at| Timestamp::from_second(at).unwrap());
            let kind = if is_pipeline_run { RunKind::PipelineRun } else { RunKind::TaskRun };
            let end = RunEnd {
                kind, uid, attempt, task_run, pipeline_run, pipeline_run_uid, pipeline, pipeline_task,
                task, traceparent, started_at, ended_at, result: RunResult::ALL[result], ..end()
            };
            prop_assert_eq!(RunKind::of_id(&end.id()), Some(end.kind));
            let text = serde_json::to_vec(&end).unwrap();
            prop_assert_eq!(RunEnd::read(&text), Ok(end));
        }
    }
}
