//! The step that an event is about, read from its data.

use crate::Phase;
use serde_json::Value;

/// The step that an event is about: the record `step` of the contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Namespace of the run.
    pub namespace: String,
    /// PipelineRun that the TaskRun belongs to.
    pub pipeline_run: Option<String>,
    /// Name of the TaskRun's task in the pipeline.
    pub pipeline_task: Option<String>,
    /// TaskRun.
    pub task_run: String,
    /// Name of the step; `unnamed-<index>` if it has none.
    pub name: String,
    /// Position among the steps, from 0.
    pub index: u32,
    /// Attempt of the TaskRun, from 0.
    pub attempt: u32,
    /// Pod.
    pub pod: String,
    /// Container in the Pod.
    pub container: String,
    /// Image of the step as the Task names it.
    pub image: Option<String>,
    /// Transition of the step.
    pub phase: Phase,
    /// Exit code of its command.
    pub exit_code: Option<i32>,
    /// Such as `Completed`, `Error`, `Skipped`, `TimeoutExceeded`, `OOMKilled`.
    pub reason: Option<String>,
    /// When it started, RFC 3339.
    pub started_at: Option<String>,
    /// When it ended, RFC 3339.
    pub finished_at: Option<String>,
}

impl Step {
    /// Reads the step from the type and the data of an event. Missing texts are empty, missing
    /// numbers 0; an event whose type names no phase counts as started.
    #[must_use]
    pub fn read(event_type: &str, data: &Value) -> Self {
        let text = |pointer| data.pointer(pointer)?.as_str().map(str::to_owned);
        let required = |pointer| text(pointer).unwrap_or_default();
        let number = |pointer: &str| {
            let number = data.pointer(pointer).and_then(Value::as_u64);
            number.and_then(|number| u32::try_from(number).ok())
        };
        let exit_code = data.get("exitCode").and_then(Value::as_i64);
        Self {
            namespace: required("/taskRun/namespace"),
            pipeline_run: text("/pipelineRun"),
            pipeline_task: text("/pipelineTask"),
            task_run: required("/taskRun/name"),
            name: required("/stepState/name"),
            index: number("/stepIndex").unwrap_or_default(),
            attempt: number("/attempt").unwrap_or_default(),
            pod: required("/podRef/name"),
            container: required("/stepState/container"),
            image: text("/step/image"),
            phase: Phase::of_type(event_type).unwrap_or(Phase::Started),
            exit_code: exit_code.and_then(|code| i32::try_from(code).ok()),
            reason: text("/reason"),
            started_at: text("/startedAt"),
            finished_at: text("/stepState/terminated/finishedAt"),
        }
    }
}
