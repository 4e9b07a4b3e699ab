//! Evaluates one TaskRun together with its pods.

use crate::assess::Patience;
use crate::diff::{PodView, StepChange, StepMarks, Wait, diff, resume};
use crate::reported::from_task_run;
use crate::snapshot::{
    Attempt, ContainerState, PodSnapshot, ReportedEnd, TaskRunSnapshot, is_image_error,
};
use crate::transition::{Kind, PodOrder, Transition};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashSet;
use std::sync::Arc;

/// Longest delay between the Pod watch and the TaskRun watch. After it, the evidence of one watch
/// is enough.
pub const SHORT_PATIENCE: SignedDuration = SignedDuration::from_secs(5);
/// Longest wait for the ends of a terminating pod's steps: the default grace period of 30 s, and
/// five seconds more.
pub const LONG_PATIENCE: SignedDuration = SignedDuration::from_secs(35);
/// Time for which a deleted pod without a TaskRun is kept.
const ORPHAN_MEMORY: SignedDuration = SignedDuration::from_mins(10);

#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) task_run: Option<TaskRunSnapshot>,
    pub(crate) deleted: bool,
    pods: Vec<Pod>,
    finished: Vec<FinishedPod>,
    /// Time since which the pod of an ended attempt has been missing.
    pod_missing_since: Option<Timestamp>,
    /// The wake-up of this run in [`crate::Ledger`], so that it can be removed.
    pub(crate) wake: Option<Timestamp>,
}

/// A pod whose steps have all ended.
#[derive(Debug)]
struct FinishedPod {
    /// Empty if the transitions were derived from the TaskRun, because no pod was observed.
    uid: Arc<str>,
    name: Arc<str>,
    gone: bool,
}

#[derive(Debug)]
struct Pod {
    seen: PodSnapshot,
    gone: bool,
    superseded: bool,
    marks: Vec<StepMarks>,
    awaiting_since: Option<Timestamp>,
    unevaluated: bool,
    /// First observed value. A pod that is lost with its node no longer shows the starts of its
    /// containers, but its later events must still sort behind its earlier ones.
    first_container_started: Option<Timestamp>,
    /// The last end of a step that was emitted.
    last_end: Option<Timestamp>,
}

// === impl Run ===

impl Run {
    pub(crate) fn observe_pod(&mut self, seen: PodSnapshot) {
        if self.finished.iter().any(|pod| pod.uid == seen.uid) {
            return;
        }
        // The transitions of this pod were already derived from the TaskRun.
        if let Some(finished) = self
            .finished
            .iter_mut()
            .find(|pod| pod.uid.is_empty() && pod.name == seen.name)
        {
            finished.uid = seen.uid;
            finished.gone = false;
            return;
        }
        match self.pods.iter_mut().find(|pod| pod.seen.uid == seen.uid) {
            Some(pod) => pod.update(seen),
            None => {
                for older in &mut self.pods {
                    // Two pods of one name cannot exist at the same time.
                    let replaced = older.seen.name == seen.name;
                    older.superseded |= replaced;
                    older.gone |= replaced;
                }
                // Most runs have one pod, and a vector's first capacity would be four.
                self.pods.reserve_exact(1);
                self.pods.push(Pod::new(seen));
            }
        }
    }

    pub(crate) fn mark_pod_gone(&mut self, uid: &str) {
        let live = self
            .pods
            .iter_mut()
            .filter(|pod| &*pod.seen.uid == uid)
            .map(|pod| &mut pod.gone);
        let finished = self
            .finished
            .iter_mut()
            .filter(|pod| &*pod.uid == uid)
            .map(|pod| &mut pod.gone);
        live.chain(finished).for_each(|gone| *gone = true);
    }

    /// Returns true if a step of this pod has no end yet.
    pub(crate) fn has_pending_steps(&self, pod_uid: &str) -> bool {
        self.pods.iter().any(|pod| &*pod.seen.uid == pod_uid)
    }

    /// Returns true if the last attempt is over and all its steps have ended.
    pub(crate) fn is_settled(&self) -> bool {
        let done = |run: &TaskRunSnapshot| run.current.done.is_some();
        self.pods.is_empty()
            && self.pod_missing_since.is_none()
            && self.task_run.as_ref().is_some_and(done)
    }

