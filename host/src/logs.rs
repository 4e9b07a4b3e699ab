//! Reads the logs of steps, some of them before the end of their step.

mod config;
mod prefetched;

pub use config::{LogCaptureMode, LogConfig};

use crate::locked::Locked;
use crate::metrics::{Counter, Registry};
use crate::observe::{
    Change, ClusterLogs, FollowedLog, LOG_OF_REPLACED_POD, LogMasks, LogReadMode, LogTarget,
    NoLogMasks, RecordedLogs, WatchedPod, WatchedPods,
};
use crate::step::{CapturedLog, StepRecord};
use futures::FutureExt as _;
use futures::future::{BoxFuture, abortable};
use prefetched::{PrefetchedLog, PrefetchedLogs};
use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::Duration;
use step_observer_core::Kind;

/// Bounds the prefetched logs.
const MAX_PREFETCHED_LOGS: usize = 1024;

/// The source of logs.
#[derive(Clone, Debug)]
pub enum LogSource {
    /// The API server.
    Cluster(ClusterLogs),
    /// A recording.
    Recorded(Arc<RecordedLogs>),
}

/// Reads the logs of steps.
pub(crate) struct LogReader {
    source: LogSource,
    mode: LogCaptureMode,
    max_bytes: usize,
    timeout: Duration,
    /// Masks of logs, applied before a log is truncated.
    masks: OnceLock<Arc<dyn LogMasks>>,
    prefetched: Locked<PrefetchedLogs>,
    /// The Pods whose logs are wanted.
    watched_pods: WatchedPods,
    metrics: LogMetrics,
}

/// Counts the logs that were to be read, by outcome.
#[derive(Debug, Default)]
pub(crate) struct LogMetrics {
    /// Read in full.
    pub(crate) read: Counter,
    /// Too long, or interrupted.
    pub(crate) truncated: Counter,
    /// Not read at all.
    pub(crate) unavailable: Counter,
}

impl LogMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register_family(
            "log_reads",
            "Logs to be read, by outcome: read in full, cut (too long, or interrupted), or unavailable",
            "outcome",
            [
                ("read", &metrics.read),
                ("cut", &metrics.truncated),
                ("unavailable", &metrics.unavailable),
            ],
        );
        metrics
    }

    fn count(&self, log: &CapturedLog) {
        let counter = match (&log.unavailable, log.truncated) {
            (Some(_), _) => &self.unavailable,
            (None, true) => &self.truncated,
            (None, false) => &self.read,
        };
        counter.increment();
    }
}

impl LogReader {
    pub(crate) fn new(source: LogSource, config: &LogConfig, registry: &mut Registry) -> Self {
        Self {
            source,
            mode: config.capture,
            max_bytes: config.max_bytes.get(),
            timeout: Duration::from_millis(config.timeout_ms.get()),
            masks: OnceLock::new(),
            prefetched: Locked::new(PrefetchedLogs::new(MAX_PREFETCHED_LOGS)),
            watched_pods: WatchedPods::default(),
            metrics: LogMetrics::register(registry),
        }
    }

    /// Sets how logs are masked before they are truncated. Must be called before the first log is
    /// read; without it, nothing is masked.
    pub(crate) fn set_masks(&self, masks: Arc<dyn LogMasks>) {
        self.masks.set(masks).ok();
    }

    fn masks(&self) -> Arc<dyn LogMasks> {
        let masks = self.masks.get_or_init(|| Arc::new(NoLogMasks));
        masks.clone()
    }

    /// Applies a change of the cluster to the state of the Pods whose logs are wanted.
    pub(crate) fn observe_change(&self, change: &Change) {
        self.watched_pods.observe_change(change);
    }

    /// Starts to watch the Pod of a step that has ended, for [`LogReader::log_of`].
    pub(crate) fn watch_pod(&self, record: &StepRecord) -> Option<WatchedPod> {
        let reads = matches!(self.source, LogSource::Cluster(_))
            && self.mode != LogCaptureMode::Off
            && !record.pod_gone;
        let target = target(record).filter(|_| reads);
        target.map(|target| self.watched_pods.watch(&target))
    }

