//! Unclaimed Pods: no TaskRun has named them yet.
//!
//! A tenant who may create Pods in one namespace can write any owner reference into them, even to a
//! TaskRun of another namespace. So a Pod counts only after the status of the TaskRun itself names
//! it. Until then it waits here.

use super::change::{LogTarget, UnclaimedPod};
use super::facts::PodFacts;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use step_observer_core::PodSnapshot;

/// Time that a TaskRun has to name its Pod before the Pod is reported. Tekton names the Pod in the
/// same reconciliation in which it creates the Pod.
pub(super) const CLAIM_TIMEOUT: SignedDuration = SignedDuration::from_secs(30);

/// Bounds the Pods that wait. Above this bound, the oldest Pod of the namespace with the most Pods
/// is dropped.
const MAX_UNCLAIMED: usize = 16 * 1024;

/// The last state of a Pod that waits for its TaskRun to name it.
#[derive(Debug)]
pub(super) struct UnclaimedPodState {
    pub(super) namespace: Arc<str>,
    pub(super) snapshot: PodSnapshot,
    pub(super) facts: PodFacts,
    /// Logs that must be read as soon as the TaskRun names the Pod, because the Pod is being
    /// deleted.
    pub(super) log_reads: Vec<LogTarget>,
    pub(super) is_gone: bool,
    since: Timestamp,
    is_reported: bool,
}

/// All Pods that wait for their TaskRuns to name them.
#[derive(Debug, Default)]
pub(super) struct UnclaimedPods {
    /// By the UID of the Pod.
    pods: HashMap<Arc<str>, UnclaimedPodState>,
    /// UIDs of Pods, by the UID of their TaskRun.
    by_run: HashMap<Arc<str>, Vec<Arc<str>>>,
    /// Times at which Pods must be reported. Contains only Pods that were not reported yet.
    due: BTreeSet<(Timestamp, Arc<str>)>,
}

impl UnclaimedPodState {
    fn to_report(&self) -> UnclaimedPod {
        UnclaimedPod {
            namespace: self.namespace.clone(),
            name: self.snapshot.name.clone(),
            run_uid: self.snapshot.run_uid.clone(),
        }
    }
}

impl UnclaimedPods {
    /// Adds a Pod or updates its state. `update` updates the facts of the Pod and returns the logs
    /// that must be read now. Returns the Pod that was dropped to stay within the bound, unless it
    /// was reported before.
    pub(super) fn insert(
        &mut self,
        namespace: Arc<str>,
        snapshot: PodSnapshot,
        now: Timestamp,
        update: impl FnOnce(&mut PodFacts, &PodSnapshot) -> Vec<LogTarget>,
    ) -> Option<UnclaimedPod> {
        let uid = snapshot.uid.clone();
        if let Some(unclaimed) = self.pods.get_mut(&uid) {
            unclaimed
                .log_reads
                .extend(update(&mut unclaimed.facts, &snapshot));
            unclaimed.snapshot = snapshot;
            return None;
        }
        let mut facts = PodFacts::default();
        let log_reads = update(&mut facts, &snapshot);
        let run = self.by_run.entry(snapshot.run_uid.clone()).or_default();
        run.push(uid.clone());
        self.due.insert((report_time(now), uid.clone()));
        let unclaimed = UnclaimedPodState {
            namespace,
            snapshot,
            facts,
            log_reads,
            is_gone: false,
            since: now,
            is_reported: false,
        };
        self.pods.insert(uid, unclaimed);
        if self.pods.len() <= MAX_UNCLAIMED {
            return None;
        }
        let oldest = self.oldest_of_the_largest()?;
        let unclaimed = self.remove(&oldest)?;
        (!unclaimed.is_reported).then(|| unclaimed.to_report())
    }

    /// Returns the UID of the Pod that is dropped at the bound: the oldest Pod of the namespace
    /// with the most Pods.
    fn oldest_of_the_largest(&self) -> Option<Arc<str>> {
        let mut sizes: HashMap<&Arc<str>, usize> = HashMap::new();
        for unclaimed in self.pods.values() {
            *sizes.entry(&unclaimed.namespace).or_default() += 1;
        }
        let (largest, _) = sizes.into_iter().max_by_key(|(_, size)| *size)?;
        let of_largest = self
            .pods
            .iter()
            .filter(|(_, unclaimed)| unclaimed.namespace == *largest);
        let oldest = of_largest.min_by_key(|(_, unclaimed)| unclaimed.since);
        oldest.map(|(uid, _)| uid.clone())
    }

    /// Records that a Pod was deleted. Returns whether it is an unclaimed Pod.
    pub(super) fn mark_gone(&mut self, uid: &str) -> bool {
        let Some(unclaimed) = self.pods.get_mut(uid) else {
            return false;
        };
        unclaimed.is_gone = true;
        // A deleted Pod that was reported need not wait any longer.
        if unclaimed.is_reported {
            self.remove(uid);
        }
        true
    }

