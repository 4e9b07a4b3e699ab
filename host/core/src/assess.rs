//! The truth table: what one step's evidence means (tekton-semantics §6, row numbers below).

use crate::diff::{Marks, PodView};
use crate::snapshot::{
    Attempt, ContainerState, Done, Gate, Inference, InitFailure, Internals, ReportedEnd, StepSeen,
    Terminated,
};
use crate::transition::{Kind, Outcome, SkipCause, Start, StartSource};
use jiff::Timestamp;

/// What is known of one step now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Assessment {
    /// Its turn has not come (rows 1, 2).
    Waiting,
    /// Its command runs (rows 3, 4).
    Running(Start, Inference),
    /// It is over, but who ended it, or how, may still be told: wait this patience out.
    Pending(Patience),
    /// It is over.
    Ended(End),
}

/// How long better evidence is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The other watch is a moment behind.
    Short,
    /// A pod is being terminated, which takes up to its grace period.
    Long,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// What it becomes.
    pub(crate) kind: Kind,
    /// Set when the command did run.
    pub(crate) start: Option<Start>,
    /// When; `None` when no one says.
    pub(crate) at: Option<Timestamp>,
}

/// Assesses step `index` of a pod.
pub(crate) fn assess(view: &PodView<'_>, index: usize, marks: Marks) -> Assessment {
    let Some(step) = view.pod.steps.get(index) else {
        return Assessment::Waiting;
    };
    let case = Case {
        view,
        index,
        step,
        marks,
    };
    match &step.state {
        ContainerState::Terminated(ended) => match &ended.message {
            Some(message) => case.told_by_entrypoint(ended, message),
            None => case.killed(ended),
        },
        ContainerState::Running { since } if case.eligible() && !view.gone => {
            match case.close_unfinished() {
                Assessment::Waiting => match case.inferred_start(*since) {
                    Some(start) => Assessment::Running(start, step.inference),
                    None => Assessment::Waiting,
                },
                closed => closed,
            }
        }
        ContainerState::Unknown
        | ContainerState::Waiting { .. }
        | ContainerState::Running { .. } => case.close_unfinished(),
    }
}

/// One step in its surroundings.
struct Case<'a> {
    view: &'a PodView<'a>,
    index: usize,
    step: &'a StepSeen,
    marks: Marks,
}

