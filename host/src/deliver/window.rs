//! Whose events are looked at, and whose turn it is to be sent: each namespace has its share, so that one with many
//! keeps no other.

use crate::journal::is_fair;
use crate::locked::Locked;
use std::collections::{HashMap, VecDeque};
use tokio::sync::{Notify, oneshot};

/// Places that are left together before more events are taken: one at a time would be a look into the journal, and a
/// change of threads, for each event.
const TOGETHER: usize = 64;

/// Places for events that are looked at. Namespaces are numbers.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    taken: Locked<Taken>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<u32, usize>,
}

impl Window {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            taken: Locked::default(),
            left: Notify::new(),
        }
    }

    /// Takes a place for an event of a namespace, if there is one for it.
    pub(super) fn take(&self, namespace: u32) -> bool {
        let mut taken = self.taken.lock();
        let Some(free) = self.size.checked_sub(taken.all + 1) else {
            return false;
        };
        let own = taken.of.get(&namespace).copied().unwrap_or_default();
        if !is_fair(own as u64, 1, free as u64) {
            return false;
        }
        taken.all += 1;
        taken.of.insert(namespace, own + 1);
        true
    }

    /// Is there a place for nobody?
    pub(super) fn is_full(&self) -> bool {
        let taken = self.taken.lock();
        taken.all >= self.size
    }

    /// Leaves it.
    pub(super) fn leave(&self, namespace: u32) {
        let mut taken = self.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.of.get_mut(&namespace) {
            *own -= 1;
            if *own == 0 {
                taken.of.remove(&namespace);
            }
        }
        let is_worth_it = taken.all.is_multiple_of(TOGETHER);
        drop(taken);
        if is_worth_it {
            // Kept for whoever asks next, where nobody does now.
            self.left.notify_one();
        }
    }

    /// Ends when some places were left since this was last asked, or all.
    pub(super) async fn left(&self) {
        self.left.notified().await;
    }
}

/// Attempts at a time: who waits for one gets it in turn with those of other namespaces, and those of one in order.
#[derive(Debug)]
pub(super) struct Attempts(Locked<Queue>);

#[derive(Debug)]
struct Queue {
    free: usize,
    waiting: HashMap<u32, VecDeque<oneshot::Sender<()>>>,
    /// Those of whom somebody waits; the first is the next.
    order: VecDeque<u32>,
}

/// The right to an attempt, until it is dropped.
#[derive(Debug)]
pub(super) struct Attempt<'a>(&'a Attempts);

impl Attempts {
    pub(super) fn new(most: usize) -> Self {
        Self(Locked::new(Queue {
            free: most,
            waiting: HashMap::new(),
            order: VecDeque::new(),
        }))
    }

    /// Waits for its turn. Whoever stops to wait must be dropped together with all others.
    pub(super) async fn turn(&self, namespace: u32) -> Attempt<'_> {
        let waits = self.with(|queue| {
            if let Some(free) = queue.free.checked_sub(1) {
                queue.free = free;
                return None;
            }
            let (turn, waits) = oneshot::channel();
            let waiting = queue.waiting.entry(namespace).or_default();
            if waiting.is_empty() {
                queue.order.push_back(namespace);
            }
            waiting.push_back(turn);
            Some(waits)
        });
        if let Some(waits) = waits {
            // It is sent or dropped together with this.
            waits.await.ok();
        }
        Attempt(self)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Queue) -> T) -> T {
        work(&mut self.0.lock())
    }
}

impl Queue {
    /// Who is next.
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

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.with(|queue| {
            while let Some(next) = queue.next() {
                if next.send(()).is_ok() {
                    return;
                }
            }
            queue.free += 1;
        });
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
            let taken = std::iter::repeat_with(|| window.take(namespace));
            taken.take(100).filter(|taken| *taken).count()
        };
        assert_eq!(take(7), 80);
        assert_eq!(take(8), 16);
        assert_eq!(take(7), 0);
        assert!(window.left().now_or_never().is_none());
        (0..32).for_each(|_| window.leave(7));
        assert!(window.left().now_or_never().is_some());
        assert!(window.take(8) && window.take(9));
    }

    #[test]
    fn attempts_go_round_the_namespaces() {
        let attempts = Attempts::new(1);
        let first = attempts.turn(0).now_or_never().unwrap();
        let mut waiting: Vec<_> = [1, 1, 1, 2, 3, 2]
            .map(|namespace| (namespace, Box::pin(attempts.turn(namespace))))
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
        assert!(attempts.turn(9).now_or_never().is_some());
    }
}
