//! Whose log is read. A log is asked for by the pod's name, and who may delete a pod may make another one of that
//! name: so the watch of Pods notes for each read, from the moment on in which it is wanted, what becomes of the pod.

use super::slim::SlimPod;
use super::tracker::{Change, LogTarget};
use crate::locked::Locked;
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};

/// The pods whose logs are being read, or will be. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodClaims(Arc<Locked<Claims>>);

#[derive(Debug, Default)]
struct Claims {
    /// By namespace and name.
    pods: HashMap<(Arc<str>, Arc<str>), Vec<Claimed>>,
}

#[derive(Debug)]
struct Claimed {
    uid: Arc<str>,
    fate: PodFate,
    /// How many wait for it.
    readers: usize,
}

/// What the watch has shown of a pod since its log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PodFate {
    /// Nothing but itself.
    Present,
    /// It is gone.
    Gone,
    /// Another pod has its name, or had it meanwhile.
    Replaced,
}

/// Keeps watching what becomes of a pod, until it is dropped.
#[derive(Debug)]
pub(crate) struct PodClaim {
    claims: PodClaims,
    pod: (Arc<str>, Arc<str>),
    uid: Arc<str>,
}

impl PodClaims {
    fn claims(&self) -> MutexGuard<'_, Claims> {
        self.0.lock()
    }

    /// Begins to watch what becomes of a pod that is there now.
    pub(crate) fn claim(&self, target: &LogTarget) -> PodClaim {
        let pod = (target.namespace.clone(), target.pod.clone());
        let mut claims = self.claims();
        let of_name = claims.pods.entry(pod.clone()).or_default();
        match of_name
            .iter_mut()
            .find(|claimed| claimed.uid == target.pod_uid)
        {
            Some(claimed) => claimed.readers += 1,
            None => of_name.push(Claimed {
                uid: target.pod_uid.clone(),
                fate: PodFate::Present,
                readers: 1,
            }),
        }
        drop(claims);
        PodClaim {
            claims: self.clone(),
            pod,
            uid: target.pod_uid.clone(),
        }
    }

    /// Takes what the watch shows.
    pub(crate) fn see(&self, change: &Change) {
        match change {
            Change::Pod(pod) => self.see_pod(pod),
            Change::PodGone { uid, .. } => self.claims().lose(uid),
            Change::TaskRun(_)
            | Change::TaskRunGone { .. }
            | Change::Listed { .. }
            | Change::NamespaceListed { .. }
            | Change::Ended => {}
        }
    }

    fn see_pod(&self, pod: &SlimPod) {
        let mut claims = self.claims();
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

impl Claims {
    fn see(&mut self, pod: &(Arc<str>, Arc<str>), uid: &str) {
        let claimed = self.pods.get_mut(pod).into_iter().flatten();
        for claimed in claimed.filter(|claimed| *claimed.uid != *uid) {
            claimed.fate = PodFate::Replaced;
        }
    }

    fn lose(&mut self, uid: &str) {
        let claimed = self.pods.values_mut().flatten();
        for claimed in claimed.filter(|claimed| *claimed.uid == *uid) {
            if claimed.fate == PodFate::Present {
                claimed.fate = PodFate::Gone;
            }
        }
    }
}

impl PodClaim {
    /// What has become of the pod.
    pub(crate) fn fate(&self) -> PodFate {
        let claims = self.claims.claims();
        let mut claimed = claims.pods.get(&self.pod).into_iter().flatten();
        let own = claimed.find(|claimed| claimed.uid == self.uid);
        own.map_or(PodFate::Gone, |claimed| claimed.fate)
    }
}

impl Drop for PodClaim {
    fn drop(&mut self) {
        let mut claims = self.claims.claims();
        let Some(of_name) = claims.pods.get_mut(&self.pod) else {
            return;
        };
        for claimed in of_name.iter_mut().filter(|claimed| claimed.uid == self.uid) {
            claimed.readers -= 1;
        }
        of_name.retain(|claimed| claimed.readers > 0);
        if of_name.is_empty() {
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
        let claims = PodClaims::default();
        let claim = claims.claim(&target("one"));
        claims.see(&pod("build-pod", "one"));
        claims.see(&pod("another-pod", "two"));
        claims.see(&gone("two"));
        assert_eq!(claim.fate(), PodFate::Present);
        claims.see(&gone("one"));
        assert_eq!(claim.fate(), PodFate::Gone);
        claims.see(&pod("build-pod", "two"));
        claims.see(&gone("two"));
        assert_eq!(claim.fate(), PodFate::Replaced);
        // It is there, though one of its name was there before.
        let second = claims.claim(&target("two"));
        assert_eq!(second.fate(), PodFate::Present);
        let again = claims.claim(&target("one"));
        drop(claim);
        assert_eq!(again.fate(), PodFate::Replaced);
        drop((again, second));
        assert!(claims.claims().pods.is_empty());
    }
}
