//! From changes in the cluster to step records: the ledger decides, the facts are joined.

use super::deferred_runs::DeferredRuns;
use super::facts::{PodFacts, RunFacts};
use super::intern::Interner;
use super::slim::{SlimPod, SlimTaskRun};
use super::text_budget;
use super::unclaimed_pods::{UnclaimedPod, UnclaimedPods};
use crate::fair::Admission;
use crate::step::StepRecord;
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use step_observer_core::{Ledger, Observation, PodSnapshot, Transition};

/// A change in the cluster.
#[derive(Debug)]
pub enum Change {
    /// A Pod was added or modified.
    Pod(Box<SlimPod>),
    /// A Pod was deleted; its last state came before.
    PodGone {
        /// Its UID.
        uid: Arc<str>,
        /// UID of its TaskRun.
        run_uid: Arc<str>,
    },
    /// A TaskRun was added or modified.
    TaskRun(Box<SlimTaskRun>),
    /// A TaskRun was deleted.
    TaskRunGone {
        /// Its UID.
        uid: Arc<str>,
    },
    /// Everything that existed at the start has been told, but of these namespaces: their lists are
    /// refused.
    Listed {
        /// What is seen of them is not told: it may be half of what there is.
        without: Vec<Arc<str>>,
    },
    /// One of those namespaces has been told, too.
    NamespaceListed {
        /// Its name.
        namespace: Arc<str>,
    },
    /// A recording is over: nothing else will come.
    Ended,
}

/// What the tracker found.
#[derive(Debug)]
pub enum Finding {
    /// A step did something.
    Record(Box<StepRecord>),
    /// The log of a running step must be read now: its pod is being deleted.
    ReadLogNow(LogTarget),
    /// Nothing more will come of this TaskRun.
    Forgotten(Arc<str>),
    /// A Pod says that it is a TaskRun's, and no TaskRun says so. Nothing is told of it.
    Unclaimed(UnclaimedPod),
    /// So many runs lost texts, because all runs together held too much. Events of those whose steps run already come
    /// without the spec of their steps.
    TextsEvicted(usize),
}

/// A container whose log is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogTarget {
    /// Namespace of the pod.
    pub namespace: Arc<str>,
    /// Name of the pod.
    pub pod: Arc<str>,
    /// UID of the pod.
    pub pod_uid: Arc<str>,
    /// Name of the container.
    pub container: Arc<str>,
}

/// Follows all runs.
#[derive(Debug)]
pub struct Tracker {
    ledger: Ledger,
    /// Boxed: a table has up to twice the room that it needs.
    runs: HashMap<Arc<str>, Box<RunFacts>>,
    pods: HashMap<Arc<str>, PodFacts>,
    texts: Interner,
    /// Pods that their TaskRuns have not named.
    unclaimed: UnclaimedPods,
    /// A Pod whose TaskRun is unknown is believed: recordings need not hold TaskRuns.
    trusts_pods: bool,
    /// Texts above this size make runs give way.
    text_limit: usize,
    /// Runs that were ever seen.
    ages: u64,
    /// Namespaces whose lists are not complete, while others are told.
    unlisted: HashSet<Arc<str>>,
    /// Which namespaces and runs may tell more at the moment; without it, all.
    admission: Option<Admission>,
    /// Runs that may not.
    deferred: DeferredRuns,
}

