//! Turns changes in the cluster into step records: the ledger decides on the transitions, the
//! tracker adds the facts of their runs.

use super::change::{Change, Finding};
use super::deferred_runs::DeferredRuns;
use super::facts::{PodFacts, RunFacts};
use super::history_runs::HistoryRuns;
use super::intern::Interner;
use super::pipeline_runs::PipelineRuns;
use super::slim::{SlimPod, SlimTaskRun};
use super::text_budget;
use super::unclaimed_pods::UnclaimedPods;
use crate::fair::Admission;
use crate::known_secrets::KnownSecrets;

use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use step_observer_core::{Ledger, Observation, PodPhase, PodSnapshot, Transition};

/// Tracks the steps of all TaskRuns.
#[derive(Debug)]
pub struct Tracker {
    ledger: Ledger,
    /// Facts per UID of a TaskRun. They are boxed, because a hash table reserves up to twice the
    /// space that its entries need.
    runs: HashMap<Arc<str>, Box<RunFacts>>,
    /// Facts per UID of a Pod.
    pods: HashMap<Arc<str>, PodFacts>,
    /// Runs that ended long ago. They are in none of the other maps.
    history: HistoryRuns,
    texts: Interner,
    /// Pods that their TaskRuns have not named.
    unclaimed: UnclaimedPods,
    /// True if a Pod counts while its TaskRun is unknown. Recordings need not contain TaskRuns.
    trusts_pods: bool,
    /// Limit of the bytes of all texts together. Above it, [`Tracker::evict_texts`] looks for runs
    /// whose texts it can drop.
    text_limit: usize,
    /// Number of runs that were ever seen. It gives each run its age.
    runs_seen: u64,
    /// Namespaces whose initial lists are not complete although [`Change::Listed`] has come.
    unlisted: HashSet<Arc<str>>,
    /// Limits the records in preparation per namespace and run. `None`: no limit.
    admission: Option<Admission>,
    /// Runs whose transitions wait until [`Tracker::admission`] admits them.
    deferred: DeferredRuns,
    /// Decides for which Pods the Secrets are read.
    known_secrets: KnownSecrets,
    /// Whether ends of TaskRuns are reported.
    reports_run_ends: bool,
    /// Whether steps that wait for their turn are reported.
    reports_waiting: bool,
    pipeline_runs: PipelineRuns,
}

