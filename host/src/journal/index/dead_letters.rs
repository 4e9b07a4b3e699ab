//! The dead letters in the index: their bound, and the choice of those to evict.

use super::JournalIndex;
use crate::journal::dead_letters::{
    GIVEN_UP_SHARE, LetterKey, MAX_DEAD_LETTERS, RESERVED_FOR_REFUSED,
};
use crate::journal::entry::{DeadLetter, Seq};

impl JournalIndex {
    /// Returns all dead letters: number of the event, sink, and why it was not delivered.
    pub(in crate::journal) fn dead_letters(&self) -> Vec<(Seq, String, DeadLetter)> {
        let named = |((seq, bit), letter): (&LetterKey, &DeadLetter)| {
            let sink = self.sinks.get(*bit).cloned().unwrap_or_default();
            (*seq, sink, letter.clone())
        };
        self.dead_letters.iter().map(named).collect()
    }

    /// Returns whether the dead letters have reached their bound in number or bytes. `evict_any`
    /// says that every dead letter may be evicted, not only refused ones.
    pub(in crate::journal) fn is_full_of_dead_letters(
        &self,
        max_bytes: u64,
        evict_any: bool,
    ) -> bool {
        let (given_up, _) = self.dead_letters.given_up();
        let given_up = usize::try_from(given_up).unwrap_or(usize::MAX);
        // If only refused dead letters may be evicted, some places are reserved for them, even if
        // there are many given-up ones.
        let max_letters = match evict_any {
            true => MAX_DEAD_LETTERS,
            false => MAX_DEAD_LETTERS.max(given_up.saturating_add(RESERVED_FOR_REFUSED)),
        };
        self.dead_letters.count() >= max_letters
            || self.dead_letters.bytes(self.dead_bytes) >= max_bytes
    }

    /// Returns how many more given-up events may become dead letters.
    pub(in crate::journal) fn room_for_given_up(&self, max_bytes: u64) -> usize {
        let (part, of) = GIVEN_UP_SHARE;
        let (count, bytes) = self.dead_letters.given_up();
        match bytes < (max_bytes / of).saturating_mul(part) {
            true => MAX_DEAD_LETTERS.saturating_sub(usize::try_from(count).unwrap_or(usize::MAX)),
            false => 0,
        }
    }

    /// Counts a dead letter whose entry is not written yet.
    pub(in crate::journal) fn expect_dead_letter(&mut self, seq: Seq, sink: &str) {
        if let Some(bit) = self.sink_bit(sink)
            && let Some(event) = self.events.get(&seq)
            && event.waiting & (1 << bit) != 0
        {
            let is_last = event.waiting == 1 << bit;
            let bytes = if is_last {
                u64::from(event.place.length)
            } else {
                0
            };
            self.dead_letters.add_pending((seq, bit), bytes);
        }
    }

    /// Chooses the dead letter to evict. From then on it no longer counts.
    pub(in crate::journal) fn evict_dead_letter(
        &mut self,
        evict_any: bool,
    ) -> Option<(Seq, String)> {
        let (key, namespace) = self.dead_letters.next_to_evict(evict_any)?;
        let (seq, bit) = key;
        let event = self.events.get(&seq)?;
        let has_others = self
            .dead_letters
            .of_event(seq)
            .any(|(other, _)| other != bit && !self.dead_letters.is_evicted((seq, other)));
        let freed = match event.waiting == 0 && !has_others {
            true => u64::from(event.place.length),
            false => 0,
        };
        self.dead_letters.evict(key, namespace, freed);
        Some((seq, self.sinks.get(bit)?.clone()))
    }
}
