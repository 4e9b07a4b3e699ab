//! Delivery to one sink, from the journal: lanes by TaskRun, retries with backoff, one who tries for
//! all while the sink is down, dead letters for what cannot be delivered.

mod breaker;
mod config;

pub use config::RetryConfig;

use crate::event::Encoded;
use crate::journal::{Journal, Letter, Waiting};
use crate::lanes::{self, LaneLimits};
use crate::sink::{Attempt, Sink};
use breaker::Breaker;
use futures::future::{BoxFuture, Shared};
use jiff::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use step_observer_core::Backoff;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::Instant;
use tracing::{error, info, warn};

/// Events of one sink that are looked at: their places in the journal, not their bytes. Runs beyond
/// this wait until one before them is done.
const WINDOW: usize = 4096;
/// Events that are taken from the journal at a time.
const TAKE: usize = 256;
/// How long nothing is sent to a sink that says that it is gone for good.
const SUSPENSION: Duration = Duration::from_secs(600);
/// Longest text of a sink that is kept with a dead letter, in bytes.
const MAX_REASON: usize = 512;

/// What became of the events for one sink since the start.
#[derive(Debug, Default)]
pub struct Account {
    delivered: AtomicU64,
    buried: AtomicU64,
    failed: AtomicU64,
}

impl Account {
    /// Events that the sink has taken.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Attempts that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Events that became dead letters.
    #[must_use]
    pub fn buried(&self) -> u64 {
        self.buried.load(Ordering::Relaxed)
    }
}

/// Ends when nothing more will be accepted.
pub(crate) type Closing = Shared<BoxFuture<'static, ()>>;

/// Delivers to one sink.
#[derive(Debug)]
pub(crate) struct Delivery {
    name: String,
    sink: Sink,
    retry: RetryConfig,
    journal: Journal,
    account: Arc<Account>,
    /// Attempts at a time.
    attempts: Semaphore,
    breaker: Mutex<Breaker>,
    /// Tells that an attempt is over.
    tried: Notify,
    began: Instant,
    /// When the next event may be sent, where there is a rate.
    slot: Mutex<Instant>,
}

impl Delivery {
    pub(crate) fn new(
        name: String,
        sink: Sink,
        retry: RetryConfig,
        journal: Journal,
        account: Arc<Account>,
    ) -> Self {
        let now = Instant::now();
        Self {
            attempts: Semaphore::new(sink.concurrency()),
            name,
            sink,
            retry,
            journal,
            account,
            breaker: Mutex::default(),
            tried: Notify::new(),
            began: now,
            slot: Mutex::new(now),
        }
    }

    /// Delivers until nothing more will be accepted and nothing waits.
    pub(crate) async fn run(self, closing: Closing) {
        let (lanes, items) = mpsc::channel(1);
        let limits = LaneLimits {
            // One that waits for its next try keeps nobody but its own run.
            concurrency: WINDOW,
            capacity: WINDOW,
        };
        let work = lanes::run(items, limits, |event| self.deliver(event));
        tokio::join!(self.feed(lanes, closing), work);
    }

