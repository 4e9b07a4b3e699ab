//! What a pod tells beyond what was told.

use crate::assess::{Assessment, End, Patience, assess};
use crate::snapshot::{Attempt, Inference, PodSnapshot};
use crate::times;
use crate::transition::Start;
use jiff::{SignedDuration, Timestamp};

/// How long `started` of a step with `when` expressions is held back: the entrypoint finds out within
/// a second of the predecessor's end that it is skipped, and the kubelet tells a second later.
pub const WHEN_START_DELAY: SignedDuration = SignedDuration::from_millis(2500);
/// The same for a first step: the annotation takes up to two seconds to reach its entrypoint, too
/// (recorded: a-success took 3.1 s from the annotation to the news of the end).
pub const FIRST_WHEN_START_DELAY: SignedDuration = SignedDuration::from_millis(5000);

/// What was already concluded of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StepMarks {
    /// How far its start has come.
    pub(crate) start: StartMark,
    /// Its end was emitted.
    pub(crate) ended: bool,
    /// Its image could not be had, and it has not run since.
    pub(crate) image_error: bool,
}

/// How far the start of a step has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StartMark {
    /// Its turn has not come.
    #[default]
    Pending,
    /// Its start can be inferred since then, by the observer's clock.
    EligibleSince(Timestamp),
    /// `started` was emitted, with this time.
    Emitted(Timestamp),
}

impl StepMarks {
    /// The time of `started`, if it was emitted.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        match self.start {
            StartMark::Emitted(at) => Some(at),
            StartMark::Pending | StartMark::EligibleSince(_) => None,
        }
    }
}

/// A pod with what its TaskRun says of it.
#[derive(Debug)]
pub(crate) struct PodView<'a> {
    pub(crate) pod: &'a PodSnapshot,
    /// The pod was deleted, or was missing in a list.
    pub(crate) gone: bool,
    /// The attempt that this pod belongs to.
    pub(crate) verdict: Option<&'a Attempt>,
    /// The TaskRun will never say how this pod ended: it is gone, or runs in another pod by now.
    pub(crate) detached: bool,
    /// Patience is over.
    pub(crate) patience_over: bool,
}

/// What [`diff`] found.
#[derive(Debug)]
pub(crate) struct Diff {
    pub(crate) steps: Vec<(usize, StepChange)>,
    pub(crate) marks: Vec<StepMarks>,
    pub(crate) waits: Option<Wait>,
}

/// Something to tell of one step.
#[derive(Debug)]
pub(crate) enum StepChange {
    Started(Start),
    Ended(End),
}

/// Why nothing more is told now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Evidence(Patience),
    Until(Timestamp),
}

/// What the pod tells beyond the marks: per step `started` before its end, steps in order, nothing
/// of a step before the end of the one before it (row 11).
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

/// Goes on where `first` had to wait, now with the final word.
pub(crate) fn resume(first: Diff, view: &PodView<'_>, now: Timestamp) -> Diff {
    let rest = diff(view, &first.marks, now);
    let mut steps = first.steps;
    steps.extend(rest.steps);
    Diff { steps, ..rest }
}
