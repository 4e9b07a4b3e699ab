//! Chooses the events that a sink takes next: one of each namespace in turn, so that a namespace with
//! a large backlog delays no other.

use super::{Event, JournalIndex, WaitingEvent};
use crate::journal::entry::Seq;
use std::collections::BTreeSet;

/// Maximum number of events that one call examines. The index is locked during the call.
const MAX_SCANNED_EVENTS: usize = 16 * 1024;

/// The progress of a sink through its events, by namespace.
#[derive(Debug, Default)]
pub(crate) struct SinkCursor {
    /// By namespace: the lowest number of an event that the sink may still take.
    from: Vec<Seq>,
    /// Namespaces that may have events to take. For a sink without a backlog, these are only the
    /// namespaces of new events.
    active: BTreeSet<u32>,
    /// The first event whose namespace was not added to `active` yet.
    first_new: Seq,
    /// The namespace whose turn it is.
    next: u32,
}

/// The events that a sink takes next.
#[derive(Debug, Default)]
pub(crate) struct NextEvents {
    pub(crate) events: Vec<WaitingEvent>,
    /// Some namespace has further events, but no room at the moment.
    pub(crate) is_blocked: bool,
    /// There may be further events: not all were looked at.
    pub(crate) has_more: bool,
}

impl NextEvents {
    /// Returns no events, because there is no room for any.
    pub(crate) fn blocked() -> Self {
        Self {
            is_blocked: true,
            ..Self::default()
        }
    }
}

impl JournalIndex {
    /// Returns at most `max_events` events for a sink to take next. The namespaces take turns with
    /// one event each; within a namespace, the oldest event is first. Namespaces for which
    /// `has_room` returns false are skipped.
    pub(in crate::journal) fn next_events(
        &mut self,
        sink: &str,
        cursor: &mut SinkCursor,
        max_events: usize,
        mut has_room: impl FnMut(u32) -> bool,
    ) -> NextEvents {
        let mut taken = NextEvents::default();
        let Some(bit) = self.sink_bit(sink) else {
            return taken;
        };
        let count = self.namespaces.slots();
        cursor.from.resize(cursor.from.len().max(count), 0);
        for (seq, event) in self.events.range(cursor.first_new..) {
            cursor.active.insert(event.namespace);
            cursor.first_new = seq + 1;
        }
        // Starts with the namespace whose turn it is.
        let later = cursor.active.range(cursor.next..);
        let mut left: Vec<u32> = later
            .chain(cursor.active.range(..cursor.next))
            .copied()
            .collect();
        let (mut scans_left, mut round) = (MAX_SCANNED_EVENTS, Vec::with_capacity(left.len()));
        while !left.is_empty() {
            std::mem::swap(&mut left, &mut round);
            left.clear();
            for namespace in &round {
                let namespace = *namespace;
                if taken.events.len() == max_events || scans_left == 0 {
                    taken.has_more = true;
                    cursor.next = namespace;
                    return taken;
                }
                let Some(from) = cursor.from.get_mut(namespace as usize) else {
                    continue;
                };
                let Some((seq, event)) = self.first_waiting(namespace, from, bit, &mut scans_left)
                else {
                    if scans_left == 0 {
                        left.push(namespace);
                    } else {
                        cursor.active.remove(&namespace);
                    }
                    continue;
                };
                if !has_room(namespace) {
                    taken.is_blocked = true;
                    continue;
                }
                *from = seq + 1;
                taken.events.push(event.waiting(seq));
                left.push(namespace);
            }
        }
        taken
    }

    /// Finds the first event of a namespace from `from` on that waits for a sink, and moves `from` to
    /// it.
    fn first_waiting(
        &mut self,
        namespace: u32,
        from: &mut Seq,
        bit: usize,
        scans_left: &mut usize,
    ) -> Option<(Seq, Event)> {
        let events = &self.events;
        for seq in self.namespaces.events(namespace, *from) {
            if *scans_left == 0 {
                return None;
            }
            *scans_left -= 1;
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
