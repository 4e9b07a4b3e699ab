//! Reads the logs of Pods from the API server.

use super::change::LogTarget;
use super::log_capture::LogCapture;
use super::log_mask::LogMask;
use super::watched_pods::{PodPresence, WatchedPod};
use crate::fair::{FairSemaphore, Permit};
use crate::step::CapturedLog;
use futures::AsyncReadExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, Resource as _};
use serde::Deserialize;
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;
use step_observer_core::Backoff;
use tokio::time::Instant;
use tracing::{debug, warn};

/// Bounds the bytes of a log that are read from its beginning. If the log is longer, only its end
/// is read after that. A kubelet returns no more than the newest file of a log, which it rotates at
/// 10 MiB (`containerLogMaxSize`) by default.
const MAX_BYTES_FROM_START: u64 = 32 * 1024 * 1024;
/// Assumed bytes per line when the end of a log is requested: half the length of most lines.
const BYTES_PER_TAIL_LINE: usize = 32;
/// Bounds the lines that are requested from the end of a log.
const MAX_TAIL_LINES: usize = 64 * 1024;

/// Delays between the attempts of a read that gets no connection or no file descriptor.
const RETRY_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(2),
};
/// Minimum time for a replacement that the watch does not report: a Pod is deleted, created again
/// with the same name, scheduled and started. If a log was read in less time, the watch alone
/// decides whose log it is.
const MIN_REPLACEMENT_TIME: Duration = Duration::from_secs(1);
/// Reason for which the log of a replaced Pod is unavailable.
pub(crate) const LOG_OF_REPLACED_POD: &str = "another pod has its pod's name";

/// Reads logs with its own client. Logs of ended steps, logs of Pods that are being deleted, and
/// followed logs have separate slots. Each kind shares its slots fairly between namespaces.
#[derive(Clone)]
pub struct ClusterLogs {
    client: Client,
    after_step: FairSemaphore,
    until_pod_gone: FairSemaphore,
    followers: FairSemaphore,
    timeout: Duration,
    /// The missing right is logged once, because every step would cause the message again.
    forbidden: Arc<Once>,
}

/// The reason for which a log is read. It decides how far the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogReadMode {
    /// The step has ended: the log is read to its current end.
    AfterStep,
    /// The Pod is being deleted: the log is read until the Pod is gone.
    UntilPodGone,
}

/// Errors of a read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The Pod is gone, and its log with it.
    Gone,
    /// There was no connection, usually for a reason on this machine.
    Unreachable(String),
    Other(String),
}

/// The end of a read.
enum ReadEnd {
    /// The log was read to its end.
    Complete,
    /// The log is longer than the bound; the rest was not read.
    More,
    /// The read failed or took too long.
    Failed(String),
}

/// The UIDs in a list of Pods. Other members are not read.
#[derive(Deserialize)]
struct PodIds {
    #[serde(default)]
    items: Vec<PodId>,
}

#[derive(Deserialize)]
struct PodId {
    metadata: PodUid,
}

#[derive(Deserialize)]
struct PodUid {
    uid: String,
}

