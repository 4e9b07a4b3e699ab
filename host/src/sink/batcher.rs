//! Batches, for wires that send many events in one request. No background task and no idle timer
//! are needed: the caller that gets a free slot sends all events that are queued at that time, also
//! for the other callers.

use super::Attempt;
use crate::event::Encoded;
use crate::locked::Locked;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// Bounds of the batches.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    /// Most events in a batch.
    pub(super) events: usize,
    /// Maximum size of the events in a batch, in bytes. A larger event is sent alone.
    pub(super) bytes: usize,
    /// Most batches in flight.
    pub(super) batches: usize,
    /// How long a batch that is not full waits for more events.
    pub(super) linger: Duration,
}

/// Gathers events into batches.
#[derive(Debug)]
pub(super) struct Batcher {
    limits: BatchLimits,
    queue: Locked<Queue>,
    /// Wakes a caller that waits for more events, as soon as the queue holds a full batch.
    full: Notify,
    /// One permit for each batch that may be in flight.
    slots: Semaphore,
}

impl Batcher {
    pub(super) fn new(limits: BatchLimits) -> Self {
        Self {
            slots: Semaphore::new(limits.batches.max(1)),
            limits,
            queue: Locked::default(),
            full: Notify::new(),
        }
    }

    /// Returns the number of events that fill all batches in flight.
    pub(super) fn concurrency(&self) -> usize {
        self.limits.events * self.limits.batches
    }

    /// Sends an event in a batch with other events. Splits a rejected batch in halves and sends
    /// them again, so that one invalid or too large event does not cause the rejection of the
    /// others.
    pub(super) async fn send<F>(
        &self,
        event: &Encoded,
        send_batch: impl Fn(Vec<Encoded>) -> F,
    ) -> Attempt
    where
        F: Future<Output = Attempt>,
    {
        let (outcome, mut received) = oneshot::channel();
        let event = event.clone();
        let is_full = {
            let mut queue = self.queue.lock();
            queue.push(QueuedEvent { event, outcome });
            queue.fills_batch(&self.limits)
        };
        if is_full {
            self.full.notify_one();
        }
        loop {
            let slot = tokio::select! {
                biased;
                outcome = &mut received => return outcome_of(outcome),
                slot = self.slots.acquire() => slot,
            };
            tokio::select! {
                biased;
                outcome = &mut received => return outcome_of(outcome),
                () = self.linger() => {}
            }
            let batch = self.queue.lock().take_batch(&self.limits);
            if batch.is_empty() {
                // Another caller has taken this event into its batch, so this caller only waits for
                // the outcome.
                drop(slot);
                return outcome_of(received.await);
            }
            send_or_split(batch, &send_batch).await;
        }
    }

    async fn linger(&self) {
        let end = Instant::now() + self.limits.linger;
        let mut waits = !self.limits.linger.is_zero();
        // A notification may be outdated, because another caller may have taken the full batch
        // already; so the queue is checked again.
        while waits && !self.queue.lock().fills_batch(&self.limits) {
            waits = timeout_at(end, self.full.notified()).await.is_ok();
        }
    }
}

/// Events in the order in which they came.
#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<QueuedEvent>,
    bytes: usize,
}

#[derive(Debug)]
struct QueuedEvent {
    event: Encoded,
    outcome: oneshot::Sender<Attempt>,
}

impl Queue {
    fn push(&mut self, queued: QueuedEvent) {
        self.bytes += queued.event.size();
        self.events.push_back(queued);
    }

    fn fills_batch(&self, limits: &BatchLimits) -> bool {
        self.events.len() >= limits.events || self.bytes >= limits.bytes
    }

    fn take_batch(&mut self, limits: &BatchLimits) -> Vec<QueuedEvent> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(next) = self.events.front() {
            bytes += next.event.size();
            let fits = batch.len() < limits.events && bytes <= limits.bytes;
            if !fits && !batch.is_empty() {
                break;
            }
            self.bytes -= next.event.size();
            batch.extend(self.events.pop_front());
        }
        batch
    }
}

