//! Caches bodies that were read before a sink asks for them. A sink with a backlog asks for one
//! body after the other, and reading many adjacent bodies takes hardly longer than reading one.

use super::entry::Seq;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Bytes of bodies that the cache holds.
const MAX_CACHED_BYTES: usize = 2 * 1024 * 1024;
/// Maximum number of bodies in one read.
pub(super) const MAX_BODIES_PER_READ: usize = 64;
/// Bytes of bodies that are read at once.
pub(super) const MAX_BYTES_PER_READ: usize = 128 * 1024;

/// Returns how many bytes to read at once if sinks take events of this many namespaces in turn. The
/// bodies read for one namespace must still be cached at its next turn.
pub(super) fn bytes_per_read(namespaces: usize) -> usize {
    (MAX_CACHED_BYTES / 2 / namespaces.max(1)).min(MAX_BYTES_PER_READ)
}

/// The cache of bodies that were read ahead.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    bodies: HashMap<Seq, Bytes>,
    /// The oldest first.
    order: VecDeque<Seq>,
    bytes: usize,
    /// By sink.
    next_reads: BTreeMap<String, NextRead>,
}

/// The next time to read ahead for a sink. The trigger is the middle of the last read, so that the
/// sink does not wait when it reaches the end of that read.
#[derive(Clone, Copy, Debug)]
struct NextRead {
    /// Read again once the sink asks for this event or a later one.
    trigger: Seq,
    /// The first event to read then.
    from: Seq,
}

impl ReadAhead {
    pub(super) fn get(&self, seq: Seq) -> Option<Bytes> {
        self.bodies.get(&seq).cloned()
    }

    /// Adds bodies that were read for a sink. At the bound, the oldest bodies are removed.
    pub(super) fn insert(&mut self, sink: &str, bodies: Vec<(Seq, Bytes)>) {
        self.next_reads.remove(sink);
        if let (Some((trigger, _)), Some((last, _))) = (bodies.get(bodies.len() / 2), bodies.last())
        {
            let next = NextRead {
                trigger: *trigger,
                from: last + 1,
            };
            self.next_reads.insert(sink.to_owned(), next);
        }
        for (seq, body) in bodies {
            self.bytes += body.len();
            match self.bodies.insert(seq, body) {
                Some(same) => self.bytes -= same.len(),
                None => self.order.push_back(seq),
            }
        }
        while self.bytes > MAX_CACHED_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.bodies.remove(&oldest).map_or(0, |body| body.len());
        }
    }

    /// Returns the first event to read ahead, if a sink that asks for `seq` has reached the
    /// trigger. Returns each such event only once.
    pub(super) fn take_next(&mut self, seq: Seq, sink: &str) -> Option<Seq> {
        let next = self.next_reads.get(sink)?;
        if seq < next.trigger {
            return None;
        }
        self.next_reads.remove(sink).map(|next| next.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_read_makes_room() {
        let mut ahead = ReadAhead::default();
        let body = Bytes::from(vec![0; MAX_CACHED_BYTES / 4]);
        let bodies = [1, 2, 3, 3, 4].map(|seq| (seq, body.clone()));
        ahead.insert("a", bodies.to_vec());
        assert_eq!(ahead.bytes, MAX_CACHED_BYTES);
        ahead.insert("a", vec![(5, body)]);
        let held = (1..=5).filter(|seq| ahead.get(*seq).is_some());
        assert_eq!(held.collect::<Vec<_>>(), [2, 3, 4, 5]);
        ahead.insert("a", vec![(6, Bytes::from(vec![0; 2 * MAX_CACHED_BYTES]))]);
        assert_eq!(
            (ahead.bytes, ahead.bodies.len(), ahead.order.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn the_next_read_starts_at_the_half() {
        let mut ahead = ReadAhead::default();
        let bodies = [3, 4, 6, 7].map(|seq| (seq, Bytes::new()));
        ahead.insert("a", bodies.to_vec());
        assert_eq!(ahead.take_next(4, "a"), None);
        assert_eq!(ahead.take_next(9, "b"), None);
        assert_eq!(ahead.take_next(6, "a"), Some(8));
        assert_eq!(ahead.take_next(7, "a"), None);
    }
}