    /// Removes and returns an unclaimed Pod.
    pub(super) fn remove(&mut self, uid: &str) -> Option<UnclaimedPodState> {
        let unclaimed = self.pods.remove(uid)?;
        self.due
            .remove(&(report_time(unclaimed.since), unclaimed.snapshot.uid.clone()));
        if let Some(run) = self.by_run.get_mut(&unclaimed.snapshot.run_uid) {
            run.retain(|known| **known != *uid);
            if run.is_empty() {
                self.by_run.remove(&unclaimed.snapshot.run_uid);
            }
        }
        Some(unclaimed)
    }

    /// Removes and returns those Pods of a TaskRun whose namespace and name `names` accepts. The
    /// oldest Pod comes first.
    pub(super) fn claim(
        &mut self,
        run_uid: &str,
        names: impl Fn(&str, &str) -> bool,
    ) -> Vec<UnclaimedPodState> {
        let waiting = self.by_run.get(run_uid).cloned().unwrap_or_default();
        let claimed: Vec<_> = waiting
            .into_iter()
            .filter(|uid| {
                let unclaimed = self.pods.get(uid);
                unclaimed
                    .is_some_and(|unclaimed| names(&unclaimed.namespace, &unclaimed.snapshot.name))
            })
            .collect();
        claimed.iter().filter_map(|uid| self.remove(uid)).collect()
    }

    /// Returns the time at which [`UnclaimedPods::report`] should be called next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Returns the Pods that have waited for [`CLAIM_TIMEOUT`], and the Pods for which
    /// `lacks_task_run` returns true. Each Pod is returned only once.
    pub(super) fn report(
        &mut self,
        now: Timestamp,
        lacks_task_run: impl Fn(&UnclaimedPodState) -> bool,
    ) -> Vec<UnclaimedPod> {
        let due: Vec<_> = self
            .due
            .iter()
            .filter(|(at, uid)| *at <= now || self.pods.get(uid).is_some_and(&lacks_task_run))
            .cloned()
            .collect();
        let mut reported = Vec::new();
        for entry in due {
            self.due.remove(&entry);
            let (_, uid) = entry;
            let Some(unclaimed) = self.pods.get_mut(&uid) else {
                continue;
            };
            unclaimed.is_reported = true;
            reported.push(unclaimed.to_report());
            if unclaimed.is_gone {
                self.remove(&uid);
            }
        }
        reported
    }
}

fn report_time(since: Timestamp) -> Timestamp {
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

    fn insert(
        unclaimed: &mut UnclaimedPods,
        namespace: &str,
        pod: PodSnapshot,
        now: Timestamp,
    ) -> Option<UnclaimedPod> {
        unclaimed.insert(namespace.into(), pod, now, |_, _| Vec::new())
    }

    #[test]
    fn a_pod_waits_until_its_task_run_names_it() {
        let mut unclaimed = UnclaimedPods::default();
        insert(&mut unclaimed, "a", pod("1", "r"), at(0));
        insert(&mut unclaimed, "b", pod("2", "r"), at(1));
        let claimed = unclaimed.claim("r", |namespace, name| namespace == "a" && name == "pod-1");
        assert_eq!(claimed.len(), 1);
        assert_eq!(&*claimed[0].snapshot.uid, "1");
        assert!(unclaimed.report(at(30), |_| false).is_empty());
        let due = unclaimed.report(at(31), |_| false);
        assert_eq!(due.len(), 1);
        assert_eq!(&*due[0].namespace, "b");
        assert_eq!(unclaimed.next_due(), None);
        // The TaskRun may still name the reported Pod.
        assert_eq!(unclaimed.claim("r", |_, _| true).len(), 1);
        assert!(unclaimed.pods.is_empty() && unclaimed.by_run.is_empty());
    }

    #[test]
    fn a_pod_that_is_reported_and_gone_is_forgotten() {
        let mut unclaimed = UnclaimedPods::default();
        insert(&mut unclaimed, "a", pod("1", "r"), at(0));
        insert(&mut unclaimed, "a", pod("2", "r"), at(0));
        assert!(unclaimed.mark_gone("1") && !unclaimed.mark_gone("3"));
        assert_eq!(unclaimed.report(at(30), |_| false).len(), 2);
        assert!(unclaimed.mark_gone("2"));
        assert!(
            unclaimed.pods.is_empty() && unclaimed.by_run.is_empty() && unclaimed.due.is_empty()
        );
    }

    #[test]
    fn at_the_bound_the_namespace_that_has_the_most_gives_way() {
        let mut unclaimed = UnclaimedPods::default();
        insert(&mut unclaimed, "innocent", pod("i", "ri"), at(0));
        for number in 0..MAX_UNCLAIMED {
            let uid = number.to_string();
            let displaced = insert(&mut unclaimed, "attacker", pod(&uid, "r"), at(1));
            assert!(displaced.is_none_or(|pod| &*pod.namespace == "attacker"));
        }
        assert_eq!(unclaimed.pods.len(), MAX_UNCLAIMED);
        assert_eq!(unclaimed.claim("ri", |_, _| true).len(), 1);
    }
}
