//! Deferred runs: their transitions wait, because the run or its namespace has used up its share of
//! the records in preparation. The ledger keeps their state; this module only decides which run is
//! next.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Bounds the deferred runs of one namespace that are gone from the cluster. The cluster bounds the
/// runs that it still shows, but nothing bounds how many runs a namespace creates and deletes.
const MAX_GONE_RUNS: usize = 256;
/// Maximum number of deferred runs of one namespace that a search for the next run examines. The
/// search passes over a run only if that run has used up its own share.
const MAX_CANDIDATES: usize = 64;

/// Orders the deferred runs per namespace. Pure.
#[derive(Debug, Default)]
pub(super) struct DeferredRuns {
    /// Contains only namespaces with deferred runs.
    namespaces: HashMap<Arc<str>, NamespaceQueue>,
    /// The same namespaces in the order of their turns.
    turns: VecDeque<Arc<str>>,
    /// Maps the UID of a run to its namespace.
    runs: HashMap<Arc<str>, Arc<str>>,
    dropped: u64,
}

#[derive(Debug, Default)]
struct NamespaceQueue {
    /// Runs in the order in which they were deferred.
    queue: VecDeque<Arc<str>>,
    /// Runs that are gone from the cluster, the oldest first. Runs that were resumed may remain in
    /// this queue.
    gone: VecDeque<Arc<str>>,
}

impl DeferredRuns {
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Returns how many deferred runs were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn contains(&self, run: &str) -> bool {
        self.runs.contains_key(run)
    }

    /// Defers a run behind the other deferred runs of its namespace.
    pub(super) fn add(&mut self, namespace: &str, run: &Arc<str>) {
        let known = self.namespaces.get_key_value(namespace);
        let namespace: Arc<str> = match known {
            Some((known, _)) => known.clone(),
            None => namespace.into(),
        };
        if self.runs.insert(run.clone(), namespace.clone()).is_some() {
            return;
        }
        let queued = self.namespaces.entry(namespace.clone()).or_default();
        if queued.queue.is_empty() {
            self.turns.push_back(namespace);
        }
        queued.queue.push_back(run.clone());
    }

    /// Records that a run is gone from the cluster. If more than [`MAX_GONE_RUNS`] deferred runs of
    /// its namespace are gone, returns the oldest of them. The caller drops the state of the
    /// returned run.
    pub(super) fn mark_gone(&mut self, run: &str) -> Option<Arc<str>> {
        let (run, namespace) = self.runs.get_key_value(run)?;
        let queued = self.namespaces.get_mut(namespace)?;
        if queued.gone.contains(run) {
            return None;
        }
        queued.gone.push_back(run.clone());
        let deferred = &self.runs;
        if queued.gone.len() > MAX_GONE_RUNS {
            queued.gone.retain(|run| deferred.contains_key(run));
        }
        if queued.gone.len() <= MAX_GONE_RUNS {
            return None;
        }
        let oldest = queued.gone.pop_front()?;
        queued.queue.retain(|run| *run != oldest);
        self.runs.remove(&oldest);
        self.dropped += 1;
        Some(oldest)
    }

    /// Returns the position of the next run: the index of its namespace in `turns` and the index of
    /// the run in the queue of that namespace.
    fn find(
        &self,
        namespace_has_room: impl Fn(&str) -> bool,
        run_has_room: impl Fn(&str, &str) -> bool,
    ) -> Option<(usize, usize)> {
        let turns = self.turns.iter().enumerate();
        let mut with_room = turns.filter(|(_, namespace)| namespace_has_room(namespace));
        with_room.find_map(|(turn, namespace)| {
            let queue = &self.namespaces.get(namespace)?.queue;
            let mut candidates = queue.iter().take(MAX_CANDIDATES);
            let index = candidates.position(|run| run_has_room(namespace, run))?;
            Some((turn, index))
        })
    }

    /// Returns whether any deferred run may resume.
    pub(super) fn has_next(
        &self,
        namespace_has_room: impl Fn(&str) -> bool,
        run_has_room: impl Fn(&str, &str) -> bool,
    ) -> bool {
        self.find(namespace_has_room, run_has_room).is_some()
    }

