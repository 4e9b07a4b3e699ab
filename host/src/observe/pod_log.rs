//! Logs of a cluster's pods.

use super::follow::FollowedLog;
use super::log::LogCapture;
use super::tracker::LogTarget;
use crate::step::CapturedLog;
use futures::AsyncReadExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client};
use std::fmt::Debug;
use std::sync::{Arc, Once};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

/// Most of a log that is read: the kubelet rotates at 10 MiB by default.
const MAX_LOG_READ: i64 = 16 * 1024 * 1024;

/// Reads logs, at most `concurrency` at a time, on connections of its own.
#[derive(Clone)]
pub struct ClusterLogs {
    client: Client,
    slots: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    timeout: Duration,
    /// Said once: every step would say it again.
    forbidden: Arc<Once>,
}

/// Why a log cannot be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The pod is gone, and its log with it.
    Gone,
    Other(String),
}

impl Debug for ClusterLogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterLogs")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl ClusterLogs {
    /// Reads with a client of its own, so many at a time; follows so many.
    #[must_use]
    pub fn new(client: Client, concurrency: usize, followers: usize, timeout: Duration) -> Self {
        Self {
            client,
            slots: Arc::new(Semaphore::new(concurrency.max(1))),
            followers: Arc::new(Semaphore::new(followers.max(1))),
            timeout,
            forbidden: Arc::new(Once::new()),
        }
    }

    /// Reads the log of a container while it is written. The future must be polled to its end.
    pub fn follow(
        &self,
        target: LogTarget,
        max_bytes: usize,
    ) -> (FollowedLog, impl Future<Output = ()> + Send + 'static) {
        FollowedLog::begin(self.clone(), target, max_bytes)
    }

    pub(super) async fn follower_slot(&self) -> Option<OwnedSemaphorePermit> {
        self.followers.clone().acquire_owned().await.ok()
    }

    /// Gives a log with timestamps, piece by piece, from a time on that has no parts of a second, until its container
    /// ends. All of it is read, however long it is.
    pub(super) async fn follow_from(
        &self,
        target: &LogTarget,
        since: Option<Timestamp>,
        take: impl FnMut(&[u8]),
    ) -> Result<(), ReadError> {
        let params = LogParams {
            container: Some(target.container.to_string()),
            follow: true,
            timestamps: true,
            since_time: since,
            ..LogParams::default()
        };
        self.stream(target, &params, take).await
    }

    /// The log of one container, bounded in size and time. With `follow` it is read until the
    /// container ends or its pod is gone.
    pub async fn read(&self, target: &LogTarget, max_bytes: usize, follow: bool) -> CapturedLog {
        let Ok(_slot) = self.slots.acquire().await else {
            return CapturedLog::unavailable("the observer is stopping");
        };
        let mut capture = LogCapture::new(max_bytes);
        let params = LogParams {
            container: Some(target.container.to_string()),
            follow,
            limit_bytes: Some(MAX_LOG_READ),
            ..LogParams::default()
        };
        let stream = self.stream(target, &params, |piece| capture.push(piece));
        let problem = match tokio::time::timeout(self.timeout, stream).await {
            Ok(Ok(())) => None,
            Ok(Err(ReadError::Gone)) => Some("404 NotFound".to_owned()),
            Ok(Err(ReadError::Other(reason))) => Some(reason),
            Err(_) => Some(format!("not read within {:?}", self.timeout)),
        };
        match problem {
            None => capture.finish(),
            Some(reason) => match capture.finish_cut() {
                // A piece is better than nothing, and it says that it is one.
                piece if piece.bytes > 0 => piece,
                _ => CapturedLog::unavailable(reason),
            },
        }
    }

    async fn stream(
        &self,
        target: &LogTarget,
        params: &LogParams,
        mut take: impl FnMut(&[u8]),
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
                other => ReadError::Other(other.to_string()),
            })?;
        let mut stream = std::pin::pin!(stream);
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = stream
                .read(&mut buffer)
                .await
                .map_err(|error| ReadError::Other(error.to_string()))?;
            if read == 0 {
                return Ok(());
            }
            take(buffer.get(..read).unwrap_or_default());
        }
    }
}
