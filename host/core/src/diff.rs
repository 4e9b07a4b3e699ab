//! Compares the state of a pod with the transitions that were emitted for it.

use crate::assess::{Assessment, End, Patience, assess};
use crate::snapshot::{Attempt, Inference, PodSnapshot};
use crate::times;
use crate::transition::Start;
use jiff::{SignedDuration, Timestamp};

/// Delay before `started` is inferred for a step with `when` expressions (row 4), because the step
/// may be skipped. The entrypoint decides this within a second after the predecessor's end, and the
/// kubelet reports it another second later.
pub const WHEN_START_DELAY: SignedDuration = SignedDuration::from_millis(2500);
/// The same delay for the first step, whose entrypoint sees READY up to two seconds late (recorded:
/// in a-success 3.1 s passed from the annotation to the report of the end).
pub const FIRST_WHEN_START_DELAY: SignedDuration = SignedDuration::from_millis(5000);

/// Transitions that were emitted for one step, and facts that later states of the pod may no longer
/// show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StepMarks {
    /// Progress of its start.
    pub(crate) start: StartMark,
    /// Its end was emitted.
    pub(crate) ended: bool,
    /// The last waiting reason of the step was an image error. The step has not run since.
    pub(crate) image_error: bool,
}

/// Progress of a step's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StartMark {
    /// The turn of the step has not come.
    #[default]
    Pending,
    /// The start can be inferred from this time on, by the observer's clock.
    EligibleSince(Timestamp),
    /// `started` was emitted, with this time.
    Emitted(Timestamp),
}

impl StepMarks {
    /// Returns the time of `started`, if it was emitted.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        match self.start {
            StartMark::Emitted(at) => Some(at),
            StartMark::Pending | StartMark::EligibleSince(_) => None,
        }
    }
}

/// A pod, with the state of its TaskRun that concerns it.
#[derive(Debug)]
pub(crate) struct PodView<'a> {
    pub(crate) pod: &'a PodSnapshot,
    /// The pod was deleted, or was missing in a list.
    pub(crate) gone: bool,
    /// The attempt that this pod belongs to, once that attempt is over.
    pub(crate) verdict: Option<&'a Attempt>,
    /// True if the TaskRun will not report this pod's end, because the TaskRun was deleted or runs
    /// in another pod.
    pub(crate) detached: bool,
    /// True if the wait for better evidence has timed out.
    pub(crate) patience_over: bool,
}

/// Result of [`diff`]: changes of steps, the marks after them, and what is awaited.
#[derive(Debug)]
pub(crate) struct Diff {
    pub(crate) steps: Vec<(usize, StepChange)>,
    pub(crate) marks: Vec<StepMarks>,
    pub(crate) waits: Option<Wait>,
}

/// A change of one step that must be emitted.
#[derive(Debug)]
pub(crate) enum StepChange {
    Started(Start),
    Ended(End),
}

/// What must happen before the next change can be emitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Evidence(Patience),
    Until(Timestamp),
}

/// Returns the changes that the pod shows and `marks` does not contain, in the order of the steps.
/// For each step, `started` comes before its end. A step has no changes until its predecessor ended
/// (row 11).
pub(crate) fn diff(view: &PodView<'_>, marks: &[StepMarks], now: Timestamp) -> Diff {
    let mut found = Diff {
        steps: Vec::new(),
        marks: marks.to_vec(),
        waits: None,
    };
    let times = times::of_steps(view, marks);
    for (index, mark) in found.marks.iter_mut().enumerate() {
        if mark.ended {
            continue;
        }
        match assess(view, &times, index, *mark) {
            Assessment::Waiting => {}
            Assessment::Running(..) if mark.started().is_some() => {}
            Assessment::Running(start, inference) => {
                let since = match mark.start {
                    StartMark::EligibleSince(since) => since,
                    StartMark::Pending | StartMark::Emitted(_) => now,
                };
                mark.start = StartMark::EligibleSince(since);
                let pause = if index == 0 {
                    FIRST_WHEN_START_DELAY
                } else {
                    WHEN_START_DELAY
                };
                let due = since.checked_add(pause).unwrap_or(now);
                match inference {
                    Inference::Never => {}
                    Inference::Delayed if now < due => found.waits = Some(Wait::Until(due)),
                    Inference::Immediate | Inference::Delayed => {
                        mark.start = StartMark::Emitted(start.at);
                        found.steps.push((index, StepChange::Started(start)));
                    }
                }
            }
            Assessment::Pending(patience) => found.waits = Some(Wait::Evidence(patience)),
            Assessment::Ended(mut end) => {
                match (end.start, mark.started()) {
                    (Some(start), None) => {
                        mark.start = StartMark::Emitted(start.at);
                        found.steps.push((index, StepChange::Started(start)));
                    }
                    (_, emitted) => end.not_before = end.not_before.max(emitted),
                }
                mark.ended = true;
                found.steps.push((index, StepChange::Ended(end)));
            }
        }
        if !mark.ended {
            break;
        }
    }
    found
}

/// Extends `first` by the changes that follow once the wait for evidence is over. `view` must show
/// that it is over.
pub(crate) fn resume(first: Diff, view: &PodView<'_>, now: Timestamp) -> Diff {
    let rest = diff(view, &first.marks, now);
    let mut steps = first.steps;
    steps.extend(rest.steps);
    Diff { steps, ..rest }
}
