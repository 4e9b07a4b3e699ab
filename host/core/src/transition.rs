//! Transitions of steps: the values from which events are made.

use jiff::Timestamp;
use std::sync::Arc;

/// One transition of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// UID of the TaskRun.
    pub run_uid: Arc<str>,
    /// UID of the Pod; `None` if the pod was never observed and the TaskRun is the only evidence.
    pub pod_uid: Option<Arc<str>>,
    /// Name of the Pod.
    pub pod_name: Arc<str>,
    /// Sort key of the Pod among the Pods of its attempt.
    pub pod_order: PodOrder,
    /// Container name.
    pub container: Arc<str>,
    /// Position among the steps, from 0.
    pub index: u32,
    /// Attempt of the TaskRun, from 0.
    pub attempt: u32,
    /// Kind of the transition.
    pub kind: Kind,
    /// When it happened, by the cluster's clock.
    pub at: Timestamp,
    /// Start of the step, if known.
    pub start: Option<Start>,
    /// Time from which the step waited for its turn: the end of its predecessor, or for the first step
    /// the creation of the Pod. `None` if it is unknown.
    pub waits_from: Option<Timestamp>,
}

/// Sort key of the pods of one attempt; their UIDs break ties (decision 6). Tekton re-creates a
/// deleted pod under the same name, often within the same second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodOrder {
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// Start of the pod's first container; `None` if no container had started when the first event
    /// of the pod was made.
    pub first_container_started: Option<Timestamp>,
}

/// Kind of a transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command of the step runs.
    Started,
    /// The command ended with exit code 0.
    Succeeded(Outcome),
    /// The command ended with another exit code, was killed, or could not be started.
    Failed(Outcome),
    /// The command never ran.
    Skipped(Outcome, SkipCause),
}

/// Exit code and reason of a step's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code of the step, if there is one.
    pub exit_code: Option<i32>,
    /// Such as `Completed`, `Error`, `Continued`, `Skipped`, `TimeoutExceeded`, `TaskRunCancelled`,
    /// `OOMKilled`, …
    pub reason: Arc<str>,
}

/// Cause of a skipped step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipCause {
    /// The `when` expressions of the step were false.
    WhenFalse,
    /// An earlier step failed.
    PreviousStepFailed,
    /// The run ended before the turn of the step came.
    NeverStarted,
    /// An init container failed.
    InitContainerFailed,
    /// An init container was OOM-killed.
    InitContainerOom,
}

impl SkipCause {
    /// Returns the value of `data.cause`.
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

/// Start of a step, with the source of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The time.
    pub at: Timestamp,
    /// The source of the time.
    pub source: StartSource,
}

/// Source of a start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartSource {
    /// Inferred from the predecessor's end or from READY: up to about a second too early (§5).
    Inferred,
    /// The entrypoint of the step wrote the time, which is exact to the millisecond.
    Entrypoint,
}

impl StartSource {
    /// Returns the value of `data.startedAtSource`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inferred => "inferred",
            Self::Entrypoint => "entrypoint",
        }
    }
}

impl Kind {
    /// Returns the phase as it stands in the event's type.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Succeeded(_) => "succeeded",
            Self::Failed(_) => "failed",
            Self::Skipped(..) => "skipped",
        }
    }

    /// Returns how the step ended; `None` for `Started`.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Started => None,
            Self::Succeeded(outcome) | Self::Failed(outcome) | Self::Skipped(outcome, _) => {
                Some(outcome)
            }
        }
    }

    /// Returns why the step was skipped; `None` for other kinds.
    #[must_use]
    pub fn cause(&self) -> Option<SkipCause> {
        match self {
            Self::Skipped(_, cause) => Some(*cause),
            Self::Started | Self::Succeeded(_) | Self::Failed(_) => None,
        }
    }
}

impl Transition {
    /// Returns the name of the step as Tekton reports it.
    #[must_use]
    pub fn step(&self) -> &str {
        crate::snapshot::step_name(&self.container)
    }

    /// Derives the event's `id`, which is the same after a restart, a relist and a failover
    /// (decision 7).
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

    /// Names the transition by its pod, its step, and whether the step starts or ends: the same
    /// whether the transition was derived from the pod or from the TaskRun, which does not know the
    /// UID of its pod. Unlike the id, it does not distinguish two pods of the same name.
    #[must_use]
    pub fn name(&self) -> String {
        let edge = match self.kind {
            Kind::Started => "started",
            Kind::Succeeded(_) | Kind::Failed(_) | Kind::Skipped(..) => "ended",
        };
        [&self.pod_name, "/", self.step(), "/", edge].concat()
    }

    /// Derives the event's `sequence`, which as a string sorts the events of one TaskRun by attempt,
    /// pod, step and phase, each in a fixed width (decision 6). Transitions without a pod sort
    /// behind all pods of their attempt.
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

/// Largest Unix time, in seconds, that has ten digits (year 2286).
const MAX_SECONDS: i64 = 9_999_999_999;

/// Sorts behind every UID that the API server assigns.
const LAST_UID: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";