impl Tracker {
    /// Tracks with this ledger. With one that begins before its runs do, for recordings, a Pod is believed while its
    /// TaskRun is unknown; else a Pod counts only once its TaskRun has named it.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self {
            trusts_pods: ledger.is_listed(),
            unclaimed: UnclaimedPods::default(),
            text_limit: text_budget::MAX_BYTES,
            ages: 0,
            ledger,
            runs: HashMap::new(),
            pods: HashMap::new(),
            texts: Interner::default(),
            unlisted: HashSet::new(),
            admission: None,
            deferred: DeferredRuns::default(),
        }
    }

    /// Sets a run aside if it or its namespace has its share of the records that are being prepared: what is
    /// observed of it is only noted, and told by [`Tracker::resume`].
    pub(crate) fn with_admission(mut self, admission: Admission) -> Self {
        self.admission = Some(admission);
        self
    }

    /// Takes one change, seen at `now`.
    pub fn apply(&mut self, change: Change, now: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        match change {
            Change::Pod(pod) => {
                if let Some(seen) = pod.seen(now, &mut self.texts) {
                    self.observe_pod(&pod, seen, now, &mut findings);
                }
            }
            Change::PodGone { uid, run_uid } => {
                if !self.unclaimed.mark_gone(&uid) {
                    self.remove_pod(&uid, &run_uid, now, &mut findings);
                }
            }
            Change::TaskRun(run) => self.observe_task_run(&run, now, &mut findings),
            Change::TaskRunGone { uid } => {
                self.observe(
                    Observation::TaskRunGone { uid: uid.clone() },
                    now,
                    &mut findings,
                );
                self.release_facts(&uid, None, &mut findings);
                if let Some(oldest) = self.deferred.gone(&uid) {
                    self.give_up(&oldest, &mut findings);
                }
            }
            Change::Listed { without } => {
                self.unlisted = without.into_iter().collect();
                let (runs, unlisted) = (&self.runs, &self.unlisted);
                self.ledger
                    .mark_listed(now, |uid| !is_in(runs.get(uid).map(Box::as_ref), unlisted));
                self.report_pods_without_run(now, &mut findings);
            }
            Change::NamespaceListed { namespace } => {
                self.unlisted.remove(&namespace);
                self.report_pods_without_run(now, &mut findings);
                let (runs, namespace) = (&self.runs, HashSet::from([namespace]));
                self.ledger
                    .mark_listed(now, |uid| is_in(runs.get(uid).map(Box::as_ref), &namespace));
            }
            Change::Ended => {}
        }
        findings
    }

    /// Takes a pod as it is now, if it is its TaskRun's; else it waits until its TaskRun names it.
    fn observe_pod(
        &mut self,
        pod: &SlimPod,
        seen: PodSnapshot,
        now: Timestamp,
        findings: &mut Vec<Finding>,
    ) {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let belongs = match (self.runs.get(&seen.run_uid), self.trusts_pods) {
            (Some(run), true) => run.may_own(namespace, &seen.name),
            (Some(run), false) => run.has_named(namespace, &seen.name),
            (None, believes) => believes,
        };
        let texts = &mut self.texts;
        if !belongs {
            let namespace = texts.text(namespace);
            let facts = |facts: &mut PodFacts, seen: &PodSnapshot| facts.update(pod, seen, texts);
            let displaced = self.unclaimed.insert(namespace, seen, now, facts);
            findings.extend(displaced.map(Finding::Unclaimed));
            return;
        }
        let (uid, run_uid) = (seen.uid.clone(), seen.run_uid.clone());
        let facts = self.pods.entry(uid.clone()).or_default();
        let log_reads = facts.update(pod, &seen, texts).into_iter();
        findings.extend(log_reads.map(Finding::ReadLogNow));
        facts_of(&mut self.runs, &mut self.ages, &run_uid).update_from_pod(pod, &uid, texts);
        self.observe(Observation::Pod(seen), now, findings);
        self.release_facts(&run_uid, Some(&uid), findings);
    }

    fn remove_pod(
        &mut self,
        uid: &Arc<str>,
        run_uid: &Arc<str>,
        now: Timestamp,
        findings: &mut Vec<Finding>,
    ) {
        if let Some(facts) = self.pods.get_mut(uid) {
            facts.gone = true;
        }
        let gone = Observation::PodGone {
            uid: uid.clone(),
            run_uid: run_uid.clone(),
        };
        self.observe(gone, now, findings);
        self.release_facts(run_uid, Some(uid), findings);
    }

    fn observe_task_run(&mut self, run: &SlimTaskRun, now: Timestamp, findings: &mut Vec<Finding>) {
        let Some(seen) = run.seen(now, &mut self.texts) else {
            return;
        };
        let uid = seen.uid.clone();
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let before = self.runs.get(&uid);
        if before.is_some_and(|run| !run.has_seen_task_run() && run.namespace() != namespace) {
            // Pods of another namespace were believed, because they came before the TaskRun.
            self.ledger.forget(&uid);
            self.runs.remove(&uid);
        }
        facts_of(&mut self.runs, &mut self.ages, &uid).update_from_task_run(run, &mut self.texts);
        let evicted = self.evict_texts();
        if evicted > 0 {
            findings.push(Finding::TextsEvicted(evicted));
        }
        self.observe(Observation::TaskRun(seen), now, findings);
        self.claim_pods(&uid, now, findings);
        self.release_facts(&uid, None, findings);
    }

    /// Takes the pods that have waited for this TaskRun to name them.
    fn claim_pods(&mut self, run_uid: &Arc<str>, now: Timestamp, findings: &mut Vec<Finding>) {
        let Some(run) = self.runs.get_mut(run_uid) else {
            return;
        };
        let claimed = self
            .unclaimed
            .claim(run_uid, |namespace, name| run.has_named(namespace, name));
        for pod in claimed {
            let uid = pod.seen.uid.clone();
            if let Some(run) = self.runs.get_mut(run_uid) {
                run.add_pod(&uid);
            }
            self.pods.insert(uid.clone(), pod.facts);
            let log_reads = pod.log_reads.into_iter().filter(|_| !pod.gone);
            findings.extend(log_reads.map(Finding::ReadLogNow));
            self.observe(Observation::Pod(pod.seen), now, findings);
            if pod.gone {
                self.remove_pod(&uid, run_uid, now, findings);
            } else {
                self.release_facts(run_uid, Some(&uid), findings);
            }
        }
    }

    /// Reports pods whose TaskRun the complete lists do not show.
    fn report_pods_without_run(&mut self, now: Timestamp, findings: &mut Vec<Finding>) {
        let (runs, unlisted) = (&self.runs, &self.unlisted);
        let late = self.unclaimed.report(now, |pod| {
            let is_unknown = runs
                .get(&pod.seen.run_uid)
                .is_none_or(|run| !run.has_seen_task_run());
            is_unknown && !unlisted.contains(&pod.namespace)
        });
        findings.extend(late.into_iter().map(Finding::Unclaimed));
    }

    /// Makes runs give way while the texts of all are too large. Gives how many did.
    fn evict_texts(&mut self) -> usize {
        if self.texts.bytes() <= self.text_limit {
            return 0;
        }
        self.texts.purge();
        let excess = self.texts.bytes().saturating_sub(text_budget::TARGET_BYTES);
        let evicted = match self.texts.bytes() > text_budget::MAX_BYTES {
            true => text_budget::evict(self.runs.values_mut().map(Box::as_mut), excess),
            false => 0,
        };
        self.texts.purge();
        // What cannot give way is not looked at again for every TaskRun.
        self.text_limit = text_budget::MAX_BYTES
            .max(self.texts.bytes() + (text_budget::MAX_BYTES - text_budget::TARGET_BYTES));
        evicted
    }

    /// Is this TaskRun followed?
    #[must_use]
    pub fn tracks(&self, run_uid: &str) -> bool {
        self.ledger.contains(run_uid)
    }

    /// How many TaskRuns are followed.
    #[must_use]
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// Has everything that existed at the start been told?
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.ledger.is_listed() && self.unlisted.is_empty()
    }

    /// May this run not be told yet?
    fn must_wait(&self, run_uid: &str) -> bool {
        !self.ledger.is_listed() || is_in(self.runs.get(run_uid).map(Box::as_ref), &self.unlisted)
    }

    /// When [`Tracker::tick`] should be called next.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        // Before the lists are complete nothing is late.
        let held = self
            .unclaimed
            .next_due()
            .filter(|_| self.ledger.is_listed());
        held.into_iter().chain(self.ledger.next_wake()).min()
    }

    /// Tells what waiting until `now` has settled for one run. There may be more: see
    /// [`Tracker::next_wake`].
    pub fn tick(&mut self, now: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.unclaimed.next_due().is_some_and(|due| due <= now) && self.ledger.is_listed() {
            // Only those that have waited for long enough: the TaskRun of another may still be on its way.
            let late = self.unclaimed.report(now, |_| false);
            findings.extend(late.into_iter().map(Finding::Unclaimed));
        }
        let due = self.ledger.next_wake().is_some_and(|at| at <= now);
        if let Some(run_uid) = self.ledger.next_due().filter(|_| due).cloned()
            && self.defers(&run_uid)
        {
            self.ledger.defer(&run_uid);
            return findings;
        }
        let (run_uid, transitions) = self.ledger.tick(now);
        self.push_records(transitions, now, &mut findings);
        if let Some(run_uid) = run_uid {
            self.release_facts(&run_uid, None, &mut findings);
        }
        findings
    }

    fn observe(&mut self, observation: Observation, now: Timestamp, findings: &mut Vec<Finding>) {
        if self.must_wait(observation.run_uid()) || self.defers(observation.run_uid()) {
            self.ledger.record(observation);
            return;
        }
        let transitions = self.ledger.apply(observation, now);
        self.push_records(transitions, now, findings);
    }

    /// May this run tell nothing now? Then it is set aside.
    fn defers(&mut self, run_uid: &str) -> bool {
        let Some(admission) = &self.admission else {
            return false;
        };
        // Behind the others of its namespace.
        if self.deferred.contains(run_uid) {
            return true;
        }
        let Some((uid, facts)) = self.runs.get_key_value(run_uid) else {
            return false;
        };
        let waits = !admission.has_room(facts.namespace(), run_uid);
        if waits {
            self.deferred.add(facts.namespace(), uid);
        }
        waits
    }

    /// Is there a run that was set aside and may tell now?
    #[must_use]
    pub fn can_resume(&self) -> bool {
        let admission = self.admission.as_ref();
        admission.is_some_and(|admission| {
            let has_room = |namespace: &str, run: &str| admission.has_room(namespace, run);
            self.deferred.has_next(
                |namespace| admission.has_namespace_room(namespace),
                has_room,
            )
        })
    }

    /// Tells what is known of a run that was set aside, namespaces in turn, if one may tell now.
    pub fn resume(&mut self, now: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Some(admission) = &self.admission else {
            return findings;
        };
        let has_room = |namespace: &str, run: &str| admission.has_room(namespace, run);
        let next = self.deferred.next(
            |namespace| admission.has_namespace_room(namespace),
            has_room,
        );
        if let Some(run_uid) = next {
            let transitions = self.ledger.evaluate(&run_uid, now);
            self.push_records(transitions, now, &mut findings);
            self.release_facts(&run_uid, None, &mut findings);
        }
        findings
    }

    /// How many runs are set aside, and how many were given up because they were gone.
    #[must_use]
    pub fn deferred_runs(&self) -> (usize, u64) {
        (self.deferred.len(), self.deferred.given_up())
    }

    /// Forgets a run that was set aside and is gone from the cluster.
    fn give_up(&mut self, run_uid: &str, findings: &mut Vec<Finding>) {
        self.ledger.forget(run_uid);
        if let Some((uid, mut facts)) = self.runs.remove_entry(run_uid) {
            for pod in facts.settle() {
                self.pods.remove(&pod);
            }
            findings.push(Finding::Forgotten(uid));
        }
    }

    fn push_records(
        &self,
        transitions: Vec<Transition>,
        now: Timestamp,
        findings: &mut Vec<Finding>,
    ) {
        let unknown = RunFacts::default();
        for transition in transitions {
            let run = self
                .runs
                .get(&transition.run_uid)
                .map_or(&unknown, |facts| &**facts);
            let pod = transition
                .pod_uid
                .as_ref()
                .and_then(|uid| self.pods.get(uid));
            findings.push(Finding::Record(Box::new(run.record(transition, pod, now))));
        }
    }

    /// Drops the facts that no event will need.
    fn release_facts(&mut self, run_uid: &str, pod_uid: Option<&str>, findings: &mut Vec<Finding>) {
        if self.must_wait(run_uid) || self.deferred.contains(run_uid) {
            return;
        }
        if let Some(uid) = pod_uid
            && !self.ledger.has_pending_steps(run_uid, uid)
        {
            self.pods.remove(uid);
        }
        let done_with = if !self.ledger.contains(run_uid) {
            let forgotten = self.runs.remove_entry(run_uid);
            forgotten.map(|(uid, mut facts)| {
                findings.push(Finding::Forgotten(uid));
                facts.settle()
            })
        } else if self.ledger.is_settled(run_uid) {
            self.runs.get_mut(run_uid).map(|facts| facts.settle())
        } else {
            None
        };
        for uid in done_with.into_iter().flatten() {
            self.pods.remove(&uid);
        }
    }
}

fn facts_of<'a>(
    runs: &'a mut HashMap<Arc<str>, Box<RunFacts>>,
    ages: &mut u64,
    uid: &Arc<str>,
) -> &'a mut RunFacts {
    runs.entry(uid.clone()).or_insert_with(|| {
        *ages += 1;
        Box::new(RunFacts::new(*ages))
    })
}

fn is_in(run: Option<&RunFacts>, namespaces: &HashSet<Arc<str>>) -> bool {
    run.is_some_and(|facts| namespaces.contains(facts.namespace()))
}
