//! Delivers the events of the journal to one sink: the events of each TaskRun in order, with
//! retries and backoff. A circuit breaker lets one probe through while the sink is down. Events
//! that cannot be delivered become dead letters.

mod breaker;
mod config;
mod dead_letter;
mod dead_letter_sink;
mod metrics;
mod pause;
mod window;

pub use config::RetryConfig;
pub(crate) use dead_letter_sink::DeadLetterSink;
pub(crate) use metrics::SinkBacklog;
pub use metrics::SinkMetrics;

use crate::clock;
use crate::event::Encoded;
use crate::history::{EventStage, History};
use crate::journal::{Journal, JournalError, NextEvents, SinkCursor, WaitingEvent};
use crate::lanes::{self, LaneLimits};
use crate::locked::Locked;
use crate::page::LivePage;
use crate::sink::{Attempt, DeliveryFailure, RateLimiter, RetryAction, Sink};
use crate::standby::Standby;
use breaker::Breaker;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use std::sync::Arc;
use std::time::Duration;
use step_observer_core::Backoff;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tracing::{error, info, warn};
use window::{AttemptPermit, AttemptQueue, Window};

/// Bound of the events of one sink that are in delivery. Memory holds their numbers, not their
/// bytes. Each namespace has its share of the bound. Further events wait in the journal.
const WINDOW_EVENTS: usize = 4096;
/// Events that are taken from the journal at a time.
const MAX_FETCHED_EVENTS: usize = 256;
/// Time without attempts after a sink responds that it no longer exists.
const SUSPENSION: Duration = Duration::from_secs(600);

/// Completes when no further event will be accepted.
pub(crate) type Closing = Shared<BoxFuture<'static, ()>>;

