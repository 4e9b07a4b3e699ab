//! Row 20: what an ended attempt tells when its pod was never seen.

use crate::assess::{End, reported_end};
use crate::snapshot::{Attempt, ReportedStep};
use crate::transition::{Kind, Outcome, SkipCause, Transition};
use jiff::Timestamp;

/// The transitions of an attempt, from its TaskRun alone. `fallback` is the time of what has none.
pub(crate) fn tell_without_pod(
    run_uid: &str,
    number: usize,
    attempt: &Attempt,
    fallback: Timestamp,
) -> Vec<Transition> {
    let mut told = Vec::new();
    // Among the ends that Tekton wrote itself, the first after steps that went well was running.
    let mut all_well = true;
    for (index, step) in attempt.steps.iter().enumerate() {
        let end = end_of(step, attempt, all_well);
        all_well &= match &end.kind {
            Kind::Started | Kind::Succeeded(_) => true,
            Kind::Skipped(_, cause) => *cause == SkipCause::WhenFalse,
            Kind::Failed(outcome) => &*outcome.reason == "Continued",
        };
        let transition = |kind, at| Transition {
            run_uid: run_uid.into(),
            pod_uid: None,
            pod_name: attempt.pod_name.clone(),
            container: step.container.clone(),
            index: u32::try_from(index).unwrap_or(u32::MAX),
            attempt: u32::try_from(number).unwrap_or(u32::MAX),
            kind,
            at,
            start: end.start,
        };
        if let Some(start) = end.start {
            told.push(transition(Kind::Started, start.at));
        }
        told.push(transition(end.kind.clone(), end.at.unwrap_or(fallback)));
    }
    told
}

fn end_of(step: &ReportedStep, attempt: &Attempt, all_well: bool) -> End {
    let done = attempt.done.as_ref();
    if let (Some(end), Some(done)) = (&step.ended, done)
        && !end.is_synthetic(done)
    {
        return reported_end(end);
    }
    let at = done.and_then(|done| done.at);
    let reason = done.map(|done| &*done.reason).unwrap_or_default();
    let blamed = done.and_then(|done| done.blamed_step.as_deref());
    let failed = match blamed {
        Some(blamed) => blamed == crate::snapshot::step_name(&step.container),
        None => all_well && (step.ended.is_some() || step.running),
    };
    let kind = if failed {
        Kind::Failed(Outcome {
            exit_code: None,
            reason: reason.into(),
        })
    } else {
        let outcome = Outcome {
            exit_code: None,
            reason: "Skipped".into(),
        };
        Kind::Skipped(outcome, SkipCause::NeverStarted)
    };
    End {
        kind,
        start: None,
        at,
    }
}
