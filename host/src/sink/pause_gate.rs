//! Pauses that a receiver asks for with `Retry-After`. No request begins until the pause is over; then one request probes,
//! and others follow only after the receiver has accepted it.

mod history;
mod state;

use crate::locked::Locked;
use state::{GateState, Ticket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Tracks the pauses of one receiver. Clones share the state.
#[derive(Clone, Debug)]
pub struct PauseGate {
    /// Longest pause that the receiver gets.
    longest: Duration,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The moment from which the times in `state` count.
    began: Instant,
    state: Locked<GateState>,
}

/// The permission for one request. Dropped without [`Permit::accepted`], it counts the request as failed.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    gate: &'a PauseGate,
    ticket: Ticket,
    is_accepted: bool,
}

/// Says whether a permitted request may still begin: a pause may have begun while it waited for its connection.
#[derive(Clone, Debug)]
pub(super) struct PermitGuard {
    gate: PauseGate,
    ticket: Ticket,
    has_withheld: Arc<AtomicBool>,
}

impl PauseGate {
    /// Allows pauses of at most this length, and no pauses at all if it is zero.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        let shared = Shared {
            began: Instant::now(),
            state: Locked::default(),
        };
        Self {
            longest,
            shared: Arc::new(shared),
        }
    }

    /// Returns the same gate with another bound for pauses that begin from now on.
    #[must_use]
    pub fn bounded(&self, longest: Duration) -> Self {
        Self {
            longest,
            shared: self.shared.clone(),
        }
    }

    /// Returns the longest pause that the receiver gets.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Permits a request that begins now. Returns `None` during a pause, and while another request probes.
    pub(super) fn enter(&self) -> Option<Permit<'_>> {
        let ticket = self.with_state(GateState::enter)?;
        Some(Permit {
            gate: self,
            ticket,
            is_accepted: false,
        })
    }

    /// Begins a pause that lasts `asked` from now on, or extends the current one to that time; neither goes beyond the
    /// bound. Returns the length from now on.
    pub(super) fn begin(&self, asked: Duration) -> Duration {
        let length = asked.min(self.longest);
        if !length.is_zero() {
            self.with_state(|state, now| state.pause(now, length));
        }
        length
    }

    /// Ends the pause, because events go to another receiver from now on.
    pub(crate) fn lift(&self) {
        self.with_state(GateState::lift);
    }

    /// Returns how long the current pause still lasts.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.with_state(|state, now| state.remaining(now))
    }

    /// Returns how long to wait before asking for a permit: the rest of a pause, or `attempt`, the longest time of a
    /// request, while one probes. `None` if a request may begin at once.
    pub(crate) fn wait(&self, attempt: Duration) -> Option<Duration> {
        self.with_state(|state, now| state.wait(now, attempt))
    }

    /// Returns whether the receiver has accepted nothing since the last pause began.
    pub(crate) fn is_recovering(&self) -> bool {
        self.with_state(|state, _| state.is_recovering())
    }

    /// Returns how much of the last `age` were pauses.
    pub(crate) fn paused_within(&self, age: Duration) -> Duration {
        self.with_state(|state, now| state.paused_between(now.saturating_sub(age), now))
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut GateState, Duration) -> T) -> T {
        let mut state = self.shared.state.lock();
        // The clock is read under the lock, so that the times of calls have the order of the calls.
        work(&mut state, self.shared.began.elapsed())
    }
}

impl PermitGuard {
    /// Returns whether no pause has begun since the request was permitted.
    pub(super) fn permits(&self) -> bool {
        let permits = (self.gate).with_state(|state, _| state.is_current(self.ticket));
        self.has_withheld.fetch_or(!permits, Ordering::Relaxed);
        permits
    }

    /// Returns whether [`PermitGuard::permits`] has ever returned `false`.
    pub(super) fn has_withheld(&self) -> bool {
        self.has_withheld.load(Ordering::Relaxed)
    }
}

impl Permit<'_> {
    /// Returns the guard that the request asks once it has its connection.
    pub(super) fn guard(&self) -> PermitGuard {
        PermitGuard {
            gate: self.gate.clone(),
            ticket: self.ticket,
            has_withheld: Arc::default(),
        }
    }

    /// Notes that the receiver has accepted the request.
    pub(super) fn accepted(mut self) {
        self.is_accepted = true;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        (self.gate).with_state(|state, _| state.leave(self.ticket, self.is_accepted));
    }
}