impl Debug for ClusterLogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterLogs")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl ClusterLogs {
    /// Creates a reader. `concurrency` bounds the reads of ended steps, and separately those of
    /// Pods that are being deleted; `followers` bounds the logs that are followed.
    #[must_use]
    pub fn new(client: Client, concurrency: usize, followers: usize, timeout: Duration) -> Self {
        Self {
            client,
            after_step: FairSemaphore::new(concurrency),
            until_pod_gone: FairSemaphore::new(concurrency),
            followers: FairSemaphore::new(followers),
            timeout,
            forbidden: Arc::new(Once::new()),
        }
    }

    pub(super) async fn follower_slot(&self, namespace: &Arc<str>) -> Permit {
        self.followers.acquire(namespace).await
    }

    /// Passes a log with timestamps to `take`, piece by piece, until its container ends. The log
    /// starts at `since`, a time without fractions of a second. The whole log is read, whatever its
    /// length.
    pub(super) async fn follow_from(
        &self,
        target: &LogTarget,
        since: Option<Timestamp>,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), ReadError> {
        let params = LogParams {
            container: Some(target.container.to_string()),
            follow: true,
            timestamps: true,
            since_time: since,
            ..LogParams::default()
        };
        let all = |piece: &[u8]| {
            take(piece);
            ControlFlow::Continue(())
        };
        self.stream(target, &params, all).await
    }

    /// Reads the head and the tail of the log of one container, within the bounds of size and time.
    pub(crate) async fn read(
        &self,
        target: &LogTarget,
        pod: &WatchedPod,
        max_bytes: usize,
        mask: &LogMask,
        read: LogReadMode,
    ) -> CapturedLog {
        let slots = match read {
            LogReadMode::AfterStep => &self.after_step,
            LogReadMode::UntilPodGone => &self.until_pod_gone,
        };
        let _slot = slots.acquire(&target.namespace).await;
        match pod.presence() {
            PodPresence::Present => {}
            PodPresence::Gone => return CapturedLog::unavailable("the pod is gone"),
            PodPresence::Replaced => return CapturedLog::unavailable(LOG_OF_REPLACED_POD),
        }
        let began = Instant::now();
        let log = self.read_now(target, max_bytes, mask, read).await;
        let is_quick = began.elapsed() < MIN_REPLACEMENT_TIME;
        self.verified(log, target, pod, is_quick).await
    }

    async fn read_now(
        &self,
        target: &LogTarget,
        max_bytes: usize,
        mask: &LogMask,
        read: LogReadMode,
    ) -> CapturedLog {
        let mut capture = LogCapture::masked(max_bytes, mask);
        let deadline = Instant::now() + self.timeout;
        let params = LogParams {
            container: Some(target.container.to_string()),
            follow: read == LogReadMode::UntilPodGone,
            ..LogParams::default()
        };
        let limit = match read {
            LogReadMode::AfterStep => {
                Some((MAX_BYTES_FROM_START, Instant::now() + self.timeout / 2))
            }
            // No limit: the log is read while it is written. Its end is read, too.
            LogReadMode::UntilPodGone => None,
        };
        let mut ended = self
            .read_bounded(target, &params, &mut capture, limit, deadline)
            .await;
        if let ReadEnd::More = ended {
            let lines = (max_bytes / 2 / BYTES_PER_TAIL_LINE).clamp(1, MAX_TAIL_LINES);
            let params = LogParams {
                tail_lines: i64::try_from(lines).ok(),
                ..params
            };
            let mut end = LogCapture::masked(max_bytes, mask);
            ended = self
                .read_bounded(target, &params, &mut end, None, deadline)
                .await;
            capture = capture.join_end(end, lines);
        }
        match ended {
            ReadEnd::Complete | ReadEnd::More => capture.finish(),
            // A part of the log is better than no log, and it is marked as incomplete.
            ReadEnd::Failed(reason) => capture
                .finish_incomplete(&*reason)
                .unwrap_or_else(|| CapturedLog::unavailable(reason)),
        }
    }

    /// Reads a log until a deadline. `limit` bounds the bytes and sets an earlier deadline for a
    /// log that has started to arrive.
    async fn read_bounded(
        &self,
        target: &LogTarget,
        params: &LogParams,
        capture: &mut LogCapture,
        limit: Option<(u64, Instant)>,
        deadline: Instant,
    ) -> ReadEnd {
        let has_begun = AtomicBool::new(false);
        let mut is_too_long = false;
        let mut unreachable = None;
        let reading = async {
            let mut failures = 0;
            loop {
                let take = |piece: &[u8]| {
                    has_begun.store(true, Ordering::Relaxed);
                    capture.push(piece);
                    is_too_long = limit.is_some_and(|(bytes, _)| capture.bytes_received() > bytes);
                    if is_too_long {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                };
                match self.stream(target, params, take).await {
                    Err(ReadError::Unreachable(reason)) => {
                        failures += 1;
                        let delay = RETRY_BACKOFF.delay(failures, fastrand::f64());
                        debug!(
                            pod = &*target.pod,
                            reason,
                            ?delay,
                            "log request failed, retrying"
                        );
                        unreachable = Some(reason);
                        tokio::time::sleep(delay).await;
                    }
                    ended => return ended,
                }
            }
        };
        let read = {
            let mut reading = std::pin::pin!(reading);
            let early = limit.map_or(deadline, |(_, early)| early);
            match tokio::time::timeout_at(early, &mut reading).await {
                Err(_) if early < deadline => {
                    if has_begun.load(Ordering::Relaxed) {
                        return ReadEnd::More;
                    }
                    tokio::time::timeout_at(deadline, &mut reading).await
                }
                read => read,
            }
        };
        match read {
            Ok(Ok(())) if is_too_long => ReadEnd::More,
            Ok(Ok(())) => ReadEnd::Complete,
            Ok(Err(ReadError::Gone)) => ReadEnd::Failed("404 NotFound".to_owned()),
            Ok(Err(ReadError::Unreachable(reason) | ReadError::Other(reason))) => {
                ReadEnd::Failed(reason)
            }
            Err(_) => {
                let cause = unreachable.map(|reason| format!(": {reason}"));
                let cause = cause.unwrap_or_default();
                ReadEnd::Failed(format!("not read within {:?}{cause}", self.timeout))
            }
        }
    }

    /// Returns the log if it belongs to this Pod, else an unavailable log. The log was read by the
    /// name of the Pod, and another Pod may have that name.
    ///
    /// The state of the watch decides if the Pod was replaced, or if the Pod exists and
    /// `watch_suffices` is true. Otherwise, asks the API server whether another Pod has the name.
    pub(crate) async fn verified(
        &self,
        log: CapturedLog,
        target: &LogTarget,
        pod: &WatchedPod,
        watch_suffices: bool,
    ) -> CapturedLog {
        if log.unavailable.is_some() {
            return log;
        }
        match pod.presence() {
            PodPresence::Replaced => return CapturedLog::unavailable(LOG_OF_REPLACED_POD),
            PodPresence::Present if watch_suffices => return log,
            PodPresence::Present | PodPresence::Gone => {}
        }
        let others = tokio::time::timeout(self.timeout, self.has_other_pod(target)).await;
        match others {
            Ok(Ok(false)) => log,
            Ok(Ok(true)) => CapturedLog::unavailable(LOG_OF_REPLACED_POD),
            Ok(Err(error)) => CapturedLog::unavailable(format!(
                "it is not known to which pod the log belongs: {error}"
            )),
            Err(_) => CapturedLog::unavailable(format!(
                "it is not known to which pod the log belongs: no response within {:?}",
                self.timeout
            )),
        }
    }

    /// Returns whether another Pod has the name of this one. A list needs no right to `get` a Pod.
    async fn has_other_pod(&self, target: &LogTarget) -> Result<bool, String> {
        let path = Pod::url_path(&(), Some(&target.namespace));
        let named = ListParams::default().fields(&format!("metadata.name={}", target.pod));
        let request = kube::core::Request::new(path).list_metadata(&named);
        let request = request.map_err(|error| error.to_string())?;
        // `Client::request` would log a response that it cannot read.
        let response = self.client.request_text(request).await;
        let response = response.map_err(|error| match error {
            kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
            other => other.to_string(),
        })?;
        let pods: PodIds = serde_json::from_str(&response)
            .map_err(|_| "the response is not a list of pods".to_owned())?;
        let mut uids = pods.items.iter().map(|pod| &*pod.metadata.uid);
        Ok(uids.any(|uid| *uid != *target.pod_uid))
    }

    /// Passes a log to `take` piece by piece, until the log ends or `take` returns `Break`.
    async fn stream(
        &self,
        target: &LogTarget,
        params: &LogParams,
        mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &target.namespace);
        let stream = api
            .log_stream(&target.pod, params)
            .await
            .map_err(|error| match error {
                kube::Error::Api(status) if status.code == 404 => ReadError::Gone,
                kube::Error::Api(status) => {
                    if status.code == 403 {
                        self.forbidden.call_once(|| {
                            warn!(
                                error = status.message,
                                remedy = "grant get on pods/log to the service account, or set log.capture: off",
                                "logs cannot be read: events are sent without them"
                            );
                        });
                    }
                    ReadError::Other(format!("{} {}", status.code, status.reason))
                }
                other => ReadError::Unreachable(other.to_string()),
            })?;
        let mut stream = std::pin::pin!(stream);
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = stream
                .read(&mut buffer)
                .await
                .map_err(|error| ReadError::Other(error.to_string()))?;
            if read == 0 || take(buffer.get(..read).unwrap_or_default()).is_break() {
                return Ok(());
            }
        }
    }
}
