//! Snapshots of Pods and TaskRuns, parsed once into types that only hold valid states.
//!
//! All times were written by the cluster; this crate reads no clock.

use jiff::Timestamp;
use std::sync::Arc;

/// One Pod of a TaskRun, reduced to the evidence about its steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSnapshot {
    /// `metadata.uid`: the identity of an execution. A retry and a re-created pod are new executions.
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
    /// Time of the entry of `tekton.dev/ready` in `managedFields`; a later patch by the same
    /// manager moves it (§1).
    pub ready_at: Option<Timestamp>,
    /// Annotation `tekton.dev/cancel: CANCEL`: the pod is not deleted, and later shows the real
    /// ends of its steps (§4).
    pub cancel_requested: bool,
    /// `metadata.deletionTimestamp` is set.
    pub deleting: bool,
    /// Time of the deletion request: `deletionTimestamp` minus the grace period.
    pub deletion_requested: Option<Timestamp>,
    /// Time since which the condition `DisruptionTarget` is true: the pod is evicted, preempted or
    /// deleted with its node.
    pub disrupted_at: Option<Timestamp>,
    /// Earliest start of a step container. If a container could not start, its end counts as its
    /// start.
    pub first_container_started: Option<Timestamp>,
    /// Latest start of a container, sidecars included. READY is set after it. Restarts that Tekton
    /// causes to stop sidecars do not count.
    pub containers_started: Option<Timestamp>,
    /// True if the pod has containers that are not steps.
    pub has_sidecars: bool,
    /// An init container ended with an error.
    pub init_failure: Option<InitFailure>,
    /// End of that init container.
    pub init_failed_at: Option<Timestamp>,
    /// True if the entrypoint is known to write no `Reason`: that of Tekton before 0.57 (§2).
    pub without_reasons: bool,
    /// Step containers, in the order of the Pod's spec.
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
    /// All containers ended, at least one of them with an error.
    Failed,
}

impl PodPhase {
    /// Returns true for `Succeeded` and `Failed`.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// Failure of an init container, because of which no step can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitFailure {
    /// An init container ended with an exit code other than 0.
    Error,
    /// An init container was OOM-killed.
    OutOfMemory,
}

/// One step container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSnapshot {
    /// Container name: `step-<name>` or `step-unnamed-<index>`.
    pub container: Arc<str>,
    /// Condition for which the entrypoint waits before it runs the command.
    pub gate: Gate,
    /// Whether `started` may be inferred before the step reports its start.
    pub inference: Inference,
    /// `containerStatuses[].state`.
    pub state: ContainerState,
}

impl StepSnapshot {
    /// Returns the name of the step as Tekton reports it: the container's name without `step-`.
    #[must_use]
    pub fn name(&self) -> &str {
        step_name(&self.container)
    }
}

/// Returns the name of the step, from the name of its container (`IsContainerStep` in Tekton's
/// pkg/pod).
#[must_use]
pub fn step_name(container: &str) -> &str {
    container.strip_prefix("step-").unwrap_or(container)
}

/// Condition for which the entrypoint of a step waits (`-wait_file`, §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// No condition: the command runs as soon as the container does.
    Open,
    /// The annotation `tekton.dev/ready`.
    Ready,
    /// The end of the previous step.
    Predecessor,
}

/// Whether, and when, the start of a step may be inferred (§5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inference {
    /// Inferred as soon as it is the turn of the step.
    Immediate,
    /// After a delay: the step has `when` expressions and may be skipped.
    Delayed,
    /// Never: a breakpoint stops the step before it starts.
    Never,
}

/// `containerStatuses[].state`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContainerState {
    /// No state is reported yet.
    #[default]
    Unknown,
    /// The container has not started.
    Waiting {
        /// The kubelet's reason, such as `PodInitializing` or `ImagePullBackOff`.
        reason: Option<Arc<str>>,
    },
    /// The container runs; its step may still wait for its turn (§5).
    Running {
        /// Start of the container, not of the step.
        since: Option<Timestamp>,
    },
    /// The container ended.
    Terminated(Terminated),
}

/// Returns true for waiting reasons that are image or configuration errors (§4).
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
    /// Message of the entrypoint; `None` if the entrypoint was killed before it wrote one.
    pub message: Option<Internals>,
}

/// The kubelet's reason for a container whose state it does not know (§4).
pub(crate) const CONTAINER_STATUS_UNKNOWN: &str = "ContainerStatusUnknown";

/// Returns true for the kubelet's reasons for a container that it could not start or whose state it
/// does not know. The message beside such a reason is the kubelet's, not the entrypoint's.
pub(crate) fn never_ran(reason: &str) -> bool {
    matches!(
        reason,
        "StartError" | "ContainerCannotRun" | CONTAINER_STATUS_UNKNOWN
    )
}

/// Returns true if the container failed by itself, whatever happens to its pod later (row 10a). The
/// kubelet reports exit codes 127 and 128 for a container that it could not start.
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

    /// Returns true if the container ended with exit code 0 and was not OOM-killed.
    pub(crate) fn succeeded(&self) -> bool {
        self.exit_code == 0 && self.reason.as_deref() != Some("OOMKilled")
    }

    /// Returns the entrypoint's message, if it holds evidence of the step's end.
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

