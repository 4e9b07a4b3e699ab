//! Delivery to one sink, from the journal: lanes by TaskRun, retries with backoff, one who tries for
//! all while the sink is down, dead letters for what cannot be delivered.

mod breaker;
mod config;
mod dead_letters;

pub use config::RetryConfig;
pub(crate) use dead_letters::DeadLetterSink;

use crate::clock;
use crate::event::Encoded;
use crate::history::{History, What};
use crate::journal::{Journal, JournalError, Letter, Waiting};
use crate::lanes::{self, LaneLimits};
use crate::sink::{Attempt, Failure, Next, Pace, Sink};
use breaker::Breaker;
use bytes::Bytes;
use futures::FutureExt as _;
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
    history: History,
    account: Arc<Account>,
    /// Attempts at a time.
    attempts: Semaphore,
    breaker: Mutex<Breaker>,
    /// Tells that an attempt is over.
    tried: Notify,
    began: Instant,
    /// Where only so many a second are wanted.
    pace: Option<Pace>,
    /// Where what cannot be delivered goes, instead of staying in the journal.
    dead_letters: Option<DeadLetterSink>,
}

impl Delivery {
    pub(crate) fn new(
        name: String,
        sink: Sink,
        retry: RetryConfig,
        journal: Journal,
        account: Arc<Account>,
    ) -> Self {
        Self {
            attempts: Semaphore::new(sink.concurrency().clamp(1, WINDOW)),
            pace: (retry.max_per_second).map(|rate| Pace::new(rate, Duration::from_secs(1))),
            name,
            sink,
            retry,
            journal,
            history: History::default(),
            account,
            breaker: Mutex::default(),
            tried: Notify::new(),
            began: Instant::now(),
            dead_letters: None,
        }
    }

    /// Tells what becomes of events.
    pub(crate) fn telling(self, history: History) -> Self {
        Self { history, ..self }
    }

    /// Sends on what cannot be delivered.
    pub(crate) fn with_dead_letters(self, dead_letters: Option<DeadLetterSink>) -> Self {
        Self {
            dead_letters,
            ..self
        }
    }

    /// Delivers until nothing more will be accepted and nothing waits.
    pub(crate) async fn run(self, closing: Closing) {
        let (lanes, items) = mpsc::channel(TAKE);
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
        let began = clock::now();
        let age = Duration::try_from(began.duration_since(event.at)).unwrap_or_default();
        let left = Duration::from_millis(self.retry.give_up_ms).saturating_sub(age);
        let give_up = Instant::now() + left;
        let mut failures = 0_u32;
        let settled = loop {
            let tried = match self.attempt(event).await {
                Ok(Some(tried)) => tried,
                // Somebody dropped it meanwhile.
                Ok(None) => break Ok(()),
                Err(error) => {
                    let reason = format!("it cannot be read from the journal: {error}");
                    (Encoded::stored(Bytes::new()), Attempt::reject(reason))
                }
            };
            let (encoded, failure) = match tried {
                (encoded, Attempt::Delivered) => {
                    break self.delivered(event, &encoded, failures).await;
                }
                (encoded, Attempt::Failed(failure)) => (encoded, failure),
            };
            failures = failures.saturating_add(1);
            let now = Instant::now();
            let id = encoded.id();
            let (sink, reason) = (&self.name, &failure.reason);
            let delay = match failure.next {
                Next::Reject => None,
                _ if now >= give_up => None,
                // The breaker keeps the next try back.
                Next::Suspend => Some(Duration::ZERO),
                Next::Retry { after } => {
                    let backoff = self.backoff().delay(failures, fastrand::f64());
                    Some(backoff.max(after.unwrap_or_default()))
                }
            };
            let Some(delay) = delay else {
                error!(
                    sink,
                    id, reason, failures, "the event is not delivered and becomes a dead letter"
                );
                break self.bury(event, &encoded, failure, failures, began).await;
            };
            warn!(
                sink,
                id,
                reason,
                failures,
                ?delay,
                "delivery failed, retrying"
            );
            self.history.tell(clock::now(), || {
                let failed = What::Failed {
                    sink: sink.clone(),
                    attempt: failures,
                    reason: reason.clone(),
                    retry_in_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                };
                (id, failed)
            });
            // Thousands may wait: it is read again then.
            drop(encoded);
            // A wait that is longer than the time left ends with one last try.
            tokio::time::sleep_until((now + delay).min(give_up)).await;
        };
        if let Err(problem) = settled {
            // The journal has said so, and the observer stops: it is sent again after that.
            warn!(sink = self.name, seq = event.seq, %problem, "what became of an event is not kept");
        }
    }

