//! Groups events by namespace, and counts the waiting bytes of each namespace. Pure.

use super::entry::Seq;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Bounds the bytes of a namespace to this many times the free space. With 4, one namespace alone
/// can use four fifths of all space; several namespaces get less each. So some space is always left
/// for a namespace that has no events yet.
const MAX_TIMES_FREE: u64 = 4;

/// Returns whether a namespace with `own` bytes may take `size` bytes more, after which `free`
/// bytes are left.
pub(crate) fn is_fair(own: u64, size: u64, free: u64) -> bool {
    own == 0 || own + size <= free.saturating_mul(MAX_TIMES_FREE)
}

/// A namespace keeps the sequence numbers of at most as many removed events as it has remaining
/// ones, plus this many.
const MAX_STALE_SEQS: usize = 64;

/// The events of one namespace.
#[derive(Debug, Default)]
struct Namespace {
    name: Arc<str>,
    /// Numbers of the namespace's events, and of some removed events.
    seqs: VecDeque<Seq>,
    /// `seqs` may be out of order: compaction moves events behind later ones, and the next start
    /// reads them in this order.
    unsorted: bool,
    /// Number of its events.
    events: usize,
    /// Bytes of the events that wait for a sink.
    waiting: u64,
}

/// All namespaces that have events. Each has a number, which may be reused after the last event of
/// the namespace.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    /// By number.
    all: Vec<Namespace>,
    by_name: HashMap<Arc<str>, u32>,
    free: Vec<u32>,
}

impl Namespaces {
    /// Adds an event to a namespace. Returns the number of the namespace.
    pub(super) fn add(&mut self, name: &Arc<str>, seq: Seq) -> u32 {
        let number = match self.by_name.get(name) {
            Some(number) => *number,
            None => self.insert(name),
        };
        if let Some(namespace) = self.all.get_mut(number as usize) {
            match namespace.seqs.back() {
                Some(last) if *last > seq => namespace.unsorted = true,
                Some(_) | None => {}
            }
            namespace.seqs.push_back(seq);
            namespace.events += 1;
        }
        number
    }

    fn insert(&mut self, name: &Arc<str>) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.all.push(Namespace::default());
            u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(namespace) = self.all.get_mut(number as usize) {
            namespace.name = name.clone();
        }
        self.by_name.insert(name.clone(), number);
        number
    }

    /// Removes an event. `is_live` says which events still exist.
    pub(super) fn remove(&mut self, number: u32, seq: Seq, is_live: impl Fn(Seq) -> bool) {
        let Some(namespace) = self.all.get_mut(number as usize) else {
            return;
        };
        namespace.events = namespace.events.saturating_sub(1);
        if namespace.events == 0 {
            self.by_name.remove(&namespace.name);
            *namespace = Namespace::default();
            self.free.push(number);
            return;
        }
        if namespace.seqs.front() == Some(&seq) {
            namespace.seqs.pop_front();
        }
        if namespace.seqs.len() > 2 * namespace.events + MAX_STALE_SEQS {
            namespace.seqs.retain(|seq| is_live(*seq));
        }
    }

    /// Adds to the waiting bytes of a namespace, or subtracts from them.
    pub(super) fn count(&mut self, number: u32, bytes: u64, is_added: bool) {
        if let Some(namespace) = self.all.get_mut(number as usize) {
            namespace.waiting = match is_added {
                true => namespace.waiting + bytes,
                false => namespace.waiting.saturating_sub(bytes),
            };
        }
    }

    /// Returns how many namespace numbers exist, including free ones.
    pub(super) fn slots(&self) -> usize {
        self.all.len()
    }

    pub(super) fn name(&self, number: u32) -> Arc<str> {
        let namespace = self.all.get(number as usize);
        namespace.map_or_else(Arc::default, |namespace| namespace.name.clone())
    }

    /// Returns the bytes of a namespace's events that wait for a sink.
    pub(super) fn waiting_bytes(&self, name: &str) -> u64 {
        let namespace = self.by_name.get(name);
        let namespace = namespace.and_then(|number| self.all.get(*number as usize));
        namespace.map_or(0, |namespace| namespace.waiting)
    }

    /// Returns how many namespaces have events.
    pub(super) fn active(&self) -> usize {
        self.by_name.len()
    }

    /// Returns the namespace that would have the most waiting bytes if `name` got `more`. Ignores
    /// namespaces without waiting bytes.
    pub(super) fn largest(&self, name: &str, more: u64) -> Option<u32> {
        let waiting = self.by_name.iter().filter_map(|(found, number)| {
            let waiting = self.all.get(*number as usize)?.waiting;
            let more = if **found == *name { more } else { 0 };
            (waiting > 0).then_some((waiting + more, found, *number))
        });
        waiting.max().map(|(_, _, number)| number)
    }

    /// Returns the events of a namespace from a number on, and possibly some removed ones.
    pub(super) fn events(&mut self, number: u32, from: Seq) -> impl Iterator<Item = Seq> {
        let namespace = self.all.get_mut(number as usize);
        let seqs = namespace.map(|namespace| {
            if std::mem::take(&mut namespace.unsorted) {
                namespace.seqs.make_contiguous().sort_unstable();
            }
            &namespace.seqs
        });
        seqs.into_iter().flat_map(move |seqs| {
            let at = seqs.partition_point(|seq| *seq < from);
            seqs.range(at..).copied()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_namespace_without_entries_always_finds_room() {
        let (bound, mut taken) = (4096_u64, Vec::new());
        for _ in 0..6 {
            let mut own = 0;
            let free = |own: u64, taken: &[u64]| bound - taken.iter().sum::<u64>() - own;
            while free(own, &taken) > 0 && is_fair(own, 1, free(own, &taken) - 1) {
                own += 1;
            }
            taken.push(own);
        }
        assert_eq!(taken, [3276, 656, 131, 26, 5, 1]);
    }

    proptest! {
        #[test]
        fn each_namespace_has_its_events_in_order(
            acts in proptest::collection::vec((any::<bool>(), 0..3_usize, 0..40_u64), 0..400),
        ) {
            let names = ["a", "b", "c"].map(Arc::<str>::from);
            let mut namespaces = Namespaces::default();
            let mut there: BTreeMap<Seq, (usize, u32)> = BTreeMap::new();
            for (adds, which, seq) in acts {
                match (adds, there.get(&seq).copied()) {
                    (true, None) => {
                        let number = namespaces.add(&names[which], seq);
                        there.insert(seq, (which, number));
                    }
                    (false, Some((_, number))) => {
                        there.remove(&seq);
                        namespaces.remove(number, seq, |seq| there.contains_key(&seq));
                    }
                    _ => {}
                }
                for (which, name) in names.iter().enumerate() {
                    let expected = there.iter().filter(|(_, (of, _))| *of == which);
                    let expected: Vec<(Seq, u32)> =
                        expected.map(|(seq, (_, number))| (*seq, *number)).collect();
                    let Some((_, number)) = expected.first() else {
                        prop_assert!(!namespaces.by_name.contains_key(name));
                        continue;
                    };
                    prop_assert!(expected.iter().all(|(_, of)| of == number));
                    let mut found: Vec<Seq> = namespaces
                        .events(*number, 0)
                        .filter(|seq| there.get(seq).is_some_and(|(of, _)| *of == which))
                        .collect();
                    // A number that was removed and added again may appear twice. A journal never
                    // adds a number again.
                    found.dedup();
                    prop_assert_eq!(found, expected.iter().map(|(seq, _)| *seq).collect::<Vec<_>>());
                }
            }
        }
    }
}
