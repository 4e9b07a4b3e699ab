//! The messages of the stream. Members that are not known are ignored, and those that are absent are unknown,
//! so that observers of other versions can be followed.

use jiff::Timestamp;
use serde::Deserialize;

/// Message `snapshot`: the whole table.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Random per start of the process of the observer.
    pub process: String,
    /// Start of that process.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// The observer's clock.
    #[serde(default)]
    pub now: Option<Timestamp>,
    /// The runs, in the order in which they were first seen.
    #[serde(default)]
    pub runs: Vec<RunUpdate>,
}

/// Message `change`: what changed since the message before.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The observer's clock.
    #[serde(default)]
    pub now: Option<Timestamp>,
    /// Runs that are new or have changed.
    #[serde(default)]
    pub runs: Vec<RunUpdate>,
    /// UIDs of runs that left the table. They are removed before `runs` is applied.
    #[serde(default)]
    pub gone: Vec<String>,
}

/// A run, or what changed in it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunUpdate {
    /// UID of the TaskRun.
    pub uid: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub task_run: Option<String>,
    /// Name of its PipelineRun.
    pub pipeline_run: Option<String>,
    /// UID of its PipelineRun.
    pub pipeline_run_uid: Option<String>,
    /// Name of the task in the pipeline.
    pub pipeline_task: Option<String>,
    /// The TaskRun is gone from the cluster.
    pub deleted: Option<bool>,
    /// Steps beyond the bound per run.
    pub steps_left_out: Option<u64>,
    /// Steps that are new or have changed.
    pub steps: Vec<Step>,
}

/// A step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Step {
    /// Unique in the run.
    pub(super) key: String,
    /// Attempt of the TaskRun, from 0.
    pub attempt: u32,
    /// Position in its pod, from 0.
    pub index: u32,
    /// Name of the step.
    pub name: String,
    /// Its state.
    pub state: StepState,
    /// Its start, if known.
    pub started_at: Option<Timestamp>,
    /// Its end, if known.
    pub ended_at: Option<Timestamp>,
    /// Its exit code.
    pub exit_code: Option<i64>,
    /// Why it ended so.
    pub reason: Option<String>,
    /// Why it was skipped.
    pub cause: Option<String>,
    /// Its events, oldest first.
    pub events: Vec<StepEventRef>,
}

/// An event of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StepEventRef {
    /// `id` of the event.
    pub id: String,
    /// `started`, `succeeded`, `failed` or `skipped`.
    pub phase: String,
}

/// State of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepState {
    /// It runs.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It was skipped.
    Skipped,
    /// Its turn has not come; also every state that this version does not know.
    #[default]
    #[serde(other)]
    Waiting,
}

impl StepState {
    /// Returns the word for the state.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Waiting => "waiting",
        }
    }

    /// Returns whether the step has ended.
    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped)
    }
}
