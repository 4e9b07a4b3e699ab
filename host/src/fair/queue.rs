//! A queue that is fair to namespaces: round robin among them, first in, first out within each.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Bounds the places of a namespace to this many times the free places. With 3, one namespace alone
/// gets three quarters.
const MAX_TIMES_FREE: usize = 3;

/// Items that wait for one of `capacity` places, and the places of each namespace. Pure: the queue
/// only decides which item is next, and its callers do the waiting.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    capacity: usize,
    /// Taken places by namespace. Holds only namespaces that have some.
    taken: HashMap<Arc<str>, usize>,
    total: usize,
    /// Waiting items by namespace. Holds only namespaces that have some.
    waiting: HashMap<Arc<str>, VecDeque<T>>,
    /// The namespaces of `waiting`, the next one first.
    turns: VecDeque<Arc<str>>,
}

/// Returns whether a namespace with `taken` places may take another one, if `free` are left. The
/// last place is kept for a namespace that has none.
fn may_take(taken: usize, free: usize) -> bool {
    match taken {
        0 => free > 0,
        _ => taken < free.saturating_sub(1).saturating_mul(MAX_TIMES_FREE),
    }
}

impl<T> FairQueue<T> {
    /// Returns an empty queue for this many places, at least one.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            taken: HashMap::new(),
            total: 0,
            waiting: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    fn may_start(&self, namespace: &str) -> bool {
        let taken = self.taken.get(namespace).copied().unwrap_or_default();
        may_take(taken, self.capacity.saturating_sub(self.total))
    }

    fn take(&mut self, namespace: &Arc<str>) {
        *self.taken.entry(namespace.clone()).or_default() += 1;
        self.total += 1;
    }

    /// Takes a place without waiting, if this namespace may have one and no other item of this
    /// namespace waits. Returns whether it took a place.
    pub(crate) fn try_take(&mut self, namespace: &Arc<str>) -> bool {
        let free = !self.waiting.contains_key(namespace) && self.may_start(namespace);
        if free {
            self.take(namespace);
        }
        free
    }

    /// Adds an item behind those of its namespace.
    pub(crate) fn push(&mut self, namespace: &Arc<str>, item: T) {
        if !self.waiting.contains_key(namespace) {
            self.turns.push_back(namespace.clone());
        }
        self.waiting
            .entry(namespace.clone())
            .or_default()
            .push_back(item);
    }

    /// Removes the next item that may start, and occupies a place for it. Returns `None` if no
    /// place is free for any waiting item.
    pub(crate) fn next(&mut self) -> Option<(Arc<str>, T)> {
        let turn = (self.turns.iter()).position(|namespace| self.may_start(namespace))?;
        let namespace = self.turns.remove(turn)?;
        let items = self.waiting.get_mut(&namespace)?;
        let item = items.pop_front();
        if items.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.turns.push_back(namespace.clone());
        }
        self.take(&namespace);
        item.map(|item| (namespace, item))
    }

    /// Gives a place back.
    pub(crate) fn release(&mut self, namespace: &str) {
        if let Some(taken) = self.taken.get_mut(namespace) {
            *taken -= 1;
            self.total -= 1;
            if *taken == 0 {
                self.taken.remove(namespace);
            }
        }
    }

    /// Removes the waiting items of a namespace for which `keep` returns false.
    pub(crate) fn retain(&mut self, namespace: &str, keep: impl FnMut(&T) -> bool) {
        let Some(items) = self.waiting.get_mut(namespace) else {
            return;
        };
        items.retain(keep);
        if items.is_empty() {
            self.waiting.remove(namespace);
            self.turns.retain(|waiting| **waiting != *namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(number: usize) -> Arc<str> {
        format!("ns-{number}").into()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize),
        Release(usize),
        Forget(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..5_usize).prop_map(Step::Push),
            3 => (0..5_usize).prop_map(Step::Release),
            1 => (0..5_usize).prop_map(Step::Forget),
        ]
    }

    proptest! {
        #[test]
        fn each_namespace_keeps_its_order_and_no_item_waits_beside_a_free_place(
            capacity in 1..20_usize,
            steps in proptest::collection::vec(step(), 0..200),
        ) {
            let mut queue = FairQueue::new(capacity);
            let mut waiting: Vec<VecDeque<usize>> = vec![VecDeque::new(); 5];
            let mut held = [0_usize; 5];
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(namespace) => {
                        queue.push(&name(namespace), number);
                        waiting[namespace].push_back(number);
                    }
                    Step::Release(namespace) if held[namespace] > 0 => {
                        held[namespace] -= 1;
                        queue.release(&name(namespace));
                    }
                    Step::Release(_) => {}
                    Step::Forget(namespace) => {
                        let last = waiting[namespace].pop_back();
                        queue.retain(&name(namespace), |item| Some(*item) != last);
                    }
                }
                while let Some((namespace, item)) = queue.next() {
                    let namespace = namespace.strip_prefix("ns-").unwrap();
                    let namespace: usize = namespace.parse().unwrap();
                    prop_assert_eq!(waiting[namespace].pop_front(), Some(item));
                    held[namespace] += 1;
                }
                let total: usize = held.iter().sum();
                prop_assert!(total <= capacity);
                // A namespace without places waits only if all places are taken.
                for namespace in 0..5 {
                    let starves = held[namespace] == 0 && !waiting[namespace].is_empty();
                    prop_assert!(!starves || total == capacity);
                }
            }
        }

        #[test]
        fn one_namespace_alone_never_takes_the_last_place(capacity in 2..300_usize, items in 0..400_usize) {
            let mut queue = FairQueue::new(capacity);
            (0..items).for_each(|item| queue.push(&name(0), item));
            while queue.next().is_some() {}
            queue.push(&name(1), 0);
            prop_assert_eq!(queue.next().map(|(namespace, _)| namespace), Some(name(1)));
        }

        #[test]
        fn a_namespace_waits_no_longer_than_one_turn_of_each_other(
            others in 1..20_usize,
            backlog in 1..50_usize,
        ) {
            // One place, which each namespace gives back at once.
            let mut queue = FairQueue::new(1);
            for other in 1..=others {
                (0..backlog).for_each(|item| queue.push(&name(other), item));
            }
            queue.push(&name(0), 0);
            for turn in 0..=others {
                let (namespace, _) = queue.next().unwrap();
                if namespace == name(0) {
                    return Ok(());
                }
                prop_assert!(turn < others);
                queue.release(&namespace);
            }
        }
    }

    #[test]
    fn one_namespace_alone_gets_three_quarters() {
        for (capacity, alone) in [(1, 1), (2, 1), (4, 3), (16, 12), (64, 48)] {
            let mut queue: FairQueue<()> = FairQueue::new(capacity);
            let taken = (0..100).filter(|_| queue.try_take(&name(0))).count();
            assert_eq!(taken, alone, "{capacity}");
        }
    }
}
