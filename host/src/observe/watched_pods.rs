//! Whose log is read. A log is asked for by the pod's name, and who may delete a pod may make another one of that
//! name: so the watch of Pods notes for each read, from the moment on in which it is wanted, what becomes of the pod.

use super::change::{Change, LogTarget};
use super::slim::SlimPod;
use crate::locked::Locked;
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};

/// The pods whose logs are being read, or will be. Cheap to clone.
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
    /// How many wait for it.
    readers: usize,
}

/// What the watch has shown of a pod since its log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodPresence {
    /// Nothing but itself.
    Present,
    /// It is gone.
    Gone,
    /// Another pod has its name, or had it meanwhile.
    Replaced,
}

/// Keeps watching what becomes of a pod, until it is dropped.
#[derive(Debug)]
pub(crate) struct WatchedPod {
    claims: WatchedPods,
    pod: (Arc<str>, Arc<str>),
    uid: Arc<str>,
}

impl WatchedPods {
    fn states(&self) -> MutexGuard<'_, PodStates> {
        self.0.lock()
    }

    /// Begins to watch what becomes of a pod that is there now.
    pub(crate) fn watch(&self, target: &LogTarget) -> WatchedPod {
        let pod = (target.namespace.clone(), target.pod.clone());
        let mut claims = self.states();
        let same_name = claims.pods.entry(pod.clone()).or_default();
        match same_name
            .iter_mut()
            .find(|claimed| claimed.uid == target.pod_uid)
        {
            Some(claimed) => claimed.readers += 1,
            None => same_name.push(PodState {
                uid: target.pod_uid.clone(),
                presence: PodPresence::Present,
                readers: 1,
            }),
        }
        drop(claims);
        WatchedPod {
            claims: self.clone(),
            pod,
            uid: target.pod_uid.clone(),
        }
    }

    /// Takes what the watch shows.
    pub(crate) fn observe_change(&self, change: &Change) {
        match change {
            Change::Pod(pod) => self.see_pod(pod),
            Change::PodGone { uid, .. } => self.states().lose(uid),
            Change::TaskRun(_)
            | Change::TaskRunGone { .. }
            | Change::Listed { .. }
            | Change::NamespaceListed { .. }
            | Change::Ended => {}
        }
    }

    fn see_pod(&self, pod: &SlimPod) {
        let mut claims = self.states();
        if claims.pods.is_empty() {
            return;
        }
        let text = |value: &Option<Arc<str>>| value.clone().unwrap_or_default();
        let metadata = &pod.metadata;
        claims.see(
            &(text(&metadata.namespace), text(&metadata.name)),
            metadata.uid.as_deref().unwrap_or_default(),
        );
    }
}

impl PodStates {
    fn see(&mut self, pod: &(Arc<str>, Arc<str>), uid: &str) {
        let claimed = self.pods.get_mut(pod).into_iter().flatten();
        for claimed in claimed.filter(|claimed| *claimed.uid != *uid) {
            claimed.presence = PodPresence::Replaced;
        }
    }

    fn lose(&mut self, uid: &str) {
        let claimed = self.pods.values_mut().flatten();
        for claimed in claimed.filter(|claimed| *claimed.uid == *uid) {
            if claimed.presence == PodPresence::Present {
                claimed.presence = PodPresence::Gone;
            }
        }
    }
}

impl WatchedPod {
    /// What has become of the pod.
    pub(crate) fn presence(&self) -> PodPresence {
        let claims = self.claims.states();
        let mut claimed = claims.pods.get(&self.pod).into_iter().flatten();
        let own = claimed.find(|claimed| claimed.uid == self.uid);
        own.map_or(PodPresence::Gone, |claimed| claimed.presence)
    }
}

impl Drop for WatchedPod {
    fn drop(&mut self) {
        let mut claims = self.claims.states();
        let Some(same_name) = claims.pods.get_mut(&self.pod) else {
            return;
        };
        for claimed in same_name
            .iter_mut()
            .filter(|claimed| claimed.uid == self.uid)
        {
            claimed.readers -= 1;
        }
        same_name.retain(|claimed| claimed.readers > 0);
        if same_name.is_empty() {
            claims.pods.remove(&self.pod);
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
        let claims = WatchedPods::default();
        let claim = claims.watch(&target("one"));
        claims.observe_change(&pod("build-pod", "one"));
        claims.observe_change(&pod("another-pod", "two"));
        claims.observe_change(&gone("two"));
        assert_eq!(claim.presence(), PodPresence::Present);
        claims.observe_change(&gone("one"));
        assert_eq!(claim.presence(), PodPresence::Gone);
        claims.observe_change(&pod("build-pod", "two"));
        claims.observe_change(&gone("two"));
        assert_eq!(claim.presence(), PodPresence::Replaced);
        // It is there, though one of its name was there before.
        let second = claims.watch(&target("two"));
        assert_eq!(second.presence(), PodPresence::Present);
        let again = claims.watch(&target("one"));
        drop(claim);
        assert_eq!(again.presence(), PodPresence::Replaced);
        drop((again, second));
        assert!(claims.states().pods.is_empty());
    }
}