/// Internal entries of a termination message, which the entrypoint writes (§2).
///
/// If the kubelet truncated the message, these are the entries that could still be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Internals {
    /// `StartedAt`: the exact start of the step.
    pub started_at: Option<Timestamp>,
    /// `Reason`: `Skipped`, `TimeoutExceeded` or `Cancelled`.
    pub reason: Option<Arc<str>>,
    /// `ExitCode`: the command failed under `onError: continue`.
    pub exit_code: Option<i32>,
    /// The kubelet truncated the message, so a missing entry may have been lost.
    pub truncated: bool,
}

impl Internals {
    fn is_empty(&self) -> bool {
        self.started_at.is_none() && self.reason.is_none() && self.exit_code.is_none()
    }
}

/// One TaskRun, reduced to the evidence about its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRunSnapshot {
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `status.retriesStatus`, oldest first.
    pub archived: Vec<Attempt>,
    /// Attempt in `status` itself. Its steps are stale until its pod has reported (row 17).
    pub current: Attempt,
}

/// One attempt of a TaskRun, as its status shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// `podName`; empty before a pod exists.
    pub pod_name: Arc<str>,
    /// The condition `Succeeded`, once it is no longer `Unknown`.
    pub done: Option<Done>,
    /// `steps`.
    pub steps: Vec<ReportedStep>,
    /// True if the TaskRun is known to be written by Tekton before 0.57, which writes no `terminationReason` (§2).
    pub without_reasons: bool,
}

/// End of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The condition's reason, such as `Succeeded`, `StepFailed` or `TaskRunCancelled`.
    pub reason: Arc<str>,
    /// `completionTime`.
    pub at: Option<Timestamp>,
    /// The step whose image could not be pulled, from the condition's message.
    pub image_error_step: Option<Arc<str>>,
}

/// An entry of `status.steps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedStep {
    /// Container name, derived from the step's name if Tekton has not filled it in yet.
    pub container: Arc<str>,
    /// True if the entry says `running`.
    pub running: bool,
    /// The end, if the entry says `terminated`.
    pub ended: Option<ReportedEnd>,
}

/// The end of a step as the TaskRun reports it: `terminated` and `terminationReason` of an entry of
/// `status.steps`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportedEnd {
    /// Exit code of the step.
    pub exit_code: i32,
    /// `terminationReason`, else the container's reason.
    pub reason: Arc<str>,
    /// True if there is a `terminationReason`: the entrypoint left a message (§3).
    pub by_entrypoint: bool,
    /// True if there is no `terminationReason`, but a part of a message that the kubelet truncated.
    pub truncated: bool,
    /// Start of the step; Tekton writes the entrypoint's time here.
    pub started_at: Option<Timestamp>,
    /// End of the step.
    pub finished_at: Option<Timestamp>,
}

impl Attempt {
    /// Returns true if the entrypoint of this attempt wrote no `Reason`, as before Tekton 0.57.
    ///
    /// If the version is not known, the ends themselves may show it: a step with an exit code that only a command
    /// gives has left a message, of which later versions make a `terminationReason`. (1 and 2 may come from an
    /// entrypoint that failed itself, the codes from 126 on from the kubelet or a signal.)
    pub(crate) fn is_without_reasons(&self) -> bool {
        let Some(done) = &self.done else { return false };
        let mut shows_message = false;
        let ends = self.steps.iter().filter_map(|step| step.ended.as_ref());
        for end in ends.filter(|end| !end.is_synthetic(done)) {
            if end.by_entrypoint || end.truncated {
                return false;
            }
            shows_message |= matches!(end.exit_code, 0 | 3..=125)
                && !never_ran(&end.reason)
                && &*end.reason != "OOMKilled";
        }
        self.without_reasons || shows_message
    }

    /// Returns the entry of one container.
    #[must_use]
    pub fn step(&self, container: &str) -> Option<&ReportedStep> {
        self.steps.iter().find(|step| &*step.container == container)
    }
}

impl ReportedEnd {
    /// Returns true if Tekton wrote this end itself when it failed the TaskRun, instead of reading it
    /// from the pod. Steps that ran and steps that never started then look alike (§4,
    /// `terminateStepsInPod`).
    #[must_use]
    pub fn is_synthetic(&self, done: &Done) -> bool {
        self.reason == done.reason && &*self.reason != "Succeeded"
    }
}

impl TaskRunSnapshot {
    /// Returns all attempts with their numbers, from 0.
    pub fn attempts(&self) -> impl Iterator<Item = (usize, &Attempt)> {
        self.archived
            .iter()
            .chain(std::iter::once(&self.current))
            .enumerate()
    }

    /// Returns the newest attempt that names this pod.
    #[must_use]
    pub fn attempt_of(&self, pod_name: &str) -> Option<(usize, &Attempt)> {
        self.attempts()
            .filter(|(_, attempt)| &*attempt.pod_name == pod_name)
            .last()
    }
}

impl PodSnapshot {
    /// Returns true if the entrypoints of this pod write no `Reason`. A message with one is better evidence than what
    /// the pod says of its version.
    pub(crate) fn is_without_reasons(&self) -> bool {
        let has_reason = |step: &StepSnapshot| match &step.state {
            ContainerState::Terminated(ended) => {
                (ended.message.as_ref()).is_some_and(|message| message.reason.is_some())
            }
            ContainerState::Unknown
            | ContainerState::Waiting { .. }
            | ContainerState::Running { .. } => false,
        };
        self.without_reasons && !self.steps.iter().any(has_reason)
    }

    /// Returns the latest time in the pod's own status.
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
