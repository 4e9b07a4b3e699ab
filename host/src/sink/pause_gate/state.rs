//! Decides whether a request may begin. Pure: every time is a duration since a fixed start.

use super::history::PauseHistory;
use std::time::Duration;

/// The state of one receiver.
#[derive(Debug, Default)]
pub(super) struct GateState {
    phase: Phase,
    /// Number of pauses and changes of the receiver so far. If it has changed since a request
    /// began, the outcome of the request says nothing about the receiver now.
    pauses: u64,
    history: PauseHistory,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Requests may begin.
    #[default]
    Open,
    /// No request may begin.
    Paused { since: Duration, until: Duration },
    /// A pause is over: the next request probes.
    AwaitingProbe,
    /// One request probes, and no other may begin.
    Probing,
}

/// Identifies a permitted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Number of pauses before the request.
    pauses: u64,
    is_probe: bool,
}

impl GateState {
    /// Permits a request, unless there is a pause or another request probes.
    pub(super) fn enter(&mut self, now: Duration) -> Option<Ticket> {
        self.end_elapsed_pause(now);
        let is_probe = match self.phase {
            Phase::Open => false,
            Phase::AwaitingProbe => true,
            Phase::Paused { .. } | Phase::Probing => return None,
        };
        if is_probe {
            self.phase = Phase::Probing;
        }
        Some(Ticket {
            pauses: self.pauses,
            is_probe,
        })
    }

    /// Returns whether no pause has begun since this request was permitted.
    pub(super) fn is_current(&self, ticket: Ticket) -> bool {
        ticket.pauses == self.pauses
    }

    /// Notes that a request is over.
    pub(super) fn leave(&mut self, ticket: Ticket, is_accepted: bool) {
        let is_the_probe = self.phase == Phase::Probing && ticket.is_probe;
        if is_the_probe && ticket.pauses == self.pauses {
            self.phase = match is_accepted {
                true => Phase::Open,
                false => Phase::AwaitingProbe,
            };
        }
    }

    /// Begins a pause, or extends the current one. A pause never becomes shorter.
    pub(super) fn pause(&mut self, now: Duration, length: Duration) {
        self.end_elapsed_pause(now);
        let end = now + length;
        self.phase = match self.phase {
            Phase::Paused { since, until } => Phase::Paused {
                since,
                until: until.max(end),
            },
            Phase::Open | Phase::AwaitingProbe | Phase::Probing => {
                self.pauses += 1;
                Phase::Paused {
                    since: now,
                    until: end,
                }
            }
        };
    }

    /// Opens the gate for another receiver.
    pub(super) fn lift(&mut self, now: Duration) {
        if let Phase::Paused { since, until } = self.phase {
            self.history.add(since, until.min(now));
        }
        self.pauses += 1;
        self.phase = Phase::Open;
    }

    /// Returns how long the current pause still lasts.
    pub(super) fn remaining(&self, now: Duration) -> Option<Duration> {
        match self.phase {
            Phase::Paused { until, .. } => until.checked_sub(now).filter(|left| !left.is_zero()),
            Phase::Open | Phase::AwaitingProbe | Phase::Probing => None,
        }
    }

    /// Returns how long to wait before asking for a permit. `attempt` is the longest time of a request.
    pub(super) fn wait(&self, now: Duration, attempt: Duration) -> Option<Duration> {
        match self.phase {
            Phase::Probing => Some(attempt),
            _ => self.remaining(now),
        }
    }

