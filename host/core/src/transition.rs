//! What a step did: the value that becomes an event.

use jiff::Timestamp;
use std::sync::Arc;

/// One transition of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// UID of the TaskRun.
    pub run_uid: Arc<str>,
    /// UID of the Pod; `None` when the pod was never seen and the TaskRun alone tells.
    pub pod_uid: Option<Arc<str>>,
    /// Name of the Pod.
    pub pod_name: Arc<str>,
    /// Where the Pod stands among those of its attempt.
    pub pod_order: PodOrder,
    /// Container name.
    pub container: Arc<str>,
    /// Position among the steps, from 0.
    pub index: u32,
    /// Attempt of the TaskRun, from 0.
    pub attempt: u32,
    /// What happened.
    pub kind: Kind,
    /// When it happened, by the cluster's clock.
    pub at: Timestamp,
    /// When the step started, as far as is known.
    pub start: Option<Start>,
}

/// What sorts the pods of one attempt, before their UIDs (decision 6): Tekton makes a pod that was deleted again under
/// the same name, often within the same second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodOrder {
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// Start of its first container, if one had started when its first event was made.
    pub first_container_started: Option<Timestamp>,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its command runs.
    Started,
    /// Its command ended with exit code 0.
    Succeeded(Outcome),
    /// Its command ended otherwise, or was killed, or could never be started because of its image.
    Failed(Outcome),
    /// Its command never ran.
    Skipped(Outcome, SkipCause),
}

/// How a step ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code of the step, where one exists.
    pub exit_code: Option<i32>,
    /// `Completed`, `Error`, `Continued`, `Skipped`, `TimeoutExceeded`, `TaskRunCancelled`,
    /// `OOMKilled`, …
    pub reason: Arc<str>,
}

/// Why a step was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipCause {
    /// Its `when` expressions were false.
    WhenFalse,
    /// A step before it failed.
    PreviousStepFailed,
    /// The run ended before its turn came.
    NeverStarted,
    /// An init container failed.
    InitContainerFailed,
    /// An init container was killed for its memory.
    InitContainerOom,
}

impl SkipCause {
    /// The word in `data.cause`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WhenFalse => "whenFalse",
            Self::PreviousStepFailed => "previousStepFailed",
            Self::NeverStarted => "neverStarted",
            Self::InitContainerFailed => "initContainerFailed",
            Self::InitContainerOom => "initContainerOOM",
        }
    }
}

/// When a step started, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The time.
    pub at: Timestamp,
    /// Who says so.
    pub source: StartSource,
}

/// Where a start time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartSource {
    /// Concluded from the predecessor's end or the pod's readiness: up to about a second early.
    Inferred,
    /// The step's entrypoint wrote it.
    Entrypoint,
}

impl StartSource {
    /// The word in `data.startedAtSource`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inferred => "inferred",
            Self::Entrypoint => "entrypoint",
        }
    }
}

impl Kind {
    /// The word in the event's type.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Succeeded(_) => "succeeded",
            Self::Failed(_) => "failed",
            Self::Skipped(..) => "skipped",
        }
    }

    /// How the step ended; `None` for `Started`.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Started => None,
            Self::Succeeded(outcome) | Self::Failed(outcome) | Self::Skipped(outcome, _) => {
                Some(outcome)
            }
        }
    }

    /// Why it was skipped, if it was.
    #[must_use]
    pub fn cause(&self) -> Option<SkipCause> {
        match self {
            Self::Skipped(_, cause) => Some(*cause),
            Self::Started | Self::Succeeded(_) | Self::Failed(_) => None,
        }
    }
}

impl Transition {
    /// The step's name as Tekton reports it.
    #[must_use]
    pub fn step(&self) -> &str {
        crate::snapshot::step_name(&self.container)
    }

    /// The event's `id`: the same after a restart, a relist and a failover (design §4).
    ///
    /// `event_type` is the event's full `type`.
    #[must_use]
    pub fn event_id(&self, event_type: &str) -> String {
        let step = self.step();
        match &self.pod_uid {
            Some(uid) => [uid, "-", step, "-", event_type].concat(),
            None => [
                &self.run_uid,
                "-",
                &self.pod_name,
                "-",
                step,
                "-",
                event_type,
            ]
            .concat(),
        }
    }

    /// The event's `sequence`: sorts the events of one TaskRun, as strings, by attempt, pod, step and phase
    /// (decision 6), each in a fixed width. What no pod shows sorts behind all pods of its attempt.
    #[must_use]
    pub fn sequence(&self) -> String {
        let phase = u8::from(self.kind != Kind::Started);
        let seconds = |at: Option<Timestamp>| {
            let at = at.map_or(0, Timestamp::as_second);
            at.clamp(0, MAX_SECONDS)
        };
        let (created, first, uid) = match &self.pod_uid {
            Some(uid) => (
                seconds(self.pod_order.created),
                seconds(self.pod_order.first_container_started),
                &**uid,
            ),
            None => (MAX_SECONDS, MAX_SECONDS, LAST_UID),
        };
        format!(
            "{:04}-{created:010}-{first:010}-{uid}-{:04}-{phase}",
            self.attempt, self.index
        )
    }
}

/// The largest number of seconds that has ten digits: in the year 2286.
const MAX_SECONDS: i64 = 9_999_999_999;

/// Sorts behind the UIDs that the API server gives.
const LAST_UID: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";
