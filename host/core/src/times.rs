//! Computes starts and ends of a pod's steps from its status.
//!
//! The entrypoint writes milliseconds and the kubelet whole seconds, each by its own clock. So an end
//! is raised to the start of the same step, and the next step does not start before that end
//! (decision 5).

use crate::diff::{PodView, StepMarks};
use crate::snapshot::{ContainerState, Gate, PodSnapshot, Terminated};
use jiff::Timestamp;

/// Times of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StepTimes {
    /// Best start that is known before the step reports its own (§5).
    pub(crate) inferred_start: Option<Timestamp>,
    /// Earliest time at which the turn of the step can have come, in whole seconds. If the
    /// container ended earlier, its step never ran (row 9).
    pub(crate) turn: Option<Timestamp>,
    /// End of the container, raised to the start of its step.
    end: Option<Timestamp>,
}

/// Computes the times of all steps of a pod, in the order of its spec.
pub(crate) fn of_steps(view: &PodView<'_>, marks: &[StepMarks]) -> Vec<StepTimes> {
    let pod = view.pod;
    let ready = ready_at(view);
    let mut times: Vec<StepTimes> = Vec::with_capacity(pod.steps.len());
    for (index, step) in pod.steps.iter().enumerate() {
        let before = index.checked_sub(1);
        let container_start = container_start(&step.state);
        let (turn, earliest) = match step.gate {
            Gate::Open => (None, None),
            Gate::Ready => {
                // Only a killed container may have ended before READY: a container with exit code 0
                // has run its step.
                let killed = ended(pod, index).is_some_and(|ended| !ended.succeeded());
                (
                    pod.containers_started.max(ready.filter(|_| killed)),
                    pod.containers_started
                        .max(ready.filter(|at| is_start(pod, *at))),
                )
            }
            Gate::Predecessor => (
                before.and_then(|before| ended(pod, before)?.finished_at),
                before.and_then(|before| times.get(before)?.end),
            ),
        };
        let inferred_start = container_start.max(earliest);
        let end = ended(pod, index).and_then(|ended| {
            let exact = ended.internals().and_then(|message| message.started_at);
            let emitted = marks.get(index).and_then(StepMarks::started);
            ended
                .finished_at
                .max(inferred_start)
                .max(exact)
                .max(emitted)
        });
        times.push(StepTimes {
            inferred_start,
            turn,
            end,
        });
    }
    times
}

fn ended(pod: &PodSnapshot, index: usize) -> Option<&Terminated> {
    match &pod.steps.get(index)?.state {
        ContainerState::Terminated(ended) => Some(ended),
        ContainerState::Unknown
        | ContainerState::Waiting { .. }
        | ContainerState::Running { .. } => None,
    }
}

fn container_start(state: &ContainerState) -> Option<Timestamp> {
    match state {
        ContainerState::Unknown | ContainerState::Waiting { .. } => None,
        ContainerState::Running { since } => *since,
        ContainerState::Terminated(ended) => ended.started_at,
    }
}

/// Returns the second in which Tekton set the annotation `tekton.dev/ready`, if no later patch has
/// moved the time of that entry in `managedFields` (§1).
fn ready_at(view: &PodView<'_>) -> Option<Timestamp> {
    let pod = view.pod;
    // After the end of the TaskRun, Tekton stops sidecars by patching their images.
    let patched_later = pod.cancel_requested || (pod.has_sidecars && view.verdict.is_some());
    pod.ready_at
        .filter(|_| pod.ready && !patched_later)
        .filter(|at| pod.containers_started.is_none_or(|started| started <= *at))
}

/// Returns true if the first step can have started at `at`: its container had not ended by then.
fn is_start(pod: &PodSnapshot, at: Timestamp) -> bool {
    let end = ended(pod, 0).and_then(|ended| ended.finished_at);
    end.is_none_or(|end| at <= end)
}
