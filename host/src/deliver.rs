//! Delivery to one sink: lanes by TaskRun, retries with backoff, and an account of what became of
//! every event.

use crate::event::Encoded;
use crate::lanes::{self, LaneLimits};
use crate::sink::{Attempt, Sink};
use cloudevents::AttributesReader as _;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use step_observer_core::Backoff;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

/// Events that wait for one sink, in its channel and again in its lanes: with logs of the default
/// size some 15 MiB at most. At this bound the whole road waits, and in the end the watch,
/// which loses nothing: the cluster still shows what happened.
pub const QUEUE: usize = 128;

/// How often and how long a delivery is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Longest wait before the second try, in milliseconds. It doubles with every failure.
    #[schemars(range(min = 1, max = 3600000))]
    #[serde(deserialize_with = "crate::bounded::between::<1, 3600000, _, _>")]
    pub initial_ms: u64,
    /// Longest wait between two tries, in milliseconds.
    #[schemars(range(min = 1, max = 3600000))]
    #[serde(deserialize_with = "crate::bounded::between::<1, 3600000, _, _>")]
    pub max_ms: u64,
    /// After so many milliseconds an event is given up and counted as undelivered.
    #[schemars(range(max = 604800000))]
    #[serde(deserialize_with = "crate::bounded::between::<0, 604800000, _, _>")]
    pub give_up_ms: u64,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            initial_ms: 200,
            max_ms: 30_000,
            give_up_ms: 600_000,
        }
    }
}

/// What became of the events for one sink.
#[derive(Debug, Default)]
pub struct Account {
    accepted: AtomicU64,
    delivered: AtomicU64,
}

impl Account {
    /// An event is on its way to the sink.
    pub fn accept(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// Events that the sink has.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Events that the sink does not have: rejected, given up, or not yet tried.
    #[must_use]
    pub fn undelivered(&self) -> u64 {
        self.accepted
            .load(Ordering::Relaxed)
            .saturating_sub(self.delivered())
    }
}

/// Delivers until the channel is closed and all is done or given up.
pub async fn deliver(
    name: &str,
    sink: &Sink,
    retry: &RetryConfig,
    account: &Account,
    events: mpsc::Receiver<(Arc<str>, Arc<Encoded>)>,
) {
    let limits = LaneLimits {
        concurrency: sink.concurrency(),
        capacity: QUEUE,
    };
    lanes::run(events, limits, |event: Arc<Encoded>| async move {
        deliver_one(name, sink, retry, account, &event).await;
    })
    .await;
}

async fn deliver_one(
    name: &str,
    sink: &Sink,
    retry: &RetryConfig,
    account: &Account,
    event: &Encoded,
) {
    let backoff = Backoff {
        initial: Duration::from_millis(retry.initial_ms),
        max: Duration::from_millis(retry.max_ms),
    };
    let give_up = tokio::time::Instant::now() + Duration::from_millis(retry.give_up_ms);
    let id = event.envelope().event.id();
    let mut failures = 0_u32;
    loop {
        match sink.send(event).await {
            Attempt::Delivered => {
                account.delivered.fetch_add(1, Ordering::Relaxed);
                if failures > 0 {
                    info!(sink = name, id, failures, "delivered after failures");
                }
                return;
            }
            Attempt::Rejected { reason } => {
                error!(sink = name, id, reason, "the sink rejects the event");
                return;
            }
            Attempt::Retry { reason, after } => {
                failures = failures.saturating_add(1);
                let delay = backoff
                    .delay(failures, fastrand::f64())
                    .max(after.unwrap_or_default());
                let now = tokio::time::Instant::now();
                // A wait that is longer than the time left ends with one last try.
                let next = (now + delay).min(give_up);
                if now >= give_up {
                    error!(sink = name, id, reason, failures, "the event is given up");
                    return;
                }
                warn!(
                    sink = name,
                    id,
                    reason,
                    failures,
                    ?delay,
                    "delivery failed, retrying"
                );
                tokio::time::sleep_until(next).await;
            }
        }
    }
}
