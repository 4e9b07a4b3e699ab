//! Logs of a cluster's pods.

use super::log::LogCapture;
use super::slim::SlimPod;
use super::tracker::LogTarget;
use crate::step::CapturedLog;
use futures::AsyncReadExt as _;
use kube::api::LogParams;
use kube::{Api, Client};
use std::fmt::Debug;
use std::sync::{Arc, Once};
use std::time::Duration;
use tokio::sync::Semaphore;
use tracing::warn;

/// Most of a log that is read: the kubelet rotates at 10 MiB by default.
const MAX_LOG_READ: i64 = 16 * 1024 * 1024;

/// Reads logs, at most `concurrency` at a time, on connections of its own.
#[derive(Clone)]
pub struct ClusterLogs {
    client: Client,
    slots: Arc<Semaphore>,
    timeout: Duration,
    /// Said once: every step would say it again.
    forbidden: Arc<Once>,
}

impl Debug for ClusterLogs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterLogs")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl ClusterLogs {
    /// Reads with a client of its own.
    #[must_use]
    pub fn new(client: Client, concurrency: usize, timeout: Duration) -> Self {
        Self {
            client,
            slots: Arc::new(Semaphore::new(concurrency.max(1))),
            timeout,
            forbidden: Arc::new(Once::new()),
        }
    }

    /// The log of one container, bounded in size and time. With `follow` it is read until the
    /// container ends or its pod is gone.
    pub async fn read(&self, target: &LogTarget, max_bytes: usize, follow: bool) -> CapturedLog {
        let Ok(_slot) = self.slots.acquire().await else {
            return CapturedLog::unavailable("the observer is stopping");
        };
        let mut capture = LogCapture::new(max_bytes);
        let read =
            tokio::time::timeout(self.timeout, self.stream(target, follow, &mut capture)).await;
        let problem = match read {
            Ok(Ok(())) => None,
            Ok(Err(reason)) => Some(reason),
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
        follow: bool,
        capture: &mut LogCapture,
    ) -> Result<(), String> {
        let api: Api<SlimPod> = Api::namespaced(self.client.clone(), &target.namespace);
        let params = LogParams {
            container: Some(target.container.to_string()),
            follow,
            limit_bytes: Some(MAX_LOG_READ),
            ..LogParams::default()
        };
        let stream = api
            .log_stream(&target.pod, &params)
            .await
            .map_err(|error| match error {
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
                    format!("{} {}", status.code, status.reason)
                }
                other => other.to_string(),
            })?;
        let mut stream = std::pin::pin!(stream);
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = stream
                .read(&mut buffer)
                .await
                .map_err(|error| error.to_string())?;
            if read == 0 {
                return Ok(());
            }
            capture.push(buffer.get(..read).unwrap_or_default());
        }
    }
}
