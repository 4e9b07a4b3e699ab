//! Delivery to one sink, from the journal: lanes by TaskRun, retries with backoff, one who tries for
//! all while the sink is down, dead letters for what cannot be delivered.

mod breaker;
mod config;
mod dead_letters;
mod giving_up;
mod metrics;
mod pausing;
mod window;

pub use config::RetryConfig;
pub(crate) use dead_letters::DeadLetterSink;
pub use metrics::SinkMetrics;

use crate::clock;
use crate::event::Encoded;
use crate::history::{History, What};
use crate::journal::{Journal, JournalError, Taken, Turns, Waiting};
use crate::lanes::{self, LaneLimits};
use crate::locked::Locked;
use crate::sink::{Attempt, DeliveryFailure, RateLimiter, RetryAction, Sink};
use breaker::Breaker;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use step_observer_core::Backoff;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tracing::{error, info, warn};
use window::{Attempts, Window};

/// Events of one sink that are looked at: their places in the journal, not their bytes. Each namespace has its share
/// of them; what is beyond waits until one before it is done.
const WINDOW: usize = 4096;
/// Events that are taken from the journal at a time.
const TAKE: usize = 256;
/// How long nothing is sent to a sink that says that it is gone for good.
const SUSPENSION: Duration = Duration::from_secs(600);

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
    metrics: Arc<SinkMetrics>,
    /// Events that are looked at.
    window: Window,
    /// Attempts at a time.
    attempts: Attempts,
    breaker: Locked<Breaker>,
    /// The end of the last pause that was reported.
    paused_until: Locked<Option<Instant>>,
    /// Tells that an attempt is over.
    tried: Notify,
    began: Instant,
    /// Where only so many a second are wanted.
    rate_limiter: Option<RateLimiter>,
    /// Where what cannot be delivered goes, instead of staying in the journal.
    dead_letters: Option<DeadLetterSink>,
}

impl Delivery {
    pub(crate) fn new(
        name: String,
        sink: Sink,
        retry: RetryConfig,
        journal: Journal,
        metrics: Arc<SinkMetrics>,
    ) -> Self {
        Self {
            window: Window::new(WINDOW),
            attempts: Attempts::new(sink.concurrency().clamp(1, WINDOW)),
            rate_limiter: (retry.max_per_second)
                .map(|rate| RateLimiter::new(rate.get(), Duration::from_secs(1))),
            name,
            sink: sink.pausing(metrics.pause.clone()),
            retry,
            journal,
            history: History::default(),
            metrics,
            breaker: Locked::default(),
            paused_until: Locked::default(),
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
        let work = lanes::run(items, limits, |event| self.take(event));
        tokio::join!(self.feed(lanes, closing), work);
    }

    /// Takes what waits from the journal: of each namespace in turn, those of one in order.
    async fn feed(&self, lanes: mpsc::Sender<(u64, Waiting)>, closing: Closing) {
        let mut changes = self.journal.changes();
        let mut turns = Turns::default();
        loop {
            let closed = closing.peek().is_some();
            changes.mark_unchanged();
            let has_place = |namespace| self.window.take(namespace);
            // Without a place nothing is looked for.
            let taken = match self.window.is_full() {
                true => Taken::held(),
                false => (self.journal).take_in_turn(&self.name, &mut turns, TAKE, has_place),
            };
            if taken.events.is_empty() && !taken.is_more {
                if closed && !taken.is_held {
                    return;
                }
                tokio::select! {
                    _ = changes.changed() => {}
                    () = self.window.left(), if taken.is_held => {}
                    () = closing.clone(), if !closed => {}
                }
            }
            for event in taken.events {
                if lanes.send((event.run, event)).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn take(&self, event: Waiting) {
        self.deliver(event).await;
        self.window.leave(event.namespace);
    }

    async fn deliver(&self, event: Waiting) {
        let began = clock::now();
        let begun = Instant::now();
        let age = Duration::try_from(began.duration_since(event.at)).unwrap_or_default();
        // The pauses that the sink has asked for do not count.
        let pause = &self.metrics.pause;
        let age = age.saturating_sub(pause.paused_within(age));
        let left = Duration::from_millis(self.retry.give_up_ms.get()).saturating_sub(age);
        let mut failures = 0_u32;
        let mut held = None;
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
                // Not given out by `attempt`.
                (_, Attempt::Postponed) => continue,
            };
            failures = failures.saturating_add(1);
            let now = Instant::now();
            let give_up = begun + left + pause.paused_within(now.duration_since(begun));
            let id = encoded.id();
            let (sink, reason) = (&self.name, &failure.reason);
            let delay = match failure.action {
                RetryAction::Reject => None,
                _ if now >= give_up => None,
                // The breaker keeps the next try back.
                RetryAction::Suspend => Some(Duration::ZERO),
                RetryAction::Retry { after } => {
                    let backoff = self.backoff().delay(failures, fastrand::f64());
                    Some(backoff.max(after.unwrap_or_default()))
                }
                RetryAction::Pause { length, .. } => Some(length),
            };
            let delay = match delay {
                Some(delay) => delay,
                None => match self.bury(event, &encoded, &failure, failures, began).await {
                    Ok(true) => break Ok(()),
                    Ok(false) => {
                        held.get_or_insert_with(|| self.hold(&id, reason));
                        Duration::from_millis(self.retry.max_ms.get())
                    }
                    Err(problem) => break Err(problem),
                },
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
                    paused_until: match failure.action {
                        RetryAction::Pause { length, .. } => clock::now().checked_add(length).ok(),
                        RetryAction::Retry { .. } | RetryAction::Suspend | RetryAction::Reject => {
                            None
                        }
                    },
                    retry_in_ms: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                };
                (id, failed)
            });
            // Thousands may wait: it is read again then.
            drop(encoded);
            if let RetryAction::Pause { .. } = failure.action {
                // It waits for its turn with all others, and like them no longer than the pause lasts.
                continue;
            }
            // A wait that is longer than the time left ends with one last try.
            let next = now + delay;
            let last = if now < give_up {
                next.min(give_up)
            } else {
                next
            };
            tokio::time::sleep_until(last).await;
        };
        drop(held);
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
        self.metrics.delivered.fetch_add(1, Ordering::Relaxed);
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
        loop {
            let _turn = self.turn(event.namespace).await;
            if let Some(rate_limiter) = &self.rate_limiter {
                rate_limiter.acquire().await;
            }
            let Some(body) = self.journal.next_body(event.seq, &self.name).await? else {
                return Ok(None);
            };
            let (namespace, event) = (event.namespace, Encoded::stored(body));
            // On its own: thousands of events wait for their turn, and some wires take kilobytes for an attempt.
            let attempt = self.sink.send(&event).boxed().await;
            self.breaker(|breaker, now| match &attempt {
                Attempt::Delivered => {
                    if breaker.succeeded() {
                        info!(sink = self.name, "the sink is back");
                    }
                }
                Attempt::Failed(failure) => self.failed(breaker, now, failure, namespace),
                Attempt::Postponed => {}
            });
            if attempt != Attempt::Postponed {
                self.tried.notify_waiters();
                return Ok(Some((event, attempt)));
            }
        }
    }