    /// Removes and returns the next run that may resume: neither its own share nor that of its
    /// namespace is used up. Namespaces take turns.
    pub(super) fn next(
        &mut self,
        namespace_has_room: impl Fn(&str) -> bool,
        run_has_room: impl Fn(&str, &str) -> bool,
    ) -> Option<Arc<str>> {
        let (turn, index) = self.find(namespace_has_room, run_has_room)?;
        let namespace = self.turns.remove(turn)?;
        let queued = self.namespaces.get_mut(&namespace)?;
        let run = queued.queue.remove(index)?;
        self.runs.remove(&run);
        if queued.queue.is_empty() {
            self.namespaces.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        Some(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fair::Admission;
    use crate::observe::{Finding, Speed, TimedChange, Tracker, play};
    use jiff::Timestamp;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use step_observer_core::Ledger;

    /// Plays a recording in which the share of the namespace is used up at some of the changes.
    /// Returns the transitions per run, in order.
    fn play_with(name: &str, room: impl Fn(usize) -> bool) -> BTreeMap<Arc<str>, Vec<String>> {
        let file = format!(
            "{}/../tests/recordings/{name}.jsonl",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(file).unwrap();
        let mut changes = Vec::new();
        let keep = |seen: TimedChange| {
            changes.push(seen);
            true
        };
        play(name, text.as_bytes(), Speed::Max, || None, keep).unwrap();

        let admission = Admission::default();
        let mut tracker =
            Tracker::new(Ledger::from_stream_start()).with_admission(admission.clone());
        let (namespace, other): (Arc<str>, Arc<str>) = (name.into(), "other".into());
        let mut filling = Vec::new();
        let mut findings = Vec::new();
        let settle = |tracker: &mut Tracker, until: Timestamp, findings: &mut Vec<Finding>| loop {
            while tracker.can_resume() {
                findings.extend(tracker.resume(until));
            }
            match tracker.next_wake().filter(|due| *due <= until) {
                Some(due) => findings.extend(tracker.tick(due)),
                None => break,
            }
        };
        for (number, seen) in changes.into_iter().enumerate() {
            filling.clear();
            if !room(number) {
                filling.extend((0..256).map(|_| admission.enter(&namespace, &other, 0)));
            }
            settle(&mut tracker, seen.at, &mut findings);
            findings.extend(tracker.apply(seen.change, seen.at));
        }
        filling.clear();
        settle(&mut tracker, Timestamp::MAX, &mut findings);
        assert_eq!(tracker.deferred_runs(), (0, 0));
        let steps = findings.into_iter().filter_map(|finding| match finding {
            Finding::Record(record) => Some(record.transition),
            Finding::ReadLogNow(_)
            | Finding::PodSteps(_)
            | Finding::ReadSecretsNow(_)
            | Finding::Forgotten(_)
            | Finding::Unclaimed(_)
            | Finding::RunEnded(_)
            | Finding::TextsEvicted(_) => None,
        });
        let mut emitted: BTreeMap<Arc<str>, Vec<String>> = BTreeMap::new();
        for step in steps {
            let pod = step.pod_uid.as_deref().unwrap_or_default();
            let text = format!("{pod} {} {}", step.container, step.kind.as_str());
            emitted.entry(step.run_uid).or_default().push(text);
        }
        emitted
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn runs_deferred_at_any_moment_emit_the_same_in_the_same_order(
            rooms in proptest::collection::vec(any::<bool>(), 1..40),
            name in proptest::sample::select(vec!["a-success", "b-fail", "f-retries", "leaky"]),
        ) {
            let all = play_with(name, |_| true);
            prop_assert!(!all.is_empty());
            prop_assert_eq!(play_with(name, |number| rooms[number % rooms.len()]), all);
        }
    }

    fn run(number: usize) -> Arc<str> {
        format!("run-{number}").into()
    }

    proptest! {
        #[test]
        fn namespaces_take_turns_and_each_keeps_its_order(
            steps in proptest::collection::vec((0..4_usize, any::<bool>()), 0..200),
        ) {
            let mut deferred = DeferredRuns::default();
            let mut model: Vec<VecDeque<Arc<str>>> = vec![VecDeque::new(); 4];
            let mut last: Option<usize> = None;
            for (number, (namespace, adds)) in steps.into_iter().enumerate() {
                if adds {
                    deferred.add(&namespace.to_string(), &run(number));
                    model[namespace].push_back(run(number));
                    last = None;
                    continue;
                }
                // This namespace has no room.
                let namespace_has_room = |name: &str| name != namespace.to_string();
                let has = deferred.has_next(namespace_has_room, |_, _| true);
                let next = deferred.next(namespace_has_room, |_, _| true);
                prop_assert_eq!(has, next.is_some());
                let Some(next) = next else {
                    let others = (0..4).filter(|other| *other != namespace);
                    prop_assert!(others.into_iter().all(|other| model[other].is_empty()));
                    continue;
                };
                let from = (0..4).find(|one| model[*one].front() == Some(&next));
                let from = from.expect("the first of a namespace");
                model[from].pop_front();
                // No namespace has two turns in a row while another has a run.
                let others = (0..4).filter(|other| *other != namespace && *other != from);
                let alone = others.into_iter().all(|other| model[other].is_empty());
                prop_assert!(last != Some(from) || alone);
                last = Some(from);
            }
            prop_assert_eq!(deferred.len(), model.iter().map(VecDeque::len).sum::<usize>());
        }
    }

    #[test]
    fn a_run_that_has_its_share_lets_the_next_of_its_namespace_pass() {
        let mut deferred = DeferredRuns::default();
        (0..3).for_each(|number| deferred.add("ns", &run(number)));
        let run_has_room = |_: &str, uid: &str| uid != "run-0";
        assert_eq!(deferred.next(|_| true, run_has_room), Some(run(1)));
        assert_eq!(deferred.next(|_| true, run_has_room), Some(run(2)));
        assert!(!deferred.has_next(|_| true, run_has_room));
        assert!(deferred.contains("run-0") && deferred.len() == 1);
    }

    #[test]
    fn only_runs_that_are_gone_are_given_up_and_the_oldest_first() {
        let mut deferred = DeferredRuns::default();
        let runs = MAX_GONE_RUNS + 10;
        (0..runs).for_each(|number| deferred.add("ns", &run(number)));
        // The first run stays in the cluster.
        let dropped: Vec<_> = (1..runs)
            .filter_map(|number| deferred.mark_gone(&run(number)))
            .collect();
        let expected: Vec<_> = (1..10).map(run).collect();
        assert_eq!(dropped, expected);
        assert_eq!(deferred.dropped(), 9);
        assert!(deferred.contains("run-0") && !deferred.contains("run-1"));
        assert_eq!(deferred.next(|_| true, |_, _| true), Some(run(0)));
        assert_eq!(deferred.next(|_| true, |_, _| true), Some(run(10)));
    }
}
