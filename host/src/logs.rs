//! Where logs come from, and the shelf for those that had to be read before their time.

use crate::config::{LogCaptureMode, LogConfig};
use crate::observe::{ClusterLogs, FollowedLog, LogTarget, RecordedLogs};
use crate::step::{CapturedLog, StepRecord};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use step_observer_core::Kind;

/// Logs that are kept until their step's end is told. The oldest gives way.
const SHELF: usize = 1024;

/// A log that is read before its step's end is told.
#[derive(Clone)]
enum Early {
    /// Its pod is being deleted.
    Rescued(Shared<BoxFuture<'static, Arc<CapturedLog>>>),
    /// Its step runs.
    Followed(FollowedLog),
}

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
    shelf: Mutex<VecDeque<(LogTarget, Early)>>,
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
            shelf: Mutex::default(),
            counts: LogCounts::default(),
        }
    }

    /// Begins to read a log whose pod is being deleted. The result must be polled to its end.
    pub(crate) fn rescue(&self, target: LogTarget) -> Option<BoxFuture<'static, ()>> {
        let LogSource::Cluster(logs) = &self.source else {
            return None;
        };
        if self.mode == LogCaptureMode::Off || self.has_shelved(&target) {
            return None;
        }
        let (logs, max_bytes, wanted) = (logs.clone(), self.max_bytes, target.clone());
        let read = async move { Arc::new(logs.read(&wanted, max_bytes, true).await) }
            .boxed()
            .shared();
        self.shelve(target, Early::Rescued(read.clone()));
        Some(read.map(drop).boxed())
    }

    /// Begins to follow the log of a step that has started, where that is wanted. The result must be polled to
    /// its end.
    pub(crate) fn follow(&self, record: &StepRecord) -> Option<BoxFuture<'static, ()>> {
        let LogSource::Cluster(logs) = &self.source else {
            return None;
        };
        let target = target(record)?;
        let starts = record.transition.kind == Kind::Started && !record.pod_gone;
        if self.mode != LogCaptureMode::Follow || !starts || self.has_shelved(&target) {
            return None;
        }
        let (followed, reading) = logs.follow(target.clone(), self.max_bytes);
        self.shelve(target, Early::Followed(followed));
        Some(reading.boxed())
    }

    fn has_shelved(&self, target: &LogTarget) -> bool {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.iter().any(|(known, _)| known == target)
    }

    fn shelve(&self, target: LogTarget, log: Early) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if shelf.len() >= SHELF
            && let Some((_, Early::Followed(oldest))) = shelf.pop_front()
        {
            oldest.leave();
        }
        shelf.push_back((target, log));
    }

    /// What became of the logs so far.
    pub(crate) fn counts(&self) -> &LogCounts {
        &self.counts
    }

    /// The log of a step that has ended.
    pub(crate) async fn of(&self, record: &StepRecord) -> CapturedLog {
        if self.mode == LogCaptureMode::Off {
            return CapturedLog::unavailable("logs are not captured (log.capture: off)");
        }
        let log = self.read(record).await;
        let count = match (&log.unavailable, log.truncated) {
            (Some(_), _) => &self.counts.unavailable,
            (None, true) => &self.counts.cut,
            (None, false) => &self.counts.whole,
        };
        count.fetch_add(1, Ordering::Relaxed);
        log
    }

    async fn read(&self, record: &StepRecord) -> CapturedLog {
        let Some(target) = target(record) else {
            return CapturedLog::unavailable("the pod was gone before it was seen");
        };
        match &self.source {
            LogSource::Recorded(logs) => logs.read(&target, self.max_bytes),
            LogSource::Cluster(logs) => {
                let piece = match self.early(&target).await {
                    Some((log, true)) => return log,
                    Some((piece, false)) => Some(piece),
                    None => None,
                };
                let now = match record.pod_gone {
                    true => CapturedLog::unavailable("the pod is gone"),
                    false => logs.read(&target, self.max_bytes, false).await,
                };
                // A piece is better than nothing, and it says that it is one.
                match piece {
                    Some(piece) if now.unavailable.is_some() => piece,
                    Some(_) | None => now,
                }
            }
        }
    }

    /// What was read before the step's end was told, and whether it is known to be all.
    async fn early(&self, target: &LogTarget) -> Option<(CapturedLog, bool)> {
        let early = {
            let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            let index = shelf.iter().position(|(known, _)| known == target)?;
            shelf.remove(index).map(|(_, early)| early)?
        };
        match early {
            Early::Rescued(read) => {
                let log = tokio::time::timeout(self.timeout, read).await.ok()?;
                log.unavailable.is_none().then(|| ((*log).clone(), true))
            }
            Early::Followed(log) => log.finish(self.timeout).await,
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
