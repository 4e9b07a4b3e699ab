//! What a sink takes next: of each namespace in turn, so that who has much waiting keeps nobody else.

use super::{Book, Event, Waiting};
use crate::journal::entry::Seq;
use std::collections::BTreeSet;

/// Most events that are looked at at once for a sink.
const LOOK: usize = 16 * 1024;

/// How far a sink has taken what waits for it, namespace by namespace.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// Of each namespace, from which event on there is something else.
    from: Vec<Seq>,
    /// Namespaces of which there may be something: a sink that keeps up looks at those of new events only.
    active: BTreeSet<u32>,
    /// The first event that is new.
    new: Seq,
    /// Whose turn it is.
    next: u32,
}

/// What a sink takes next.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) events: Vec<Waiting>,
    /// There is more for those for whom there is no room at the moment.
    pub(crate) is_held: bool,
    /// There may be more: not all was looked at.
    pub(crate) is_more: bool,
}

impl Taken {
    /// Nothing, because there is no room for anything.
    pub(crate) fn held() -> Self {
        Self {
            is_held: true,
            ..Self::default()
        }
    }
}

impl Book {
    /// What a sink takes next: one of each namespace in turn, those of one the oldest first, no more than `most` and
    /// none for which there is no room.
    pub(in crate::journal) fn take_in_turn(
        &mut self,
        sink: &str,
        turns: &mut Turns,
        most: usize,
        mut has_room: impl FnMut(u32) -> bool,
    ) -> Taken {
        let mut taken = Taken::default();
        let Some(bit) = self.known(sink) else {
            return taken;
        };
        let count = self.namespaces.len();
        turns.from.resize(turns.from.len().max(count), 0);
        for (seq, event) in self.events.range(turns.new..) {
            turns.active.insert(event.namespace);
            turns.new = seq + 1;
        }
        // From the one whose turn it is.
        let later = turns.active.range(turns.next..);
        let mut left: Vec<u32> = later
            .chain(turns.active.range(..turns.next))
            .copied()
            .collect();
        let (mut looks, mut round) = (LOOK, Vec::with_capacity(left.len()));
        while !left.is_empty() {
            std::mem::swap(&mut left, &mut round);
            left.clear();
            for number in &round {
                let number = *number;
                if taken.events.len() == most || looks == 0 {
                    taken.is_more = true;
                    turns.next = number;
                    return taken;
                }
                let Some(from) = turns.from.get_mut(number as usize) else {
                    continue;
                };
                let Some((seq, event)) = self.find(number, from, bit, &mut looks) else {
                    if looks == 0 {
                        left.push(number);
                    } else {
                        turns.active.remove(&number);
                    }
                    continue;
                };
                if !has_room(number) {
                    taken.is_held = true;
                    continue;
                }
                *from = seq + 1;
                taken.events.push(event.waiting(seq));
                left.push(number);
            }
        }
        taken
    }

    /// The first event of a namespace from one on that a sink waits for; from then on there is nothing before it.
    fn find(
        &mut self,
        namespace: u32,
        from: &mut Seq,
        bit: usize,
        looks: &mut usize,
    ) -> Option<(Seq, Event)> {
        let events = &self.events;
        for seq in self.namespaces.events(namespace, *from) {
            if *looks == 0 {
                return None;
            }
            *looks -= 1;
            *from = seq;
            let event = events.get(&seq);
            if let Some(event) = event.filter(|event| event.waiting & (1 << bit) != 0) {
                return Some((seq, *event));
            }
            *from = seq + 1;
        }
        None
    }
}