impl Case<'_> {
    /// Has the step's turn come? (`elig` in the table.)
    fn eligible(&self) -> bool {
        match self.step.gate {
            Gate::Open => true,
            Gate::Ready => self.view.pod.ready,
            Gate::Predecessor => self.predecessor().is_none_or(|end| end.exit_code == 0),
        }
    }

    fn predecessor(&self) -> Option<Terminated> {
        let before = self.view.pod.steps.get(self.index.checked_sub(1)?)?;
        match &before.state {
            ContainerState::Terminated(ended) => Some(ended.clone()),
            // Not ended: no exit code that would open the gate.
            ContainerState::Unknown
            | ContainerState::Waiting { .. }
            | ContainerState::Running { .. } => Some(Terminated {
                exit_code: -1,
                ..Terminated::default()
            }),
        }
    }

    /// The best start known before the step reports its own (§5).
    fn inferred_start(&self, container_start: Option<Timestamp>) -> Option<Start> {
        let at = match self.step.gate {
            Gate::Open => container_start,
            Gate::Ready => container_start.max(self.view.pod.containers_started),
            Gate::Predecessor => self
                .predecessor()
                .and_then(|end| end.finished_at)
                .max(container_start),
        }?;
        Some(Start {
            at,
            source: StartSource::Inferred,
        })
    }

    fn start_of(&self, ended: &Terminated, message: Option<&Internals>) -> Option<Start> {
        match message.and_then(|message| message.started_at) {
            Some(at) => Some(Start {
                at,
                source: StartSource::Entrypoint,
            }),
            None => self.inferred_start(ended.started_at),
        }
    }

    /// Rows 5 to 8: the entrypoint wrote its message.
    fn told_by_entrypoint(&self, ended: &Terminated, message: &Internals) -> Assessment {
        if message.reason.as_deref() == Some("Skipped") || self.lost_skip(ended, message) {
            let cause = if ended.exit_code == 0 {
                SkipCause::WhenFalse
            } else {
                SkipCause::PreviousStepFailed
            };
            return skipped(cause, "Skipped", Some(ended.exit_code), ended.finished_at);
        }
        let start = self.start_of(ended, Some(message));
        let failed = |exit_code, reason: &str| {
            Assessment::Ended(End {
                kind: Kind::Failed(outcome(Some(exit_code), reason)),
                start,
                at: ended.finished_at,
            })
        };
        let container_reason = ended.reason.as_deref();
        if container_reason == Some("OOMKilled") {
            return failed(ended.exit_code, "OOMKilled");
        }
        if let Some(exit_code) = message.exit_code {
            // Cancelled under `onError: continue`: it is Tekton's end all the same (decision 4).
            return match self.who_ended_it() {
                Ender::Unknown => Assessment::Pending(Patience::Short),
                Ender::Tekton(reason) => failed(exit_code, reason),
                Ender::Itself => failed(exit_code, "Continued"),
            };
        }
        if ended.exit_code == 0 {
            return Assessment::Ended(End {
                kind: Kind::Succeeded(outcome(Some(0), container_reason.unwrap_or("Completed"))),
                start,
                at: ended.finished_at,
            });
        }
        if let Some(reason) = &message.reason {
            return failed(ended.exit_code, reason);
        }
        match self.who_ended_it() {
            Ender::Unknown => Assessment::Pending(Patience::Short),
            Ender::Tekton(reason) => failed(ended.exit_code, reason),
            Ender::Itself => failed(ended.exit_code, container_reason.unwrap_or("Error")),
        }
    }

    /// A message that was cut loses its last entries, `Reason: Skipped` among them: a step after a
    /// failed one that ended like a skipped one was skipped.
    fn lost_skip(&self, ended: &Terminated, message: &Internals) -> bool {
        message.cut
            && message.reason.is_none()
            && message.started_at.is_none()
            && ended.exit_code == 1
            && !self.marks.started
            && !self.eligible()
    }

    /// Rows 9 and 10: the container ended and its entrypoint said nothing.
    fn killed(&self, ended: &Terminated) -> Assessment {
        let ender = self.who_ended_it();
        // Where the whole pod has ended, the TaskRun is about to say why.
        let pod_over = self.view.pod.phase.is_final() && !self.view.disowned;
        let why_unknown = pod_over && self.verdict().is_none() && !self.view.final_word;
        if ender == Ender::Unknown || why_unknown {
            return Assessment::Pending(Patience::Short);
        }
        if self.image_failed() {
            return self.image_failure(ended.finished_at);
        }
        if !self.marks.started && (!self.eligible() || never_ran(ended)) {
            return self.never_started(ended.finished_at);
        }
        if ended.exit_code == 0 && ended.reason.as_deref() != Some("OOMKilled") {
            // Its message was lost, not its end.
            return Assessment::Ended(End {
                kind: Kind::Succeeded(outcome(Some(0), "Completed")),
                start: self.start_of(ended, None),
                at: ended.finished_at,
            });
        }
        let reason = match ender {
            Ender::Tekton(reason) => reason,
            Ender::Itself | Ender::Unknown => match (&ended.reason, &self.view.pod.reason) {
                (Some(reason), _) if &**reason == "OOMKilled" => reason,
                (_, Some(pod_reason)) => pod_reason,
                (Some(reason), None) => reason,
                (None, None) => "Error",
            },
        };
        Assessment::Ended(End {
            kind: Kind::Failed(outcome(Some(ended.exit_code), reason)),
            start: self.start_of(ended, None),
            at: ended.finished_at,
        })
    }

    /// A container that ended with an error while its pod is being deleted was most likely killed
    /// by Tekton (cancel, timeout), which only the TaskRun's own end can confirm.
    fn who_ended_it(&self) -> Ender<'_> {
        let view = self.view;
        match self.verdict() {
            Some((done, reported)) => match reported {
                Some(end) if end.is_synthetic(done) => Ender::Tekton(&done.reason),
                Some(_) | None => Ender::Itself,
            },
            None if view.final_word || view.disowned => Ender::Itself,
            None if !(view.pod.deleting || view.gone) => Ender::Itself,
            None => Ender::Unknown,
        }
    }

    fn verdict(&self) -> Option<(&Done, Option<&ReportedEnd>)> {
        let attempt: &Attempt = self.view.verdict?;
        let done = attempt.done.as_ref()?;
        let reported = attempt
            .step(&self.step.container)
            .and_then(|step| step.ended.as_ref());
        Some((done, reported))
    }

    /// Rows 12 to 16: the container reports no end. Is there anything left that could?
    fn close_unfinished(&self) -> Assessment {
        let view = self.view;
        let started = self.marks.started;
        if view.pod.init_failure.is_some() && !started && (view.pod.phase.is_final() || view.gone) {
            return self.never_started(None);
        }
        let verdict = self.verdict();
        let frozen = matches!(verdict, Some((_, None)));
        let over = view.gone || view.pod.phase.is_final() || verdict.is_some();
        if !over {
            return Assessment::Waiting;
        }
        // Row 16: Tekton is done with a step that it last saw waiting for its turn.
        let abandoned = frozen && !self.marks.started && !self.eligible();
        let nobody_left = view.gone && (verdict.is_some() || view.disowned);
        if !(view.final_word || abandoned || nobody_left) {
            let terminating = view.pod.deleting || view.pod.cancel_requested;
            return Assessment::Pending(if terminating && !view.gone {
                Patience::Long
            } else {
                Patience::Short
            });
        }
        self.close(verdict)
    }

    /// Rows 13 and 14: no more evidence will come from the pod.
    fn close(&self, verdict: Option<(&Done, Option<&ReportedEnd>)>) -> Assessment {
        let at = verdict.and_then(|(done, _)| done.at);
        if let Some((done, Some(end))) = verdict
            && !end.is_synthetic(done)
        {
            return Assessment::Ended(reported_end(end));
        }
        if self.image_failed() {
            return self.image_failure(at);
        }
        let running = matches!(self.step.state, ContainerState::Running { .. });
        if !(self.marks.started || (running && self.eligible())) {
            return self.never_started(at);
        }
        let reason = match (&self.view.pod.reason, verdict) {
            (Some(pod_reason), _) => pod_reason,
            (None, Some((done, _))) => &done.reason,
            (None, None) => "PodDeleted",
        };
        let exit_code = verdict
            .and_then(|(_, reported)| reported)
            .map(|end| end.exit_code);
        let since = match &self.step.state {
            ContainerState::Running { since } => *since,
            ContainerState::Unknown
            | ContainerState::Waiting { .. }
            | ContainerState::Terminated(_) => None,
        };
        Assessment::Ended(End {
            kind: Kind::Failed(outcome(exit_code, reason)),
            start: self.inferred_start(since),
            at,
        })
    }

    /// Decision 3: the step whose image cannot be had fails without having started.
    fn image_failed(&self) -> bool {
        let blamed = self
            .verdict()
            .and_then(|(done, _)| done.blamed_step.as_deref())
            == Some(self.step.name());
        !self.marks.started && (blamed || self.marks.image_error)
    }

    fn image_failure(&self, at: Option<Timestamp>) -> Assessment {
        let verdict = self.verdict();
        let reason = verdict.map_or("ImagePullFailed", |(done, _)| &*done.reason);
        // The container never ran: an exit code in its status is the kubelet's stand-in.
        let exit_code = verdict
            .and_then(|(_, reported)| reported)
            .map(|end| end.exit_code);
        Assessment::Ended(End {
            kind: Kind::Failed(outcome(exit_code, reason)),
            start: None,
            at: at.or(verdict.and_then(|(done, _)| done.at)),
        })
    }

    fn never_started(&self, at: Option<Timestamp>) -> Assessment {
        let done = self.verdict().map(|(done, _)| done);
        let cause = match (self.view.pod.init_failure, done.map(|done| &*done.reason)) {
            (Some(InitFailure::OutOfMemory), _) | (None, Some("InitContainerOOM")) => {
                SkipCause::InitContainerOom
            }
            (Some(InitFailure::Error), _) | (None, Some("InitContainerFailed")) => {
                SkipCause::InitContainerFailed
            }
            (None, _) => SkipCause::NeverStarted,
        };
        let reason = done
            .map(|done| &done.reason)
            .or(self.view.pod.reason.as_ref());
        let at = at.or(done.and_then(|done| done.at));
        skipped(
            cause,
            reason.map_or("Skipped", |reason| &**reason),
            None,
            at,
        )
    }
}

