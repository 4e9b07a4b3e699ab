//! Bounds the events of one sink that are in delivery, and its concurrent attempts. Each namespace
//! has its share of both, so that a namespace with a large backlog delays no other namespace.

use crate::journal::is_fair;
use crate::locked::Locked;
use std::collections::{HashMap, VecDeque};
use tokio::sync::{Notify, oneshot};

/// Number of places that are released before more events are taken. Taking events costs a look into
/// the journal and a switch of tasks, which is too much for each single event.
const RELEASES_PER_WAKE: usize = 64;

/// Places for events in delivery. Namespaces are identified by their numbers in the journal.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    places: Locked<Places>,
    released: Notify,
}

/// Places that are taken.
#[derive(Debug, Default)]
struct Places {
    total: usize,
    by_namespace: HashMap<u32, usize>,
}

impl Window {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            places: Locked::default(),
            released: Notify::new(),
        }
    }

    /// Takes a place for an event of a namespace. Returns false if there is none for it.
    pub(super) fn try_take(&self, namespace: u32) -> bool {
        let mut places = self.places.lock();
        let Some(free) = self.size.checked_sub(places.total + 1) else {
            return false;
        };
        let own = places
            .by_namespace
            .get(&namespace)
            .copied()
            .unwrap_or_default();
        if !is_fair(own as u64, 1, free as u64) {
            return false;
        }
        places.total += 1;
        places.by_namespace.insert(namespace, own + 1);
        true
    }

    /// Returns whether there is no place for any namespace.
    pub(super) fn is_full(&self) -> bool {
        self.places.lock().total >= self.size
    }

    /// Gives a place back.
    pub(super) fn release(&self, namespace: u32) {
        let mut places = self.places.lock();
        places.total = places.total.saturating_sub(1);
        if let Some(own) = places.by_namespace.get_mut(&namespace) {
            *own -= 1;
            if *own == 0 {
                places.by_namespace.remove(&namespace);
            }
        }
        let wakes = places.total.is_multiple_of(RELEASES_PER_WAKE);
        drop(places);
        if wakes {
            // If no task waits now, the next call of `released` returns at once.
            self.released.notify_one();
        }
    }

    /// Waits until a release brings the number of taken places to a multiple of `RELEASES_PER_WAKE`
    /// (0 included). Returns at once if that has happened since the last call.
    pub(super) async fn released(&self) {
        self.released.notified().await;
    }
}

/// Bounds concurrent attempts. Namespaces get permits in turn; the events of one namespace get them
/// in order.
#[derive(Debug)]
pub(super) struct AttemptQueue(Locked<State>);

#[derive(Debug)]
struct State {
    free: usize,
    waiting: HashMap<u32, VecDeque<oneshot::Sender<()>>>,
    /// Namespaces with waiting events, the next one first.
    order: VecDeque<u32>,
}

/// Permits one attempt until it is dropped.
#[derive(Debug)]
pub(super) struct AttemptPermit<'a>(&'a AttemptQueue);

impl AttemptQueue {
    pub(super) fn new(permits: usize) -> Self {
        Self(Locked::new(State {
            free: permits,
            waiting: HashMap::new(),
            order: VecDeque::new(),
        }))
    }

    /// Waits for a permit. Waiting futures may be dropped only all together: otherwise a permit
    /// that was granted to a dropped one would be lost.
    pub(super) async fn acquire(&self, namespace: u32) -> AttemptPermit<'_> {
        let granted = {
            let mut state = self.0.lock();
            match state.free.checked_sub(1) {
                Some(free) => {
                    state.free = free;
                    None
                }
                None => {
                    let (grant, granted) = oneshot::channel();
                    let waiting = state.waiting.entry(namespace).or_default();
                    let is_first = waiting.is_empty();
                    waiting.push_back(grant);
                    if is_first {
                        state.order.push_back(namespace);
                    }
                    Some(granted)
                }
            }
        };
        if let Some(granted) = granted {
            // Fails only if the queue is dropped, and this future with it.
            granted.await.ok();
        }
        AttemptPermit(self)
    }
}

impl State {
    /// Returns the sender for the waiting event that gets the next permit.
    fn next(&mut self) -> Option<oneshot::Sender<()>> {
        let namespace = self.order.pop_front()?;
        let waiting = self.waiting.get_mut(&namespace)?;
        let next = waiting.pop_front();
        match waiting.is_empty() {
            true => drop(self.waiting.remove(&namespace)),
            false => self.order.push_back(namespace),
        }
        next
    }
}

impl Drop for AttemptPermit<'_> {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        while let Some(next) = state.next() {
            if next.send(()).is_ok() {
                return;
            }
        }
        state.free += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn one_namespace_never_has_all_places() {
        let window = Window::new(100);
        let take = |namespace| {
            let taken = std::iter::repeat_with(|| window.try_take(namespace));
            taken.take(100).filter(|taken| *taken).count()
        };
        assert_eq!(take(7), 80);
        assert_eq!(take(8), 16);
        assert_eq!(take(7), 0);
        assert!(window.released().now_or_never().is_none());
        (0..32).for_each(|_| window.release(7));
        assert!(window.released().now_or_never().is_some());
        assert!(window.try_take(8) && window.try_take(9));
    }

    #[test]
    fn attempts_go_round_the_namespaces() {
        let attempts = AttemptQueue::new(1);
        let first = attempts.acquire(0).now_or_never().unwrap();
        let mut waiting: Vec<_> = [1, 1, 1, 2, 3, 2]
            .map(|namespace| (namespace, Box::pin(attempts.acquire(namespace))))
            .into();
        for (_, turn) in &mut waiting {
            assert!(turn.now_or_never().is_none());
        }
        let mut order = Vec::new();
        let mut last = first;
        while !waiting.is_empty() {
            drop(last);
            let found = waiting
                .iter_mut()
                .enumerate()
                .find_map(|(at, (_, turn))| Some((at, turn.now_or_never()?)));
            let (at, turn) = found.unwrap();
            order.push(waiting.remove(at).0);
            last = turn;
        }
        assert_eq!(order, [1, 2, 3, 1, 2, 1]);
        drop(last);
        assert!(attempts.acquire(9).now_or_never().is_some());
    }
}
