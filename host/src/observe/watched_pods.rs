//! Tracks whether a Pod still has its name while its log is read.
//!
//! The API server returns a log by the name of the Pod, and a tenant who may delete a Pod may
//! create another Pod with the same name. So the watch of Pods records for each log, from the
//! moment at which it is wanted, whether the Pod was deleted or replaced.

use super::change::{Change, LogTarget};
use super::slim::SlimPod;
use crate::locked::Locked;
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};

/// The Pods whose logs are being read or will be read. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchedPods(Arc<Locked<PodStates>>);

#[derive(Debug, Default)]
struct PodStates {
    /// By namespace and name.
    pods: HashMap<(Arc<str>, Arc<str>), Vec<PodState>>,
}

#[derive(Debug)]
struct PodState {
    uid: Arc<str>,
    presence: PodPresence,
    /// Number of [`WatchedPod`] handles.
    readers: usize,
}

/// The state of a watched Pod, as the watch shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodPresence {
    /// The Pod exists.
    Present,
    /// The Pod was deleted.
    Gone,
    /// Another Pod has the name of this Pod, or had it after the watch of this Pod began.
    Replaced,
}

/// Watches one Pod until it is dropped.
#[derive(Debug)]
pub(crate) struct WatchedPod {
    watched_pods: WatchedPods,
    pod: (Arc<str>, Arc<str>),
    uid: Arc<str>,
}

impl WatchedPods {
    fn states(&self) -> MutexGuard<'_, PodStates> {
        self.0.lock()
    }

    /// Starts to watch a Pod that exists now.
    pub(crate) fn watch(&self, target: &LogTarget) -> WatchedPod {
        let pod = (target.namespace.clone(), target.pod.clone());
        let mut watched_pods = self.states();
        let same_name = watched_pods.pods.entry(pod.clone()).or_default();
        match same_name
            .iter_mut()
            .find(|state| state.uid == target.pod_uid)
        {
            Some(state) => state.readers += 1,
            None => same_name.push(PodState {
                uid: target.pod_uid.clone(),
                presence: PodPresence::Present,
                readers: 1,
            }),
        }
        drop(watched_pods);
        WatchedPod {
            watched_pods: self.clone(),
            pod,
            uid: target.pod_uid.clone(),
        }
    }

    /// Applies a change of the watch.
    pub(crate) fn observe_change(&self, change: &Change) {
        match change {
            Change::Pod(pod) => self.see_pod(pod),
            Change::PodGone { uid, .. } => self.states().lose(uid),
            Change::TaskRun(_)
            | Change::TaskRunGone { .. }
            | Change::PipelineRun(_)
            | Change::PipelineRunGone { .. }
            | Change::PipelineRunsListed
            | Change::Listed { .. }
            | Change::NamespaceListed { .. }
            | Change::Ended => {}
        }
    }

    fn see_pod(&self, pod: &SlimPod) {
        let mut watched_pods = self.states();
        if watched_pods.pods.is_empty() {
            return;
        }
        let text = |value: &Option<Arc<str>>| value.clone().unwrap_or_default();
        let metadata = &pod.metadata;
        watched_pods.see(
            &(text(&metadata.namespace), text(&metadata.name)),
            metadata.uid.as_deref().unwrap_or_default(),
        );
    }
}

impl PodStates {
    fn see(&mut self, pod: &(Arc<str>, Arc<str>), uid: &str) {
        let state = self.pods.get_mut(pod).into_iter().flatten();
        for state in state.filter(|state| *state.uid != *uid) {
            state.presence = PodPresence::Replaced;
        }
    }

    fn lose(&mut self, uid: &str) {
        let state = self.pods.values_mut().flatten();
        for state in state.filter(|state| *state.uid == *uid) {
            if state.presence == PodPresence::Present {
                state.presence = PodPresence::Gone;
            }
        }
    }
}

impl WatchedPod {
    /// Returns the state of the Pod.
    pub(crate) fn presence(&self) -> PodPresence {
        let watched_pods = self.watched_pods.states();
        let mut state = watched_pods.pods.get(&self.pod).into_iter().flatten();
        let own = state.find(|state| state.uid == self.uid);
        own.map_or(PodPresence::Gone, |state| state.presence)
    }
}

impl Drop for WatchedPod {
    fn drop(&mut self) {
        let mut watched_pods = self.watched_pods.states();
        let Some(same_name) = watched_pods.pods.get_mut(&self.pod) else {
            return;
        };
        for state in same_name.iter_mut().filter(|state| state.uid == self.uid) {
            state.readers -= 1;
        }
        same_name.retain(|state| state.readers > 0);
        if same_name.is_empty() {
            watched_pods.pods.remove(&self.pod);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uid: &str) -> LogTarget {
        LogTarget {
            namespace: "ci".into(),
            pod: "build-pod".into(),
            pod_uid: uid.into(),
            container: "step-build".into(),
        }
    }

    fn gone(uid: &str) -> Change {
        Change::PodGone {
            uid: uid.into(),
            run_uid: "run".into(),
        }
    }

    fn pod(name: &str, uid: &str) -> Change {
        let metadata = serde_json::json!({"namespace": "ci", "name": name, "uid": uid});
        let pod = serde_json::from_value(serde_json::json!({"metadata": metadata}));
        Change::Pod(Box::new(pod.unwrap()))
    }

    #[test]
    fn the_fate_of_a_pod_is_known_from_its_claim_on() {
        let watched_pods = WatchedPods::default();
        let watched = watched_pods.watch(&target("one"));
        watched_pods.observe_change(&pod("build-pod", "one"));
        watched_pods.observe_change(&pod("another-pod", "two"));
        watched_pods.observe_change(&gone("two"));
        assert_eq!(watched.presence(), PodPresence::Present);
        watched_pods.observe_change(&gone("one"));
        assert_eq!(watched.presence(), PodPresence::Gone);
        watched_pods.observe_change(&pod("build-pod", "two"));
        watched_pods.observe_change(&gone("two"));
        assert_eq!(watched.presence(), PodPresence::Replaced);
        // This Pod exists, although another Pod had its name before.
        let second = watched_pods.watch(&target("two"));
        assert_eq!(second.presence(), PodPresence::Present);
        let again = watched_pods.watch(&target("one"));
        drop(watched);
        assert_eq!(again.presence(), PodPresence::Replaced);
        drop((again, second));
        assert!(watched_pods.states().pods.is_empty());
    }
}