    /// Starts to read a log whose Pod is being deleted. The returned future must be polled to its
    /// end.
    pub(crate) fn read_until_pod_gone(&self, target: LogTarget) -> Option<BoxFuture<'static, ()>> {
        let LogSource::Cluster(logs) = &self.source else {
            return None;
        };
        if self.mode == LogCaptureMode::Off || self.prefetched().contains(&target) {
            return None;
        }
        let (logs, max_bytes, wanted) = (logs.clone(), self.max_bytes, target.clone());
        let masks = self.masks();
        let pod = self.watched_pods.watch(&target);
        let (read, abort) = abortable(async move {
            let mask = masks.mask_of(&wanted).await;
            logs.read(&wanted, &pod, max_bytes, &mask, LogReadMode::UntilPodGone)
                .await
        });
        let aborted = |_| CapturedLog::unavailable("too many logs were read at a time");
        let read = read
            .map(move |log| Arc::new(log.unwrap_or_else(aborted)))
            .boxed()
            .shared();
        let reading = read.clone().map(drop).boxed();
        self.prefetched()
            .insert(target, PrefetchedLog::UntilPodGone { read, abort });
        Some(reading)
    }

    /// Starts to follow the log of a step that has started, if the configuration says so. The
    /// returned future must be polled to its end.
    pub(crate) fn follow(&self, record: &StepRecord) -> Option<BoxFuture<'static, ()>> {
        let LogSource::Cluster(logs) = &self.source else {
            return None;
        };
        let target = target(record)?;
        let starts = record.transition.kind == Kind::Started && !record.pod_gone;
        if self.mode != LogCaptureMode::Follow || !starts || self.prefetched().contains(&target) {
            return None;
        }
        let pod = self.watched_pods.watch(&target);
        let (log, reading) =
            FollowedLog::start(logs.clone(), target.clone(), self.max_bytes, self.masks());
        self.prefetched()
            .insert(target, PrefetchedLog::Followed { log, pod });
        Some(reading.boxed())
    }

    fn prefetched(&self) -> MutexGuard<'_, PrefetchedLogs> {
        self.prefetched.lock()
    }

    /// Returns the counts of logs.
    pub(crate) fn metrics(&self) -> &LogMetrics {
        &self.metrics
    }

    /// Returns the log of a step that has ended. `pod` watches its Pod.
    pub(crate) async fn log_of(
        &self,
        record: &StepRecord,
        pod: Option<&WatchedPod>,
    ) -> CapturedLog {
        if self.mode == LogCaptureMode::Off {
            return CapturedLog::unavailable("logs are not captured (log.capture: off)");
        }
        let log = self.read(record, pod).await;
        self.metrics.count(&log);
        log
    }

    async fn read(&self, record: &StepRecord, pod: Option<&WatchedPod>) -> CapturedLog {
        let Some(target) = target(record) else {
            return CapturedLog::unavailable("the pod was gone before it was seen");
        };
        match &self.source {
            LogSource::Recorded(logs) => {
                let mask = self.masks().mask_of(&target).await;
                logs.read(&target, self.max_bytes, &mask)
            }
            LogSource::Cluster(logs) => {
                let part = match self.prefetched_log(logs, &target).await {
                    Some((log, true)) => return log,
                    Some((part, false)) => Some(part),
                    None => None,
                };
                let now = match pod {
                    None => CapturedLog::unavailable("the pod is gone"),
                    Some(pod) => {
                        let mask = self.masks().mask_of(&target).await;
                        let mode = LogReadMode::AfterStep;
                        logs.read(&target, pod, self.max_bytes, &mask, mode).await
                    }
                };
                // A part of the log is better than no log, and it is marked as incomplete.
                match part {
                    Some(part) if now.unavailable.is_some() => part,
                    Some(_) | None => now,
                }
            }
        }
    }

    /// Returns the log that was read before the end of the step, and whether it is final, so that
    /// another read would add nothing.
    async fn prefetched_log(
        &self,
        logs: &ClusterLogs,
        target: &LogTarget,
    ) -> Option<(CapturedLog, bool)> {
        let prefetched = self.prefetched().take(target)?;
        let (log, is_final) = match prefetched {
            PrefetchedLog::UntilPodGone { read, .. } => {
                let log = tokio::time::timeout(self.timeout, read).await.ok()?;
                ((*log).clone(), true)
            }
            PrefetchedLog::Followed { log, pod } => {
                let (log, is_final) = log.finish(self.timeout).await?;
                // `true`: the API server is asked only if the Pod is gone. The log was followed
                // from the start of its step, so the watch has reported any replacement of the Pod.
                (logs.verified(log, target, &pod, true).await, is_final)
            }
        };
        match &log.unavailable {
            None => Some((log, is_final)),
            // Another read would return the log of another Pod.
            Some(reason) if reason == LOG_OF_REPLACED_POD => Some((log, true)),
            Some(_) => None,
        }
    }
}

/// Returns the container whose log belongs to the step; `None` if its Pod was never seen.
fn target(record: &StepRecord) -> Option<LogTarget> {
    Some(LogTarget {
        namespace: record.namespace.clone(),
        pod: record.transition.pod_name.clone(),
        pod_uid: record.transition.pod_uid.clone()?,
        container: record.transition.container.clone(),
    })
}
