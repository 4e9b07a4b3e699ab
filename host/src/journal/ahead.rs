//! Bodies that were read before they are asked for: a sink that lags behind asks for one after the other,
//! and to read many at once takes little more than to read one.

use super::entry::Seq;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Bytes of bodies that are held.
const HELD: usize = 2 * 1024 * 1024;
/// Bodies that are read at once, and when they are enough, in bytes.
pub(super) const MOST: usize = 64;
pub(super) const ENOUGH: usize = 128 * 1024;

/// How many bytes are enough to read at once, where events of so many namespaces are asked for in turn: what is read
/// for one of them is there until its turn comes again.
pub(super) fn enough(namespaces: usize) -> usize {
    (HELD / 2 / namespaces.max(1)).min(ENOUGH)
}

/// The bodies that were read last.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    bodies: HashMap<Seq, Bytes>,
    /// The oldest first.
    order: VecDeque<Seq>,
    bytes: usize,
    /// Of each sink that reads: with which event it has had half of them, and from which on to read then. So it
    /// does not come to a halt at the last.
    half: BTreeMap<String, (Seq, Seq)>,
}

impl Ahead {
    pub(super) fn get(&self, seq: Seq) -> Option<Bytes> {
        self.bodies.get(&seq).cloned()
    }

    /// Keeps bodies that were read for a sink; those that were read first make room for them.
    pub(super) fn keep(&mut self, sink: &str, bodies: Vec<(Seq, Bytes)>) {
        self.half.remove(sink);
        if let (Some((half, _)), Some((last, _))) = (bodies.get(bodies.len() / 2), bodies.last()) {
            self.half.insert(sink.to_owned(), (*half, last + 1));
        }
        for (seq, body) in bodies {
            self.bytes += body.len();
            match self.bodies.insert(seq, body) {
                Some(same) => self.bytes -= same.len(),
                None => self.order.push_back(seq),
            }
        }
        while self.bytes > HELD
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.bodies.remove(&oldest).map_or(0, |body| body.len());
        }
    }

    /// From which event on to read, where it is time to. Says so once.
    pub(super) fn next(&mut self, seq: Seq, sink: &str) -> Option<Seq> {
        let (_, from) = *self.half.get(sink).filter(|(half, _)| seq >= *half)?;
        self.half.remove(sink);
        Some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_read_makes_room() {
        let mut ahead = Ahead::default();
        let body = Bytes::from(vec![0; HELD / 4]);
        let bodies = [1, 2, 3, 3, 4].map(|seq| (seq, body.clone()));
        ahead.keep("a", bodies.to_vec());
        assert_eq!(ahead.bytes, HELD);
        ahead.keep("a", vec![(5, body)]);
        let held = (1..=5).filter(|seq| ahead.get(*seq).is_some());
        assert_eq!(held.collect::<Vec<_>>(), [2, 3, 4, 5]);
        ahead.keep("a", vec![(6, Bytes::from(vec![0; 2 * HELD]))]);
        assert_eq!(
            (ahead.bytes, ahead.bodies.len(), ahead.order.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn the_next_read_starts_at_the_half() {
        let mut ahead = Ahead::default();
        let bodies = [3, 4, 6, 7].map(|seq| (seq, Bytes::new()));
        ahead.keep("a", bodies.to_vec());
        assert_eq!(ahead.next(4, "a"), None);
        assert_eq!(ahead.next(9, "b"), None);
        assert_eq!(ahead.next(6, "a"), Some(8));
        assert_eq!(ahead.next(7, "a"), None);
    }
}
