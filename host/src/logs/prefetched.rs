//! Keeps the logs that are read before the end of their step. At the bound, the oldest log of the
//! namespace with the most logs is removed, so that no namespace displaces the logs of another.

use crate::observe::{FollowedLog, LogTarget, WatchedPod};
use crate::step::CapturedLog;
use futures::future::{AbortHandle, BoxFuture, Shared};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A log that is being read.
pub(super) enum PrefetchedLog {
    /// The Pod of the step is being deleted.
    UntilPodGone {
        read: Shared<BoxFuture<'static, Arc<CapturedLog>>>,
        /// Aborts the read.
        abort: AbortHandle,
    },
    /// The step is running.
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

/// The logs of all namespaces, the oldest first.
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

    /// Adds a log. Returns the log that was displaced.
    fn push(&mut self, target: LogTarget, log: T) -> Option<T> {
        self.logs.push_back((target, log));
        if self.logs.len() <= self.max_logs {
            return None;
        }
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for (target, _) in &self.logs {
            *counts.entry(&target.namespace).or_default() += 1;
        }
        let largest_count = counts.values().max().copied();
        let largest =
            |(target, _): &(LogTarget, T)| counts.get(&*target.namespace).copied() == largest_count;
        let index = self.logs.iter().position(largest)?;
        self.logs.remove(index).map(|(_, log)| log)
    }
}

impl PrefetchedLogs<PrefetchedLog> {
    /// Adds a log, and aborts the read of the log that is displaced.
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
