//! Dead letters, and the choice of those to evict at their bound. Pure.

use super::entry::{DeadLetter, Seq};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Dead letters that the journal holds; each takes some memory.
pub(super) const MAX_DEAD_LETTERS: usize = 10_000;
/// Number of places kept for dead letters that a sink refused. Other dead letters cannot take them.
pub(super) const RESERVED_FOR_REFUSED: usize = MAX_DEAD_LETTERS / 4;
/// Share of the bytes of dead letters that given-up events may take, as a fraction. The rest is kept
/// for events that a sink refused.
pub(super) const GIVEN_UP_SHARE: (u64, u64) = (7, 8);

/// Names a dead letter: the event, and the bit of the sink.
pub(super) type LetterKey = (Seq, usize);

/// The dead letters of one sink and namespace.
#[derive(Debug, Default)]
struct Group {
    /// Those that the sink refused.
    refused: BTreeSet<Seq>,
    /// Dead letters that the sink did not refuse: their retries ran out of time.
    given_up: BTreeSet<Seq>,
}

impl Group {
    fn kind(&mut self, refused: bool) -> &mut BTreeSet<Seq> {
        match refused {
            true => &mut self.refused,
            false => &mut self.given_up,
        }
    }

    /// Returns how many dead letters may be evicted. Given-up ones count only if `evict_any` is
    /// true.
    fn evictable(&self, evict_any: bool) -> usize {
        self.refused.len() + if evict_any { self.given_up.len() } else { 0 }
    }

    fn oldest(&self, evict_any: bool) -> Option<Seq> {
        let given_up = self.given_up.first().filter(|_| evict_any);
        self.refused
            .first()
            .into_iter()
            .chain(given_up)
            .min()
            .copied()
    }
}

/// All dead letters.
#[derive(Debug, Default)]
pub(super) struct DeadLetters {
    all: BTreeMap<LetterKey, DeadLetter>,
    /// Dead letters by sink and namespace, without evicted ones.
    groups: BTreeMap<usize, BTreeMap<u32, Group>>,
    /// Evicted dead letters, with the bytes that each eviction frees. Their acknowledgements are
    /// not written yet.
    evicted: BTreeMap<LetterKey, u64>,
    evicted_bytes: u64,
    /// Dead letters whose entry is not written yet, with the bytes that they will take.
    pending: BTreeMap<LetterKey, u64>,
    pending_bytes: u64,
    /// Number and bytes of the dead letters that were given up.
    given_up: (u64, u64),
}

impl DeadLetters {
    pub(super) fn insert(
        &mut self,
        key: LetterKey,
        namespace: u32,
        bytes: u64,
        letter: DeadLetter,
    ) {
        let refused = letter.refused;
        // Counts only a new dead letter. If it exists already, compaction moved its entry.
        if self.all.insert(key, letter).is_none() {
            let groups = self.groups.entry(key.1).or_default();
            let group = groups.entry(namespace).or_default();
            group.kind(refused).insert(key.0);
            if !refused {
                self.given_up.0 += 1;
                self.given_up.1 += bytes;
            }
        }
    }

    pub(super) fn remove(&mut self, key: LetterKey, namespace: u32, bytes: u64) {
        let Some(letter) = self.all.remove(&key) else {
            return;
        };
        if !letter.refused {
            self.given_up.0 -= 1;
            self.given_up.1 -= bytes;
        }
        match self.evicted.remove(&key) {
            Some(freed) => self.evicted_bytes -= freed,
            None => self.remove_from_group(key, namespace, letter.refused),
        }
    }

    fn remove_from_group(&mut self, (seq, bit): LetterKey, namespace: u32, refused: bool) {
        let Some(groups) = self.groups.get_mut(&bit) else {
            return;
        };
        if let Some(group) = groups.get_mut(&namespace) {
            group.kind(refused).remove(&seq);
            if group.evictable(true) == 0 {
                groups.remove(&namespace);
            }
        }
        if groups.is_empty() {
            self.groups.remove(&bit);
        }
    }

    /// Returns the dead letter to evict next, and its namespace. It is the oldest one in the
    /// largest namespace of the sink with the most dead letters. Only refused dead letters count,
    /// unless `evict_any` is true.
    pub(super) fn next_to_evict(&self, evict_any: bool) -> Option<(LetterKey, u32)> {
        // If two sinks have equally many dead letters, takes the sink with the oldest one.
        let sinks = self.groups.iter().filter_map(|(bit, groups)| {
            let evictable: usize = groups
                .values()
                .map(|group| group.evictable(evict_any))
                .sum();
            let oldest = groups.values().filter_map(|group| group.oldest(evict_any));
            Some((evictable, Reverse((oldest.min()?, *bit)), groups))
        });
        let (_, Reverse((_, bit)), groups) =
            sinks.max_by_key(|(evictable, oldest, _)| (*evictable, *oldest))?;
        let namespaces = groups.iter().filter_map(|(namespace, group)| {
            let oldest = Reverse(group.oldest(evict_any)?);
            Some((group.evictable(evict_any), oldest, *namespace))
        });
        let (_, Reverse(seq), namespace) = namespaces.max()?;
        Some(((seq, bit), namespace))
    }

    /// Stops counting a dead letter, which frees this many bytes.
    pub(super) fn evict(&mut self, key: LetterKey, namespace: u32, freed: u64) {
        let Some(refused) = self.all.get(&key).map(|letter| letter.refused) else {
            return;
        };
        self.remove_from_group(key, namespace, refused);
        self.evicted.insert(key, freed);
        self.evicted_bytes += freed;
    }

    /// Counts a dead letter that will be written, and will take this many bytes.
    pub(super) fn add_pending(&mut self, key: LetterKey, bytes: u64) {
        self.pending_bytes += bytes;
        self.pending_bytes -= self.pending.insert(key, bytes).unwrap_or_default();
    }

    /// Stops counting a pending dead letter: it was written, or its event is gone.
    pub(super) fn remove_pending(&mut self, key: LetterKey) {
        self.pending_bytes -= self.pending.remove(&key).unwrap_or_default();
    }

    pub(super) fn is_evicted(&self, key: LetterKey) -> bool {
        self.evicted.contains_key(&key)
    }

    /// Returns the number of dead letters, including pending ones and excluding evicted ones.
    pub(super) fn count(&self) -> usize {
        self.all.len() + self.pending.len() - self.evicted.len()
    }

    /// Returns the bytes of dead letters, including pending ones and excluding evicted ones.
    /// `dead_bytes` is the number of bytes in the index.
    pub(super) fn bytes(&self, dead_bytes: u64) -> u64 {
        (dead_bytes + self.pending_bytes).saturating_sub(self.evicted_bytes)
    }

    /// Returns the number and the bytes of the given-up dead letters: those that the sink did not
    /// refuse. Pending ones are all included, even refused ones.
    pub(super) fn given_up(&self) -> (u64, u64) {
        let (count, bytes) = self.given_up;
        (
            count + self.pending.len() as u64,
            bytes + self.pending_bytes,
        )
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&LetterKey, &DeadLetter)> {
        self.all.iter()
    }

    /// Returns the dead letters of an event, each with the bit of its sink.
    pub(super) fn of_event(&self, seq: Seq) -> impl Iterator<Item = (usize, &DeadLetter)> {
        let range = self.all.range((seq, 0)..=(seq, usize::MAX));
        range.map(|((_, bit), letter)| (*bit, letter))
    }

    /// Returns how many entries they take.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}