fn outcome_of(received: Result<Attempt, oneshot::error::RecvError>) -> Attempt {
    // Receiving fails if the caller that should have sent the batch was cancelled.
    received.unwrap_or_else(|_| Attempt::retry("its batch was not sent"))
}

async fn send_or_split<F>(batch: Vec<QueuedEvent>, send_batch: &impl Fn(Vec<Encoded>) -> F)
where
    F: Future<Output = Attempt>,
{
    let mut batches = vec![batch];
    while let Some(mut batch) = batches.pop() {
        let events = batch.iter().map(|queued| queued.event.clone()).collect();
        let attempt = send_batch(events).await;
        if attempt.is_rejected() && batch.len() > 1 {
            batches.push(batch.split_off(batch.len() / 2));
            batches.push(batch);
            continue;
        }
        for queued in batch {
            // Sending the outcome fails if the caller was cancelled. The caller's event stays in
            // the journal.
            queued.outcome.send(attempt.clone()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use std::cell::RefCell;

    const LIMITS: BatchLimits = BatchLimits {
        events: 4,
        bytes: 100,
        batches: 1,
        linger: Duration::ZERO,
    };

    fn event(size: usize) -> Encoded {
        Encoded::from_structured(vec![b' '; size].into())
    }

    /// Sends events of the given sizes at the same time, to a sink that rejects batches of more
    /// than `max_bytes`. Returns for each event whether it was delivered, and for each batch the
    /// sizes of its events.
    async fn send(
        limits: BatchLimits,
        sizes: &[usize],
        max_bytes: usize,
    ) -> (Vec<bool>, Vec<Vec<usize>>) {
        let batcher = Batcher::new(limits);
        let posted = RefCell::new(Vec::new());
        let send_batch = |events: Vec<Encoded>| {
            let sizes: Vec<usize> = events.iter().map(Encoded::size).collect();
            let fits = sizes.iter().sum::<usize>() <= max_bytes;
            posted.borrow_mut().push(sizes);
            async move {
                tokio::task::yield_now().await;
                match fits {
                    true => Attempt::Delivered,
                    false => Attempt::reject("too large"),
                }
            }
        };
        let events: Vec<Encoded> = sizes.iter().map(|size| event(*size)).collect();
        let sent = join_all(events.iter().map(|event| batcher.send(event, send_batch))).await;
        let delivered = sent
            .iter()
            .map(|attempt| *attempt == Attempt::Delivered)
            .collect();
        (delivered, posted.into_inner())
    }

    #[tokio::test]
    async fn events_that_gather_during_a_request_go_together() {
        let (delivered, posted) = send(LIMITS, &[1, 2, 3, 4, 5, 6], 1000).await;
        assert_eq!(delivered, [true; 6]);
        assert_eq!(posted, [vec![1], vec![2, 3, 4, 5], vec![6]]);
    }

    #[tokio::test]
    async fn bytes_bound_a_batch_and_one_event_is_always_sent() {
        let (delivered, posted) = send(LIMITS, &[1, 200, 60, 60], 1000).await;
        assert_eq!(delivered, [true; 4]);
        assert_eq!(posted, [vec![1], vec![200], vec![60], vec![60]]);
    }

    #[tokio::test]
    async fn a_refused_batch_is_sent_again_in_halves() {
        let (delivered, posted) = send(LIMITS, &[1, 10, 10, 30, 10], 25).await;
        assert_eq!(delivered, [true, true, true, false, true]);
        assert_eq!(
            posted,
            [
                vec![1],
                vec![10, 10, 30, 10],
                vec![10, 10],
                vec![30, 10],
                vec![30],
                vec![10]
            ]
        );
    }

    #[tokio::test]
    async fn a_batch_waits_for_more_but_a_full_one_does_not() {
        let lingering = |linger| BatchLimits { linger, ..LIMITS };
        let for_ever = lingering(Duration::from_secs(3600));
        let (_, posted) = send(for_ever, &[1, 2, 3, 4], 1000).await;
        assert_eq!(posted, [vec![1, 2, 3, 4]]);
        let (_, posted) = send(lingering(Duration::from_millis(1)), &[1, 2], 1000).await;
        assert_eq!(posted, [vec![1, 2]]);
    }
}
