//! Logs that are read before their step's end is told, until it is. At the bound the namespace that has most of them
//! gives one up, its oldest, so that no namespace takes another's away.

use crate::observe::{FollowedLog, LogTarget, WatchedPod};
use crate::step::CapturedLog;
use futures::future::{AbortHandle, BoxFuture, Shared};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A log that is being read.
pub(super) enum PrefetchedLog {
    /// Its pod is being deleted.
    UntilPodGone {
        read: Shared<BoxFuture<'static, Arc<CapturedLog>>>,
        /// Ends the reading.
        abort: AbortHandle,
    },
    /// Its step runs.
    Followed { log: FollowedLog, pod: WatchedPod },
}

impl PrefetchedLog {
    fn abandon(&self) {
        match self {
            Self::UntilPodGone { abort, .. } => abort.abort(),
            Self::Followed { log, .. } => log.abandon(),
        }
    }
}

/// The logs of all namespaces together, the oldest first.
pub(super) struct PrefetchedLogs<T = PrefetchedLog> {
    logs: VecDeque<(LogTarget, T)>,
    max_logs: usize,
}

impl<T> PrefetchedLogs<T> {
    pub(super) fn new(max_logs: usize) -> Self {
        Self {
            logs: VecDeque::new(),
            max_logs,
        }
    }

    pub(super) fn contains(&self, target: &LogTarget) -> bool {
        self.logs.iter().any(|(known, _)| known == target)
    }

    pub(super) fn take(&mut self, target: &LogTarget) -> Option<T> {
        let index = self.logs.iter().position(|(known, _)| known == target)?;
        self.logs.remove(index).map(|(_, log)| log)
    }

    /// Puts a log in. Gives the one that had to give way.
    fn push(&mut self, target: LogTarget, log: T) -> Option<T> {
        self.logs.push_back((target, log));
        if self.logs.len() <= self.max_logs {
            return None;
        }
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for (target, _) in &self.logs {
            *counts.entry(&target.namespace).or_default() += 1;
        }
        let most = counts.values().max().copied();
        let largest =
            |(target, _): &(LogTarget, T)| counts.get(&*target.namespace).copied() == most;
        let index = self.logs.iter().position(largest)?;
        self.logs.remove(index).map(|(_, log)| log)
    }
}

impl PrefetchedLogs<PrefetchedLog> {
    /// Puts a log in; the reading of the one that has to give way ends.
    pub(super) fn insert(&mut self, target: LogTarget, log: PrefetchedLog) {
        if let Some(displaced) = self.push(target, log) {
            displaced.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(namespace: &str, pod: usize) -> LogTarget {
        LogTarget {
            namespace: namespace.into(),
            pod: format!("pod-{pod}").into(),
            pod_uid: format!("uid-{pod}").into(),
            container: "step-build".into(),
        }
    }

    #[test]
    fn only_the_namespace_with_the_most_gives_way() {
        let mut prefetched = PrefetchedLogs::new(4);
        assert_eq!(prefetched.push(target("innocent", 0), "innocent"), None);
        for pod in 1..4 {
            assert_eq!(prefetched.push(target("hostile", pod), "hostile"), None);
        }
        for pod in 4..20 {
            assert_eq!(
                prefetched.push(target("hostile", pod), "hostile"),
                Some("hostile")
            );
        }
        assert!(
            !prefetched.contains(&target("hostile", 16))
                && prefetched.contains(&target("hostile", 17))
        );
        assert_eq!(prefetched.take(&target("innocent", 0)), Some("innocent"));
        assert_eq!(prefetched.take(&target("innocent", 0)), None);
    }
}
