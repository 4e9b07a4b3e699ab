//! Pods whose TaskRun has not named them.
//!
//! Whoever may create Pods in one namespace can write any owner into them, also a TaskRun of another namespace. So a Pod
//! is believed only once the TaskRun itself says in its status that it is its pod. Until then it waits here.

use super::facts::PodFacts;
use super::tracker::LogTarget;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use step_observer_core::PodSnapshot;

/// How long a TaskRun may take to name its pod before the pod is reported. Tekton does it in the same reconciliation
/// in which it makes the pod.
pub(super) const CLAIM_TIMEOUT: SignedDuration = SignedDuration::from_secs(30);

/// Most pods that wait. At this bound the oldest of the namespace that has the most gives way.
const MAX_UNCLAIMED: usize = 16 * 1024;

/// A pod that waits for its TaskRun to name it, as it was last seen.
#[derive(Debug)]
pub(super) struct UnclaimedPodState {
    pub(super) namespace: Arc<str>,
    pub(super) seen: PodSnapshot,
    pub(super) facts: PodFacts,
    /// The log that was to be read at once, since the pod is being deleted.
    pub(super) log_reads: Vec<LogTarget>,
    pub(super) gone: bool,
    since: Timestamp,
    reported: bool,
}

/// Pods that wait for their TaskRuns to name them, by their UIDs.
#[derive(Debug, Default)]
pub(super) struct UnclaimedPods {
    pods: HashMap<Arc<str>, UnclaimedPodState>,
    /// UIDs of pods per UID of a TaskRun.
    by_run: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// When those that are not reported are.
    due: BTreeSet<(Timestamp, Arc<str>)>,
}

/// A pod that no TaskRun has named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnclaimedPod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// UID of the TaskRun that it names as its owner.
    pub run_uid: Arc<str>,
}

impl UnclaimedPodState {
    fn to_report(&self) -> UnclaimedPod {
        UnclaimedPod {
            namespace: self.namespace.clone(),
            name: self.seen.name.clone(),
            run_uid: self.seen.run_uid.clone(),
        }
    }
}

impl UnclaimedPods {
    /// Takes a pod as it is now; `facts` brings what is known of it up to date and gives what must be read at once.
    /// Gives a pod that gives way, if there are too many and it was not reported before.
    pub(super) fn insert(
        &mut self,
        namespace: Arc<str>,
        seen: PodSnapshot,
        now: Timestamp,
        facts: impl FnOnce(&mut PodFacts, &PodSnapshot) -> Vec<LogTarget>,
    ) -> Option<UnclaimedPod> {
        let uid = seen.uid.clone();
        if let Some(held) = self.pods.get_mut(&uid) {
            held.log_reads.extend(facts(&mut held.facts, &seen));
            held.seen = seen;
            return None;
        }
        let mut new = PodFacts::default();
        let log_reads = facts(&mut new, &seen);
        let run = self.by_run.entry(seen.run_uid.clone()).or_default();
        run.push(uid.clone());
        self.due.insert((due(now), uid.clone()));
        let held = UnclaimedPodState {
            namespace,
            seen,
            facts: new,
            log_reads,
            gone: false,
            since: now,
            reported: false,
        };
        self.pods.insert(uid, held);
        if self.pods.len() <= MAX_UNCLAIMED {
            return None;
        }
        let oldest = self.oldest_of_the_largest()?;
        let held = self.remove(&oldest)?;
        (!held.reported).then(|| held.to_report())
    }

    /// The pod that gives way at the bound.
    fn oldest_of_the_largest(&self) -> Option<Arc<str>> {
        let mut sizes: HashMap<&Arc<str>, usize> = HashMap::new();
        for held in self.pods.values() {
            *sizes.entry(&held.namespace).or_default() += 1;
        }
        let (largest, _) = sizes.into_iter().max_by_key(|(_, size)| *size)?;
        let of_largest = self
            .pods
            .iter()
            .filter(|(_, held)| held.namespace == *largest);
        let oldest = of_largest.min_by_key(|(_, held)| held.since);
        oldest.map(|(uid, _)| uid.clone())
    }

    /// Notes that a pod is gone. Gives whether it is one of these.
    pub(super) fn mark_gone(&mut self, uid: &str) -> bool {
        let Some(held) = self.pods.get_mut(uid) else {
            return false;
        };
        held.gone = true;
        // One that was reported is not waited for any longer.
        if held.reported {
            self.remove(uid);
        }
        true
    }

