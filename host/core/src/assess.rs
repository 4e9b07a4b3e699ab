//! The truth table (§6): derives the state of one step from the evidence of its pod and TaskRun.

use crate::diff::{PodView, StepMarks};
use crate::reported::{TurnEvidence, reported_end};
use crate::run::LONG_PATIENCE;
use crate::snapshot::{
    Attempt, CONTAINER_STATUS_UNKNOWN, ContainerState, Done, Gate, Inference, InitFailure,
    Internals, ReportedEnd, StepSnapshot, Terminated,
};
use crate::times::StepTimes;
use crate::transition::{Kind, Outcome, SkipCause, Start, StartSource};
use jiff::Timestamp;

/// State of one step, as far as the evidence shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Assessment {
    /// The turn of the step has not come (rows 1, 2).
    Waiting,
    /// The command of the step runs (rows 3, 4).
    Running(Start, Inference),
    /// The step is over, but better evidence of its end may still come within this time.
    Pending(Patience),
    /// The step is over.
    Ended(End),
}

/// Time to wait for better evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// The other watch is late.
    Short,
    /// A pod terminates, which takes up to its grace period.
    Long,
}

/// End of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Kind of the transition: never `Started`.
    pub(crate) kind: Kind,
    /// Start of the step; `None` if its command never ran.
    pub(crate) start: Option<Start>,
    /// Reported time of the end, if there is one.
    pub(crate) at: Option<Timestamp>,
    /// Latest of the known starts of the step, by any clock: a lower bound of the end (decision 5).
    pub(crate) not_before: Option<Timestamp>,
}

impl End {
    /// Returns the time of the event: the reported end, else `fallback`, but not before the start.
    pub(crate) fn time(&self, fallback: Timestamp) -> Timestamp {
        let at = self.at.unwrap_or(fallback);
        self.not_before.map_or(at, |start| at.max(start))
    }
}

/// Derives the state of step `index` of a pod. `times` holds the times of all its steps.
pub(crate) fn assess(
    view: &PodView<'_>,
    times: &[StepTimes],
    index: usize,
    marks: StepMarks,
) -> Assessment {
    let Some(step) = view.pod.steps.get(index) else {
        return Assessment::Waiting;
    };
    let context = StepContext {
        view,
        index,
        step,
        times: times.get(index).copied().unwrap_or_default(),
        marks,
    };
    match &step.state {
        ContainerState::Terminated(ended) => match ended.internals() {
            Some(message) => context.with_message(ended, message),
            None => context.without_message(ended),
        },
        ContainerState::Running { .. } if context.eligible() && !view.gone => {
            match context.close_unfinished() {
                Assessment::Waiting => match context.inferred_start() {
                    Some(start) => Assessment::Running(start, step.inference),
                    None => Assessment::Waiting,
                },
                closed => closed,
            }
        }
        ContainerState::Unknown
        | ContainerState::Waiting { .. }
        | ContainerState::Running { .. } => context.close_unfinished(),
    }
}

/// One step, with the evidence that concerns it.
struct StepContext<'a> {
    view: &'a PodView<'a>,
    index: usize,
    step: &'a StepSnapshot,
    times: StepTimes,
    marks: StepMarks,
}