    /// Returns whether no request has been accepted since the last pause began.
    pub(super) fn is_recovering(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Returns the total time of the pauses between `from` and `to`.
    pub(super) fn paused_between(&self, from: Duration, to: Duration) -> Duration {
        let current = match self.phase {
            Phase::Paused { since, until } => to.min(until).saturating_sub(from.max(since)),
            Phase::Open | Phase::AwaitingProbe | Phase::Probing => Duration::ZERO,
        };
        current + self.history.paused_between(from, to)
    }

    /// Moves a pause that is over to the history.
    fn end_elapsed_pause(&mut self, now: Duration) {
        if let Phase::Paused { since, until } = self.phase
            && until <= now
        {
            self.history.add(since, until);
            self.phase = Phase::AwaitingProbe;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn paused(seconds: u64) -> GateState {
        let mut gate = GateState::default();
        gate.pause(at(0), at(seconds));
        gate
    }

    #[test]
    fn nothing_begins_in_a_pause_and_one_request_probes_after_it() {
        let mut gate = paused(6);
        for second in 0..6 {
            assert_eq!(gate.enter(at(second)), None, "{second}");
            assert_eq!(gate.remaining(at(second)), Some(at(6 - second)));
        }
        assert_eq!(gate.remaining(at(6)), None);
        let probe = gate.enter(at(6)).unwrap();
        assert_eq!(gate.enter(at(6)), None);
        assert_eq!(gate.wait(at(6), at(10)), Some(at(10)));
        assert!(gate.is_recovering());
        gate.leave(probe, true);
        assert!(!gate.is_recovering());
        assert!(gate.enter(at(6)).is_some() && gate.enter(at(6)).is_some());
    }

    #[test]
    fn a_probe_that_is_not_accepted_is_followed_by_another_one() {
        let mut gate = paused(6);
        let probe = gate.enter(at(6)).unwrap();
        gate.leave(probe, false);
        assert!(gate.is_recovering());
        assert_eq!(gate.wait(at(7), at(10)), None);
        let second = gate.enter(at(7)).unwrap();
        assert_eq!(gate.enter(at(7)), None);
        // The receiver asks for another pause.
        gate.pause(at(8), at(5));
        gate.leave(second, false);
        assert_eq!(gate.enter(at(12)), None);
        assert!(gate.enter(at(13)).is_some());
    }

    #[test]
    fn a_request_begun_before_a_pause_does_not_end_it() {
        let mut gate = GateState::default();
        let [before, also_before] = [(); 2].map(|()| gate.enter(at(0)).unwrap());
        gate.pause(at(1), at(6));
        gate.leave(before, true);
        assert_eq!(gate.enter(at(2)), None);
        let probe = gate.enter(at(7)).unwrap();
        gate.leave(also_before, true);
        assert_eq!(gate.enter(at(7)), None, "the probe is still under way");
        // While the probe is under way, the response to an older request begins a new pause. Then
        // the probe succeeds, which must not end the new pause.
        gate.pause(at(8), at(6));
        gate.leave(probe, true);
        assert_eq!(gate.enter(at(13)), None);
        assert!(gate.enter(at(14)).is_some());
    }

    #[test]
    fn the_longest_of_several_requested_pauses_counts() {
        let mut gate = paused(6);
        gate.pause(at(1), at(1));
        assert_eq!(gate.remaining(at(1)), Some(at(5)));
        gate.pause(at(2), at(10));
        assert_eq!(gate.remaining(at(2)), Some(at(10)));
    }

    #[test]
    fn another_receiver_has_asked_for_nothing() {
        let mut gate = paused(600);
        gate.lift(at(2));
        assert!(gate.enter(at(2)).is_some() && gate.enter(at(2)).is_some());
        assert_eq!(gate.paused_between(at(0), at(600)), at(2));
    }

    #[test]
    fn the_time_of_pauses_is_known() {
        let mut gate = paused(6);
        assert_eq!(gate.paused_between(at(0), at(3)), at(3));
        assert_eq!(gate.paused_between(at(2), at(3)), at(1));
        assert_eq!(gate.paused_between(at(0), at(100)), at(6));
        let probe = gate.enter(at(10)).unwrap();
        gate.leave(probe, false);
        gate.pause(at(20), at(5));
        assert_eq!(gate.paused_between(at(0), at(22)), at(8));
        assert_eq!(gate.paused_between(at(7), at(100)), at(5));
    }
}
