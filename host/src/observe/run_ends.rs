//! Ends of TaskRuns, for sinks that show runs as a whole: each attempt ends once.

use super::slim::{Condition, SlimTaskRun};
use super::snapshot::verdict;
use crate::step::EndedRun;
use jiff::Timestamp;
use std::sync::Arc;
use step_observer_otlp::{RunEnd, RunKind, RunResult};

/// Bounds the ends that are kept of one run until they are reported. Further attempts are reported
/// after these.
const MAX_ENDS: usize = 64;

/// The attempts of a TaskRun that have ended.
#[derive(Debug, Default)]
pub(super) struct RunEnds {
    /// Number of attempts whose ends were collected.
    collected: u32,
    /// Ends that were not reported yet.
    waiting: Vec<EndedRun>,
}

/// What a TaskRun says about one attempt.
struct ReportedAttempt<'a> {
    conditions: &'a [Condition],
    started: Option<Timestamp>,
    completed: Option<Timestamp>,
}

impl RunEnds {
    /// Collects the attempts that have ended since the last call. An attempt that ended before
    /// `horizon` is not reported.
    pub(super) fn collect(&mut self, run: &SlimTaskRun, horizon: Timestamp) {
        let status = &run.status;
        let archived = status.retries_status.iter().map(|attempt| ReportedAttempt {
            conditions: &attempt.conditions,
            started: attempt.start_time,
            completed: attempt.completion_time,
        });
        let current = ReportedAttempt {
            conditions: &status.conditions,
            started: status.start_time,
            completed: status.completion_time,
        };
        for (number, attempt) in (0_u32..).zip(archived.chain([current])) {
            if number < self.collected {
                continue;
            }
            if self.waiting.len() >= MAX_ENDS {
                return;
            }
            // Tekton archives an attempt before the next one ends, so nothing follows.
            let Some(end) = end_of(run, number, &attempt) else {
                return;
            };
            self.collected = number.saturating_add(1);
            if end.end.ended_at >= horizon {
                self.waiting.push(end);
            }
        }
    }

    /// Takes the ends to report.
    pub(super) fn take(&mut self) -> Vec<EndedRun> {
        std::mem::take(&mut self.waiting)
    }
}

/// Returns the end of an attempt; `None` if it has not ended, or if its time is unknown.
fn end_of(run: &SlimTaskRun, number: u32, attempt: &ReportedAttempt<'_>) -> Option<EndedRun> {
    let metadata = &run.metadata;
    let condition = verdict(attempt.conditions)?;
    let result = RunResult::of_task_run(&condition.status, &condition.reason)?;
    let ended_at = attempt.completed?;
    let label = |name: &str| metadata.labels.get(name).cloned();
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    let end = RunEnd {
        kind: RunKind::TaskRun,
        source: String::new(),
        namespace: text(&metadata.namespace).unwrap_or_default(),
        uid: text(&metadata.uid)?,
        task_run: text(&metadata.name),
        pipeline_run: label("tekton.dev/pipelineRun"),
        pipeline_run_uid: metadata.pipeline_run_uid().map(str::to_owned),
        pipeline: label("tekton.dev/pipeline"),
        pipeline_task: label("tekton.dev/pipelineTask"),
        task: label("tekton.dev/task"),
        attempt: number,
        started_at: attempt
            .started
            .or(metadata.creation_timestamp)
            .unwrap_or(ended_at),
        ended_at,
        error_type: result.error_type(&condition.reason).map(Into::into),
        result,
        traceparent: None,
    };
    let traceparent = &run.status.span_context.traceparent;
    Some(EndedRun::new(end, &metadata.annotations, traceparent))
}
