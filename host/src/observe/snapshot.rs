//! Parses Pods and TaskRuns into the snapshots of the core.

use super::intern::Interner;
use super::metadata::{Metadata, Owner};
use super::slim::{
    Condition, ContainerStatus, PodSpec, PodStatus, RetryStatus, SlimPod, SlimTaskRun, State,
    StepStatus, TaskRunStatus, Terminated,
};
use super::termination_message;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

use step_observer_core::{
    Attempt, ContainerState, Done, InitFailure, Internals, PodPhase, PodSnapshot, ReportedEnd,
    ReportedStep, StepSnapshot, TaskRunSnapshot,
};

/// Prefix of the names of step containers (`IsContainerStep` in Tekton's pkg/pod/status.go).
const STEP_PREFIX: &str = "step-";

/// The value of `spec.managedBy` for TaskRuns that Tekton itself runs.
const TEKTON_CONTROLLER: &str = "tekton.dev/pipeline";

impl SlimPod {
    /// Returns the owner reference of this Pod to the TaskRun that controls it.
    pub(super) fn owner(&self) -> Option<&Owner> {
        self.metadata.task_run()
    }

    /// Returns the snapshot of this Pod at `now`; `None` if no TaskRun controls it.
    pub(super) fn snapshot(&self, now: Timestamp, texts: &mut Interner) -> Option<PodSnapshot> {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let owner = self.owner()?;
        let annotation = |name: &str| metadata.annotations.get(name);
        let times = PlausibleTimes::new(metadata, now);
        let status_of = |name: &str| {
            status
                .container_statuses
                .iter()
                .find(|status| *status.name == *name)
        };
        let steps = spec
            .containers
            .iter()
            .filter(|container| container.name.starts_with(STEP_PREFIX))
            .map(|container| StepSnapshot {
                container: texts.text(&container.name),
                gate: container.entrypoint.gate,
                inference: container.entrypoint.inference,
                state: status_of(&container.name)
                    .map_or(ContainerState::Unknown, |s| state(&s.state, times)),
            })
            .collect();
        let (first_container_started, containers_started) = container_starts(status, times);
        let init_failure = status
            .init_container_statuses
            .iter()
            // Native sidecars are init containers too, but their end does not affect the steps.
            .filter(|status| !is_sidecar(spec, &status.name))
            .find_map(init_failure);
        Some(PodSnapshot {
            uid: texts.share(metadata.uid.as_ref()?),
            name: texts.share(metadata.name.as_ref()?),
            run_uid: texts.share(&owner.uid),
            created: times.created,
            phase: match status.phase.as_deref() {
                Some("Running") => PodPhase::Running,
                Some("Succeeded") => PodPhase::Succeeded,
                Some("Failed") => PodPhase::Failed,
                Some(_) | None => PodPhase::Pending,
            },
            reason: status.reason.clone(),
            ready: annotation("tekton.dev/ready").is_some_and(|value| value == "READY"),
            ready_at: times.cluster_time(metadata.ready_at),
            cancel_requested: annotation("tekton.dev/cancel")
                .is_some_and(|value| value == "CANCEL"),
            deleting: metadata.deletion.is_some(),
            deletion_requested: times.cluster_time(deletion_requested(metadata)),
            // A condition without a time counts as true from the beginning.
            disrupted_at: status
                .disruption
                .map(|found| found.since.unwrap_or(AFTER_EPOCH)),
            first_container_started,
            containers_started,
            has_sidecars: spec
                .containers
                .iter()
                .any(|container| !container.name.starts_with(STEP_PREFIX)),
            init_failure: init_failure.map(|(failure, _)| failure),
            init_failed_at: times.cluster_time(init_failure.and_then(|(_, at)| at)),
            without_reasons: self.is_without_reasons(),
            steps,
        })
    }
}

/// The interval in which a reported time of an object is plausible. A step can write any time into
/// its termination message, and the kubelet reports the Unix epoch for a container that could not
/// start (row 10b).
#[derive(Clone, Copy)]
struct PlausibleTimes {
    created: Option<Timestamp>,
    from: Timestamp,
    to: Timestamp,
}

