//! Derives ends of steps from the TaskRun's status, if the pod does not show them (rows 14, 20).

use crate::assess::{End, outcome};
use crate::snapshot::{
    Attempt, CONTAINER_STATUS_UNKNOWN, ReportedEnd, ReportedStep, is_decided_at_once, never_ran,
    step_name,
};
use crate::transition::{Kind, PodOrder, SkipCause, Start, StartSource, Transition};
use jiff::Timestamp;

/// Reason of the TaskRun's condition if the kubelet evicted the pod.
const POD_EVICTED: &str = "PodEvicted";

/// Evidence for a step whose end the TaskRun reports: whether and when the turn of the step came
/// (the step was allowed to run).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TurnEvidence {
    /// `started` of the step was emitted.
    pub(crate) started: bool,
    /// The predecessor ended in a way that lets this step run.
    pub(crate) came: bool,
    /// The turn of the step did not come before this time, which is in whole seconds.
    pub(crate) since: Option<Timestamp>,
    /// Lower bound of the start.
    pub(crate) start: Option<Timestamp>,
    /// All containers ended with their pod (row 10a).
    pub(crate) ended_with_pod: bool,
    /// An earlier step failed, and its entrypoint wrote the file that later steps wait for.
    pub(crate) after_failure: bool,
    /// The predecessor failed, and the entrypoint writes no `Reason` (Tekton before 0.57): exit code 1 means that the
    /// step was skipped (§2).
    pub(crate) one_is_skipped: bool,
}

/// Derives the transitions of an attempt from its TaskRun alone. `fallback` is the time of each end
/// that the TaskRun reports without a time.
pub(crate) fn from_task_run(
    run_uid: &str,
    number: usize,
    attempt: &Attempt,
    fallback: Timestamp,
) -> Vec<Transition> {
    let mut found = Vec::new();
    let evicted = (attempt.done.as_ref()).is_some_and(|done| &*done.reason == POD_EVICTED);
    let mut turn = TurnEvidence {
        came: true,
        ended_with_pod: evicted,
        ..TurnEvidence::default()
    };
    // The step that ran is the first one with a synthetic end, if all steps before it went well.
    let mut all_well = true;
    let mut last_end = None;
    let without_reasons = attempt.is_without_reasons();
    for (index, step) in attempt.steps.iter().enumerate() {
        let mut end = end_of(step, attempt, turn, all_well);
        end.at = end.at.or(attempt.done.as_ref().and_then(|done| done.at));
        let at = end.time(fallback);
        let continued = |reason: &str| reason == "Continued";
        all_well &= match &end.kind {
            Kind::Started | Kind::Succeeded(_) => true,
            Kind::Skipped(_, cause) => *cause == SkipCause::WhenFalse,
            Kind::Failed(outcome) => continued(&outcome.reason),
        };
        let failed = matches!(&end.kind, Kind::Failed(outcome) if !continued(&outcome.reason));
        let genuine = step.ended.as_ref().filter(|end| is_genuine(end, attempt));
        let with_message = genuine.is_some_and(|end| end.by_entrypoint || end.truncated);
        turn = TurnEvidence {
            // A reported exit code 0 lets the next step run. So does `Continued`: under `onError:
            // continue`, the container exits with 0.
            came: genuine.is_some_and(|end| end.exit_code == 0 || continued(&end.reason)),
            since: genuine.and_then(|end| end.finished_at),
            start: genuine.map(|_| at),
            after_failure: turn.after_failure || (failed && with_message),
            one_is_skipped: without_reasons
                && genuine.is_some_and(|end| end.exit_code != 0 && !continued(&end.reason)),
            ..turn
        };
        let transition = |kind, at| Transition {
            run_uid: run_uid.into(),
            pod_uid: None,
            pod_name: attempt.pod_name.clone(),
            pod_order: PodOrder::default(),
            container: step.container.clone(),
            index: u32::try_from(index).unwrap_or(u32::MAX),
            attempt: u32::try_from(number).unwrap_or(u32::MAX),
            kind,
            at,
            start: end.start,
            waits_from: last_end,
        };
        if let Some(start) = end.start {
            found.push(transition(Kind::Started, start.at));
        }
        found.push(transition(end.kind.clone(), at));
        last_end = Some(at);
    }
    found
}

fn is_genuine(end: &ReportedEnd, attempt: &Attempt) -> bool {
    let done = attempt.done.as_ref();
    done.is_some_and(|done| !end.is_synthetic(done))
}

