//! Logs of a cluster's pods.

use super::change::LogTarget;
use super::log_capture::LogCapture;
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

/// Most of a log that is read from its beginning, in bytes; of a longer one only the end is read after that. A kubelet
/// gives no more than the newest file of a log, which it rotates at 10 MiB (`containerLogMaxSize`) by default.
const MAX_BYTES_FROM_START: u64 = 32 * 1024 * 1024;
/// Bytes of a log's tail for which one line is asked for: half of what most lines have.
const BYTES_PER_TAIL_LINE: usize = 32;
/// Most lines that are asked for from the end of a log.
const MAX_TAIL_LINES: usize = 64 * 1024;

/// How a read is begun again that could not even ask: no connection, no file descriptor.
const RETRY_BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(2),
};
/// No pod is deleted, made anew under its name, scheduled, started and seen by nobody within this time: the watch is
/// believed about a pod whose log took no longer to read.
const MIN_REPLACEMENT_TIME: Duration = Duration::from_secs(1);
/// Why the log of a pod that was replaced is not told.
pub(crate) const LOG_OF_REPLACED_POD: &str = "another pod has its pod's name";

/// Reads logs on connections of its own. What is read at the end of a step, what is read because its pod goes, and
/// what is followed have separate slots, each shared fairly between namespaces.
#[derive(Clone)]
pub struct ClusterLogs {
    client: Client,
    after_step: FairSemaphore,
    until_pod_gone: FairSemaphore,
    followers: FairSemaphore,
    timeout: Duration,
    /// Said once: every step would say it again.
    forbidden: Arc<Once>,
}

/// Why a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogReadMode {
    /// Its step has ended: what there is.
    AfterStep,
    /// Its pod is about to go: until it is gone.
    UntilPodGone,
}

/// Why a log cannot be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The pod is gone, and its log with it.
    Gone,
    /// Nobody could be asked: most often for a reason of this machine.
    Unreachable(String),
    Other(String),
}

/// How the reading of a log ended.
enum ReadEnd {
    /// There is no more of it.
    Complete,
    /// There is more, which is not read from here on.
    More,
    /// It broke off, or took too long.
    Failed(String),
}

/// The pods of a list, as far as it matters which they are. Whatever else is in it, is not read.
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
    /// Reads with a client of its own, so many at a time, and as many of pods that go; follows so many.
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

    /// Gives a log with timestamps, piece by piece, from a time on that has no parts of a second, until its container
    /// ends. All of it is read, however long it is.
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

    /// Reads the log of one container, bounded in size and time: its beginning and its end.
    pub(crate) async fn read(
        &self,
        target: &LogTarget,
        pod: &WatchedPod,
        max_bytes: usize,
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
        let log = self.read_now(target, max_bytes, read).await;
        let is_quick = began.elapsed() < MIN_REPLACEMENT_TIME;
        self.verified(log, target, pod, is_quick).await
    }

    async fn read_now(
        &self,
        target: &LogTarget,
        max_bytes: usize,
        read: LogReadMode,
    ) -> CapturedLog {
        let mut capture = LogCapture::new(max_bytes);
        let deadline = Instant::now() + self.timeout;
        let params = LogParams {
            container: Some(target.container.to_string()),
            follow: read == LogReadMode::UntilPodGone,
            ..LogParams::default()
        };
        let most = match read {
            LogReadMode::AfterStep => {
                Some((MAX_BYTES_FROM_START, Instant::now() + self.timeout / 2))
            }
            // It is read as it comes: its end is where it is.
            LogReadMode::UntilPodGone => None,
        };
        let mut ended = self
            .read_bounded(target, &params, &mut capture, most, deadline)
            .await;
        if let ReadEnd::More = ended {
            let lines = (max_bytes / 2 / BYTES_PER_TAIL_LINE).clamp(1, MAX_TAIL_LINES);
            let params = LogParams {
                tail_lines: i64::try_from(lines).ok(),
                ..params
            };
            let mut end = LogCapture::new(max_bytes);
            ended = self
                .read_bounded(target, &params, &mut end, None, deadline)
                .await;
            capture = capture.ended_by(end, lines);
        }
        match ended {
            ReadEnd::Complete | ReadEnd::More => capture.finish(),
            // A piece is better than nothing, and it says that it is one.
            ReadEnd::Failed(reason) => capture
                .finish_cut(&*reason)
                .unwrap_or_else(|| CapturedLog::unavailable(reason)),
        }
    }

    /// Reads a log until a deadline. Of one that has begun to come, no more than so many bytes are read, and not beyond
    /// an earlier time, if `most` says so.
    async fn read_bounded(
        &self,
        target: &LogTarget,
        params: &LogParams,
        capture: &mut LogCapture,
        most: Option<(u64, Instant)>,
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
                    is_too_long = most.is_some_and(|(bytes, _)| capture.taken() > bytes);
                    match is_too_long {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
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
                            "a log is asked for again"
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
            let early = most.map_or(deadline, |(_, early)| early);
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
                let reason = unreachable.map(|reason| format!(": {reason}"));
                let reason = reason.unwrap_or_default();
                ReadEnd::Failed(format!("not read within {:?}{reason}", self.timeout))
            }
        }
    }

    /// A log that was read by its pod's name, if it is that pod's. The watch is asked; the API server only if the
    /// pod is gone, or if `watch_knows` is not so. A pod that is gone by now left no other of its name.
    pub(crate) async fn verified(
        &self,
        log: CapturedLog,
        target: &LogTarget,
        pod: &WatchedPod,
        watch_knows: bool,
    ) -> CapturedLog {
        if log.unavailable.is_some() {
            return log;
        }
        match pod.presence() {
            PodPresence::Replaced => return CapturedLog::unavailable(LOG_OF_REPLACED_POD),
            PodPresence::Present if watch_knows => return log,
            PodPresence::Present | PodPresence::Gone => {}
        }
        let others = tokio::time::timeout(self.timeout, self.has_other_pod(target)).await;
        match others {
            Ok(Ok(false)) => log,
            Ok(Ok(true)) => CapturedLog::unavailable(LOG_OF_REPLACED_POD),
            Ok(Err(error)) => {
                CapturedLog::unavailable(format!("it is not known whose log it is: {error}"))
            }
            Err(_) => CapturedLog::unavailable(format!(
                "it is not known whose log it is: no answer within {:?}",
                self.timeout
            )),
        }
    }

    /// Has another pod the name of this one? There is no right to `get` a Pod, and none is needed.
    async fn has_other_pod(&self, target: &LogTarget) -> Result<bool, String> {
        let path = Pod::url_path(&(), Some(&target.namespace));
        let named = ListParams::default().fields(&format!("metadata.name={}", target.pod));
        let request = kube::core::Request::new(path).list_metadata(&named);
        let request = request.map_err(|error| error.to_string())?;
        // Not `Client::request`, which logs an answer that it cannot read.
        let answer = self.client.request_text(request).await;
        let answer = answer.map_err(|error| match error {
            kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
            other => other.to_string(),
        })?;
        let pods: PodIds = serde_json::from_str(&answer)
            .map_err(|_| "the answer is no list of pods".to_owned())?;
        let mut uids = pods.items.iter().map(|pod| &*pod.metadata.uid);
        Ok(uids.any(|uid| *uid != *target.pod_uid))
    }

    /// Gives a log piece by piece, until it ends or no more of it is wanted.
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
