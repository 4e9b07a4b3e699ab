//! What was seen of the cluster, parsed once into types without doubts.
//!
//! Times are what the API server wrote; nothing here reads a clock.

use jiff::Timestamp;
use std::sync::Arc;

/// One Pod of a TaskRun, reduced to what tells about its steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSnapshot {
    /// `metadata.uid`: the identity of an execution (a retry or a re-created pod is a new one).
    pub uid: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
    /// UID of the owning TaskRun.
    pub run_uid: Arc<str>,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// `status.phase`.
    pub phase: PodPhase,
    /// `status.reason`, such as `Evicted`.
    pub reason: Option<Arc<str>>,
    /// Annotation `tekton.dev/ready: READY`: the first step may start.
    pub ready: bool,
    /// When the annotation was set, or something else was changed by the same manager later (`managedFields`).
    pub ready_at: Option<Timestamp>,
    /// Annotation `tekton.dev/cancel: CANCEL`: the pod is kept and will tell the truth later.
    pub cancel_requested: bool,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// When its deletion was asked for: `deletionTimestamp` less the grace period.
    pub deletion_requested: Option<Timestamp>,
    /// Since when the condition `DisruptionTarget` is true: the pod is evicted, preempted or deleted with its node.
    pub disrupted_at: Option<Timestamp>,
    /// Start of its first step's container to start; the end of one that could not.
    pub first_container_started: Option<Timestamp>,
    /// Start of its last container, sidecars included: READY comes after it. Sidecars that Tekton restarts to stop them
    /// do not count.
    pub containers_started: Option<Timestamp>,
    /// It has containers that are no steps.
    pub has_sidecars: bool,
    /// An init container ended with an error.
    pub init_failure: Option<InitFailure>,
    /// When that init container ended.
    pub init_failed_at: Option<Timestamp>,
    /// The step containers, in the order of the Pod's spec.
    pub steps: Vec<StepSnapshot>,
}

/// `status.phase` of a Pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodPhase {
    /// Not all containers have started.
    #[default]
    Pending,
    /// At least one container runs.
    Running,
    /// All containers ended with exit code 0.
    Succeeded,
    /// All containers ended, one with an error.
    Failed,
}

impl PodPhase {
    /// True for `Succeeded` and `Failed`.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// Why no step could start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitFailure {
    /// An init container ended with an exit code other than 0.
    Error,
    /// An init container was killed for its memory.
    OutOfMemory,
}

/// One step container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSnapshot {
    /// Container name: `step-<name>` or `step-unnamed-<index>`.
    pub container: Arc<str>,
    /// What must hold before the entrypoint runs the step's command.
    pub gate: Gate,
    /// May `started` be concluded before the step itself reports?
    pub inference: Inference,
    /// `containerStatuses[].state`.
    pub state: ContainerState,
}

impl StepSnapshot {
    /// The step's name as Tekton reports it: the container's name without `step-`.
    #[must_use]
    pub fn name(&self) -> &str {
        step_name(&self.container)
    }
}

/// The step's name in a container's name (`IsContainerStep` in Tekton's pkg/pod).
#[must_use]
pub fn step_name(container: &str) -> &str {
    container.strip_prefix("step-").unwrap_or(container)
}

/// What the entrypoint of a step waits for (`-wait_file`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Nothing: it runs as soon as its container does.
    Open,
    /// The annotation `tekton.dev/ready`.
    Ready,
    /// The end of the step before it.
    Predecessor,
}

/// How far the start of a step may be inferred (tekton-semantics §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inference {
    /// At once.
    Immediate,
    /// After a pause: the step has `when` expressions and may turn out to be skipped.
    Delayed,
    /// Never: a debugger holds it before it starts.
    Never,
}

/// `containerStatuses[].state`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContainerState {
    /// Nothing reported yet.
    #[default]
    Unknown,
    /// Not started, with the kubelet's reason.
    Waiting {
        /// Such as `PodInitializing` or `ImagePullBackOff`.
        reason: Option<Arc<str>>,
    },
    /// The container runs; its step may still wait for its turn.
    Running {
        /// Start of the container, not of the step.
        since: Option<Timestamp>,
    },
    /// The container ended.
    Terminated(Terminated),
}

/// Waiting reasons after which Tekton gives the TaskRun up (tekton-semantics §4).
#[must_use]
pub fn is_image_error(reason: &str) -> bool {
    matches!(
        reason,
        "ImagePullBackOff"
            | "ErrImagePull"
            | "InvalidImageName"
            | "CreateContainerConfigError"
            | "CreateContainerError"
    )
}

/// `containerStatuses[].state.terminated`, with the entrypoint's message parsed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terminated {
    /// Exit code of the container (the step's own may differ, see [`Internals::exit_code`]).
    pub exit_code: i32,
    /// The kubelet's reason: `Completed`, `Error`, `OOMKilled`, `ContainerStatusUnknown`.
    pub reason: Option<Arc<str>>,
    /// Start of the container.
    pub started_at: Option<Timestamp>,
    /// End of the container.
    pub finished_at: Option<Timestamp>,
    /// What the entrypoint wrote at its end; `None` when it was killed before it could.
    pub message: Option<Internals>,
}

/// The kubelet's reason for a container that was lost with its pod.
pub(crate) const CONTAINER_STATUS_UNKNOWN: &str = "ContainerStatusUnknown";

/// The kubelet's reasons for a container that it could not start, or of which it does not know what became. The
/// message beside them is the kubelet's.
pub(crate) fn never_ran(reason: &str) -> bool {
    matches!(
        reason,
        "StartError" | "ContainerCannotRun" | CONTAINER_STATUS_UNKNOWN
    )
}

