//! One TaskRun with its pods: what they tell together.

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

/// How long the Pod watch and the TaskRun watch may be apart before one is believed alone.
pub const SHORT_PATIENCE: SignedDuration = SignedDuration::from_secs(5);
/// How long a pod that is being terminated may take to tell how its steps ended: the default grace
/// period of 30 s, and a little.
pub const LONG_PATIENCE: SignedDuration = SignedDuration::from_secs(35);
/// How long a pod without a TaskRun is remembered after it is gone.
const ORPHAN_MEMORY: SignedDuration = SignedDuration::from_mins(10);

#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) task_run: Option<TaskRunSnapshot>,
    pub(crate) deleted: bool,
    pods: Vec<Pod>,
    told: Vec<FinishedPod>,
    /// Since when an ended attempt lacks its pod.
    pod_missing_since: Option<Timestamp>,
    /// The entry in `wakes`.
    pub(crate) wake: Option<Timestamp>,
}

/// A pod that has nothing more to tell.
#[derive(Debug)]
struct FinishedPod {
    /// Empty where the TaskRun told instead.
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
    /// Kept as it was first seen: a pod that was lost with its node no longer shows when its containers started, and
    /// its events sort behind those that it had before.
    first_container_started: Option<Timestamp>,
}

// === impl Run ===

impl Run {
    pub(crate) fn observe_pod(&mut self, seen: PodSnapshot) {
        if self.told.iter().any(|pod| pod.uid == seen.uid) {
            return;
        }
        // The TaskRun has told of this pod already: it came too late.
        if let Some(told) = self
            .told
            .iter_mut()
            .find(|pod| pod.uid.is_empty() && pod.name == seen.name)
        {
            told.uid = seen.uid;
            told.gone = false;
            return;
        }
        match self.pods.iter_mut().find(|pod| pod.seen.uid == seen.uid) {
            Some(pod) => pod.update(seen),
            None => {
                for older in &mut self.pods {
                    // Two pods of one name cannot be there at the same time.
                    let replaced = older.seen.name == seen.name;
                    older.superseded |= replaced;
                    older.gone |= replaced;
                }
                // Most runs have one pod: a vector's usual first capacity would take four.
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
        let told = self
            .told
            .iter_mut()
            .filter(|pod| &*pod.uid == uid)
            .map(|pod| &mut pod.gone);
        live.chain(told).for_each(|gone| *gone = true);
    }

    /// Has this pod something left to tell?
    pub(crate) fn has_pending_steps(&self, pod_uid: &str) -> bool {
        self.pods.iter().any(|pod| &*pod.seen.uid == pod_uid)
    }

    /// Its last attempt is over and all told.
    pub(crate) fn is_settled(&self) -> bool {
        let done = |run: &TaskRunSnapshot| run.current.done.is_some();
        self.pods.is_empty()
            && self.pod_missing_since.is_none()
            && self.task_run.as_ref().is_some_and(done)
    }

    /// Nothing will be observed of it any more.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.pods.is_empty()
            && self.told.iter().all(|pod| pod.gone)
            && (self.deleted || (self.task_run.is_none() && self.told.is_empty()))
    }

    pub(crate) fn evaluate(
        &mut self,
        run_uid: &str,
        horizon: Timestamp,
        now: Timestamp,
    ) -> (Vec<Transition>, Option<Timestamp>) {
        let mut told = Vec::new();
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
            // The Pod may be seen before its TaskRun says that there is another attempt.
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
                told.extend(pod.transition(
                    run_uid,
                    number,
                    index,
                    step,
                    last_known.unwrap_or(now),
                ));
            }
        }
        let finished = self.pods.extract_if(.., |pod| pod.is_finished());
        self.told.extend(finished.map(|pod| FinishedPod {
            uid: pod.seen.uid,
            name: pod.seen.name,
            gone: pod.gone,
        }));

        if let Some(due) = self.report_missing_pods(run_uid, horizon, now, &mut told) {
            sooner(due);
        }
        let orphaned = self.task_run.is_none() && self.pods.is_empty();
        if orphaned && !self.told.is_empty() && self.told.iter().all(|pod| pod.gone) {
            let since = *self.pod_missing_since.get_or_insert(now);
            let due = since.checked_add(ORPHAN_MEMORY).unwrap_or(now);
            if now >= due {
                self.told.clear();
            } else {
                sooner(due);
            }
        }
        (told, wake)
    }

    /// Row 20: ended attempts whose pod nobody has seen are told from the TaskRun, after a moment in
    /// which the pod may still show up. Gives the time when that moment is over.
    fn report_missing_pods(
        &mut self,
        run_uid: &str,
        horizon: Timestamp,
        now: Timestamp,
        told: &mut Vec<Transition>,
    ) -> Option<Timestamp> {
        let run = self.task_run.as_ref()?;
        let known: HashSet<&str> = self
            .pods
            .iter()
            .map(|pod| &*pod.seen.name)
            .chain(self.told.iter().map(|pod| &*pod.name))
            .collect();
        let missing: Vec<(usize, &Attempt)> = run
            .attempts()
            .filter(|(number, attempt)| {
                attempt.done.is_some()
                    && !attempt.pod_name.is_empty()
                    && !known.contains(&*attempt.pod_name)
                    // A pod belongs to one attempt.
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
                told.extend(from_task_run(run_uid, number, attempt, now));
            }
            names.push(attempt.pod_name.clone());
        }
        self.told.extend(names.into_iter().map(|name| FinishedPod {
            uid: Arc::default(),
            name,
            gone: true,
        }));
        self.pod_missing_since = None;
        None
    }
}

/// The number of the retry that Tekton writes at the end of a pod's name, behind what may be a hash;
/// 0 where there is none.
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
        };
        pod.remember();
        pod
    }

    fn update(&mut self, seen: PodSnapshot) {
        self.marks
            .resize(seen.steps.len().max(self.marks.len()), StepMarks::default());
        // The kubelet asks again, without a grace period, once all containers have ended (recorded: d-cancel).
        let asked = [self.seen.deletion_requested, seen.deletion_requested];
        self.seen = seen;
        self.seen.deletion_requested = asked.into_iter().flatten().min();
        self.remember();
    }

    /// Keeps what a later state of the pod may not show any more. The kubelet overwrites an image error with
    /// `PodInitializing` when it deletes the pod (recorded: h-badimage).
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

    /// The attempt ran on in another pod of the same name: a step cannot have started after the deletion of its pod.
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
        // Of a step that this pod shows to have ended, it says itself how.
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

    /// Nothing more to tell. A pod without containers yet has all to tell, unless it is gone.
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
        &self,
        run_uid: &str,
        attempt: usize,
        index: usize,
        told: StepChange,
        fallback: Timestamp,
    ) -> Option<Transition> {
        let step = self.seen.steps.get(index)?;
        let (kind, start, at) = match told {
            StepChange::Started(start) => (Kind::Started, Some(start), start.at),
            StepChange::Ended(end) => {
                let at = end.time(fallback);
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