impl StepContext<'_> {
    /// Returns true if the turn of the step has come (*eligible* in the table).
    fn eligible(&self) -> bool {
        match self.step.gate {
            Gate::Open => true,
            Gate::Ready => self.view.pod.ready,
            Gate::Predecessor => self.predecessor().is_none_or(|state| match state {
                ContainerState::Terminated(ended) => ended.exit_code == 0,
                ContainerState::Unknown
                | ContainerState::Waiting { .. }
                | ContainerState::Running { .. } => false,
            }),
        }
    }

    fn predecessor(&self) -> Option<&ContainerState> {
        let before = self.view.pod.steps.get(self.index.checked_sub(1)?)?;
        Some(&before.state)
    }

    /// Returns true if the step waits forever: the entrypoint of its predecessor ended without
    /// writing a message or the file that this step waits for (§2).
    fn is_shut_out(&self) -> bool {
        let left_word = |state: &ContainerState| matches!(state, ContainerState::Terminated(ended) if ended.internals().is_some());
        self.step.gate == Gate::Predecessor
            && !self.eligible()
            && !self.predecessor().is_some_and(left_word)
    }

    fn has_started(&self) -> bool {
        self.marks.started().is_some()
    }

    /// Returns the best start that is known before the step reports its own (§5).
    fn inferred_start(&self) -> Option<Start> {
        let at = self.marks.started().or(self.times.inferred_start)?;
        Some(Start {
            at,
            source: StartSource::Inferred,
        })
    }

    /// Returns the end of a step whose command ran.
    fn ran(&self, kind: Kind, message: Option<&Internals>, at: Option<Timestamp>) -> Assessment {
        let exact = message.and_then(|message| message.started_at);
        let exact = exact.map(|at| Start {
            at,
            source: StartSource::Entrypoint,
        });
        let start = exact.or(self.inferred_start());
        Assessment::Ended(End {
            kind,
            start,
            at,
            not_before: start.map(|start| start.at).max(self.times.inferred_start),
        })
    }

    /// Rows 5 to 8: the entrypoint left a message.
    fn with_message(&self, ended: &Terminated, message: &Internals) -> Assessment {
        if message.reason.as_deref() == Some("Skipped")
            || self.lost_skip(ended, message)
            || self.skip_without_reason(ended, message)
        {
            let cause = if ended.exit_code == 0 {
                SkipCause::WhenFalse
            } else {
                SkipCause::PreviousStepFailed
            };
            return skipped(cause, "Skipped", Some(ended.exit_code), ended.finished_at);
        }
        let failed = |exit_code, reason: &str| {
            let kind = Kind::Failed(outcome(Some(exit_code), reason));
            self.ran(kind, Some(message), ended.finished_at)
        };
        let container_reason = ended.reason.as_deref();
        if container_reason == Some("OOMKilled") {
            return failed(ended.exit_code, "OOMKilled");
        }
        if let Some(exit_code) = message.exit_code {
            // A cancelled step has the reason of the cancellation, not `Continued`, also under
            // `onError: continue` (decision 4).
            return match self.ended_by() {
                EndedBy::Unknown => Assessment::Pending(Patience::Short),
                EndedBy::Tekton(reason) => failed(exit_code, reason),
                EndedBy::Itself => failed(exit_code, "Continued"),
            };
        }
        if ended.exit_code == 0 {
            let kind = Kind::Succeeded(outcome(Some(0), container_reason.unwrap_or("Completed")));
            return self.ran(kind, Some(message), ended.finished_at);
        }
        if let Some(reason) = &message.reason {
            return failed(ended.exit_code, reason);
        }
        match self.ended_by() {
            EndedBy::Unknown => Assessment::Pending(Patience::Short),
            EndedBy::Tekton(reason) => failed(ended.exit_code, reason),
            EndedBy::Itself => failed(ended.exit_code, container_reason.unwrap_or("Error")),
        }
    }

    /// Returns true if the entrypoint skipped the step, but the entry `Reason: Skipped` is missing
    /// because it is the last one of a truncated message. The evidence is that the predecessor
    /// failed and that the container ended in the same way as the container of a skipped step.
    fn lost_skip(&self, ended: &Terminated, message: &Internals) -> bool {
        message.truncated
            && message.reason.is_none()
            && message.started_at.is_none()
            && ended.exit_code == 1
            && !self.has_started()
            && !self.eligible()
    }

    /// Returns true if an entrypoint of Tekton before 0.57 skipped the step: it ended as a skipped step ends, after a
    /// predecessor that failed, and that version has no entry `Reason` (§2).
    fn skip_without_reason(&self, ended: &Terminated, message: &Internals) -> bool {
        message.reason.is_none()
            && message.exit_code.is_none()
            && ended.exit_code == 1
            && ended.reason.as_deref() != Some("OOMKilled")
            && self.follows_failure_without_reason()
    }

    /// Returns true if the predecessor failed and kept this step from running, and no entrypoint of this pod writes a
    /// `Reason`.
    fn follows_failure_without_reason(&self) -> bool {
        let failed = |state: &ContainerState| matches!(state, ContainerState::Terminated(ended) if ended.exit_code != 0);
        self.view.pod.is_without_reasons()
            && self.step.gate == Gate::Predecessor
            && !self.has_started()
            && self.predecessor().is_some_and(failed)
    }

    /// Rows 9 and 10: the container ended, and the entrypoint left no message.
    fn without_message(&self, ended: &Terminated) -> Assessment {
        let ran = self.has_started() || self.can_have_run(ended);
        let ended_with_pod = self.ended_with_pod(ended);
        if !ran && !ended_with_pod && ended.is_decided_at_once() {
            return self.failed_without_start(ended);
        }
        let ender = self.ended_by();
        // The whole pod has ended, so the TaskRun will soon report the reason.
        let pod_over = self.view.pod.phase.is_final() && !self.view.detached;
        let why_unknown = pod_over && self.verdict().is_none() && !self.view.patience_over;
        if ender == EndedBy::Unknown || why_unknown {
            return Assessment::Pending(Patience::Short);
        }
        if self.image_failed() {
            return self.image_failure(ended.finished_at);
        }
        let succeeded = ended.succeeded();
        if !ran {
            // Tekton wrote the end itself, so the container was still alive when Tekton marked the
            // run as failed.
            let given_up = matches!(ender, EndedBy::Tekton(_));
            return match ended_with_pod || succeeded || given_up {
                true => self.never_started(ended.finished_at),
                // Waits, because the reason for the pod's end is reported after the ends of its
                // containers (row 10a).
                false if !self.is_over() => Assessment::Pending(Patience::Long),
                false => self.failed_without_start(ended),
            };
        }
        if succeeded {
            // Exit code 0 without a message: only the message was lost.
            let kind = Kind::Succeeded(outcome(Some(0), "Completed"));
            return self.ran(kind, None, ended.finished_at);
        }
        let reason = match ender {
            EndedBy::Tekton(reason) => reason,
            EndedBy::Itself | EndedBy::Unknown => match (&ended.reason, &self.view.pod.reason) {
                (Some(reason), _) if &**reason == "OOMKilled" => reason,
                (_, Some(pod_reason)) => pod_reason,
                (Some(reason), None) => reason,
                (None, None) => "Error",
            },
        };
        let kind = Kind::Failed(outcome(Some(ended.exit_code), reason));
        self.ran(kind, None, ended.finished_at)
    }

    /// Row 9: returns true if the turn of the step had come before its container ended.
    fn can_have_run(&self, ended: &Terminated) -> bool {
        let in_its_turn = |at: Timestamp| self.times.turn.is_none_or(|turn| turn <= at);
        self.eligible()
            && !ended.never_ran()
            && ended.started_at.is_some()
            && ended.finished_at.is_some_and(in_its_turn)
    }

    /// Row 10: returns the failure of a step that never ran, but whose container makes the TaskRun
    /// fail.
    fn failed_without_start(&self, ended: &Terminated) -> Assessment {
        let reason = ended.reason.as_deref().unwrap_or("Error");
        Assessment::Ended(End {
            kind: Kind::Failed(outcome(Some(ended.exit_code), reason)),
            start: None,
            at: ended.finished_at,
            not_before: None,
        })
    }

    /// Row 10a: returns true if the container ended because its pod did. A deletion that was
    /// requested after the container's end is not the cause.
    ///
    /// Both times have whole seconds. If the container failed by itself (`is_decided_at_once`), a
    /// deletion in the same second is not the cause either. So a restart derives the same end.
    fn ended_with_pod(&self, ended: &Terminated) -> bool {
        let pod = &self.view.pod;
        let lost = ended.reason.as_deref() == Some(CONTAINER_STATUS_UNKNOWN);
        let deletion = pod.deletion_requested;
        if ended.is_decided_at_once() {
            return lost || deletion.is_some_and(|asked| ended.finished_at > Some(asked));
        }
        let by_deletion = match (deletion, ended.finished_at) {
            (Some(asked), Some(at)) => at >= asked,
            (Some(_), None) | (None, _) => pod.deleting,
        };
        // Ignores a disruption that came later than the longest wait after the container's end. The
        // end may already be emitted, and must not change.
        let known_until = ended
            .finished_at
            .and_then(|at| at.checked_add(LONG_PATIENCE).ok());
        let by_disruption = pod
            .disrupted_at
            .is_some_and(|at| known_until.is_none_or(|end| at <= end));
        lost || by_deletion || pod.reason.is_some() || by_disruption
    }

    /// Returns true if no further evidence about a container's end can come.
    fn is_over(&self) -> bool {
        let view = self.view;
        view.patience_over || view.gone || view.pod.phase.is_final() || self.verdict().is_some()
    }

    /// Returns what ended the container. If it ended with an error while its pod is being deleted, most
    /// likely Tekton stopped it (cancellation, timeout): only the TaskRun's end can confirm that.
    fn ended_by(&self) -> EndedBy<'_> {
        let view = self.view;
        match self.verdict() {
            Some((done, reported)) => match reported {
                Some(end) if end.is_synthetic(done) => EndedBy::Tekton(&done.reason),
                Some(_) | None => EndedBy::Itself,
            },
            None if view.patience_over || view.detached => EndedBy::Itself,
            None if !(view.pod.deleting || view.gone) => EndedBy::Itself,
            None => EndedBy::Unknown,
        }
    }

    /// Returns how the attempt ended, and the end of this step that the attempt reports, if any.
    /// `None` while the attempt runs.
    fn verdict(&self) -> Option<(&Done, Option<&ReportedEnd>)> {
        let attempt: &Attempt = self.view.verdict?;
        let done = attempt.done.as_ref()?;
        // The pod was re-created under the same name, and the status still shows the end in the old
        // pod (row 17).
        let is_stale =
            |end: &ReportedEnd| !end.is_synthetic(done) && end.finished_at < self.view.pod.created;
        let reported = attempt
            .step(&self.step.container)
            .and_then(|step| step.ended.as_ref())
            .filter(|end| end.finished_at.is_none() || !is_stale(end));
        Some((done, reported))
    }

    /// Rows 12 to 16: the container reports no end. Decides whether to wait for one.
    fn close_unfinished(&self) -> Assessment {
        let view = self.view;
        let started = self.has_started();
        if view.pod.init_failure.is_some() && !started && (view.pod.phase.is_final() || view.gone) {
            return self.never_started(view.pod.init_failed_at);
        }
        let verdict = self.verdict();
        let frozen = matches!(verdict, Some((_, None)));
        let running = matches!(self.step.state, ContainerState::Running { .. });
        let its_turn = started || self.eligible();
        let pod_lives = !(view.gone || view.pod.deleting || view.pod.phase.is_final());
        if frozen && running && its_turn && pod_lives {
            // Row 16a: Tekton is done and has deleted nothing, so the step runs to its end.
            return Assessment::Waiting;
        }
        let over = view.gone || view.pod.phase.is_final() || verdict.is_some();
        if !over {
            return Assessment::Waiting;
        }
        // Row 16: Tekton is done, and the predecessor never lets this step run. This does not cover a
        // first step without READY, because the pod's watch may be late.
        let abandoned = frozen && !started && self.is_shut_out();
        let no_source_left = view.gone && (verdict.is_some() || view.detached);
        if !(view.patience_over || abandoned || no_source_left) {
            let terminating = view.pod.deleting || view.pod.cancel_requested;
            return Assessment::Pending(if terminating && !view.gone {
                Patience::Long
            } else {
                Patience::Short
            });
        }
        self.close(verdict)
    }

    /// Rows 13 and 14: decides the end without evidence of the container.
    fn close(&self, verdict: Option<(&Done, Option<&ReportedEnd>)>) -> Assessment {
        let at = verdict.and_then(|(done, _)| done.at);
        if let Some((done, Some(end))) = verdict
            && !end.is_synthetic(done)
        {
            let turn = TurnEvidence {
                started: self.has_started(),
                came: self.eligible(),
                since: self.times.turn,
                start: self.inferred_start().map(|start| start.at),
                ended_with_pod: self.view.pod.reason.is_some()
                    || self.view.pod.disrupted_at.is_some(),
                after_failure: false,
                one_is_skipped: self.follows_failure_without_reason(),
            };
            return Assessment::Ended(reported_end(end, turn));
        }
        if self.image_failed() {
            return self.image_failure(at);
        }
        let running = matches!(self.step.state, ContainerState::Running { .. });
        if !(self.has_started() || (running && self.eligible())) {
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
        self.ran(Kind::Failed(outcome(exit_code, reason)), None, at)
    }

    /// Decision 3: returns true if the image of the step could not be pulled.
    fn image_failed(&self) -> bool {
        let image_error = self
            .verdict()
            .and_then(|(done, _)| done.image_error_step.as_deref())
            == Some(self.step.name());
        !self.has_started() && (image_error || self.marks.image_error)
    }

    fn image_failure(&self, at: Option<Timestamp>) -> Assessment {
        let verdict = self.verdict();
        let reason = verdict.map_or("ImagePullFailed", |(done, _)| &*done.reason);
        // The container never ran: the exit code in its status is a placeholder of the kubelet.
        let exit_code = verdict
            .and_then(|(_, reported)| reported)
            .map(|end| end.exit_code);
        Assessment::Ended(End {
            kind: Kind::Failed(outcome(exit_code, reason)),
            start: None,
            at: at.or(verdict.and_then(|(done, _)| done.at)),
            not_before: None,
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

/// Actor that ended a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndedBy<'a> {
    /// The container ended without Tekton: by the process of the step, the kernel or the kubelet.
    Itself,
    /// Tekton ended it. Holds the reason in the condition of the TaskRun.
    Tekton(&'a str),
    /// The TaskRun does not report it yet.
    Unknown,
}

pub(crate) fn outcome(exit_code: Option<i32>, reason: &str) -> Outcome {
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
        not_before: None,
    })
}
