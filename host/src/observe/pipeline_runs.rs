//! PipelineRuns, of which only the end is reported, and only if a sink takes ends of runs. No
//! transition of a step waits for them.

use super::lenient::{self, lenient, lenient_list, null_is_default};
use super::metadata::Metadata;
use super::slim::{Condition, SpanContext};
use super::snapshot::verdict;
use super::watch_event::Object;
use crate::step::EndedRun;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::Arc;
use step_observer_otlp::{RunEnd, RunKind, RunResult};

/// Bounds the conditions that are read of one PipelineRun. Tekton writes one.
const MAX_CONDITIONS: usize = 16;

/// The members of a PipelineRun (`tekton.dev/v1`) that the observer reads. Each malformed member counts
/// as missing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SlimPipelineRun {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "lenient")]
    status: PipelineRunStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PipelineRunStatus {
    #[serde(deserialize_with = "lenient_list::<MAX_CONDITIONS, _, _>")]
    conditions: Vec<Condition>,
    #[serde(deserialize_with = "lenient::time")]
    start_time: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::time")]
    completion_time: Option<Timestamp>,
    #[serde(deserialize_with = "lenient")]
    span_context: SpanContext,
}

impl Object for SlimPipelineRun {
    const KIND: &'static str = "pipelineruns.tekton.dev";

    fn path(namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) => format!("/apis/tekton.dev/v1/namespaces/{namespace}/pipelineruns"),
            None => "/apis/tekton.dev/v1/pipelineruns".to_owned(),
        }
    }

    fn resource_version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }
}

impl SlimPipelineRun {
    /// Returns the end; `None` if the PipelineRun has not ended, or if a time of it is unknown.
    fn end(&self) -> Option<EndedRun> {
        let (metadata, status) = (&self.metadata, &self.status);
        let condition = verdict(&status.conditions)?;
        let result = RunResult::of_pipeline_run(&condition.status, &condition.reason)?;
        let ended_at = status.completion_time?;
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        let end = RunEnd {
            kind: RunKind::PipelineRun,
            source: String::new(),
            namespace: text(&metadata.namespace).unwrap_or_default(),
            uid: text(&metadata.uid)?,
            task_run: None,
            pipeline_run: text(&metadata.name),
            pipeline_run_uid: None,
            pipeline: metadata.labels.get("tekton.dev/pipeline").cloned(),
            pipeline_task: None,
            task: None,
            attempt: 0,
            started_at: (status.start_time)
                .or(metadata.creation_timestamp)
                .unwrap_or(ended_at),
            ended_at,
            error_type: result.error_type(&condition.reason).map(Into::into),
            result,
            traceparent: None,
        };
        Some(EndedRun::new(
            end,
            &metadata.annotations,
            &status.span_context.traceparent,
        ))
    }
}

/// The PipelineRuns whose ends were reported, until they are deleted.
#[derive(Debug, Default)]
pub(super) struct PipelineRuns {
    reported: HashSet<Arc<str>>,
    /// True if the initial lists are complete.
    pub(super) is_listed: bool,
}

impl PipelineRuns {
    /// Returns the end of a PipelineRun at the first call that shows it. A PipelineRun that ended before
    /// `horizon` is not reported.
    pub(super) fn observe(
        &mut self,
        run: &SlimPipelineRun,
        horizon: Timestamp,
    ) -> Option<EndedRun> {
        let uid = run.metadata.uid.as_ref()?;
        if self.reported.contains(uid) {
            return None;
        }
        let ended = run.end().filter(|ended| ended.end.ended_at >= horizon)?;
        self.reported.insert(uid.clone());
        Some(ended)
    }

    /// Removes a PipelineRun that was deleted. Returns whether its end was reported.
    pub(super) fn remove(&mut self, uid: &str) -> bool {
        self.reported.remove(uid)
    }

    /// Returns whether the end of this PipelineRun was reported, and the PipelineRun exists.
    pub(super) fn contains(&self, uid: &str) -> bool {
        self.reported.contains(uid)
    }
}
