//! Many events at a time, for wires that take them so. No task of its own and no timer while there is
//! nothing to send: whoever gets to send takes with it what has gathered meanwhile, for all.

use super::Attempt;
use crate::event::Encoded;
use crate::locked::Locked;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// How much is sent at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    /// Events in a batch.
    pub(super) events: usize,
    /// Bytes of events in a batch, where it is more than one.
    pub(super) bytes: usize,
    /// Batcher in flight.
    pub(super) batches: usize,
    /// How long a batch that is not full waits for more.
    pub(super) linger: Duration,
}

/// Where events gather.
#[derive(Debug)]
pub(super) struct Batcher {
    limits: BatchLimits,
    gathered: Locked<Queue>,
    /// A batch is full.
    full: Notify,
    flights: Semaphore,
}

impl Batcher {
    pub(super) fn new(limits: BatchLimits) -> Self {
        Self {
            flights: Semaphore::new(limits.batches.max(1)),
            limits,
            gathered: Locked::default(),
            full: Notify::new(),
        }
    }

    /// How many events may come at a time so that all batches in flight are full.
    pub(super) fn concurrency(&self) -> usize {
        self.limits.events * self.limits.batches
    }

    /// Sends an event together with others. What is refused for good is sent again in halves, so
    /// that one event that is too large, or bad, does not speak for the others.
    pub(super) async fn send<F>(&self, event: &Encoded, post: impl Fn(Vec<Encoded>) -> F) -> Attempt
    where
        F: Future<Output = Attempt>,
    {
        let (answer, mut told) = oneshot::channel();
        let event = event.clone();
        let is_full = self.locked(|gathered| {
            gathered.push(QueuedEvent { event, answer });
            gathered.fill(&self.limits)
        });
        if is_full {
            self.full.notify_one();
        }
        loop {
            let flight = tokio::select! {
                biased;
                told = &mut told => return answered(told),
                flight = self.flights.acquire() => flight,
            };
            tokio::select! {
                biased;
                told = &mut told => return answered(told),
                () = self.linger() => {}
            }
            let batch = self.locked(|gathered| gathered.take(&self.limits));
            if batch.is_empty() {
                // Another has taken it along.
                drop(flight);
                return answered(told.await);
            }
            deliver(batch, &post).await;
        }
    }

    async fn linger(&self) {
        let end = Instant::now() + self.limits.linger;
        let mut waits = !self.limits.linger.is_zero();
        // That a batch was full may be told late: it may have been taken since.
        while waits && !self.locked(|gathered| gathered.fill(&self.limits)) {
            waits = timeout_at(end, self.full.notified()).await.is_ok();
        }
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Queue) -> T) -> T {
        work(&mut self.gathered.lock())
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
    answer: oneshot::Sender<Attempt>,
}

impl Queue {
    fn push(&mut self, asked: QueuedEvent) {
        self.bytes += asked.event.size();
        self.events.push_back(asked);
    }

    /// Do they fill a batch?
    fn fill(&self, limits: &BatchLimits) -> bool {
        self.events.len() >= limits.events || self.bytes >= limits.bytes
    }

    fn take(&mut self, limits: &BatchLimits) -> Vec<QueuedEvent> {
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

fn answered(told: Result<Attempt, oneshot::error::RecvError>) -> Attempt {
    // Who was to send it has stopped.
    told.unwrap_or_else(|_| Attempt::retry("its batch was not sent"))
}

async fn deliver<F>(batch: Vec<QueuedEvent>, post: &impl Fn(Vec<Encoded>) -> F)
where
    F: Future<Output = Attempt>,
{
    let mut batches = vec![batch];
    while let Some(mut batch) = batches.pop() {
        let events = batch.iter().map(|one| one.event.clone()).collect();
        let attempt = post(events).await;
        if attempt.is_rejected() && batch.len() > 1 {
            batches.push(batch.split_off(batch.len() / 2));
            batches.push(batch);
            continue;
        }
        for one in batch {
            // Who waited for it has stopped: it stays in the journal.
            one.answer.send(attempt.clone()).ok();
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
        Encoded::stored(vec![b' '; size].into())
    }

    /// Sends events of these sizes at once; a batch of more than `most` bytes is refused. Gives what
    /// came of each, and the sizes of the events of each batch.
    async fn send(
        limits: BatchLimits,
        sizes: &[usize],
        most: usize,
    ) -> (Vec<bool>, Vec<Vec<usize>>) {
        let batches = Batcher::new(limits);
        let posted = RefCell::new(Vec::new());
        let post = |events: Vec<Encoded>| {
            let sizes: Vec<usize> = events.iter().map(Encoded::size).collect();
            let fits = sizes.iter().sum::<usize>() <= most;
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
        let sent = join_all(events.iter().map(|event| batches.send(event, post))).await;
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