/// Bounds the difference between the clocks of a node and of the API server.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// The earliest plausible time of an object without a creation time.
const AFTER_EPOCH: Timestamp = Timestamp::constant(1, 0);

impl PlausibleTimes {
    fn new(metadata: &Metadata, now: Timestamp) -> Self {
        let created = metadata.creation_timestamp.filter(|at| AFTER_EPOCH < *at);
        let from = created.and_then(|created| created.checked_sub(CLOCK_SKEW).ok());
        Self {
            created,
            from: from.unwrap_or(AFTER_EPOCH).max(AFTER_EPOCH),
            to: now.checked_add(CLOCK_SKEW).unwrap_or(Timestamp::MAX),
        }
    }

    /// Returns a time that a step wrote, if it is plausible.
    fn step_time(self, time: Option<Timestamp>) -> Option<Timestamp> {
        self.cluster_time(time).filter(|time| *time <= self.to)
    }

    /// Returns a time that a component of the cluster wrote, if it is plausible. The clock of the
    /// observer does not bound it: the transitions of a step must not depend on when they are
    /// observed.
    fn cluster_time(self, time: Option<Timestamp>) -> Option<Timestamp> {
        time.filter(|time| self.from <= *time)
    }
}

fn is_sidecar(spec: &PodSpec, name: &str) -> bool {
    let container = spec
        .init_containers
        .iter()
        .find(|container| *container.name == *name);
    container.and_then(|container| container.restart_policy.as_deref()) == Some("Always")
}

fn container_start(state: &State) -> Option<Timestamp> {
    let running = state
        .running
        .as_ref()
        .and_then(|running| running.started_at);
    running.or_else(|| state.terminated.as_ref()?.started_at)
}

/// Returns when the deletion of an object was requested: `deletionTimestamp` minus the grace period.
fn deletion_requested(metadata: &Metadata) -> Option<Timestamp> {
    let grace_seconds = metadata.deletion_grace_period_seconds.unwrap_or(0);
    let grace_period = SignedDuration::from_secs(grace_seconds);
    metadata.deletion?.at?.checked_sub(grace_period).ok()
}

fn init_failure(status: &ContainerStatus) -> Option<(InitFailure, Option<Timestamp>)> {
    let ended = status.state.terminated.as_ref()?;
    let failure = match ended.reason.as_deref() {
        Some("OOMKilled") => InitFailure::OutOfMemory,
        _ if ended.exit_code != 0 => InitFailure::Error,
        _ => return None,
    };
    Some((failure, ended.finished_at))
}

/// Returns the time at which the first step container started, and the time at which the last of
/// all containers started.
///
/// For the first time, a step container that could not start counts with the time of its end,
/// because later states of the Pod show this end, too. For the second time, other containers that
/// started after the first end of a step do not count: Tekton stops sidecars after the steps by
/// restarting them with another image.
fn container_starts(
    status: &PodStatus,
    times: PlausibleTimes,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let is_step = |container: &&ContainerStatus| container.name.starts_with(STEP_PREFIX);
    let start = |container: &ContainerStatus| times.cluster_time(container_start(&container.state));
    let end = |container: &ContainerStatus| {
        times.cluster_time(
            container
                .state
                .terminated
                .as_ref()
                .and_then(|ended| ended.finished_at),
        )
    };
    let containers = || status.container_statuses.iter();
    let steps = || containers().filter(is_step);
    let first_end = steps().filter_map(end).min();
    let first = steps().filter_map(|step| start(step).or(end(step))).min();
    let last_step = steps().filter_map(start).max();
    let others = containers()
        .filter(|container| !is_step(container))
        .filter_map(start);
    let last_other = others
        .filter(|at| first_end.is_none_or(|end| *at <= end))
        .max();
    (first, last_step.max(last_other))
}

fn state(state: &State, times: PlausibleTimes) -> ContainerState {
    match state {
        State {
            terminated: Some(ended),
            ..
        } => ContainerState::Terminated(terminated(ended, times)),
        State {
            running: Some(running),
            ..
        } => ContainerState::Running {
            since: times.cluster_time(running.started_at),
        },
        State {
            waiting: Some(waiting),
            ..
        } => ContainerState::Waiting {
            reason: waiting.reason.clone(),
        },
        State {
            terminated: None,
            running: None,
            waiting: None,
        } => ContainerState::Unknown,
    }
}