/// Was it this container that failed, whatever becomes of its pod? Exit codes 127 and 128 are the kubelet's for a
/// container that it could not start (row 10a).
pub(crate) fn is_decided_at_once(exit_code: i32, reason: Option<&str>) -> bool {
    matches!(exit_code, 127 | 128)
        || matches!(
            reason,
            Some("OOMKilled" | "StartError" | "ContainerCannotRun")
        )
}

impl Terminated {
    /// See [`never_ran`].
    pub(crate) fn never_ran(&self) -> bool {
        self.reason.as_deref().is_some_and(never_ran)
    }

    /// It ended with 0, and was not killed for its memory.
    pub(crate) fn succeeded(&self) -> bool {
        self.exit_code == 0 && self.reason.as_deref() != Some("OOMKilled")
    }

    /// The entrypoint's message, if something of it is left that says how the step ended.
    pub(crate) fn internals(&self) -> Option<&Internals> {
        let killed = self.reason.as_deref() == Some("OOMKilled");
        let says_nothing = |message: &Internals| killed && message.is_empty();
        let message = self.message.as_ref().filter(|_| !self.never_ran());
        message.filter(|message| !says_nothing(message))
    }

    /// See [`is_decided_at_once`].
    pub(crate) fn is_decided_at_once(&self) -> bool {
        is_decided_at_once(self.exit_code, self.reason.as_deref())
    }
}

/// The entrypoint's own entries in a termination message (tekton-semantics §2).
///
/// A message that the kubelet cut short gives what could still be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Internals {
    /// `StartedAt`: when the step really started.
    pub started_at: Option<Timestamp>,
    /// `Reason`: `Skipped`, `TimeoutExceeded` or `Cancelled`.
    pub reason: Option<Arc<str>>,
    /// `ExitCode`: the command failed under `onError: continue`.
    pub exit_code: Option<i32>,
    /// The message was cut: a missing entry may be a lost one.
    pub truncated: bool,
}

impl Internals {
    fn is_empty(&self) -> bool {
        self.started_at.is_none() && self.reason.is_none() && self.exit_code.is_none()
    }
}

/// One TaskRun, reduced to what finishes its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRunSnapshot {
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `status.retriesStatus`, oldest first.
    pub archived: Vec<Attempt>,
    /// `status` itself. Its steps are stale while its pod has not reported.
    pub current: Attempt,
}

/// One attempt of a TaskRun as its status tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// `podName`; empty before a pod exists.
    pub pod_name: Arc<str>,
    /// The condition `Succeeded`, when it is no longer `Unknown`.
    pub done: Option<Done>,
    /// `steps`.
    pub steps: Vec<ReportedStep>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The condition's reason, such as `Succeeded`, `StepFailed` or `TaskRunCancelled`.
    pub reason: Arc<str>,
    /// `completionTime`.
    pub at: Option<Timestamp>,
    /// The step that the condition's message blames for an image that could not be pulled.
    pub image_error_step: Option<Arc<str>>,
}

/// An entry of `status.steps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedStep {
    /// Container name; made from the step's name where Tekton has not filled it in yet.
    pub container: Arc<str>,
    /// It was `running` when Tekton last looked.
    pub running: bool,
    /// The end, when it is `terminated`.
    pub ended: Option<ReportedEnd>,
}

/// `status.steps[].terminated` with `terminationReason`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportedEnd {
    /// Exit code of the step.
    pub exit_code: i32,
    /// `terminationReason`, else the container's reason.
    pub reason: Arc<str>,
    /// There is a `terminationReason`: the entrypoint had left a message.
    pub by_entrypoint: bool,
    /// There is none, but what is left of a message that the kubelet has cut.
    pub truncated: bool,
    /// Start of the step (Tekton puts the entrypoint's time here).
    pub started_at: Option<Timestamp>,
    /// End of the step.
    pub finished_at: Option<Timestamp>,
}

impl Attempt {
    /// The entry of one container.
    #[must_use]
    pub fn step(&self, container: &str) -> Option<&ReportedStep> {
        self.steps.iter().find(|step| &*step.container == container)
    }
}

impl ReportedEnd {
    /// Did Tekton write this end itself when it gave the TaskRun up, instead of reading it from the
    /// pod? Then running and never-started steps look alike (`terminateStepsInPod`).
    #[must_use]
    pub fn is_synthetic(&self, done: &Done) -> bool {
        self.reason == done.reason && &*self.reason != "Succeeded"
    }
}

impl TaskRunSnapshot {
    /// All attempts with their numbers, from 0.
    pub fn attempts(&self) -> impl Iterator<Item = (usize, &Attempt)> {
        self.archived
            .iter()
            .chain(std::iter::once(&self.current))
            .enumerate()
    }

    /// The newest attempt that names this pod.
    #[must_use]
    pub fn attempt_of(&self, pod_name: &str) -> Option<(usize, &Attempt)> {
        self.attempts()
            .filter(|(_, attempt)| &*attempt.pod_name == pod_name)
            .last()
    }
}

impl PodSnapshot {
    /// The latest time that the pod itself tells.
    #[must_use]
    pub fn last_change(&self) -> Option<Timestamp> {
        let of_step = |state: &ContainerState| match state {
            ContainerState::Unknown | ContainerState::Waiting { .. } => None,
            ContainerState::Running { since } => *since,
            ContainerState::Terminated(ended) => ended.finished_at.max(ended.started_at),
        };
        self.steps
            .iter()
            .map(|step| of_step(&step.state))
            .max()
            .flatten()
            .max(self.created)
    }
}