impl Tracker {
    /// Creates a tracker with this ledger.
    ///
    /// If the ledger is listed from the start, as for recordings, a Pod counts while its TaskRun is
    /// unknown. Otherwise a Pod counts only after its TaskRun has named it.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self {
            trusts_pods: ledger.is_listed(),
            unclaimed: UnclaimedPods::default(),
            text_limit: text_budget::MAX_BYTES,
            runs_seen: 0,
            history: HistoryRuns::new(ledger.horizon()),
            ledger,
            runs: HashMap::new(),
            pods: HashMap::new(),
            texts: Interner::default(),
            unlisted: HashSet::new(),
            admission: None,
            deferred: DeferredRuns::default(),
            known_secrets: KnownSecrets::default(),
            reports_run_ends: false,
            reports_waiting: false,
            pipeline_runs: PipelineRuns::default(),
        }
    }

    /// Reports the ends of TaskRuns, too.
    pub(crate) fn with_run_ends(mut self, reports_run_ends: bool) -> Self {
        self.reports_run_ends = reports_run_ends;
        self
    }

    /// Reports the steps of new Pods, too, before their first transitions.
    #[must_use]
    pub fn with_waiting_steps(mut self, reports_waiting: bool) -> Self {
        self.reports_waiting = reports_waiting;
        self
    }

    /// Reports the Secrets that Pods refer to, if they are to be masked.
    pub(crate) fn with_known_secrets(mut self, known_secrets: KnownSecrets) -> Self {
        self.known_secrets = known_secrets;
        self
    }

    /// Defers a run while the run or its namespace has used up its share of the records in
    /// preparation. The tracker then records the observations of the run, and [`Tracker::resume`]
    /// emits its transitions.
    pub(crate) fn with_admission(mut self, admission: Admission) -> Self {
        self.admission = Some(admission);
        self
    }

    /// Applies one change that was seen at `now`.
    pub fn apply(&mut self, change: Change, now: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        match change {
            Change::Pod(pod) if self.is_of_history(&pod) => {}
            Change::Pod(pod) => {
                if let Some(snapshot) = pod.snapshot(now, &mut self.texts) {
                    self.observe_pod(&pod, snapshot, now, &mut findings);
                }
            }
            Change::PodGone { uid, run_uid } => {
                if self.history.remove_pod(&run_uid, &uid) {
                    findings.push(Finding::Forgotten(run_uid));
                } else if !self.unclaimed.mark_gone(&uid) {
                    self.remove_pod(&uid, &run_uid, now, &mut findings);
                }
            }
            Change::TaskRun(run) => self.observe_task_run(&run, now, &mut findings),
            Change::TaskRunGone { uid } if self.history.contains(&uid) => {
                if self.history.remove_task_run(&uid) {
                    findings.push(Finding::Forgotten(uid));
                }
            }
            Change::TaskRunGone { uid } => {
                self.observe(
                    Observation::TaskRunGone { uid: uid.clone() },
                    now,
                    &mut findings,
                );
                self.release_facts(&uid, None, &mut findings);
                if let Some(oldest) = self.deferred.mark_gone(&uid) {
                    self.drop_deferred(&oldest, &mut findings);
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
            Change::PipelineRun(run) => {
                let ended = self.pipeline_runs.observe(&run, self.ledger.horizon());
                findings.extend(ended.map(|ended| Finding::RunEnded(Box::new(ended))));
            }
            Change::PipelineRunGone { uid } => {
                if self.pipeline_runs.remove(&uid) {
                    findings.push(Finding::Forgotten(uid));
                }
            }
            Change::PipelineRunsListed => self.pipeline_runs.is_listed = true,
            Change::Ended => {}
        }
        findings
    }

    /// Returns whether a Pod belongs to a run that is history. Nothing is emitted for such a Pod.
    fn is_of_history(&mut self, pod: &SlimPod) -> bool {
        let (Some(owner), Some(uid)) = (pod.owner(), &pod.metadata.uid) else {
            return false;
        };
        let text = |text: &Option<Arc<str>>| text.clone().unwrap_or_default();
        let (namespace, name) = (text(&pod.metadata.namespace), text(&pod.metadata.name));
        let is_named = self.history.has_named(&owner.uid, &namespace, &name);
        if is_named {
            self.history.add_pod(&owner.uid, uid);
        }
        is_named
    }

    /// Adds a TaskRun that ended long ago, or updates it. Returns false if the TaskRun is not
    /// history, or was tracked before it ended.
    fn observe_history(&mut self, run: &SlimTaskRun, now: Timestamp) -> bool {
        let Some(uid) = &run.metadata.uid else {
            return false;
        };
        if self.ledger.contains(uid) || !self.history.includes(run, now) {
            self.history.remove(uid);
            return false;
        }
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let namespace = self.texts.text(namespace);
        self.history.insert(uid, namespace, run);
        let history = &self.history;
        let claimed = self.unclaimed.claim(uid, |namespace, name| {
            history.has_named(uid, namespace, name)
        });
        for pod in claimed.into_iter().filter(|pod| !pod.is_gone) {
            self.history.add_pod(uid, &pod.snapshot.uid);
        }
        true
    }

    /// Applies the current state of a Pod that belongs to its TaskRun. Any other Pod waits in
    /// [`UnclaimedPods`] until its TaskRun names it.
    fn observe_pod(
        &mut self,
        pod: &SlimPod,
        snapshot: PodSnapshot,
        now: Timestamp,
        findings: &mut Vec<Finding>,
    ) {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let belongs = match (self.runs.get(&snapshot.run_uid), self.trusts_pods) {
            (Some(run), true) => run.may_own(namespace, &snapshot.name),
            (Some(run), false) => run.has_named(namespace, &snapshot.name),
            (None, trusts_pods) => trusts_pods,
        };
        let texts = &mut self.texts;
        let known_secrets = &self.known_secrets;
        let add_secrets = |facts: &mut PodFacts| {
            let is_new = facts.secrets.is_none();
            if is_new {
                let refs = |with_pull_secrets| pod.secret_refs(with_pull_secrets);
                facts.secrets = known_secrets.of_pod(namespace, refs);
            }
            facts.secrets.clone().filter(|_| is_new)
        };
        if !belongs {
            let namespace = texts.text(namespace);
            let update = |facts: &mut PodFacts, snapshot: &PodSnapshot| {
                add_secrets(facts);
                facts.update(pod, snapshot, texts)
            };
            let displaced = self.unclaimed.insert(namespace, snapshot, now, update);
            findings.extend(displaced.map(Finding::Unclaimed));
            return;
        }
        let (uid, run_uid) = (snapshot.uid.clone(), snapshot.run_uid.clone());
        let is_new = !self.pods.contains_key(&uid);
        let facts = self.pods.entry(uid.clone()).or_default();
        let secrets = add_secrets(facts).filter(|_| may_run(&snapshot));
        findings.extend(secrets.map(Finding::ReadSecretsNow));
        let log_reads = facts.update(pod, &snapshot, texts).into_iter();
        findings.extend(log_reads.map(Finding::ReadLogNow));
        let run = facts_of(&mut self.runs, &mut self.runs_seen, &run_uid);
        run.update_from_pod(pod, &uid, texts);
        if self.reports_waiting && is_new {
            findings.extend(run.waiting_steps(&snapshot));
        }
        self.observe(Observation::Pod(snapshot), now, findings);
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
            facts.is_gone = true;
        }
        let gone = Observation::PodGone {
            uid: uid.clone(),
            run_uid: run_uid.clone(),
        };
        self.observe(gone, now, findings);
        self.release_facts(run_uid, Some(uid), findings);
    }

    fn observe_task_run(&mut self, run: &SlimTaskRun, now: Timestamp, findings: &mut Vec<Finding>) {
        if self.observe_history(run, now) {
            return;
        }
        let Some(snapshot) = run.snapshot(now, &mut self.texts) else {
            return;
        };
        let uid = snapshot.uid.clone();
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let before = self.runs.get(&uid);
        if before.is_some_and(|run| !run.has_seen_task_run() && run.namespace() != namespace) {
            // Drops the state of Pods of another namespace, which counted as Pods of this run
            // before its TaskRun was seen.
            self.ledger.forget(&uid);
            self.runs.remove(&uid);
        }
        let facts = facts_of(&mut self.runs, &mut self.runs_seen, &uid);
        facts.update_from_task_run(run, &mut self.texts);
        if self.reports_run_ends {
            facts.ends.collect(run, self.ledger.horizon());
        }
        let evicted = self.evict_texts();
        if evicted > 0 {
            findings.push(Finding::TextsEvicted(evicted));
        }
        self.observe(Observation::TaskRun(snapshot), now, findings);
        self.claim_pods(&uid, now, findings);
        self.release_facts(&uid, None, findings);
    }

    /// Applies the Pods that have waited for this TaskRun to name them.
    fn claim_pods(&mut self, run_uid: &Arc<str>, now: Timestamp, findings: &mut Vec<Finding>) {
        let Some(run) = self.runs.get_mut(run_uid) else {
            return;
        };
        let claimed = self
            .unclaimed
            .claim(run_uid, |namespace, name| run.has_named(namespace, name));
        for pod in claimed {
            let uid = pod.snapshot.uid.clone();
            if let Some(run) = self.runs.get_mut(run_uid) {
                run.add_pod(&uid);
                if self.reports_waiting {
                    findings.extend(run.waiting_steps(&pod.snapshot));
                }
            }
            let secrets = pod.facts.secrets.clone().filter(|_| may_run(&pod.snapshot));
            findings.extend(secrets.map(Finding::ReadSecretsNow));
            self.pods.insert(uid.clone(), pod.facts);
            let log_reads = pod.log_reads.into_iter().filter(|_| !pod.is_gone);
            findings.extend(log_reads.map(Finding::ReadLogNow));
            self.observe(Observation::Pod(pod.snapshot), now, findings);
            if pod.is_gone {
                self.remove_pod(&uid, run_uid, now, findings);
            } else {
                self.release_facts(run_uid, Some(&uid), findings);
            }
        }
    }

    /// Reports Pods whose TaskRun is missing from the complete initial lists.
    fn report_pods_without_run(&mut self, now: Timestamp, findings: &mut Vec<Finding>) {
        let (runs, history, unlisted) = (&self.runs, &self.history, &self.unlisted);
        let late = self.unclaimed.report(now, |pod| {
            let is_unknown = runs
                .get(&pod.snapshot.run_uid)
                .is_none_or(|run| !run.has_seen_task_run());
            let is_unknown = is_unknown && !history.contains(&pod.snapshot.run_uid);
            is_unknown && !unlisted.contains(&pod.namespace)
        });
        findings.extend(late.into_iter().map(Finding::Unclaimed));
    }

    /// Drops texts of runs while the texts of all runs exceed their bound. Returns the number of
    /// runs that lost texts.
    fn evict_texts(&mut self) -> usize {
        if self.texts.bytes() <= self.text_limit {
            return 0;
        }
        self.texts.purge();
        let excess = self.texts.bytes().saturating_sub(text_budget::TARGET_BYTES);
        let evicted = if self.texts.bytes() > text_budget::MAX_BYTES {
            text_budget::evict(self.runs.values_mut().map(Box::as_mut), excess)
        } else {
            0
        };
        self.texts.purge();
        // The limit stays above the bytes that remain. Otherwise texts that cannot be dropped would
        // cause a search at each TaskRun.
        self.text_limit = text_budget::MAX_BYTES
            .max(self.texts.bytes() + (text_budget::MAX_BYTES - text_budget::TARGET_BYTES));
        evicted
    }

    /// Returns whether the tracker has state of this TaskRun or PipelineRun.
    #[must_use]
    pub fn tracks(&self, run_uid: &str) -> bool {
        self.ledger.contains(run_uid)
            || self.history.contains(run_uid)
            || self.pipeline_runs.contains(run_uid)
    }

    /// Returns whether the initial lists of PipelineRuns are complete.
    #[must_use]
    pub fn has_pipeline_runs(&self) -> bool {
        self.pipeline_runs.is_listed
    }

    /// Returns the number of TaskRuns for which the tracker has state.
    #[must_use]
    pub fn run_count(&self) -> usize {
        self.runs.len() + self.history.len()
    }

    /// Returns whether the initial lists of all namespaces are complete.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.ledger.is_listed() && self.unlisted.is_empty()
    }

    /// Returns whether the initial lists that contain this run are incomplete, so that its
    /// transitions must not be emitted yet.
    fn awaits_lists(&self, run_uid: &str) -> bool {
        !self.ledger.is_listed() || is_in(self.runs.get(run_uid).map(Box::as_ref), &self.unlisted)
    }

    /// Returns the time at which [`Tracker::tick`] should be called next.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        // Before the lists are complete, no Pod is reported because its TaskRun is missing.
        let report_at = self
            .unclaimed
            .next_due()
            .filter(|_| self.ledger.is_listed());
        report_at.into_iter().chain(self.ledger.next_wake()).min()
    }

    /// Evaluates one run whose timer has expired at `now`, and reports Pods that have waited too
    /// long. Further runs may be due: see [`Tracker::next_wake`].
    pub fn tick(&mut self, now: Timestamp) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.unclaimed.next_due().is_some_and(|due| due <= now) && self.ledger.is_listed() {
            // Reports only Pods whose timeout has passed: the TaskRuns of the other Pods may still
            // come.
            let late = self.unclaimed.report(now, |_| false);
            findings.extend(late.into_iter().map(Finding::Unclaimed));
        }
        let is_due = self.ledger.next_wake().is_some_and(|at| at <= now);
        if let Some(run_uid) = self.ledger.next_due().filter(|_| is_due).cloned()
            && self.defer_if_full(&run_uid)
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
        if self.awaits_lists(observation.run_uid()) || self.defer_if_full(observation.run_uid()) {
            self.ledger.record(observation);
            return;
        }
        let transitions = self.ledger.apply(observation, now);
        self.push_records(transitions, now, findings);
    }

    /// Defers a run if the run or its namespace has used up its share. Returns whether the run is
    /// deferred.
    fn defer_if_full(&mut self, run_uid: &str) -> bool {
        let Some(admission) = &self.admission else {
            return false;
        };
        // The run already waits behind other runs of its namespace.
        if self.deferred.contains(run_uid) {
            return true;
        }
        let Some((uid, facts)) = self.runs.get_key_value(run_uid) else {
            return false;
        };
        let is_full = !admission.has_room(facts.namespace(), run_uid);
        if is_full {
            self.deferred.add(facts.namespace(), uid);
        }
        is_full
    }

    /// Returns whether a deferred run may resume, because neither its own share nor that of its
    /// namespace is used up.
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

    /// Emits the transitions of the next deferred run that may resume, see [`Tracker::can_resume`].
    /// Namespaces take turns.
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

    /// Returns the number of deferred runs, and the number of deferred runs that were dropped
    /// because they are gone from the cluster.
    #[must_use]
    pub fn deferred_runs(&self) -> (usize, u64) {
        (self.deferred.len(), self.deferred.dropped())
    }

    /// Drops the state of a deferred run that is gone from the cluster.
    fn drop_deferred(&mut self, run_uid: &str, findings: &mut Vec<Finding>) {
        self.ledger.forget(run_uid);
        if let Some((uid, mut facts)) = self.runs.remove_entry(run_uid) {
            for pod in facts.settle() {
                self.pods.remove(&pod);
            }
            self.texts.note_released_run();
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

    /// Drops the facts that no further record needs.
    fn release_facts(&mut self, run_uid: &str, pod_uid: Option<&str>, findings: &mut Vec<Finding>) {
        if self.awaits_lists(run_uid) || self.deferred.contains(run_uid) {
            return;
        }
        if let Some(facts) = self.runs.get_mut(run_uid) {
            let ends = facts.ends.take().into_iter();
            findings.extend(ends.map(|end| Finding::RunEnded(Box::new(end))));
        }
        if let Some(uid) = pod_uid
            && !self.ledger.has_pending_steps(run_uid, uid)
        {
            self.pods.remove(uid);
        }
        let pods = if !self.ledger.contains(run_uid) {
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
        if let Some(pods) = pods {
            for uid in pods {
                self.pods.remove(&uid);
            }
            self.texts.note_released_run();
        }
    }
}

/// Returns whether steps of a Pod may still run. Otherwise, the Secrets of the Pod are needed only
/// for its events, and most of these were emitted before.
fn may_run(pod: &PodSnapshot) -> bool {
    matches!(pod.phase, PodPhase::Pending | PodPhase::Running)
}

fn facts_of<'a>(
    runs: &'a mut HashMap<Arc<str>, Box<RunFacts>>,
    runs_seen: &mut u64,
    uid: &Arc<str>,
) -> &'a mut RunFacts {
    runs.entry(uid.clone()).or_insert_with(|| {
        *runs_seen += 1;
        Box::new(RunFacts::new(*runs_seen))
    })
}

fn is_in(run: Option<&RunFacts>, namespaces: &HashSet<Arc<str>>) -> bool {
    run.is_some_and(|facts| namespaces.contains(facts.namespace()))
}

#[cfg(test)]
mod tests;
