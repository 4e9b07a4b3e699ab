//! Pauses that a receiver requests with `Retry-After`. During a pause no request begins. After the
//! pause a single request is sent as a probe; other requests follow only if the receiver accepts
//! the probe.

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
    /// Start of the clock: the times in `state` are measured from this moment.
    began: Instant,
    state: Locked<GateState>,
}

/// Permission for one request. If it is dropped without a call of [`Permit::accepted`], the request
/// counts as failed.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    gate: &'a PauseGate,
    ticket: Ticket,
    is_accepted: bool,
}

/// Checks whether a permitted request may still begin, because a pause may have begun while the
/// request waited for its connection.
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

    /// Returns a gate with the same state, and with another maximum length for new pauses.
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

    /// Begins a pause of the requested length, counted from now, but at most the gate's maximum. A
    /// current pause is extended if it would end earlier, and never shortened. Returns the limited
    /// length.
    pub(super) fn begin(&self, asked: Duration) -> Duration {
        let length = asked.min(self.longest);
        if !length.is_zero() {
            self.with_state(|state, now| state.pause(now, length));
        }
        length
    }

    /// Ends the pause, because the sink has a new receiver.
    pub(crate) fn lift(&self) {
        self.with_state(GateState::lift);
    }

    /// Returns how long the current pause still lasts.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.with_state(|state, now| state.remaining(now))
    }

    /// Returns how long to wait before asking for a permit: the rest of the pause, or `attempt`
    /// (the maximum duration of a request) while another request is the probe. `None` if a request
    /// may begin at once.
    pub(crate) fn wait(&self, attempt: Duration) -> Option<Duration> {
        self.with_state(|state, now| state.wait(now, attempt))
    }

    /// Returns whether the receiver has accepted nothing since the last pause began.
    pub(crate) fn is_recovering(&self) -> bool {
        self.with_state(|state, _| state.is_recovering())
    }

    /// Returns the total time of the pauses within the last `age`.
    pub(crate) fn paused_within(&self, age: Duration) -> Duration {
        self.with_state(|state, now| state.paused_between(now.saturating_sub(age), now))
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut GateState, Duration) -> T) -> T {
        let mut state = self.shared.state.lock();
        // Reads the clock while holding the lock, so that the times passed to `state` never go
        // backwards.
        work(&mut state, self.shared.began.elapsed())
    }
}

impl PermitGuard {
    /// Returns whether the request may begin: no pause has begun since it was permitted.
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
    /// Returns a guard, which the request checks once it has a connection.
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
