//! Who is connected: a bound for all, and one for each peer address. When all places are taken, a newcomer takes the
//! place of whoever holds the most, so that no address keeps the others out: a probe of the kubelet gets in between
//! any number of idle connections.

use std::collections::HashMap;
use std::net::IpAddr;

/// How many connections there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub(super) all: usize,
    pub(super) of_one_peer: usize,
}

/// What becomes of a new connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission<T> {
    /// There is room for it.
    Admitted,
    /// It takes the place of this one, which is to be closed.
    InsteadOf(T),
    /// It is to be closed.
    Refused,
}

/// The connections there are, the oldest first.
#[derive(Debug)]
pub(super) struct Seats<T> {
    places: Places,
    taken: Vec<(IpAddr, T)>,
}

impl<T> Seats<T> {
    pub(super) fn new(places: Places) -> Self {
        let taken = Vec::with_capacity(places.all);
        Self { places, taken }
    }

    pub(super) fn len(&self) -> usize {
        self.taken.len()
    }

    /// Decides on a new connection. Whoever is admitted has to be noted with [`Seats::take`].
    pub(super) fn admit(&mut self, peer: IpAddr) -> Admission<T> {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for (other, _) in &self.taken {
            *held.entry(*other).or_default() += 1;
        }
        let own = held.get(&peer).copied().unwrap_or_default();
        if own >= self.places.of_one_peer {
            return Admission::Refused;
        }
        if self.taken.len() < self.places.all {
            return Admission::Admitted;
        }
        let most = held.values().copied().max().unwrap_or_default();
        let oldest = self
            .taken
            .iter()
            .position(|(other, _)| held.get(other) == Some(&most));
        match oldest {
            Some(oldest) if most > own => Admission::InsteadOf(self.taken.remove(oldest).1),
            Some(_) | None => Admission::Refused,
        }
    }

    pub(super) fn take(&mut self, peer: IpAddr, connection: T) {
        self.taken.push((peer, connection));
    }

    /// Frees the place of a connection that has ended, if it still has one.
    pub(super) fn leave(&mut self, is: impl Fn(&T) -> bool) {
        self.taken.retain(|(_, connection)| !is(connection));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: Places = Places {
        all: 6,
        of_one_peer: 3,
    };

    fn peer(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    /// Connections of these peers, numbered in the order in which they came.
    fn seats(peers: &[u8]) -> Seats<usize> {
        let mut seats = Seats::new(PLACES);
        for (number, from) in peers.iter().enumerate() {
            assert_eq!(seats.admit(peer(*from)), Admission::Admitted);
            seats.take(peer(*from), number);
        }
        seats
    }

    #[test]
    fn a_peer_has_no_more_than_its_share() {
        let mut seats = seats(&[1, 1, 1]);
        assert_eq!(seats.admit(peer(1)), Admission::Refused);
        assert_eq!(seats.admit(peer(2)), Admission::Admitted);
        seats.leave(|number| *number == 1);
        assert_eq!(seats.admit(peer(1)), Admission::Admitted);
    }

    #[test]
    fn a_newcomer_takes_the_oldest_place_of_the_largest_holder() {
        let mut seats = seats(&[3, 2, 1, 1, 2, 1]);
        assert_eq!(seats.admit(peer(4)), Admission::InsteadOf(2));
        seats.take(peer(4), 6);
        // Peers 1 and 2 have two each: of those, 2 was there first.
        assert_eq!(seats.admit(peer(5)), Admission::InsteadOf(1));
        seats.take(peer(5), 7);
        assert_eq!(seats.len(), PLACES.all);
    }

    #[test]
    fn a_peer_takes_no_place_of_a_peer_that_holds_no_more() {
        let mut seats = seats(&[1, 2, 3, 4, 5, 6]);
        assert_eq!(seats.admit(peer(1)), Admission::Refused);
        // One that has none yet gets in.
        assert_eq!(seats.admit(peer(7)), Admission::InsteadOf(0));
    }
}