fn terminated(ended: &Terminated, times: PlausibleTimes) -> step_observer_core::Terminated {
    let message = ended.termination_message().map(|message| Internals {
        started_at: times.step_time(message.internals.started_at),
        ..message.internals.clone()
    });
    step_observer_core::Terminated {
        exit_code: ended.exit_code,
        reason: ended.reason.clone(),
        started_at: times.cluster_time(ended.started_at),
        finished_at: times.cluster_time(ended.finished_at),
        message,
    }
}

impl SlimTaskRun {
    /// Returns whether another controller than Tekton's runs this TaskRun.
    fn is_foreign(&self) -> bool {
        let manager = self.spec.managed_by.as_deref();
        manager.is_some_and(|manager| manager != TEKTON_CONTROLLER)
    }

    /// Returns when the last attempt of this TaskRun ended. `None` if an attempt has not ended, if
    /// one of the times is unknown at `now`, or if another controller runs the TaskRun.
    pub(super) fn ended_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_foreign() {
            return None;
        }
        let times = PlausibleTimes::new(&self.metadata, now);
        let end = |conditions: &[Condition], completed: Option<Timestamp>| {
            verdict(conditions)?;
            times.cluster_time(completed)
        };
        let mut last = end(&self.status.conditions, self.status.completion_time)?;
        for attempt in &self.status.retries_status {
            last = last.max(end(&attempt.conditions, attempt.completion_time)?);
        }
        Some(last)
    }

    /// Returns the snapshot of this TaskRun at `now`; `None` if another controller runs it.
    pub(super) fn snapshot(&self, now: Timestamp, texts: &mut Interner) -> Option<TaskRunSnapshot> {
        if self.is_foreign() {
            return None;
        }
        let times = PlausibleTimes::new(&self.metadata, now);
        let TaskRunStatus {
            conditions,
            pod_name,
            completion_time,
            steps,
            retries_status,
            start_time: _,
            task_spec: _,
            span_context: _,
        } = &self.status;
        let without_reasons = self.is_without_reasons();
        let mut archived: Vec<Attempt> = Vec::new();
        for status in retries_status {
            let RetryStatus {
                conditions,
                pod_name,
                completion_time,
                steps,
                start_time: _,
            } = status;
            let mut attempt = attempt(conditions, pod_name, *completion_time, steps, times, texts);
            attempt.without_reasons = without_reasons;
            forget_stale_ends(&mut attempt, archived.last());
            archived.push(attempt);
        }
        let mut current = attempt(conditions, pod_name, *completion_time, steps, times, texts);
        current.without_reasons = without_reasons;
        forget_stale_ends(&mut current, archived.last());
        Some(TaskRunSnapshot {
            uid: texts.share(self.metadata.uid.as_ref()?),
            archived,
            current,
        })
    }
}

fn attempt(
    conditions: &[Condition],
    pod_name: &Arc<str>,
    completed: Option<Timestamp>,
    steps: &[StepStatus],
    times: PlausibleTimes,
    texts: &mut Interner,
) -> Attempt {
    let done = done(conditions, times.cluster_time(completed), texts);
    // The steps count only once the attempt has ended. Until then the Pod is the source.
    let steps = match done {
        Some(_) => steps
            .iter()
            .filter_map(|step| reported_step(step, times))
            .collect(),
        None => Vec::new(),
    };
    Attempt {
        pod_name: texts.share(pod_name),
        done,
        steps,
        without_reasons: false,
    }
}

/// Removes ends of steps that belong to the attempt `before`. Tekton does not clear `status.steps`
/// for a retry, so they stay until the Pod of the new attempt has reported (row 17).
fn forget_stale_ends(attempt: &mut Attempt, before: Option<&Attempt>) {
    let Some(before) = before else { return };
    for step in &mut attempt.steps {
        let stale = before
            .step(&step.container)
            .and_then(|step| step.ended.as_ref());
        let is_stale = |end: &ReportedEnd| end.finished_at.is_some() && stale == Some(end);
        if step.ended.as_ref().is_some_and(is_stale) {
            step.ended = None;
        }
    }
}

