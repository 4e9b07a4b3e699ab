//! What has been told, and what is to be told next.

use crate::run::Run;
use crate::snapshot::{PodSnapshot, TaskRunSnapshot};
use crate::transition::Transition;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// One observation of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A Pod as it is now.
    Pod(PodSnapshot),
    /// A Pod is gone.
    PodGone {
        /// Its UID.
        uid: Arc<str>,
        /// UID of its TaskRun.
        run_uid: Arc<str>,
    },
    /// A TaskRun as it is now.
    TaskRun(TaskRunSnapshot),
    /// A TaskRun is gone.
    TaskRunGone {
        /// Its UID.
        uid: Arc<str>,
    },
}

impl Observation {
    /// UID of the TaskRun that it is about.
    #[must_use]
    pub fn run_uid(&self) -> &str {
        match self {
            Self::Pod(pod) => &pod.run_uid,
            Self::PodGone { run_uid, .. } => run_uid,
            Self::TaskRun(run) => &run.uid,
            Self::TaskRunGone { uid } => uid,
        }
    }
}

/// Remembers what was told of every live run, so that nothing is told twice.
///
/// Memory: a few hundred bytes for each pod whose steps are not all told, its UID and name after
/// that, nothing once its TaskRun is gone.
#[derive(Debug)]
pub struct Ledger {
    /// Boxed: a table has up to twice the room that it needs.
    runs: HashMap<Arc<str>, Box<Run>>,
    wakes: BTreeSet<(Timestamp, Arc<str>)>,
    horizon: Timestamp,
    listed: bool,
}

// === impl Ledger ===

impl Ledger {
    /// A ledger that takes runs which ended before `horizon` for history (row 19), and that tells
    /// nothing before [`Ledger::mark_listed`] is called.
    #[must_use]
    pub fn new(horizon: Timestamp) -> Self {
        Self {
            runs: HashMap::new(),
            wakes: BTreeSet::new(),
            horizon,
            listed: false,
        }
    }

    /// A ledger for a stream that starts before its runs do: all is news.
    #[must_use]
    pub fn from_stream_start() -> Self {
        Self {
            listed: true,
            ..Self::new(Timestamp::MIN)
        }
    }

    /// Is this TaskRun remembered?
    #[must_use]
    pub fn contains(&self, run_uid: &str) -> bool {
        self.runs.contains_key(run_uid)
    }

    /// Has this pod something left to tell?
    #[must_use]
    pub fn has_pending_steps(&self, run_uid: &str, pod_uid: &str) -> bool {
        self.runs
            .get(run_uid)
            .is_some_and(|run| run.has_pending_steps(pod_uid))
    }

    /// Has this TaskRun, or a pod of it, something left to tell?
    #[must_use]
    pub fn is_settled(&self, run_uid: &str) -> bool {
        self.runs.get(run_uid).is_none_or(|run| run.is_settled())
    }

    /// Is there something to be told at all? See [`Ledger::mark_listed`].
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// Both first lists of these runs are complete: what they show is due at `now`, run by run. Before
    /// this a Pod cannot be told from one whose TaskRun is still to come.
    pub fn mark_listed(&mut self, now: Timestamp, of: impl Fn(&str) -> bool) {
        self.listed = true;
        for (uid, run) in self.runs.iter_mut().filter(|(uid, _)| of(uid)) {
            if let Some(old) = run.wake.replace(now) {
                self.wakes.remove(&(old, uid.clone()));
            }
            self.wakes.insert((now, uid.clone()));
        }
    }

    /// Takes one observation and tells what it brought.
    pub fn apply(&mut self, observation: Observation, now: Timestamp) -> Vec<Transition> {
        let run_uid = self.record(observation);
        if self.listed {
            self.evaluate(&run_uid, now)
        } else {
            Vec::new()
        }
    }

    /// Takes one observation of a run whose lists are not complete: it is told after
    /// [`Ledger::mark_listed`]. Gives the UID of the run.
    pub fn record(&mut self, observation: Observation) -> Arc<str> {
        match observation {
            Observation::Pod(pod) => {
                let uid = pod.run_uid.clone();
                self.runs.entry(uid.clone()).or_default().observe_pod(pod);
                uid
            }
            Observation::PodGone { uid, run_uid } => {
                if let Some(run) = self.runs.get_mut(&run_uid) {
                    run.mark_pod_gone(&uid);
                }
                run_uid
            }
            Observation::TaskRun(seen) => {
                let uid = seen.uid.clone();
                self.runs.entry(uid.clone()).or_default().task_run = Some(seen);
                uid
            }
            Observation::TaskRunGone { uid } => {
                if let Some(run) = self.runs.get_mut(&uid) {
                    run.deleted = true;
                }
                uid
            }
        }
    }

    /// When [`Ledger::tick`] should be called next.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Tells what waiting until `now` has settled for one run. There may be more: see
    /// [`Ledger::next_wake`]. Gives the UID of that run, too.
    pub fn tick(&mut self, now: Timestamp) -> (Option<Arc<str>>, Vec<Transition>) {
        match self.wakes.first() {
            Some((at, uid)) if *at <= now => {
                let uid = uid.clone();
                let told = self.evaluate(&uid, now);
                (Some(uid), told)
            }
            Some(_) | None => (None, Vec::new()),
        }
    }

    /// The run that [`Ledger::tick`] tells next.
    #[must_use]
    pub fn next_due(&self) -> Option<&Arc<str>> {
        self.wakes.first().map(|(_, uid)| uid)
    }

    /// Has a run wait until it is told by [`Ledger::evaluate`], or observed again.
    pub fn defer(&mut self, uid: &str) {
        if let Some(at) = self.runs.get_mut(uid).and_then(|run| run.wake.take()) {
            self.wakes.remove(&(at, uid.into()));
        }
    }

    /// Forgets a run as if it had never been observed.
    pub fn forget(&mut self, uid: &str) {
        self.defer(uid);
        self.runs.remove(uid);
    }

    /// Tells what is known of one run.
    pub fn evaluate(&mut self, uid: &str, now: Timestamp) -> Vec<Transition> {
        let Some(run) = self.runs.get_mut(uid) else {
            return Vec::new();
        };
        if let Some(old) = run.wake.take() {
            self.wakes.remove(&(old, uid.into()));
        }
        let (told, wake) = run.evaluate(uid, self.horizon, now);
        let wake = wake.filter(|_| !run.is_forgettable());
        if let Some(at) = wake {
            self.wakes.insert((at, uid.into()));
            run.wake = wake;
        }
        if run.is_forgettable() {
            self.runs.remove(uid);
        }
        told
    }
}