    /// Returns true if no further observation of the run can come.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.pods.is_empty()
            && self.finished.iter().all(|pod| pod.gone)
            && (self.deleted || (self.task_run.is_none() && self.finished.is_empty()))
    }

    pub(crate) fn evaluate(
        &mut self,
        run_uid: &str,
        horizon: Timestamp,
        now: Timestamp,
    ) -> (Vec<Transition>, Option<Timestamp>) {
        let mut transitions = Vec::new();
        let mut wake: Option<Timestamp> = None;
        let mut sooner = |at: Timestamp| wake = Some(wake.map_or(at, |other| other.min(at)));

        for pod in &mut self.pods {
            let attempt = self
                .task_run
                .as_ref()
                .and_then(|run| run.attempt_of(&pod.seen.name));
            let attempt_alone = attempt.map(|(_, attempt)| attempt);
            let superseded = pod.superseded || attempt_alone.is_some_and(|it| pod.is_not_of(it));
            let verdict = attempt_alone.filter(|attempt| attempt.done.is_some() && !superseded);
            if std::mem::take(&mut pod.unevaluated) && pod.ended_before(horizon, verdict) {
                pod.marks.iter_mut().for_each(|mark| mark.ended = true);
                continue;
            }
            // The Pod of a retry may be observed before its TaskRun shows the retry.
            let archived = self.task_run.as_ref().map_or(0, |run| run.archived.len());
            let number = attempt.map_or_else(
                || archived.max(retry_in(&pod.seen.name)),
                |(number, _)| number,
            );
            let view = PodView {
                pod: &pod.seen,
                gone: pod.gone,
                verdict,
                detached: self.deleted || superseded,
                patience_over: false,
            };
            let mut found = diff(&view, &pod.marks, now);
            if let Some(Wait::Evidence(patience)) = found.waits {
                let since = *pod.awaiting_since.get_or_insert(now);
                let due = since.checked_add(patience.length()).unwrap_or(now);
                if now >= due {
                    found = resume(
                        found,
                        &PodView {
                            patience_over: true,
                            ..view
                        },
                        now,
                    );
                } else {
                    sooner(due);
                }
            } else if let Some(Wait::Until(due)) = found.waits {
                sooner(due);
            }
            if !matches!(found.waits, Some(Wait::Evidence(_))) {
                pod.awaiting_since = None;
            }
            let last_known = pod.seen.last_change().max(pod.seen.deletion_requested);
            pod.marks = found.marks;
            for (index, step) in found.steps {
                transitions.extend(pod.transition(
                    run_uid,
                    number,
                    index,
                    step,
                    last_known.unwrap_or(now),
                ));
            }
        }
        let finished = self.pods.extract_if(.., |pod| pod.is_finished());
        self.finished.extend(finished.map(|pod| FinishedPod {
            uid: pod.seen.uid,
            name: pod.seen.name,
            gone: pod.gone,
        }));

        if let Some(due) = self.report_missing_pods(run_uid, horizon, now, &mut transitions) {
            sooner(due);
        }
        let orphaned = self.task_run.is_none() && self.pods.is_empty();
        if orphaned && !self.finished.is_empty() && self.finished.iter().all(|pod| pod.gone) {
            let since = *self.pod_missing_since.get_or_insert(now);
            let due = since.checked_add(ORPHAN_MEMORY).unwrap_or(now);
            if now >= due {
                self.finished.clear();
            } else {
                sooner(due);
            }
        }
        (transitions, wake)
    }

    /// Row 20: derives the transitions of ended attempts whose pod was never observed, after a
    /// short wait in which the pod may still appear. Returns the end of that wait while it lasts.
    fn report_missing_pods(
        &mut self,
        run_uid: &str,
        horizon: Timestamp,
        now: Timestamp,
        transitions: &mut Vec<Transition>,
    ) -> Option<Timestamp> {
        let run = self.task_run.as_ref()?;
        let known: HashSet<&str> = self
            .pods
            .iter()
            .map(|pod| &*pod.seen.name)
            .chain(self.finished.iter().map(|pod| &*pod.name))
            .collect();
        let missing: Vec<(usize, &Attempt)> = run
            .attempts()
            .filter(|(number, attempt)| {
                attempt.done.is_some()
                    && !attempt.pod_name.is_empty()
                    && !known.contains(&*attempt.pod_name)
                    // A pod belongs to one attempt: the newest one that names it.
                    && run.attempt_of(&attempt.pod_name).is_some_and(|(newest, _)| newest == *number)
            })
            .collect();
        if missing.is_empty() {
            self.pod_missing_since = None;
            return None;
        }
        let since = *self.pod_missing_since.get_or_insert(now);
        let due = since.checked_add(SHORT_PATIENCE).unwrap_or(now);
        if now < due && !self.deleted {
            return Some(due);
        }
        let mut names = Vec::new();
        for (number, attempt) in missing {
            let news = attempt
                .done
                .as_ref()
                .and_then(|done| done.at)
                .is_none_or(|at| at >= horizon);
            if news {
                transitions.extend(from_task_run(run_uid, number, attempt, now));
            }
            names.push(attempt.pod_name.clone());
        }
        self.finished
            .extend(names.into_iter().map(|name| FinishedPod {
                uid: Arc::default(),
                name,
                gone: true,
            }));
        self.pod_missing_since = None;
        None
    }
}

