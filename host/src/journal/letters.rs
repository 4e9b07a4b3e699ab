//! Dead letters, and which of them give way where there are too many. Pure.

use super::entry::{Letter, Seq};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Most dead letters, each of which takes some memory; and of what the sinks refuse there may be so many in any case.
pub(super) const LETTERS: usize = 10_000;
pub(super) const REFUSED: usize = LETTERS / 4;
/// Of their bytes, those of events that were given up: what the sinks refuse has the rest at least.
pub(super) const GIVEN_UP: (u64, u64) = (7, 8);

/// A place: the event, and the bit of the sink.
pub(super) type At = (Seq, usize);

/// Letters of one sink and namespace.
#[derive(Debug, Default)]
struct Pile {
    /// Those that a sink refused.
    refused: BTreeSet<Seq>,
    /// All others.
    given_up: BTreeSet<Seq>,
}

impl Pile {
    fn kind(&mut self, refused: bool) -> &mut BTreeSet<Seq> {
        match refused {
            true => &mut self.refused,
            false => &mut self.given_up,
        }
    }

    /// How many of them may give way.
    fn loose(&self, any: bool) -> usize {
        self.refused.len() + if any { self.given_up.len() } else { 0 }
    }

    fn oldest(&self, any: bool) -> Option<Seq> {
        let given_up = self.given_up.first().filter(|_| any);
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
pub(super) struct Letters {
    all: BTreeMap<At, Letter>,
    /// By sink and namespace; without those that give way.
    piles: BTreeMap<usize, BTreeMap<u32, Pile>>,
    /// Those that give way, and how many bytes that makes free: the entry that says so is on its way.
    going: BTreeMap<At, u64>,
    going_bytes: u64,
    /// Those that are on their way, and how many bytes they will take.
    coming: BTreeMap<At, u64>,
    coming_bytes: u64,
    /// Of those that were given up: how many, and bytes.
    given_up: (u64, u64),
}

impl Letters {
    pub(super) fn insert(&mut self, at: At, namespace: u32, bytes: u64, letter: Letter) {
        let refused = letter.refused;
        // One that was moved is there already.
        if self.all.insert(at, letter).is_none() {
            let piles = self.piles.entry(at.1).or_default();
            let pile = piles.entry(namespace).or_default();
            pile.kind(refused).insert(at.0);
            if !refused {
                self.given_up.0 += 1;
                self.given_up.1 += bytes;
            }
        }
    }

    pub(super) fn remove(&mut self, at: At, namespace: u32, bytes: u64) {
        let Some(letter) = self.all.remove(&at) else {
            return;
        };
        if !letter.refused {
            self.given_up.0 -= 1;
            self.given_up.1 -= bytes;
        }
        match self.going.remove(&at) {
            Some(freed) => self.going_bytes -= freed,
            None => self.take_from_pile(at, namespace, letter.refused),
        }
    }

    fn take_from_pile(&mut self, (seq, bit): At, namespace: u32, refused: bool) {
        let Some(piles) = self.piles.get_mut(&bit) else {
            return;
        };
        if let Some(pile) = piles.get_mut(&namespace) {
            pile.kind(refused).remove(&seq);
            if pile.loose(true) == 0 {
                piles.remove(&namespace);
            }
        }
        if piles.is_empty() {
            self.piles.remove(&bit);
        }
    }

    /// The oldest one of the namespace with the most letters, of the sink with the most: who fills the room makes
    /// room. Only what a sink refused, or any.
    pub(super) fn first_to_go(&self, any: bool) -> Option<(At, u32)> {
        // Of two with as many, the one with the oldest.
        let sinks = self.piles.iter().filter_map(|(bit, piles)| {
            let loose: usize = piles.values().map(|pile| pile.loose(any)).sum();
            let oldest = piles.values().filter_map(|pile| pile.oldest(any)).min()?;
            Some((loose, Reverse((oldest, *bit)), piles))
        });
        let (_, Reverse((_, bit)), piles) =
            sinks.max_by_key(|(loose, oldest, _)| (*loose, *oldest))?;
        let namespaces = piles.iter().filter_map(|(namespace, pile)| {
            Some((pile.loose(any), Reverse(pile.oldest(any)?), *namespace))
        });
        let (_, Reverse(seq), namespace) = namespaces.max()?;
        Some(((seq, bit), namespace))
    }

    /// It gives way, which makes so many bytes free.
    pub(super) fn let_go(&mut self, at: At, namespace: u32, freed: u64) {
        let Some(refused) = self.all.get(&at).map(|letter| letter.refused) else {
            return;
        };
        self.take_from_pile(at, namespace, refused);
        self.going.insert(at, freed);
        self.going_bytes += freed;
    }

    /// One is on its way that will take so many bytes.
    pub(super) fn expect(&mut self, at: At, bytes: u64) {
        self.coming_bytes += bytes;
        self.coming_bytes -= self.coming.insert(at, bytes).unwrap_or_default();
    }

    /// It is there, or there is no event any more that it could be of.
    pub(super) fn arrive(&mut self, at: At) {
        self.coming_bytes -= self.coming.remove(&at).unwrap_or_default();
    }

    pub(super) fn is_going(&self, at: At) -> bool {
        self.going.contains_key(&at)
    }

    /// How many there are and will be, without those that give way.
    pub(super) fn count(&self) -> usize {
        self.all.len() + self.coming.len() - self.going.len()
    }

    /// Of so many bytes of those that are there, how many there will be.
    pub(super) fn bytes(&self, dead: u64) -> u64 {
        (dead + self.coming_bytes).saturating_sub(self.going_bytes)
    }

    /// How many were given up, not refused, and their bytes; with those that are on their way.
    pub(super) fn given_up(&self) -> (u64, u64) {
        let (count, bytes) = self.given_up;
        (count + self.coming.len() as u64, bytes + self.coming_bytes)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&At, &Letter)> {
        self.all.iter()
    }

    /// Those of one event: the sink's bit, and the letter.
    pub(super) fn of(&self, seq: Seq) -> impl Iterator<Item = (usize, &Letter)> {
        let range = self.all.range((seq, 0)..=(seq, usize::MAX));
        range.map(|((_, bit), letter)| (*bit, letter))
    }

    /// Entries that they take.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}
