//! A semaphore whose permits are shared fairly among namespaces.

use super::queue::FairQueue;
use crate::locked::Locked;
use std::fmt::Debug;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A semaphore with fair permits. Clones share it.
#[derive(Clone)]
pub(crate) struct FairSemaphore(Arc<Locked<Waiters>>);

struct Waiters {
    queue: FairQueue<Waiter>,
    /// The number of the next waiter.
    next: u64,
}

struct Waiter {
    number: u64,
    grant: oneshot::Sender<Permit>,
}

/// A permit. It is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    semaphore: FairSemaphore,
    namespace: Arc<str>,
}

/// Removes a waiter from the queue if this guard is dropped before the waiter's turn.
struct Waiting<'a> {
    semaphore: &'a FairSemaphore,
    namespace: &'a Arc<str>,
    number: u64,
}

impl Debug for FairSemaphore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FairSemaphore").finish_non_exhaustive()
    }
}

impl FairSemaphore {
    /// Returns a semaphore with this many permits, at least one.
    pub(crate) fn new(permits: usize) -> Self {
        Self(Arc::new(Locked::new(Waiters {
            queue: FairQueue::new(permits),
            next: 0,
        })))
    }

    /// Waits for a permit, behind earlier waiters of the same namespace.
    pub(crate) async fn acquire(&self, namespace: &Arc<str>) -> Permit {
        let (granted, number) = {
            let mut waiters = self.waiters();
            if waiters.queue.try_take(namespace) {
                return self.permit(namespace.clone());
            }
            let (grant, granted) = oneshot::channel();
            let number = waiters.next;
            waiters.next += 1;
            waiters.queue.push(namespace, Waiter { number, grant });
            (granted, number)
        };
        let waiting = Waiting {
            semaphore: self,
            namespace,
            number,
        };
        let permit = granted.await;
        drop(waiting);
        match permit {
            Ok(permit) => permit,
            // Never happens: only the guard `waiting` drops a waiter.
            Err(_) => std::future::pending().await,
        }
    }

    fn waiters(&self) -> std::sync::MutexGuard<'_, Waiters> {
        self.0.lock()
    }

    fn permit(&self, namespace: Arc<str>) -> Permit {
        Permit {
            semaphore: self.clone(),
            namespace,
        }
    }

    /// Changes the queue, then grants the permits that are free. Sends them only after the lock is
    /// released: if a waiter is gone, its permit is dropped here, which takes the lock again.
    fn grant(&self, change: impl FnOnce(&mut FairQueue<Waiter>)) {
        let granted: Vec<(Arc<str>, Waiter)> = {
            let mut waiters = self.waiters();
            change(&mut waiters.queue);
            std::iter::from_fn(|| waiters.queue.next()).collect()
        };
        for (namespace, waiter) in granted {
            drop(waiter.grant.send(self.permit(namespace)));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let namespace = self.namespace.clone();
        self.semaphore.grant(|queue| queue.release(&namespace));
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let (namespace, number) = (self.namespace, self.number);
        let mut waiters = self.semaphore.waiters();
        waiters
            .queue
            .retain(namespace, |waiter| waiter.number != number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn a_namespace_that_holds_all_it_may_keeps_no_other_from_a_permit() {
        let semaphore = FairSemaphore::new(4);
        let (hostile, innocent): (Arc<str>, Arc<str>) = ("hostile".into(), "innocent".into());
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(semaphore.acquire(&hostile).await);
        }
        let mut more: Vec<_> = (0..50)
            .map(|_| Box::pin(semaphore.acquire(&hostile)))
            .collect();
        assert!(more.iter_mut().all(|one| one.now_or_never().is_none()));
        assert!(semaphore.acquire(&innocent).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_cancelled_waiter_leaves_the_queue_and_an_untaken_permit_comes_back() {
        let semaphore = FairSemaphore::new(1);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let held = semaphore.acquire(&one).await;
        let mut left = Box::pin(semaphore.acquire(&one));
        let mut granted = Box::pin(semaphore.acquire(&other));
        assert!(left.as_mut().now_or_never().is_none());
        assert!(granted.as_mut().now_or_never().is_none());
        drop(left);
        drop(held);
        // The permit was granted to this waiter, which is dropped without taking it.
        drop(granted);
        assert!(semaphore.acquire(&one).now_or_never().is_some());
    }
}