/// Returns the condition `Succeeded`, once it is no longer `Unknown`.
pub(super) fn verdict(conditions: &[Condition]) -> Option<&Condition> {
    let condition = conditions
        .iter()
        .find(|condition| &*condition.kind == "Succeeded")?;
    matches!(&*condition.status, "True" | "False").then_some(condition)
}

fn done(
    conditions: &[Condition],
    completed: Option<Timestamp>,
    texts: &mut Interner,
) -> Option<Done> {
    let condition = verdict(conditions)?;
    Some(Done {
        reason: texts.share(&condition.reason),
        at: completed,
        image_error_step: image_error_step(&condition.message),
    })
}

/// Returns the name of the step in a message such as `the step "b" in TaskRun "r" failed to pull
/// the image …` (pkg/reconciler/taskrun/taskrun.go, checkPodFailed).
fn image_error_step(message: &str) -> Option<Arc<str>> {
    let (name, rest) = message.strip_prefix("the step \"")?.split_once('"')?;
    rest.starts_with(" in TaskRun").then(|| name.into())
}

impl Terminated {
    /// Returns the reason `Continued` for a step of a TaskRun without a `terminationReason`, whose command failed under
    /// `onError: continue`: its container ended well, and Tekton has replaced the exit code (§2).
    fn continued(&self) -> Option<&'static str> {
        let ended_well = self.reason.as_deref() == Some("Completed");
        (ended_well && self.exit_code != 0).then_some("Continued")
    }
}

fn reported_step(step: &StepStatus, times: PlausibleTimes) -> Option<ReportedStep> {
    let container = if !step.container.is_empty() {
        step.container.clone()
    } else if !step.name.is_empty() {
        format!("{STEP_PREFIX}{}", step.name).into()
    } else {
        // Tekton appends entries without a container and a name for unnamed steps before the Pod
        // reports.
        return None;
    };
    let ended = step.terminated.as_ref().map(|ended| ReportedEnd {
        exit_code: ended.exit_code,
        reason: step
            .termination_reason
            .as_deref()
            .map(|text| termination_message::reason(text).into())
            .or_else(|| ended.continued().map(Arc::from))
            .or_else(|| ended.reason.clone())
            .unwrap_or_else(|| "Error".into()),
        by_entrypoint: step.termination_reason.is_some(),
        truncated: step.termination_reason.is_none()
            && ended
                .termination_message()
                .is_some_and(|message| message.internals.truncated),
        started_at: match step.termination_reason {
            // Tekton writes the start time from the termination message of the step here.
            Some(_) => times.step_time(ended.started_at),
            None => times.cluster_time(ended.started_at),
        },
        finished_at: times.cluster_time(ended.finished_at),
    });
    let running = step.running.is_some();
    Some(ReportedStep {
        container,
        running,
        ended,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_time_is_ignored() {
        let time = |text: &str| text.parse::<Timestamp>().ok();
        let metadata = Metadata {
            creation_timestamp: time("2026-01-01T12:00:00Z"),
            ..Metadata::default()
        };
        let times = PlausibleTimes::new(&metadata, time("2026-01-01T13:00:00Z").unwrap());
        for (text, is_plausible) in [
            ("1970-01-01T00:00:00Z", false),
            ("2026-01-01T11:54:59Z", false),
            ("2026-01-01T11:55:00Z", true),
            ("2026-01-01T13:05:00Z", true),
            ("2026-01-01T13:05:01Z", false),
        ] {
            assert_eq!(
                times.step_time(time(text)).is_some(),
                is_plausible,
                "{text}"
            );
            let by_cluster = is_plausible || text.starts_with("2026-01-01T13");
            assert_eq!(
                times.cluster_time(time(text)).is_some(),
                by_cluster,
                "{text}"
            );
        }
    }

    #[test]
    fn the_blamed_step_is_read_from_the_condition() {
        let message =
            r#"the step "test" in TaskRun "h" failed to pull the image "". The pod errored"#;
        assert_eq!(image_error_step(message).as_deref(), Some("test"));
        assert_eq!(image_error_step("TaskRun \"x\" was cancelled"), None);
    }
}