/// Returns the number of the retry, with which the pod's name ends (§1); 0 if the name has none.
/// The text before `-pod-retry` may be a hash.
fn retry_in(pod_name: &str) -> usize {
    let number = pod_name.rsplit_once("-pod-retry").map(|(_, number)| number);
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

// === impl Pod ===

impl Pod {
    fn new(seen: PodSnapshot) -> Self {
        let mut pod = Self {
            marks: vec![StepMarks::default(); seen.steps.len()],
            seen,
            gone: false,
            superseded: false,
            awaiting_since: None,
            unevaluated: true,
            first_container_started: None,
            last_end: None,
        };
        pod.remember();
        pod
    }

    fn update(&mut self, seen: PodSnapshot) {
        self.marks
            .resize(seen.steps.len().max(self.marks.len()), StepMarks::default());
        // The kubelet requests the deletion again, with grace period 0, after all containers have ended
        // (recorded: d-cancel). The first request counts.
        let asked = [self.seen.deletion_requested, seen.deletion_requested];
        self.seen = seen;
        self.seen.deletion_requested = asked.into_iter().flatten().min();
        self.remember();
    }

    /// Keeps facts that a later state of the pod may no longer show: the kubelet overwrites an image
    /// error with `PodInitializing` when it deletes the pod (recorded: h-badimage).
    fn remember(&mut self) {
        self.first_container_started = self
            .first_container_started
            .or(self.seen.first_container_started);
        for (mark, step) in self.marks.iter_mut().zip(&self.seen.steps) {
            match &step.state {
                ContainerState::Waiting {
                    reason: Some(reason),
                } if is_image_error(reason) => {
                    mark.image_error = true;
                }
                ContainerState::Running { .. } => mark.image_error = false,
                ContainerState::Unknown
                | ContainerState::Waiting { .. }
                | ContainerState::Terminated(_) => {}
            }
        }
    }

    /// Returns true if the attempt continued in another pod of the same name: a step of it started
    /// after the deletion of this pod.
    fn is_not_of(&self, attempt: &Attempt) -> bool {
        let (Some(done), true) = (&attempt.done, self.gone) else {
            return false;
        };
        let shown = |container: &str| {
            let step = self
                .seen
                .steps
                .iter()
                .find(|step| &*step.container == container);
            step.is_some_and(|step| matches!(step.state, ContainerState::Terminated(_)))
        };
        // If this pod itself shows the end of a step, the reported start is no evidence of another
        // pod.
        let mut starts = attempt
            .steps
            .iter()
            .filter(|step| !shown(&step.container))
            .filter_map(|step| {
                let genuine = |end: &&ReportedEnd| end.by_entrypoint && !end.is_synthetic(done);
                step.ended.as_ref().filter(genuine)?.started_at
            });
        let deleted = self.seen.deletion_requested;
        deleted.is_some_and(|deleted| starts.any(|start| deleted < start))
    }

    /// Returns true if all steps have ended. A pod without containers yet is finished only if it is gone.
    fn is_finished(&self) -> bool {
        self.marks.iter().all(|mark| mark.ended) && (!self.marks.is_empty() || self.gone)
    }

    fn ended_before(&self, horizon: Timestamp, verdict: Option<&Attempt>) -> bool {
        let ended = self.seen.phase.is_final()
            || verdict.is_some()
            || self
                .seen
                .steps
                .iter()
                .all(|step| matches!(step.state, ContainerState::Terminated(_)));
        let completed_at = verdict
            .and_then(|attempt| attempt.done.as_ref())
            .and_then(|done| done.at);
        ended
            && self
                .seen
                .last_change()
                .max(completed_at)
                .is_some_and(|last| last < horizon)
    }

    fn transition(
        &mut self,
        run_uid: &str,
        attempt: usize,
        index: usize,
        change: StepChange,
        fallback: Timestamp,
    ) -> Option<Transition> {
        let step = self.seen.steps.get(index)?;
        let waits_from = self.last_end.or(self.seen.created);
        let (kind, start, at) = match change {
            StepChange::Started(start) => (Kind::Started, Some(start), start.at),
            StepChange::Ended(end) => {
                let at = end.time(fallback);
                self.last_end = Some(at);
                (end.kind, end.start, at)
            }
        };
        Some(Transition {
            run_uid: run_uid.into(),
            pod_uid: Some(self.seen.uid.clone()),
            pod_name: self.seen.name.clone(),
            pod_order: PodOrder {
                created: self.seen.created,
                first_container_started: self.first_container_started,
            },
            container: step.container.clone(),
            index: u32::try_from(index).unwrap_or(u32::MAX),
            attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
            kind,
            at,
            start,
            waits_from,
        })
    }
}

impl Patience {
    fn length(self) -> SignedDuration {
        match self {
            Self::Short => SHORT_PATIENCE,
            Self::Long => LONG_PATIENCE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_pod_says_which_retry_it_is() {
        assert_eq!(retry_in("build-pod-retry2"), 2);
        assert_eq!(retry_in("build-0123456789abcdef-pod-retry12"), 12);
        for name in [
            "build-pod",
            "build-pod-retry",
            "x-pod-retry3-pod",
            "x-retry1",
        ] {
            assert_eq!(retry_in(name), 0, "{name}");
        }
    }
}
