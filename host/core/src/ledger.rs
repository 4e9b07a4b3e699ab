//! The ledger: which transitions of live runs were emitted, and which are due.

use crate::run::Run;
use crate::snapshot::{PodSnapshot, TaskRunSnapshot};
use crate::transition::Transition;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// One observation of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Current state of a Pod.
    Pod(PodSnapshot),
    /// A Pod was deleted, or is missing in a list.
    PodGone {
        /// UID of the Pod.
        uid: Arc<str>,
        /// UID of the TaskRun that owns it.
        run_uid: Arc<str>,
    },
    /// Current state of a TaskRun.
    TaskRun(TaskRunSnapshot),
    /// A TaskRun was deleted, or is missing in a list.
    TaskRunGone {
        /// UID of the TaskRun.
        uid: Arc<str>,
    },
}

impl Observation {
    /// Returns the UID of the observed TaskRun, or of the TaskRun that owns the observed Pod.
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

/// Number of runs for which the table of runs always has room.
const MIN_CAPACITY: usize = 64;

/// Records which transitions of every live run were emitted, so that none is emitted twice.
///
/// Memory: a few hundred bytes for each pod with steps that have not ended; only UID and name for
/// each other pod; nothing once the TaskRun is gone.
#[derive(Debug)]
pub struct Ledger {
    /// Boxed, because a hash table reserves up to twice the slots that it uses.
    runs: HashMap<Arc<str>, Box<Run>>,
    wakes: BTreeSet<(Timestamp, Arc<str>)>,
    horizon: Timestamp,
    listed: bool,
}

// === impl Ledger ===

impl Ledger {
    /// Creates a ledger that emits no transitions of runs that ended before `horizon` (row 19), and
    /// none at all before [`Ledger::mark_listed`] is called.
    #[must_use]
    pub fn new(horizon: Timestamp) -> Self {
        Self {
            runs: HashMap::new(),
            wakes: BTreeSet::new(),
            horizon,
            listed: false,
        }
    }

    /// Creates a ledger for a stream that starts before its runs start. The ledger emits all
    /// transitions.
    #[must_use]
    pub fn from_stream_start() -> Self {
        Self {
            listed: true,
            ..Self::new(Timestamp::MIN)
        }
    }

    /// Returns true if the ledger has state of this TaskRun.
    #[must_use]
    pub fn contains(&self, run_uid: &str) -> bool {
        self.runs.contains_key(run_uid)
    }

    /// Returns true if a step of this pod has no end yet.
    #[must_use]
    pub fn has_pending_steps(&self, run_uid: &str, pod_uid: &str) -> bool {
        self.runs
            .get(run_uid)
            .is_some_and(|run| run.has_pending_steps(pod_uid))
    }

    /// Returns true if the last attempt of this TaskRun is over and all its steps have ended, or if
    /// the ledger has no state of it.
    #[must_use]
    pub fn is_settled(&self, run_uid: &str) -> bool {
        self.runs.get(run_uid).is_none_or(|run| run.is_settled())
    }

    /// Returns the time before which ended runs are history.
    #[must_use]
    pub fn horizon(&self) -> Timestamp {
        self.horizon
    }

    /// Returns true once [`Ledger::mark_listed`] was called.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// Marks the first lists of Pods and TaskRuns as complete for the runs that `of` selects, and
    /// makes these runs due at `now`. Before that, a Pod may have no TaskRun only because its
    /// TaskRun is not listed yet.
    pub fn mark_listed(&mut self, now: Timestamp, of: impl Fn(&str) -> bool) {
        self.listed = true;
        for (uid, run) in self.runs.iter_mut().filter(|(uid, _)| of(uid)) {
            if let Some(old) = run.wake.replace(now) {
                self.wakes.remove(&(old, uid.clone()));
            }
            self.wakes.insert((now, uid.clone()));
        }
    }

    /// Records an observation, and returns the transitions that follow from it.
    pub fn apply(&mut self, observation: Observation, now: Timestamp) -> Vec<Transition> {
        let run_uid = self.record(observation);
        if self.listed {
            self.evaluate(&run_uid, now)
        } else {
            Vec::new()
        }
    }

    /// Records an observation, but does not evaluate its run. This is for runs whose first lists
    /// are not complete ([`Ledger::mark_listed`]), and for deferred runs. Returns the UID of the
    /// run.
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

    /// Returns when [`Ledger::tick`] must be called next.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Evaluates the run that is due first, if one is due at `now`, and returns its UID with its
    /// transitions. More runs may be due: see [`Ledger::next_wake`].
    pub fn tick(&mut self, now: Timestamp) -> (Option<Arc<str>>, Vec<Transition>) {
        match self.wakes.first() {
            Some((at, uid)) if *at <= now => {
                let uid = uid.clone();
                let transitions = self.evaluate(&uid, now);
                (Some(uid), transitions)
            }
            Some(_) | None => (None, Vec::new()),
        }
    }

    /// Returns the run that [`Ledger::tick`] evaluates next.
    #[must_use]
    pub fn next_due(&self) -> Option<&Arc<str>> {
        self.wakes.first().map(|(_, uid)| uid)
    }

    /// Removes the wake-up of a run, until [`Ledger::evaluate`] or the next observation sets one.
    pub fn defer(&mut self, uid: &str) {
        if let Some(at) = self.runs.get_mut(uid).and_then(|run| run.wake.take()) {
            self.wakes.remove(&(at, uid.into()));
        }
    }

    /// Removes all state of a run, as if it had never been observed.
    pub fn forget(&mut self, uid: &str) {
        self.defer(uid);
        self.remove(uid);
    }

    /// Evaluates one run, and returns the transitions that are due.
    pub fn evaluate(&mut self, uid: &str, now: Timestamp) -> Vec<Transition> {
        let Some(run) = self.runs.get_mut(uid) else {
            return Vec::new();
        };
        if let Some(old) = run.wake.take() {
            self.wakes.remove(&(old, uid.into()));
        }
        let (transitions, wake) = run.evaluate(uid, self.horizon, now);
        let wake = wake.filter(|_| !run.is_forgettable());
        if let Some(at) = wake {
            self.wakes.insert((at, uid.into()));
            run.wake = wake;
        }
        if run.is_forgettable() {
            self.remove(uid);
        }
        transitions
    }

    /// Removes a run. After a burst, the table of runs returns to the size that it needs.
    fn remove(&mut self, uid: &str) {
        self.runs.remove(uid);
        if self.runs.capacity() > 8 * self.runs.len().max(MIN_CAPACITY) {
            self.runs.shrink_to(2 * self.runs.len());
        }
    }
}