fn end_of(step: &ReportedStep, attempt: &Attempt, turn: TurnEvidence, all_well: bool) -> End {
    if let Some(end) = step.ended.as_ref().filter(|end| is_genuine(end, attempt)) {
        return reported_end(end, turn);
    }
    let done = attempt.done.as_ref();
    let reason = done.map(|done| &*done.reason).unwrap_or_default();
    let image_error = done.and_then(|done| done.image_error_step.as_deref());
    let failed = match image_error {
        Some(image_error) => image_error == step_name(&step.container),
        None => all_well && (step.ended.is_some() || step.running),
    };
    let kind = match failed {
        true => Kind::Failed(outcome(None, reason)),
        false => Kind::Skipped(outcome(None, "Skipped"), SkipCause::NeverStarted),
    };
    End {
        kind,
        start: None,
        at: done.and_then(|done| done.at),
        not_before: None,
    }
}

/// Derives the end of a step from a genuine end: one that Tekton has read from the pod (§3).
pub(crate) fn reported_end(end: &ReportedEnd, turn: TurnEvidence) -> End {
    match end.by_entrypoint {
        true => with_message(end, turn),
        false => without_message(end, turn),
    }
}

/// Rows 5 to 8: the entrypoint left a message. Tekton has replaced the container's start with the
/// start that the entrypoint wrote.
fn with_message(end: &ReportedEnd, turn: TurnEvidence) -> End {
    let done = outcome(Some(end.exit_code), &end.reason);
    let start = end.started_at.map(|at| Start {
        at,
        source: StartSource::Entrypoint,
    });
    let (kind, start) = match &*end.reason {
        "Skipped" if end.exit_code == 0 => (Kind::Skipped(done, SkipCause::WhenFalse), None),
        "Skipped" => (Kind::Skipped(done, SkipCause::PreviousStepFailed), None),
        "OOMKilled" => (Kind::Failed(done), start),
        _ if end.exit_code == 0 => (Kind::Succeeded(done), start),
        _ => (Kind::Failed(done), start),
    };
    End {
        kind,
        start,
        at: end.finished_at,
        not_before: start.map(|start| start.at.max(turn.start.unwrap_or(start.at))),
    }
}

/// Rows 9 and 10: the entrypoint left no message.
fn without_message(end: &ReportedEnd, turn: TurnEvidence) -> End {
    let in_its_turn = |at: Timestamp| turn.since.is_none_or(|since| since <= at);
    let ran = turn.started
        || (turn.came
            && !never_ran(&end.reason)
            && end.started_at.is_some()
            && end.finished_at.is_some_and(in_its_turn));
    let succeeded = end.exit_code == 0 && &*end.reason != "OOMKilled";
    let done = outcome(Some(end.exit_code), &end.reason);
    let start = end.started_at.max(turn.start).filter(|_| ran);
    let kind = if turn.one_is_skipped && end.exit_code == 1 && !ran && !never_ran(&end.reason) {
        Kind::Skipped(outcome(Some(1), "Skipped"), SkipCause::PreviousStepFailed)
    } else if ran && succeeded {
        Kind::Succeeded(done)
    } else if ran || is_failure(end, turn, succeeded) {
        Kind::Failed(done)
    } else if end.truncated && end.exit_code == 1 {
        // The entry `Reason: Skipped` is the last one of the message, so it was lost when the
        // kubelet truncated the message.
        Kind::Skipped(outcome(Some(1), "Skipped"), SkipCause::PreviousStepFailed)
    } else {
        Kind::Skipped(outcome(None, "Skipped"), SkipCause::NeverStarted)
    };
    End {
        kind,
        start: start.map(|at| Start {
            at,
            source: StartSource::Inferred,
        }),
        at: end.finished_at,
        not_before: start,
    }
}

/// Row 10: returns true if the TaskRun fails because of this container, which never ran its step.
fn is_failure(end: &ReportedEnd, turn: TurnEvidence, succeeded: bool) -> bool {
    if is_decided_at_once(end.exit_code, Some(&end.reason)) {
        return true;
    }
    // A step that waits while an earlier step fails normally ends with the message `Skipped`. If
    // that message was truncated, or if a signal ended the entrypoint before it wrote it (exit
    // codes 2 and 143), the container does not make the TaskRun fail: it is treated like one that
    // ended with its pod.
    let stopped = matches!(end.exit_code, 2 | 143) || (end.truncated && end.exit_code == 1);
    let stopped_too = stopped && turn.after_failure && end.finished_at >= turn.since;
    let lost = &*end.reason == CONTAINER_STATUS_UNKNOWN;
    !(succeeded || lost || turn.ended_with_pod || stopped_too)
}
