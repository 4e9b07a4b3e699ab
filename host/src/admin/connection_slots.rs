//! Bounds the open connections, in total and per peer address. When all slots are occupied, a new
//! connection replaces the oldest connection of the address that holds the most. So no address can
//! lock out the others: a probe of the kubelet gets a slot even if idle connections occupy all of
//! them.

use std::collections::HashMap;
use std::net::IpAddr;

/// Bounds of the connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    pub(super) total: usize,
    pub(super) per_peer: usize,
}

/// The decision on a new connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SlotDecision<T> {
    /// A slot is free.
    Free,
    /// The new connection takes the slot of the given older connection, which the caller must
    /// close.
    Replace(T),
    /// The caller must close the new connection.
    Refuse,
}

/// The open connections, the oldest first.
#[derive(Debug)]
pub(super) struct ConnectionSlots<T> {
    limits: ConnectionLimits,
    taken: Vec<(IpAddr, T)>,
}

impl<T> ConnectionSlots<T> {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        let taken = Vec::with_capacity(limits.total);
        Self { limits, taken }
    }

    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    /// Decides on a new connection. A caller that keeps the connection must call
    /// [`ConnectionSlots::occupy`].
    pub(super) fn decide(&mut self, peer: IpAddr) -> SlotDecision<T> {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for (other, _) in &self.taken {
            *held.entry(*other).or_default() += 1;
        }
        let own = held.get(&peer).copied().unwrap_or_default();
        if own >= self.limits.per_peer {
            return SlotDecision::Refuse;
        }
        if self.taken.len() < self.limits.total {
            return SlotDecision::Free;
        }
        let most = held.values().copied().max().unwrap_or_default();
        let oldest = self
            .taken
            .iter()
            .position(|(other, _)| held.get(other) == Some(&most));
        match oldest {
            Some(oldest) if most > own => SlotDecision::Replace(self.taken.remove(oldest).1),
            Some(_) | None => SlotDecision::Refuse,
        }
    }

    pub(super) fn occupy(&mut self, peer: IpAddr, connection: T) {
        self.taken.push((peer, connection));
    }

    /// Frees the slot of a connection that has ended, if it still has one.
    pub(super) fn release(&mut self, is: impl Fn(&T) -> bool) {
        self.taken.retain(|(_, connection)| !is(connection));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        total: 6,
        per_peer: 3,
    };

    fn peer(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    /// Returns slots with connections of these peers, numbered in the order of their arrival.
    fn slots(peers: &[u8]) -> ConnectionSlots<usize> {
        let mut slots = ConnectionSlots::new(LIMITS);
        for (number, from) in peers.iter().enumerate() {
            assert_eq!(slots.decide(peer(*from)), SlotDecision::Free);
            slots.occupy(peer(*from), number);
        }
        slots
    }

    #[test]
    fn a_peer_has_no_more_than_its_share() {
        let mut slots = slots(&[1, 1, 1]);
        assert_eq!(slots.decide(peer(1)), SlotDecision::Refuse);
        assert_eq!(slots.decide(peer(2)), SlotDecision::Free);
        slots.release(|number| *number == 1);
        assert_eq!(slots.decide(peer(1)), SlotDecision::Free);
    }

    #[test]
    fn a_newcomer_takes_the_oldest_place_of_the_largest_holder() {
        let mut slots = slots(&[3, 2, 1, 1, 2, 1]);
        assert_eq!(slots.decide(peer(4)), SlotDecision::Replace(2));
        slots.occupy(peer(4), 6);
        // Peers 1 and 2 have two connections each; the oldest of these four belongs to peer 2.
        assert_eq!(slots.decide(peer(5)), SlotDecision::Replace(1));
        slots.occupy(peer(5), 7);
        assert_eq!(slots.len(), LIMITS.total);
    }

    #[test]
    fn a_peer_takes_no_place_of_a_peer_that_holds_no_more() {
        let mut slots = slots(&[1, 2, 3, 4, 5, 6]);
        assert_eq!(slots.decide(peer(1)), SlotDecision::Refuse);
        // A peer without a connection gets a slot.
        assert_eq!(slots.decide(peer(7)), SlotDecision::Replace(0));
    }
}
