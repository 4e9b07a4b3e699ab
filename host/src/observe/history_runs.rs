//! Runs that ended long before the horizon: most TaskRuns of a large cluster. Nothing is emitted for
//! them, so only the names of their Pods are kept.

use super::slim::SlimTaskRun;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::Arc;

/// Time between the end of such a run and the horizon. The last steps of a run can end later than
/// its TaskRun, within the grace period of their Pod.
const MARGIN: SignedDuration = SignedDuration::from_hours(1);

/// Bounds the attempts of such a run. A run with more attempts is tracked like any other.
const MAX_ATTEMPTS: usize = 64;

/// The runs that ended long before the horizon.
#[derive(Debug)]
pub(super) struct HistoryRuns {
    /// Runs that ended before this time are history.
    end: Timestamp,
    /// By the UID of the TaskRun.
    runs: HashMap<Arc<str>, HistoryRun>,
    /// The Pods that are still there, by the UID of their TaskRun.
    pods: HashMap<Arc<str>, PresentPods>,
}

#[derive(Debug)]
struct HistoryRun {
    namespace: Arc<str>,
    pod_names: Box<[Arc<str>]>,
}

#[derive(Debug, Default)]
struct PresentPods {
    uids: Vec<Arc<str>>,
    /// True if the TaskRun was deleted. Its Pods are deleted after it.
    run_is_gone: bool,
}

impl HistoryRuns {
    /// Creates the state without runs.
    pub(super) fn new(horizon: Timestamp) -> Self {
        Self {
            end: horizon.checked_sub(MARGIN).unwrap_or(Timestamp::MIN),
            runs: HashMap::new(),
            pods: HashMap::new(),
        }
    }

    /// Returns whether a TaskRun ended so long ago that it is history.
    pub(super) fn includes(&self, run: &SlimTaskRun, now: Timestamp) -> bool {
        run.status.retries_status.len() < MAX_ATTEMPTS
            && run.ended_at(now).is_some_and(|at| at < self.end)
    }

    /// Adds a run, or updates it.
    pub(super) fn insert(&mut self, uid: &Arc<str>, namespace: Arc<str>, run: &SlimTaskRun) {
        let attempts = run.status.retries_status.iter();
        let names = attempts.map(|attempt| &attempt.pod_name);
        let pod_names = names
            .chain([&run.status.pod_name])
            .filter(|name| !name.is_empty())
            .cloned();
        let run = HistoryRun {
            namespace,
            pod_names: pod_names.collect(),
        };
        self.runs.insert(uid.clone(), run);
    }

    /// Removes a run that is no longer history.
    pub(super) fn remove(&mut self, uid: &str) {
        self.runs.remove(uid);
        self.pods.remove(uid);
    }

    pub(super) fn contains(&self, uid: &str) -> bool {
        self.runs.contains_key(uid)
    }

    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Returns whether the run is history and has named this Pod.
    pub(super) fn has_named(&self, run_uid: &str, namespace: &str, pod: &str) -> bool {
        self.runs.get(run_uid).is_some_and(|run| {
            *run.namespace == *namespace && run.pod_names.iter().any(|name| **name == *pod)
        })
    }

    /// Records that a Pod of a run is there.
    pub(super) fn add_pod(&mut self, run_uid: &Arc<str>, pod_uid: &Arc<str>) {
        let present = self.pods.entry(run_uid.clone()).or_default();
        if !present.uids.contains(pod_uid) {
            present.uids.push(pod_uid.clone());
        }
    }

    /// Records that a Pod was deleted. Returns whether its run is now gone, too.
    pub(super) fn remove_pod(&mut self, run_uid: &str, pod_uid: &str) -> bool {
        let Some(present) = self.pods.get_mut(run_uid) else {
            return false;
        };
        present.uids.retain(|uid| **uid != *pod_uid);
        if !present.uids.is_empty() {
            return false;
        }
        let run_is_gone = present.run_is_gone;
        self.pods.remove(run_uid);
        run_is_gone && self.runs.remove(run_uid).is_some()
    }

    /// Records that a TaskRun was deleted. Returns whether the run is now gone: it stays while its
    /// Pods are there.
    pub(super) fn remove_task_run(&mut self, uid: &str) -> bool {
        match self.pods.get_mut(uid) {
            Some(present) => {
                present.run_is_gone = true;
                false
            }
            None => self.runs.remove(uid).is_some(),
        }
    }
}