    /// Takes what waits from the journal, in order.
    async fn feed(&self, lanes: mpsc::Sender<(u64, Waiting)>, closing: Closing) {
        let mut changes = self.journal.changes();
        let mut from = 0;
        loop {
            let closed = closing.peek().is_some();
            changes.mark_unchanged();
            let waiting = self.journal.waiting_from(&self.name, &mut from, TAKE);
            if waiting.is_empty() {
                if closed {
                    return;
                }
                tokio::select! {
                    _ = changes.changed() => {}
                    () = closing.clone() => {}
                }
            }
            for event in waiting {
                if lanes.send((event.run, event)).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn deliver(&self, event: Waiting) {
        let began = wall();
        let age = Duration::try_from(began.duration_since(event.at)).unwrap_or_default();
        let left = Duration::from_millis(self.retry.give_up_ms).saturating_sub(age);
        let give_up = Instant::now() + left;
        let mut failures = 0_u32;
        let settled = loop {
            let (attempt, id) = match self.attempt(event).await {
                Ok(Some((attempt, event))) if attempt == Attempt::Delivered && failures == 0 => {
                    drop(event);
                    (attempt, String::new())
                }
                Ok(Some((attempt, event))) => (attempt, event.id()),
                // Somebody dropped it meanwhile.
                Ok(None) => break Ok(()),
                Err(error) => {
                    let reason = format!("it cannot be read from the journal: {error}");
                    (Attempt::Rejected { reason }, "?".to_owned())
                }
            };
            let seq = event.seq;
            match attempt {
                Attempt::Delivered => {
                    self.account.delivered.fetch_add(1, Ordering::Relaxed);
                    if failures > 0 {
                        info!(sink = self.name, id, failures, "delivered after failures");
                    }
                    break self.journal.done(seq, &self.name).await;
                }
                Attempt::Rejected { reason } => {
                    error!(
                        sink = self.name,
                        id, reason, "the event is not delivered and becomes a dead letter"
                    );
                    break self.bury(event, reason, failures + 1, began).await;
                }
                Attempt::Suspended { reason } => {
                    failures = failures.saturating_add(1);
                    if Instant::now() >= give_up {
                        break self.bury(event, reason, failures, began).await;
                    }
                }
                Attempt::Retry { reason, after } => {
                    failures = failures.saturating_add(1);
                    let delay = self
                        .backoff()
                        .delay(failures, fastrand::f64())
                        .max(after.unwrap_or_default());
                    let now = Instant::now();
                    if now >= give_up {
                        error!(
                            sink = self.name,
                            id, reason, failures, "the event is given up and becomes a dead letter"
                        );
                        break self.bury(event, reason, failures, began).await;
                    }
                    warn!(
                        sink = self.name,
                        id,
                        reason,
                        failures,
                        ?delay,
                        "delivery failed, retrying"
                    );
                    // A wait that is longer than the time left ends with one last try.
                    tokio::time::sleep_until((now + delay).min(give_up)).await;
                }
            }
        };
        if let Err(problem) = settled {
            // The journal has said so, and the observer stops: it is sent again after that.
            warn!(sink = self.name, seq = event.seq, %problem, "what became of an event is not kept");
        }
    }

    /// One attempt, once there is room for it. Nothing where the event is done already.
    async fn attempt(&self, event: Waiting) -> std::io::Result<Option<(Attempt, Encoded)>> {
        // Never closed.
        let _room = self.attempts.acquire().await;
        self.pass_breaker().await;
        self.turn().await;
        let Some(body) = self.journal.body(event.seq).await? else {
            return Ok(None);
        };
        let event = Encoded::stored(body);
        let attempt = self.sink.send(&event).await;
        self.breaker(|breaker, now| match &attempt {
            Attempt::Delivered => {
                if breaker.succeeded() {
                    info!(sink = self.name, "the sink is back");
                }
            }
            Attempt::Rejected { .. } => breaker.answered(),
            Attempt::Suspended { reason } => {
                let (sink, length) = (&self.name, SUSPENSION);
                error!(
                    sink,
                    reason,
                    ?length,
                    "the sink is gone for good, as it says: nothing is sent there for a while"
                );
                breaker.suspend(now, SUSPENSION);
            }
            Attempt::Retry { reason, .. } => {
                if breaker.failed(now, self.backoff(), fastrand::f64()) {
                    warn!(
                        sink = self.name,
                        reason, "the sink is down: one event tries for all until it is back"
                    );
                }
            }
        });
        if attempt != Attempt::Delivered {
            self.account.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.tried.notify_waiters();
        Ok(Some((attempt, event)))
    }

    /// Waits while the sink is down and another tries for all.
    async fn pass_breaker(&self) {
        loop {
            // Before it asks: what changes after that wakes it.
            let tried = self.tried.notified();
            match self.breaker(|breaker, now| breaker.ask(now, self.sink.longest_attempt())) {
                Ok(()) => return,
                Err(wait) => tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = tried => {}
                },
            }
        }
    }

    /// Waits for its turn where only so many a second are wanted.
    async fn turn(&self) {
        let Some(rate) = self.retry.max_per_second else {
            return;
        };
        let turn = {
            let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = (*slot).max(Instant::now());
            *slot = turn + Duration::from_nanos(1_000_000_000 / rate.max(1));
            turn
        };
        tokio::time::sleep_until(turn).await;
    }

    fn backoff(&self) -> Backoff {
        Backoff {
            initial: Duration::from_millis(self.retry.initial_ms),
            max: Duration::from_millis(self.retry.max_ms),
        }
    }

    fn breaker<T>(&self, work: impl FnOnce(&mut Breaker, Duration) -> T) -> T {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut breaker, self.began.elapsed())
    }

    async fn bury(
        &self,
        event: Waiting,
        reason: String,
        attempts: u32,
        first: Timestamp,
    ) -> Result<(), crate::journal::JournalError> {
        self.account.buried.fetch_add(1, Ordering::Relaxed);
        let end = reason.floor_char_boundary(MAX_REASON);
        let letter = Letter {
            reason: reason.get(..end).unwrap_or_default().to_owned(),
            attempts,
            first,
            last: wall(),
        };
        self.journal.bury(event.seq, &self.name, letter).await
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge where the clock is read"
)]
fn wall() -> Timestamp {
    Timestamp::now()
}
