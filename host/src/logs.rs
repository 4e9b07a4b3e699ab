//! Where logs come from, and the shelf for those that had to be read before their time.

mod shelf;

use crate::config::{LogCaptureMode, LogConfig};
use crate::locked::Locked;
use crate::observe::{
    Change, ClusterLogs, LogRead, LogTarget, PodClaim, PodClaims, REPLACED, RecordedLogs,
};
use crate::step::{CapturedLog, StepRecord};
use futures::FutureExt as _;
use futures::future::{BoxFuture, abortable};
use shelf::{Early, Shelf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;
use step_observer_core::Kind;

/// Logs that are kept until their step's end is told.
const SHELF: usize = 1024;

/// Where logs come from.
#[derive(Clone, Debug)]
pub enum LogSource {
    /// The API server.
    Cluster(ClusterLogs),
    /// A recording.
    Recorded(Arc<RecordedLogs>),
}

/// Reads the logs of steps.
pub(crate) struct Logs {
    source: LogSource,
    mode: LogCaptureMode,
    max_bytes: usize,
    timeout: Duration,
    shelf: Locked<Shelf>,
    /// The pods whose logs are wanted.
    claims: PodClaims,
    counts: LogCounts,
}

/// Logs that were to be read.
#[derive(Debug, Default)]
pub(crate) struct LogCounts {
    pub(crate) whole: AtomicU64,
    /// Too long, or broken off.
    pub(crate) cut: AtomicU64,
    pub(crate) unavailable: AtomicU64,
}

impl Logs {
    pub(crate) fn new(source: LogSource, config: &LogConfig) -> Self {
        Self {
            source,
            mode: config.capture,
            max_bytes: config.max_bytes,
            timeout: Duration::from_millis(config.timeout_ms),
            shelf: Locked::new(Shelf::new(SHELF)),
            claims: PodClaims::default(),
            counts: LogCounts::default(),
        }
    }

    /// Takes what the watch shows of pods whose logs are wanted.
    pub(crate) fn see(&self, change: &Change) {
        self.claims.see(change);
    }

    /// Begins to watch what becomes of the pod of a step that has ended, for [`Logs::of`].
    pub(crate) fn claim(&self, record: &StepRecord) -> Option<PodClaim> {
        let reads = matches!(self.source, LogSource::Cluster(_))
            && self.mode != LogCaptureMode::Off
            && !record.pod_gone;
        let target = target(record).filter(|_| reads);
        target.map(|target| self.claims.claim(&target))
    }

    /// Begins to read a log whose pod is being deleted. The result must be polled to its end.
    pub(crate) fn rescue(&self, target: LogTarget) -> Option<BoxFuture<'static, ()>> {
        let LogSource::Cluster(logs) = &self.source else {
            return None;
        };
        if self.mode == LogCaptureMode::Off || self.shelf().has(&target) {
            return None;
        }
        let (logs, max_bytes, wanted) = (logs.clone(), self.max_bytes, target.clone());
        let claim = self.claims.claim(&target);
        let (read, abort) = abortable(async move {
            logs.read(&wanted, &claim, max_bytes, LogRead::BeforeGone)
                .await
        });
        let given_up = |_| CapturedLog::unavailable("too many logs were read at a time");
        let read = read.map(move |log| Arc::new(log.unwrap_or_else(given_up)));
        let read = read.boxed().shared();
        let reading = read.clone().map(drop).boxed();
        self.shelf().put(target, Early::Rescued { read, abort });
        Some(reading)
    }

    /// Begins to follow the log of a step that has started, if that is wanted. The result must be polled to its end.
    pub(crate) fn follow(&self, record: &StepRecord) -> Option<BoxFuture<'static, ()>> {
        let LogSource::Cluster(logs) = &self.source else {
            return None;
        };
        let target = target(record)?;
        let starts = record.transition.kind == Kind::Started && !record.pod_gone;
        if self.mode != LogCaptureMode::Follow || !starts || self.shelf().has(&target) {
            return None;
        }
        let claim = self.claims.claim(&target);
        let (log, reading) = logs.follow(target.clone(), self.max_bytes);
        self.shelf().put(target, Early::Followed { log, claim });
        Some(reading.boxed())
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock()
    }

    /// What became of the logs so far.
    pub(crate) fn counts(&self) -> &LogCounts {
        &self.counts
    }

    /// The log of a step that has ended, of the pod that was claimed for it.
    pub(crate) async fn of(&self, record: &StepRecord, claim: Option<&PodClaim>) -> CapturedLog {
        if self.mode == LogCaptureMode::Off {
            return CapturedLog::unavailable("logs are not captured (log.capture: off)");
        }
        let log = self.read(record, claim).await;
        let count = match (&log.unavailable, log.truncated) {
            (Some(_), _) => &self.counts.unavailable,
            (None, true) => &self.counts.cut,
            (None, false) => &self.counts.whole,
        };
        count.fetch_add(1, Ordering::Relaxed);
        log
    }

    async fn read(&self, record: &StepRecord, claim: Option<&PodClaim>) -> CapturedLog {
        let Some(target) = target(record) else {
            return CapturedLog::unavailable("the pod was gone before it was seen");
        };
        match &self.source {
            LogSource::Recorded(logs) => logs.read(&target, self.max_bytes),
            LogSource::Cluster(logs) => {
                let piece = match self.early(logs, &target).await {
                    Some((log, true)) => return log,
                    Some((piece, false)) => Some(piece),
                    None => None,
                };
                let now = match claim {
                    None => CapturedLog::unavailable("the pod is gone"),
                    Some(claim) => {
                        logs.read(&target, claim, self.max_bytes, LogRead::AtEnd)
                            .await
                    }
                };
                // A piece is better than nothing, and it says that it is one.
                match piece {
                    Some(piece) if now.unavailable.is_some() => piece,
                    Some(_) | None => now,
                }
            }
        }
    }

    /// What was read before the step's end was told, and whether there is no more to be had.
    async fn early(&self, logs: &ClusterLogs, target: &LogTarget) -> Option<(CapturedLog, bool)> {
        let early = self.shelf().take(target)?;
        let (log, is_all) = match early {
            Early::Rescued { read, .. } => {
                let log = tokio::time::timeout(self.timeout, read).await.ok()?;
                ((*log).clone(), true)
            }
            Early::Followed { log, claim } => {
                let (log, is_all) = log.finish(self.timeout).await?;
                // It was followed from the start of its step: a pod that was replaced meanwhile is known to be gone.
                (logs.of_this_pod(log, target, &claim, true).await, is_all)
            }
        };
        match &log.unavailable {
            None => Some((log, is_all)),
            // There would be only another pod's.
            Some(reason) if reason == REPLACED => Some((log, true)),
            Some(_) => None,
        }
    }
}

/// Where the log of a step is.
fn target(record: &StepRecord) -> Option<LogTarget> {
    Some(LogTarget {
        namespace: record.namespace.clone(),
        pod: record.transition.pod_name.clone(),
        pod_uid: record.transition.pod_uid.clone()?,
        container: record.transition.container.clone(),
    })
}
