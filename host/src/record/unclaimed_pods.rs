//! Pods whose TaskRun has not named them: a live observer tells nothing of them, so they are not recorded yet. `replay`
//! believes a pod whose TaskRun it does not know.

use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Most bytes of pods that wait. Beyond that a pod is recorded though nothing has named it.
const MAX_UNCLAIMED_BYTES: usize = 32 * 1024 * 1024;

/// A pod that waits, as it was last seen.
#[derive(Debug)]
pub(super) struct UnclaimedPod {
    pub(super) uid: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) is_gone: bool,
    pub(super) object: Value,
    /// Bytes of its JSON.
    pub(super) size: usize,
}

/// Which pods TaskRuns have named, and which wait for that.
#[derive(Debug, Default)]
pub(super) struct UnclaimedPods {
    /// By the UID of the TaskRun: its namespace, and the names of its pods.
    named: HashMap<String, (String, HashSet<String>)>,
    /// By the UID of the TaskRun.
    by_run: HashMap<String, Vec<UnclaimedPod>>,
    bytes: usize,
}

impl UnclaimedPods {
    /// Takes a TaskRun. Gives the pods that it names and that have waited for it.
    pub(super) fn observe_task_run(&mut self, uid: &str, task_run: &Value) -> Vec<UnclaimedPod> {
        let text = |pointer: &str| task_run.pointer(pointer).and_then(Value::as_str);
        let retries = task_run
            .pointer("/status/retriesStatus")
            .and_then(Value::as_array);
        let retries = retries.into_iter().flatten();
        let retries = retries.filter_map(|attempt| attempt.get("podName")?.as_str());
        let names: HashSet<String> = text("/status/podName")
            .into_iter()
            .chain(retries)
            .map(str::to_owned)
            .collect();
        let namespace = text("/metadata/namespace").unwrap_or_default().to_owned();
        self.named.entry(uid.to_owned()).or_default().0 = namespace;
        if let Some((_, named)) = self.named.get_mut(uid) {
            named.extend(names);
        }
        let (claimed, others) = self
            .by_run
            .remove(uid)
            .unwrap_or_default()
            .into_iter()
            .partition(|pod: &UnclaimedPod| self.is_named(uid, &pod.namespace, &pod.name));
        if !Vec::is_empty(&others) {
            self.by_run.insert(uid.to_owned(), others);
        }
        let claimed: Vec<UnclaimedPod> = claimed;
        self.bytes -= claimed.iter().map(|pod| pod.size).sum::<usize>();
        claimed
    }

    fn is_named(&self, run: &str, namespace: &str, name: &str) -> bool {
        let named = self.named.get(run);
        named.is_some_and(|(of, names)| of == namespace && names.contains(name))
    }

    /// Holds a pod until its TaskRun names it. Gives it back if it does not have to wait.
    pub(super) fn insert(&mut self, run: &str, pod: UnclaimedPod) -> Option<UnclaimedPod> {
        if self.is_named(run, &pod.namespace, &pod.name)
            || self.bytes + pod.size > MAX_UNCLAIMED_BYTES
        {
            return Some(pod);
        }
        self.bytes += pod.size;
        let pods = self.by_run.entry(run.to_owned()).or_default();
        match pods.iter_mut().find(|held| held.uid == pod.uid) {
            Some(held) => {
                self.bytes -= held.size;
                *held = pod;
            }
            None => pods.push(pod),
        }
        None
    }

    /// Notes that a pod is gone. Says whether it waits here.
    pub(super) fn mark_gone(&mut self, uid: &str) -> bool {
        let mut pods = self.by_run.values_mut().flatten();
        let held = pods.find(|pod| pod.uid == uid);
        held.is_some_and(|pod| {
            pod.is_gone = true;
            true
        })
    }

    /// How many pods no TaskRun has named.
    pub(super) fn count(&self) -> usize {
        self.by_run.values().map(Vec::len).sum()
    }
}
