//! Runs that may tell nothing at the moment, because they or their namespace have their share of the records that
//! are being prepared. What is known of them stays with the others; here is only whose turn is next.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Runs of one namespace that were set aside and are gone from the cluster, of which the state is kept. Nothing
/// bounds how many a namespace makes and deletes, while those that the cluster shows are bounded by the cluster.
const MAX_GONE_RUNS: usize = 256;
/// Runs of a namespace that are looked at for one that may tell: those before it have their own share.
const MAX_CANDIDATES: usize = 64;

/// Which runs are set aside, in order, by namespace. Pure.
#[derive(Debug, Default)]
pub(super) struct DeferredRuns {
    /// A namespace without any is not in here.
    namespaces: HashMap<Arc<str>, NamespaceQueue>,
    /// The same namespaces, the next one first.
    turns: VecDeque<Arc<str>>,
    /// UID of a run to its namespace.
    runs: HashMap<Arc<str>, Arc<str>>,
    given_up: u64,
}

#[derive(Debug, Default)]
struct NamespaceQueue {
    /// May hold runs that are given up.
    queue: VecDeque<Arc<str>>,
    /// Those that are gone, the oldest first. May hold runs that are told.
    gone: VecDeque<Arc<str>>,
}

impl DeferredRuns {
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Runs that were given up.
    pub(super) fn given_up(&self) -> u64 {
        self.given_up
    }

    pub(super) fn contains(&self, run: &str) -> bool {
        self.runs.contains_key(run)
    }

    /// Sets a run aside, behind those of its namespace.
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

    /// Notes that a run is gone from the cluster. Gives the oldest one that is to be given up for it.
    pub(super) fn gone(&mut self, run: &str) -> Option<Arc<str>> {
        let (run, namespace) = self.runs.get_key_value(run)?;
        let queued = self.namespaces.get_mut(namespace)?;
        if queued.gone.contains(run) {
            return None;
        }
        queued.gone.push_back(run.clone());
        let known = &self.runs;
        if queued.gone.len() > MAX_GONE_RUNS {
            queued.gone.retain(|run| known.contains_key(run));
        }
        if queued.gone.len() <= MAX_GONE_RUNS {
            return None;
        }
        let oldest = queued.gone.pop_front()?;
        queued.queue.retain(|run| *run != oldest);
        self.runs.remove(&oldest);
        self.given_up += 1;
        Some(oldest)
    }

    /// Where the next run stands: which turn, and which place in its namespace.
    fn find(
        &self,
        namespace_has_room: impl Fn(&str) -> bool,
        run_has_room: impl Fn(&str, &str) -> bool,
    ) -> Option<(usize, usize)> {
        let turns = self.turns.iter().enumerate();
        let mut with_room = turns.filter(|(_, namespace)| namespace_has_room(namespace));
        with_room.find_map(|(turn, namespace)| {
            let queue = &self.namespaces.get(namespace)?.queue;
            let place =
                (queue.iter().take(MAX_CANDIDATES)).position(|run| run_has_room(namespace, run))?;
            Some((turn, place))
        })
    }

    /// Is there a run that may tell?
    pub(super) fn has_next(
        &self,
        namespace_has_room: impl Fn(&str) -> bool,
        run_has_room: impl Fn(&str, &str) -> bool,
    ) -> bool {
        self.find(namespace_has_room, run_has_room).is_some()
    }

    /// Takes the next run that may tell, namespaces in turn.
    pub(super) fn next(
        &mut self,
        namespace_has_room: impl Fn(&str) -> bool,
        run_has_room: impl Fn(&str, &str) -> bool,
    ) -> Option<Arc<str>> {
        let (turn, place) = self.find(namespace_has_room, run_has_room)?;
        let namespace = self.turns.remove(turn)?;
        let queued = self.namespaces.get_mut(&namespace)?;
        let run = queued.queue.remove(place)?;
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

    /// Plays a recording of a namespace that has room only now and then. Gives what is told of each run, in order.
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
            | Finding::Forgotten(_)
            | Finding::Unclaimed(_)
            | Finding::TextsEvicted(_) => None,
        });
        let mut told: BTreeMap<Arc<str>, Vec<String>> = BTreeMap::new();
        for step in steps {
            let pod = step.pod_uid.as_deref().unwrap_or_default();
            let text = format!("{pod} {} {}", step.container, step.kind.as_str());
            told.entry(step.run_uid).or_default().push(text);
        }
        told
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
            let mut aside = DeferredRuns::default();
            let mut model: Vec<VecDeque<Arc<str>>> = vec![VecDeque::new(); 4];
            let mut last: Option<usize> = None;
            for (number, (namespace, adds)) in steps.into_iter().enumerate() {
                if adds {
                    aside.add(&namespace.to_string(), &run(number));
                    model[namespace].push_back(run(number));
                    last = None;
                    continue;
                }
                // This one has no room.
                let namespace_has_room = |name: &str| name != namespace.to_string();
                let has = aside.has_next(namespace_has_room, |_, _| true);
                let next = aside.next(namespace_has_room, |_, _| true);
                prop_assert_eq!(has, next.is_some());
                let Some(next) = next else {
                    let others = (0..4).filter(|other| *other != namespace);
                    prop_assert!(others.into_iter().all(|other| model[other].is_empty()));
                    continue;
                };
                let from = (0..4).find(|one| model[*one].front() == Some(&next));
                let from = from.expect("the first of a namespace");
                model[from].pop_front();
                // Never twice in a row while another could.
                let others = (0..4).filter(|other| *other != namespace && *other != from);
                let alone = others.into_iter().all(|other| model[other].is_empty());
                prop_assert!(last != Some(from) || alone);
                last = Some(from);
            }
            prop_assert_eq!(aside.len(), model.iter().map(VecDeque::len).sum::<usize>());
        }
    }

    #[test]
    fn a_run_that_has_its_share_lets_the_next_of_its_namespace_pass() {
        let mut aside = DeferredRuns::default();
        (0..3).for_each(|number| aside.add("ns", &run(number)));
        let run_has_room = |_: &str, uid: &str| uid != "run-0";
        assert_eq!(aside.next(|_| true, run_has_room), Some(run(1)));
        assert_eq!(aside.next(|_| true, run_has_room), Some(run(2)));
        assert!(!aside.has_next(|_| true, run_has_room));
        assert!(aside.contains("run-0") && aside.len() == 1);
    }

    #[test]
    fn only_runs_that_are_gone_are_given_up_and_the_oldest_first() {
        let mut aside = DeferredRuns::default();
        let runs = MAX_GONE_RUNS + 10;
        (0..runs).for_each(|number| aside.add("ns", &run(number)));
        // The first stays in the cluster.
        let given_up: Vec<_> = (1..runs)
            .filter_map(|number| aside.gone(&run(number)))
            .collect();
        let expected: Vec<_> = (1..10).map(run).collect();
        assert_eq!(given_up, expected);
        assert_eq!(aside.given_up(), 9);
        assert!(aside.contains("run-0") && !aside.contains("run-1"));
        assert_eq!(aside.next(|_| true, |_, _| true), Some(run(0)));
        assert_eq!(aside.next(|_| true, |_, _| true), Some(run(10)));
    }
}