    /// Takes out a pod, if it is one of these.
    pub(super) fn remove(&mut self, uid: &str) -> Option<UnclaimedPodState> {
        let held = self.pods.remove(uid)?;
        self.due.remove(&(due(held.since), held.seen.uid.clone()));
        if let Some(run) = self.by_run.get_mut(&held.seen.run_uid) {
            run.retain(|known| **known != *uid);
            if run.is_empty() {
                self.by_run.remove(&held.seen.run_uid);
            }
        }
        Some(held)
    }

    /// Takes out the pods of a TaskRun that it names, oldest first.
    pub(super) fn claim(
        &mut self,
        run_uid: &str,
        names: impl Fn(&str, &str) -> bool,
    ) -> Vec<UnclaimedPodState> {
        let waiting = self.by_run.get(run_uid).cloned().unwrap_or_default();
        let claimed: Vec<_> = waiting
            .into_iter()
            .filter(|uid| {
                let held = self.pods.get(uid);
                held.is_some_and(|held| names(&held.namespace, &held.seen.name))
            })
            .collect();
        claimed.iter().filter_map(|uid| self.remove(uid)).collect()
    }

    /// When [`UnclaimedPods::report`] should be called next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Reports the pods that have waited for too long, and those whose TaskRun is known not to exist.
    pub(super) fn report(
        &mut self,
        now: Timestamp,
        lacks_task_run: impl Fn(&UnclaimedPodState) -> bool,
    ) -> Vec<UnclaimedPod> {
        let late: Vec<_> = self
            .due
            .iter()
            .filter(|(at, uid)| *at <= now || self.pods.get(uid).is_some_and(&lacks_task_run))
            .cloned()
            .collect();
        let mut reported = Vec::new();
        for entry in late {
            self.due.remove(&entry);
            let (_, uid) = entry;
            let Some(held) = self.pods.get_mut(&uid) else {
                continue;
            };
            held.reported = true;
            reported.push(held.to_report());
            if held.gone {
                self.remove(&uid);
            }
        }
        reported
    }
}

fn due(since: Timestamp) -> Timestamp {
    since.checked_add(CLAIM_TIMEOUT).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str, run: &str) -> PodSnapshot {
        PodSnapshot {
            uid: uid.into(),
            name: format!("pod-{uid}").into(),
            run_uid: run.into(),
            ..PodSnapshot::default()
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn hold(
        held: &mut UnclaimedPods,
        namespace: &str,
        pod: PodSnapshot,
        now: Timestamp,
    ) -> Option<UnclaimedPod> {
        held.insert(namespace.into(), pod, now, |_, _| Vec::new())
    }

    #[test]
    fn a_pod_waits_until_its_task_run_names_it() {
        let mut held = UnclaimedPods::default();
        hold(&mut held, "a", pod("1", "r"), at(0));
        hold(&mut held, "b", pod("2", "r"), at(1));
        let claimed = held.claim("r", |namespace, name| namespace == "a" && name == "pod-1");
        assert_eq!(claimed.len(), 1);
        assert_eq!(&*claimed[0].seen.uid, "1");
        assert!(held.report(at(30), |_| false).is_empty());
        let late = held.report(at(31), |_| false);
        assert_eq!(late.len(), 1);
        assert_eq!(&*late[0].namespace, "b");
        assert_eq!(held.next_due(), None);
        // It is still there, if the TaskRun names it after all.
        assert_eq!(held.claim("r", |_, _| true).len(), 1);
        assert!(held.pods.is_empty() && held.by_run.is_empty());
    }

    #[test]
    fn a_pod_that_is_reported_and_gone_is_forgotten() {
        let mut held = UnclaimedPods::default();
        hold(&mut held, "a", pod("1", "r"), at(0));
        hold(&mut held, "a", pod("2", "r"), at(0));
        assert!(held.mark_gone("1") && !held.mark_gone("3"));
        assert_eq!(held.report(at(30), |_| false).len(), 2);
        assert!(held.mark_gone("2"));
        assert!(held.pods.is_empty() && held.by_run.is_empty() && held.due.is_empty());
    }

    #[test]
    fn at_the_bound_the_namespace_that_has_the_most_gives_way() {
        let mut held = UnclaimedPods::default();
        hold(&mut held, "innocent", pod("i", "ri"), at(0));
        for number in 0..MAX_UNCLAIMED {
            let uid = number.to_string();
            let gave_way = hold(&mut held, "attacker", pod(&uid, "r"), at(1));
            assert!(gave_way.is_none_or(|pod| &*pod.namespace == "attacker"));
        }
        assert_eq!(held.pods.len(), MAX_UNCLAIMED);
        assert_eq!(held.claim("ri", |_, _| true).len(), 1);
    }
}