    fn failed(
        &self,
        breaker: &mut Breaker,
        now: Duration,
        failure: &DeliveryFailure,
        namespace: u32,
    ) {
        self.metrics.failed_attempts.fetch_add(1, Ordering::Relaxed);
        let (sink, reason) = (&self.name, &failure.reason);
        match failure.action {
            RetryAction::Reject => breaker.answered(),
            RetryAction::Suspend => {
                error!(
                    sink,
                    reason,
                    length = ?SUSPENSION,
                    "the sink is gone for good, as it says: nothing is sent there for a while"
                );
                breaker.suspend(now, SUSPENSION);
            }
            RetryAction::Pause { asked, length } => {
                breaker.paused();
                self.paused(asked, length, reason);
            }
            RetryAction::Retry { .. } => {
                // After a pause one probes for all, and the next one only after a while.
                let at_once = self.metrics.pause.is_recovering();
                if breaker.failed(now, self.backoff(), fastrand::f64(), namespace, at_once) {
                    warn!(
                        sink,
                        reason, "the sink is down: one event tries for all until it is back"
                    );
                }
            }
        }
    }

    /// Waits for its turn to try, during a pause, and while the sink is down and another tries for all.
    async fn turn(&self, namespace: u32) -> window::Attempt<'_> {
        loop {
            let turn = self.attempts.turn(namespace).await;
            // Before it asks: what changes after that wakes it.
            let tried = self.tried.notified();
            let longest = self.sink.longest_attempt();
            let ask = |breaker: &mut Breaker, now| breaker.ask(now, longest, namespace);
            let asked = match self.metrics.pause.wait(longest) {
                Some(wait) => Err(wait),
                None => self.breaker(ask),
            };
            match asked {
                Ok(()) => return turn,
                Err(wait) => {
                    // Others may try meanwhile.
                    drop(turn);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = tried => {}
                        () = self.sink.moved() => {}
                    }
                }
            }
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff {
            initial: Duration::from_millis(self.retry.initial_ms.get()),
            max: Duration::from_millis(self.retry.max_ms.get()),
        }
    }

    fn breaker<T>(&self, work: impl FnOnce(&mut Breaker, Duration) -> T) -> T {
        let mut breaker = self.breaker.lock();
        work(&mut breaker, self.began.elapsed())
    }
}
