//! Holds back Pods that no TaskRun has named. A live observer emits nothing for such a Pod, but
//! `replay` accepts a Pod whose TaskRun it does not know. So a Pod is recorded only when a TaskRun
//! names it.

use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Bounds the bytes of the Pods that wait. A Pod that would exceed this bound is recorded, although
/// no TaskRun has named it.
const MAX_UNCLAIMED_BYTES: usize = 32 * 1024 * 1024;

/// The last state of a Pod that waits.
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

/// The Pods that TaskRuns have named, and the Pods that are held back until a TaskRun names them.
#[derive(Debug, Default)]
pub(super) struct UnclaimedPods {
    /// Maps the UID of a TaskRun to its namespace and the names of its Pods.
    named: HashMap<String, (String, HashSet<String>)>,
    /// Waiting Pods, by the UID of the TaskRun.
    by_run: HashMap<String, Vec<UnclaimedPod>>,
    bytes: usize,
}

impl UnclaimedPods {
    /// Applies the current state of a TaskRun. Returns the waiting Pods that it names.
    pub(super) fn observe_task_run(&mut self, uid: &str, task_run: &Value) -> Vec<UnclaimedPod> {
        let text = |pointer: &str| task_run.pointer(pointer).and_then(Value::as_str);
        let retries = task_run
            .pointer("/status/retriesStatus")
            .and_then(Value::as_array);
        let names_of_retries = retries
            .into_iter()
            .flatten()
            .filter_map(|attempt| attempt.get("podName")?.as_str());
        let names: HashSet<String> = text("/status/podName")
            .into_iter()
            .chain(names_of_retries)
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

    /// Keeps a Pod until its TaskRun names it. Returns the Pod if it is named already or there is
    /// no space for it.
    pub(super) fn insert(&mut self, run: &str, pod: UnclaimedPod) -> Option<UnclaimedPod> {
        if self.is_named(run, &pod.namespace, &pod.name)
            || self.bytes + pod.size > MAX_UNCLAIMED_BYTES
        {
            return Some(pod);
        }
        self.bytes += pod.size;
        let pods = self.by_run.entry(run.to_owned()).or_default();
        match pods.iter_mut().find(|waiting| waiting.uid == pod.uid) {
            Some(waiting) => {
                self.bytes -= waiting.size;
                *waiting = pod;
            }
            None => pods.push(pod),
        }
        None
    }

    /// Records that a Pod was deleted. Returns whether it is waiting.
    pub(super) fn mark_gone(&mut self, uid: &str) -> bool {
        let mut pods = self.by_run.values_mut().flatten();
        let waiting = pods.find(|pod| pod.uid == uid);
        waiting.is_some_and(|pod| {
            pod.is_gone = true;
            true
        })
    }

    /// Returns the number of Pods that no TaskRun has named.
    pub(super) fn count(&self) -> usize {
        self.by_run.values().map(Vec::len).sum()
    }
}
