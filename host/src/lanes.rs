//! Processes items in lanes: items with the same key one after the other, all others at the same
//! time.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use tokio::sync::mpsc;

/// Bounds of a set of lanes.
#[derive(Clone, Copy, Debug)]
pub struct LaneLimits {
    /// Items that are processed at a time.
    pub concurrency: usize,
    /// Items in all lanes, processed or waiting. At this bound no item is taken from the channel,
    /// and its senders wait.
    pub capacity: usize,
}

/// Processes the items of a channel until it is closed and empty.
pub async fn run<K, T, W, F>(mut items: mpsc::Receiver<(K, T)>, limits: LaneLimits, work: W)
where
    K: Clone + Eq + Hash,
    W: Fn(T) -> F,
    F: Future<Output = ()>,
{
    // Holds a key as long as an item of it is processed or ready. The queue holds the other items
    // of the key.
    let mut lanes: HashMap<K, VecDeque<T>> = HashMap::new();
    let mut ready: VecDeque<(K, T)> = VecDeque::new();
    let mut busy = FuturesUnordered::new();
    let mut held = 0_usize;
    let mut open = true;
    let start = |key: K, item: T| {
        let done = work(item);
        async move {
            done.await;
            key
        }
    };
    while open || held > 0 {
        tokio::select! {
            item = items.recv(), if open && held < limits.capacity => match item {
                None => open = false,
                Some((key, item)) => {
                    held += 1;
                    match lanes.get_mut(&key) {
                        Some(lane) => lane.push_back(item),
                        None => {
                            lanes.insert(key.clone(), VecDeque::new());
                            ready.push_back((key, item));
                        }
                    }
                }
            },
            Some(key) = busy.next(), if !busy.is_empty() => {
                held -= 1;
                match lanes.get_mut(&key).and_then(VecDeque::pop_front) {
                    Some(item) => ready.push_back((key, item)),
                    None => drop(lanes.remove(&key)),
                }
            },
        }
        while busy.len() < limits.concurrency.max(1) {
            let Some((key, item)) = ready.pop_front() else {
                break;
            };
            busy.push(start(key, item));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::sync::Arc;
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn one_key_keeps_its_order_while_others_overtake() {
        let (sender, receiver) = mpsc::channel(16);
        for (key, item) in [("a", 1), ("a", 2), ("b", 3), ("a", 4), ("b", 5)] {
            sender.send((Arc::<str>::from(key), item)).await.unwrap();
        }
        drop(sender);
        // `a` cannot start before both items of `b` are processed.
        let gate = Semaphore::new(0);
        let done = RefCell::new(Vec::new());
        let limits = LaneLimits {
            concurrency: 2,
            capacity: 16,
        };
        run(receiver, limits, |item| {
            let (gate, done) = (&gate, &done);
            async move {
                if item == 1 {
                    drop(gate.acquire_many(2).await);
                }
                done.borrow_mut().push(item);
                if item == 3 || item == 5 {
                    gate.add_permits(1);
                }
            }
        })
        .await;
        assert_eq!(*done.borrow(), [3, 5, 1, 2, 4]);
    }

    #[tokio::test]
    async fn no_more_is_taken_than_fits() {
        let (sender, receiver) = mpsc::channel(1);
        let gate = Semaphore::new(0);
        let limits = LaneLimits {
            concurrency: 1,
            capacity: 2,
        };
        let work = run(receiver, limits, |_: u32| async {
            drop(gate.acquire().await)
        });
        let fill = async {
            // Two items are in the lanes, one is in the channel; a fourth does not fit.
            for item in 0..3 {
                sender.send((Arc::<str>::from("a"), item)).await.unwrap();
                tokio::task::yield_now().await;
            }
            tokio::task::yield_now().await;
            assert!(sender.try_send((Arc::<str>::from("a"), 3)).is_err());
            gate.add_permits(10);
            drop(sender);
        };
        tokio::join!(work, fill);
    }
}