/// Delivers to one sink.
#[derive(Debug)]
pub(crate) struct Delivery {
    name: String,
    sink: Sink,
    retry: RetryConfig,
    journal: Journal,
    history: History,
    page: LivePage,
    metrics: Arc<SinkMetrics>,
    window: Window,
    /// Bounds the concurrent attempts.
    attempts: AttemptQueue,
    breaker: Locked<Breaker>,
    /// The end of the pause that was reported last.
    paused_until: Locked<Option<Instant>>,
    /// Notified after each attempt.
    attempted: Notify,
    started: Instant,
    /// Bounds the events per second, if `retry.maxPerSecond` is configured.
    rate_limiter: Option<RateLimiter>,
    /// Receives the events that cannot be delivered. Without it, they stay in the journal.
    dead_letters: Option<DeadLetterSink>,
    /// Whether this observer is the active one of several. Without it, it is the only one.
    standby: Option<Standby>,
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
            window: Window::new(WINDOW_EVENTS),
            attempts: AttemptQueue::new(sink.concurrency().clamp(1, WINDOW_EVENTS)),
            rate_limiter: (retry.max_per_second)
                .map(|rate| RateLimiter::new(rate.get(), Duration::from_secs(1))),
            name,
            sink: sink.with_pause_gate(metrics.pause.clone()),
            retry,
            journal,
            history: History::default(),
            page: LivePage::default(),
            metrics,
            breaker: Locked::default(),
            paused_until: Locked::default(),
            attempted: Notify::new(),
            started: Instant::now(),
            dead_letters: None,
            standby: None,
        }
    }

    /// Records the stages of events in a history.
    pub(crate) fn with_history(self, history: History) -> Self {
        Self { history, ..self }
    }

    /// Keeps the bodies of events for a dead-letter sink for the live page.
    pub(crate) fn with_page(self, page: LivePage) -> Self {
        Self { page, ..self }
    }

    /// Delivers only while this observer is the active one of several.
    pub(crate) fn with_standby(self, standby: Option<Standby>) -> Self {
        Self { standby, ..self }
    }

    /// Sends events that cannot be delivered to a dead-letter sink.
    pub(crate) fn with_dead_letters(self, dead_letters: Option<DeadLetterSink>) -> Self {
        Self {
            dead_letters,
            ..self
        }
    }

    /// Delivers events until `closing` completes and no event waits.
    pub(crate) async fn run(self, closing: Closing) {
        let (lanes, items) = mpsc::channel(MAX_FETCHED_EVENTS);
        let limits = LaneLimits {
            // Allows concurrent work on all events in delivery. So an event that waits for its next
            // attempt delays only its own run.
            concurrency: WINDOW_EVENTS,
            capacity: WINDOW_EVENTS,
        };
        let work = lanes::run(items, limits, |event| self.process(event));
        tokio::join!(self.feed(lanes, closing), work);
    }

    /// Moves waiting events from the journal into the lanes: namespaces take turns, and the events
    /// of each namespace stay in order.
    async fn feed(&self, lanes: mpsc::Sender<(u64, WaitingEvent)>, closing: Closing) {
        let mut changes = self.journal.changes();
        let mut cursor = SinkCursor::default();
        loop {
            let is_closed = closing.peek().is_some();
            changes.mark_unchanged();
            let has_place = |namespace| self.window.try_take(namespace);
            // A full window needs no look into the journal.
            let next = match self.window.is_full() {
                true => NextEvents::blocked(),
                false => (self.journal).next_events(
                    &self.name,
                    &mut cursor,
                    MAX_FETCHED_EVENTS,
                    has_place,
                ),
            };
            if next.events.is_empty() && !next.has_more {
                if is_closed && !next.is_blocked {
                    return;
                }
                tokio::select! {
                    _ = changes.changed() => {}
                    () = self.window.released(), if next.is_blocked => {}
                    () = closing.clone(), if !is_closed => {}
                }
            }
            for event in next.events {
                if lanes.send((event.run, event)).await.is_err() {
                    return;
                }
            }
        }
    }

    async fn process(&self, event: WaitingEvent) {
        self.deliver(event).await;
        self.window.release(event.namespace);
    }

    /// Repeats attempts until the sink has the event, or the event is a dead letter.
    async fn deliver(&self, event: WaitingEvent) {
        let first_attempt = clock::now();
        let started = Instant::now();
        let age = Duration::try_from(first_attempt.duration_since(event.at)).unwrap_or_default();
        // Pauses that the sink asked for do not count for `giveUpMs`.
        let pause = &self.metrics.pause;
        let age = age.saturating_sub(pause.paused_within(age));
        let time_left = Duration::from_millis(self.retry.give_up_ms.get()).saturating_sub(age);
        let mut failures = 0_u32;
        let mut awaits_room = None;
        let settled = loop {
            let tried = match self.attempt(event).await {
                Ok(Some(tried)) => tried,
                // The event was dropped meanwhile, at a bound of the journal or by an operator.
                Ok(None) => break Ok(()),
                Err(error) => {
                    let reason = format!("it cannot be read from the journal: {error}");
                    (
                        Encoded::from_structured(Bytes::new()),
                        Attempt::reject(reason),
                    )
                }
            };
            let (encoded, failure) = match tried {
                (encoded, Attempt::Delivered) => {
                    break self.delivered(event, &encoded, failures).await;
                }
                (encoded, Attempt::Failed(failure)) => (encoded, failure),
                // `attempt` never returns it.
                (_, Attempt::Postponed) => continue,
            };
            failures = failures.saturating_add(1);
            let now = Instant::now();
            let give_up = started + time_left + pause.paused_within(now.duration_since(started));
            let id = encoded.id();
            let (sink, reason) = (&self.name, &failure.reason);
            let delay = match failure.action {
                RetryAction::Reject => None,
                _ if now >= give_up => None,
                // Adds no delay: the breaker delays the next attempt.
                RetryAction::Suspend => Some(Duration::ZERO),
                RetryAction::Retry { after } => {
                    let backoff = self.backoff().delay(failures, fastrand::f64());
                    Some(backoff.max(after.unwrap_or_default()))
                }
                RetryAction::Pause { length, .. } => Some(length),
            };
            let delay = match delay {
                Some(delay) => delay,
                None => match self
                    .dead_letter(event, &encoded, &failure, failures, first_attempt)
                    .await
                {
                    Ok(true) => break Ok(()),
                    Ok(false) => {
                        awaits_room.get_or_insert_with(|| self.report_no_room(&id, reason));
                        Duration::from_millis(self.retry.max_ms.get())
                    }
                    Err(error) => break Err(error),
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
            self.history.record(clock::now(), || {
                let failed = EventStage::Failed {
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
            // Frees the bytes while the event waits, because thousands may wait here. The next
            // attempt reads them again.
            drop(encoded);
            if let RetryAction::Pause { .. } = failure.action {
                // `attempt` waits until the pause is over, as it does for all events.
                continue;
            }
            // A delay longer than the time left is shortened: one last attempt follows when the
            // time is over.
            let next = now + delay;
            let until = if now < give_up {
                next.min(give_up)
            } else {
                next
            };
            tokio::time::sleep_until(until).await;
        };
        drop(awaits_room);
        if let Err(error) = settled {
            // The journal has logged the cause, and the observer stops. After the restart, the
            // event is sent again.
            warn!(
                sink = self.name,
                seq = event.seq,
                %error,
                "the outcome of a delivery is not stored"
            );
        }
    }

    async fn delivered(
        &self,
        event: WaitingEvent,
        encoded: &Encoded,
        failures: u32,
    ) -> Result<(), JournalError> {
        self.metrics.count_delivered(encoded, event.at);
        if failures > 0 {
            let (sink, id) = (&self.name, encoded.id());
            info!(sink, id, failures, "delivered after failures");
        }
        self.history.record(clock::now(), || {
            let (sink, attempt) = (self.name.clone(), failures + 1);
            (encoded.id(), EventStage::Delivered { sink, attempt })
        });
        self.journal.acknowledge(event.seq, &self.name).await
    }

    /// Makes one attempt, once it is permitted. Returns `None` if the event was dropped meanwhile.
    async fn attempt(&self, event: WaitingEvent) -> std::io::Result<Option<(Encoded, Attempt)>> {
        loop {
            let _permit = self.permit(event.namespace).await;
            if let Some(rate_limiter) = &self.rate_limiter {
                rate_limiter.acquire().await;
            }
            let Some(body) = self.journal.next_body(event.seq, &self.name).await? else {
                return Ok(None);
            };
            let (namespace, event) = (event.namespace, Encoded::from_structured(body));
            // Boxed: thousands of these futures wait, and for some kinds of sink an attempt needs
            // kilobytes.
            let began = Instant::now();
            if self
                .standby
                .as_ref()
                .is_some_and(|standby| !standby.may_deliver())
            {
                // The right to deliver never comes back: the process ends.
                std::future::pending::<()>().await;
            }
            let attempt = self.sink.send(&event).boxed().await;
            self.breaker(|breaker, now| match &attempt {
                Attempt::Delivered => {
                    if breaker.on_success() {
                        info!(sink = self.name, "the sink is up again");
                    }
                }
                Attempt::Failed(failure) => self.failed(breaker, now, failure, namespace),
                Attempt::Postponed => {}
            });
            if attempt != Attempt::Postponed {
                self.metrics.observe_attempt(began.elapsed());
                self.attempted.notify_waiters();
                return Ok(Some((event, attempt)));
            }
        }
    }

    /// Updates the breaker after a failed attempt.
    fn failed(
        &self,
        breaker: &mut Breaker,
        now: Duration,
        failure: &DeliveryFailure,
        namespace: u32,
    ) {
        self.metrics.failed_attempts.increment();
        let (sink, reason) = (&self.name, &failure.reason);
        match failure.action {
            RetryAction::Reject => breaker.on_refusal(),
            RetryAction::Suspend => {
                error!(
                    sink,
                    reason,
                    length = ?SUSPENSION,
                    "the sink says that it is gone for good: nothing is sent there for a while"
                );
                breaker.suspend(now, SUSPENSION);
            }
            RetryAction::Pause { asked, length } => {
                breaker.on_pause();
                self.report_pause(asked, length, reason);
            }
            RetryAction::Retry { .. } => {
                let after_pause = self.metrics.pause.is_recovering();
                if breaker.on_failure(now, self.backoff(), fastrand::f64(), namespace, after_pause)
                {
                    warn!(
                        sink,
                        reason, "the sink is down: one event at a time probes it until it is up"
                    );
                }
            }
        }
    }

    /// Waits until an attempt is permitted: by the number of concurrent attempts, by a pause, and by
    /// the breaker.
    async fn permit(&self, namespace: u32) -> AttemptPermit<'_> {
        loop {
            let permit = self.attempts.acquire(namespace).await;
            // Created before the question to the breaker. Otherwise, an attempt that ends just
            // after the question would be missed.
            let attempted = self.attempted.notified();
            let longest = self.sink.timeout();
            let permitted = match self.metrics.pause.wait(longest) {
                Some(wait) => Err(wait),
                None => self.breaker(|breaker, now| breaker.permit(now, longest, namespace)),
            };
            match permitted {
                Ok(()) => return permit,
                Err(wait) => {
                    // Another namespace may attempt meanwhile.
                    drop(permit);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = attempted => {}
                        () = self.sink.receiver_changed() => {}
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
        work(&mut breaker, self.started.elapsed())
    }
}

#[cfg(test)]
mod tests;
