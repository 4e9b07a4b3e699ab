//! Where logs come from, and the shelf for those that had to be read before their time.

use crate::config::{LogCaptureMode, LogConfig};
use crate::observe::{ClusterLogs, LogTarget, RecordedLogs};
use crate::step::{CapturedLog, StepRecord};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Logs that are kept until their step's end is told. The oldest gives way.
const SHELF: usize = 1024;

/// A log that is being read or was read.
pub(crate) type Rescue = Shared<BoxFuture<'static, Arc<CapturedLog>>>;

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
    shelf: Mutex<VecDeque<(LogTarget, Rescue)>>,
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
    pub(crate) fn rescue(&self, target: LogTarget) -> Option<Rescue> {
        let LogSource::Cluster(logs) = &self.source else {
            return None;
        };
        if self.mode == LogCaptureMode::Off {
            return None;
        }
        let (logs, max_bytes, wanted) = (logs.clone(), self.max_bytes, target.clone());
        let read = async move { Arc::new(logs.read(&wanted, max_bytes, true).await) }
            .boxed()
            .shared();
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if shelf.len() >= SHELF {
            shelf.pop_front();
        }
        shelf.push_back((target, read.clone()));
        Some(read)
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
        let Some(pod_uid) = record.transition.pod_uid.clone() else {
            return CapturedLog::unavailable("the pod was gone before it was seen");
        };
        let target = LogTarget {
            namespace: record.namespace.clone(),
            pod: record.transition.pod_name.clone(),
            pod_uid,
            container: record.transition.container.clone(),
        };
        match &self.source {
            LogSource::Recorded(logs) => logs.read(&target, self.max_bytes),
            LogSource::Cluster(logs) => {
                if let Some(rescued) = self.rescued(&target).await {
                    return rescued;
                }
                if record.pod_gone {
                    return CapturedLog::unavailable("the pod is gone");
                }
                logs.read(&target, self.max_bytes, false).await
            }
        }
    }

    async fn rescued(&self, target: &LogTarget) -> Option<CapturedLog> {
        let rescue = {
            let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
            let index = shelf.iter().position(|(known, _)| known == target)?;
            shelf.remove(index).map(|(_, rescue)| rescue)?
        };
        let log = tokio::time::timeout(self.timeout, rescue).await.ok()?;
        log.unavailable.is_none().then(|| (*log).clone())
    }
}
