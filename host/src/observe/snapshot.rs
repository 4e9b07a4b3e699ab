//! Slim objects into the core's snapshots: parsed here, once.

use super::intern::Interner;
use super::slim::{
    ContainerStatus, PodSpec, SlimPod, SlimTaskRun, State, StepStatus, TaskRunStatus, Terminated,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use std::sync::Arc;
use step_observer_core as core;
use step_observer_core::{
    Attempt, ContainerState, Done, Gate, Inference, InitFailure, PodPhase, PodSeen, ReportedEnd,
    ReportedStep, StepSeen, TaskRunSeen,
};

/// Prefix of step containers (`IsContainerStep` in Tekton's pkg/pod/status.go).
const STEP_PREFIX: &str = "step-";

/// Who manages TaskRuns unless they say otherwise (`spec.managedBy`).
const TEKTON: &str = "tekton.dev/pipeline";

impl SlimPod {
    /// The TaskRun that controls this pod.
    pub(super) fn owner(&self) -> Option<&OwnerReference> {
        self.metadata
            .owner_references
            .as_ref()?
            .iter()
            .find(|owner| {
                owner.kind == "TaskRun"
                    && owner.api_version.starts_with("tekton.dev/")
                    && owner.controller == Some(true)
            })
    }

    /// The pod as the core sees it; `None` where it is not a TaskRun's.
    pub(super) fn seen(&self, texts: &mut Interner) -> Option<PodSeen> {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let owner = self.owner()?;
        let annotation = |name: &str| metadata.annotations.as_ref().and_then(|all| all.get(name));
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
            .map(|container| StepSeen {
                container: texts.text(&container.name),
                gate: gate(&container.args),
                inference: inference(&container.args),
                state: status_of(&container.name)
                    .map_or(ContainerState::Unknown, |s| state(&s.state)),
            })
            .collect();
        Some(PodSeen {
            uid: texts.text(metadata.uid.as_deref()?),
            name: texts.text(metadata.name.as_deref()?),
            run_uid: texts.text(&owner.uid),
            created: created(metadata),
            phase: match status.phase.as_deref() {
                Some("Running") => PodPhase::Running,
                Some("Succeeded") => PodPhase::Succeeded,
                Some("Failed") => PodPhase::Failed,
                Some(_) | None => PodPhase::Pending,
            },
            reason: status.reason.clone(),
            ready: annotation("tekton.dev/ready").is_some_and(|value| value == "READY"),
            cancel_requested: annotation("tekton.dev/cancel")
                .is_some_and(|value| value == "CANCEL"),
            deleting: metadata.deletion_timestamp.is_some(),
            deletion_requested: deletion_requested(metadata),
            containers_started: status
                .container_statuses
                .iter()
                .filter_map(|s| container_start(&s.state))
                .max(),
            init_failure: status
                .init_container_statuses
                .iter()
                // Native sidecars are init containers too; their end says nothing about the steps.
                .filter(|status| !is_sidecar(spec, &status.name))
                .find_map(init_failure),
            steps,
        })
    }
}

fn created(metadata: &ObjectMeta) -> Option<jiff::Timestamp> {
    metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn is_sidecar(spec: &PodSpec, name: &str) -> bool {
    let container = spec
        .init_containers
        .iter()
        .find(|container| *container.name == *name);
    container.and_then(|container| container.restart_policy.as_deref()) == Some("Always")
}

fn container_start(state: &State) -> Option<jiff::Timestamp> {
    let running = state
        .running
        .as_ref()
        .and_then(|running| running.started_at);
    running.or_else(|| state.terminated.as_ref()?.started_at)
}

fn deletion_requested(metadata: &ObjectMeta) -> Option<jiff::Timestamp> {
    let grace =
        jiff::SignedDuration::from_secs(metadata.deletion_grace_period_seconds.unwrap_or(0));
    metadata
        .deletion_timestamp
        .as_ref()?
        .0
        .checked_sub(grace)
        .ok()
}

fn init_failure(status: &ContainerStatus) -> Option<InitFailure> {
    let ended = status.state.terminated.as_ref()?;
    match ended.reason.as_deref() {
        Some("OOMKilled") => Some(InitFailure::OutOfMemory),
        _ if ended.exit_code != 0 => Some(InitFailure::Error),
        _ => None,
    }
}

/// The entrypoint's own arguments: all before `--`, which only the step's command follows.
fn entrypoint_args(args: &[Arc<str>]) -> impl Iterator<Item = &str> {
    args.iter().map(|arg| &**arg).take_while(|arg| *arg != "--")
}

fn has_flag(args: &[Arc<str>], flag: &str) -> bool {
    entrypoint_args(args).any(|arg| {
        let name = arg.trim_start_matches('-');
        name == flag
            || name
                .strip_prefix(flag)
                .is_some_and(|rest| rest.starts_with('='))
    })
}

fn gate(args: &[Arc<str>]) -> Gate {
    let file = entrypoint_args(args)
        .skip_while(|arg| arg.trim_start_matches('-') != "wait_file")
        .nth(1);
    match file {
        None => Gate::Open,
        Some(file) if file.starts_with("/tekton/run/") => Gate::Predecessor,
        Some(_) => Gate::Ready,
    }
}

fn inference(args: &[Arc<str>]) -> Inference {
    if has_flag(args, "debug_before_step") {
        Inference::Never
    } else if has_flag(args, "when_expressions") {
        Inference::Delayed
    } else {
        Inference::Immediate
    }
}

fn state(state: &State) -> ContainerState {
    match state {
        State {
            terminated: Some(ended),
            ..
        } => ContainerState::Terminated(terminated(ended)),
        State {
            running: Some(running),
            ..
        } => ContainerState::Running {
            since: running.started_at,
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

fn terminated(ended: &Terminated) -> core::Terminated {
    core::Terminated {
        exit_code: ended.exit_code,
        reason: ended.reason.clone(),
        started_at: ended.started_at,
        finished_at: ended.finished_at,
        message: ended.told().map(|message| message.internals.clone()),
    }
}

impl SlimTaskRun {
    /// The TaskRun as the core sees it; `None` where another controller runs it.
    pub(super) fn seen(&self, texts: &mut Interner) -> Option<TaskRunSeen> {
        if self
            .spec
            .managed_by
            .as_deref()
            .is_some_and(|manager| manager != TEKTON)
        {
            return None;
        }
        Some(TaskRunSeen {
            uid: texts.text(self.metadata.uid.as_deref()?),
            archived: self.status.retries_status.iter().map(attempt).collect(),
            current: attempt(&self.status),
        })
    }
}

fn attempt(status: &TaskRunStatus) -> Attempt {
    let done = done(status);
    // Before the end the steps are not believed: the pod tells.
    let steps = match done {
        Some(_) => status.steps.iter().filter_map(reported_step).collect(),
        None => Vec::new(),
    };
    Attempt {
        pod_name: status.pod_name.clone(),
        done,
        steps,
    }
}

fn done(status: &TaskRunStatus) -> Option<Done> {
    let condition = status
        .conditions
        .iter()
        .find(|condition| &*condition.kind == "Succeeded")?;
    if !matches!(&*condition.status, "True" | "False") {
        return None;
    }
    Some(Done {
        reason: condition.reason.clone(),
        at: status.completion_time,
        blamed_step: blamed_step(&condition.message),
    })
}

/// The step in `the step "b" in TaskRun "r" failed to pull the image …`
/// (pkg/reconciler/taskrun/taskrun.go, checkPodFailed).
fn blamed_step(message: &str) -> Option<Arc<str>> {
    let (name, rest) = message.strip_prefix("the step \"")?.split_once('"')?;
    rest.starts_with(" in TaskRun").then(|| name.into())
}

fn reported_step(step: &StepStatus) -> Option<ReportedStep> {
    let container = if !step.container.is_empty() {
        step.container.clone()
    } else if !step.name.is_empty() {
        format!("{STEP_PREFIX}{}", step.name).into()
    } else {
        // Tekton appends such entries for unnamed steps before the pod reports.
        return None;
    };
    let ended = step.terminated.as_ref().map(|ended| ReportedEnd {
        exit_code: ended.exit_code,
        reason: step
            .termination_reason
            .clone()
            .or_else(|| ended.reason.clone())
            .unwrap_or_else(|| "Error".into()),
        by_entrypoint: step.termination_reason.is_some(),
        started_at: ended.started_at,
        finished_at: ended.finished_at,
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

    fn args(line: &str) -> Vec<Arc<str>> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn gates_are_read_from_the_entrypoint_and_not_from_the_command() {
        assert_eq!(
            gate(&args(
                "-wait_file /tekton/downward/ready -wait_file_content --"
            )),
            Gate::Ready
        );
        assert_eq!(
            gate(&args("-wait_file /tekton/run/0/out -post_file x --")),
            Gate::Predecessor
        );
        assert_eq!(
            gate(&args(
                "-post_file /tekton/run/0/out -- -wait_file /tekton/run/0/out"
            )),
            Gate::Open
        );
        assert_eq!(
            inference(&args("--when_expressions [] -- ls")),
            Inference::Delayed
        );
        assert_eq!(
            inference(&args("-debug_before_step -- ls")),
            Inference::Never
        );
        assert_eq!(
            inference(&args("-post_file x -- --when_expressions")),
            Inference::Immediate
        );
    }

    #[test]
    fn the_blamed_step_is_read_from_the_condition() {
        let message =
            r#"the step "test" in TaskRun "h" failed to pull the image "". The pod errored"#;
        assert_eq!(blamed_step(message).as_deref(), Some("test"));
        assert_eq!(blamed_step("TaskRun \"x\" was cancelled"), None);
    }
}