/// Who ended a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ender<'a> {
    /// The step's own process, the kernel or the kubelet.
    Itself,
    /// Tekton, for this reason.
    Tekton(&'a str),
    /// The TaskRun has not said yet.
    Unknown,
}

/// A container without a start, or whose entrypoint was stopped while it waited for its turn: the
/// Go runtime ends with 2 then (recorded: d-cancel).
fn never_ran(ended: &Terminated) -> bool {
    ended.started_at.is_none() || ended.exit_code == 2
}

fn outcome(exit_code: Option<i32>, reason: &str) -> Outcome {
    Outcome {
        exit_code,
        reason: reason.into(),
    }
}

fn skipped(
    cause: SkipCause,
    reason: &str,
    exit_code: Option<i32>,
    at: Option<Timestamp>,
) -> Assessment {
    Assessment::Ended(End {
        kind: Kind::Skipped(outcome(exit_code, reason), cause),
        start: None,
        at,
    })
}

/// An end that Tekton read from the pod and that the TaskRun still tells (rows 14 and 20).
pub(crate) fn reported_end(end: &ReportedEnd) -> End {
    let done = outcome(Some(end.exit_code), &end.reason);
    if !end.by_entrypoint && end.exit_code == 2 {
        let kind = Kind::Skipped(outcome(None, "Skipped"), SkipCause::NeverStarted);
        return End {
            kind,
            start: None,
            at: end.finished_at,
        };
    }
    // Tekton puts the entrypoint's time here where it has one, else the container's.
    let source = if end.by_entrypoint {
        StartSource::Entrypoint
    } else {
        StartSource::Inferred
    };
    let start = end.started_at.map(|at| Start { at, source });
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
    }
}