    async fn delivered(
        &self,
        event: Waiting,
        encoded: &Encoded,
        failures: u32,
    ) -> Result<(), JournalError> {
        self.account.delivered.fetch_add(1, Ordering::Relaxed);
        if failures > 0 {
            let (sink, id) = (&self.name, encoded.id());
            info!(sink, id, failures, "delivered after failures");
        }
        self.history.tell(clock::now(), || {
            let (sink, attempt) = (self.name.clone(), failures + 1);
            (encoded.id(), What::Delivered { sink, attempt })
        });
        self.journal.done(event.seq, &self.name).await
    }

    /// One attempt, once there is room for it. Nothing where the event is done already.
    async fn attempt(&self, event: Waiting) -> std::io::Result<Option<(Encoded, Attempt)>> {
        // Never closed.
        let _room = self.attempts.acquire().await;
        self.pass_breaker().await;
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
        let Some(body) = self.journal.next_body(event.seq, &self.name).await? else {
            return Ok(None);
        };
        let event = Encoded::stored(body);
        // On its own: thousands of events wait for their turn, and some wires take kilobytes for an attempt.
        let attempt = self.sink.send(&event).boxed().await;
        self.breaker(|breaker, now| match &attempt {
            Attempt::Delivered => {
                if breaker.succeeded() {
                    info!(sink = self.name, "the sink is back");
                }
            }
            Attempt::Failed(failure) => self.failed(breaker, now, failure),
        });
        self.tried.notify_waiters();
        Ok(Some((event, attempt)))
    }

    fn failed(&self, breaker: &mut Breaker, now: Duration, failure: &Failure) {
        self.account.failed.fetch_add(1, Ordering::Relaxed);
        let (sink, reason) = (&self.name, &failure.reason);
        match failure.next {
            Next::Reject => breaker.answered(),
            Next::Suspend => {
                error!(
                    sink,
                    reason,
                    length = ?SUSPENSION,
                    "the sink is gone for good, as it says: nothing is sent there for a while"
                );
                breaker.suspend(now, SUSPENSION);
            }
            Next::Retry { .. } => {
                if breaker.failed(now, self.backoff(), fastrand::f64()) {
                    warn!(
                        sink,
                        reason, "the sink is down: one event tries for all until it is back"
                    );
                }
            }
        }
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
        encoded: &Encoded,
        failure: Failure,
        attempts: u32,
        first: Timestamp,
    ) -> Result<(), JournalError> {
        self.account.buried.fetch_add(1, Ordering::Relaxed);
        let end = failure.reason.floor_char_boundary(MAX_REASON);
        let letter = Letter {
            reason: failure.reason.get(..end).unwrap_or_default().to_owned(),
            attempts,
            first,
            last: clock::now(),
        };
        self.history.tell(letter.last, || {
            let dead = What::Dead {
                sink: self.name.clone(),
                attempts,
                reason: letter.reason.clone(),
                to: self
                    .dead_letters
                    .as_ref()
                    .map(|sink| sink.name().to_owned()),
            };
            (encoded.id(), dead)
        });
        let forwarded = self
            .dead_letters
            .as_ref()
            .and_then(|sink| sink.addressed(encoded, &letter, failure.code));
        let Some((run, to)) = forwarded else {
            return self.journal.bury(event.seq, &self.name, letter).await;
        };
        // Twice after a crash between the two, with the same id.
        self.journal
            .accept(run, None, letter.last, vec![to])
            .await?;
        self.journal.done(event.seq, &self.name).await
    }
}
