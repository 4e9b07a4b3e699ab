//! The pause that a receiver asks for with `Retry-After`: until it is over no request to it begins; then one probes, and
//! only if that one is taken do others follow.

mod history;
mod state;

use crate::locked::Locked;
use state::{GateState, Ticket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// The pauses of one receiver. Clones share them.
#[derive(Clone, Debug)]
pub struct PauseGate {
    /// Longest pause that is made.
    longest: Duration,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    began: Instant,
    gate: Locked<GateState>,
}

/// The permission for one request. If it is dropped without [`Permit::taken`], the request counts as failed.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    pause: &'a PauseGate,
    ticket: Ticket,
    is_taken: bool,
}

/// Says whether a request that was permitted may still begin: it may have waited for its connection since.
#[derive(Clone, Debug)]
pub(super) struct PermitGuard {
    pause: PauseGate,
    ticket: Ticket,
    has_withheld: Arc<AtomicBool>,
}

impl PauseGate {
    /// Pauses of this length at most; none at all if it is zero.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        let shared = Shared {
            began: Instant::now(),
            gate: Locked::default(),
        };
        Self {
            longest,
            shared: Arc::new(shared),
        }
    }

    /// The same pauses, with another bound for those that begin from now on.
    #[must_use]
    pub fn bounded(&self, longest: Duration) -> Self {
        Self {
            longest,
            shared: self.shared.clone(),
        }
    }

    /// The longest pause that is made.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Gives the permission to begin a request now. Nothing during a pause, and while another request probes.
    pub(super) fn enter(&self) -> Option<Permit<'_>> {
        let ticket = self.gate(GateState::enter)?;
        Some(Permit {
            pause: self,
            ticket,
            is_taken: false,
        })
    }

    /// Begins a pause, or makes the one that is under way longer: `wish` from now on, but not beyond the bound. Gives
    /// the length that it has.
    pub(super) fn begin(&self, wish: Duration) -> Duration {
        let length = wish.min(self.longest);
        if !length.is_zero() {
            self.gate(|gate, now| gate.pause(now, length));
        }
        length
    }

    /// Ends the pause: the receiver is another one.
    pub(crate) fn lift(&self) {
        self.gate(GateState::lift);
    }

    /// How long the pause still lasts, if there is one.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.gate(|gate, now| gate.remaining(now))
    }

    /// How long to wait before a request may be begun: until the end of the pause; `attempt`, the longest time of a
    /// request, while one probes; nothing otherwise.
    pub(crate) fn wait(&self, attempt: Duration) -> Option<Duration> {
        self.gate(|gate, now| gate.wait(now, attempt))
    }

    /// Has the receiver taken nothing since the last pause?
    pub(crate) fn is_recovering(&self) -> bool {
        self.gate(|gate, _| gate.is_recovering())
    }

    /// How much of the last `age` the receiver has asked to wait.
    pub(crate) fn paused_within(&self, age: Duration) -> Duration {
        self.gate(|gate, now| gate.paused_between(now.saturating_sub(age), now))
    }

    fn gate<T>(&self, work: impl FnOnce(&mut GateState, Duration) -> T) -> T {
        let mut gate = self.shared.gate.lock();
        // Read under the lock, so that the times of calls have the order of the calls.
        work(&mut gate, self.shared.began.elapsed())
    }
}

impl PermitGuard {
    /// Has no pause begun since the request was permitted?
    pub(super) fn permits(&self) -> bool {
        let permits = self.pause.gate(|gate, _| gate.is_current(self.ticket));
        self.has_withheld.fetch_or(!permits, Ordering::Relaxed);
        permits
    }

    /// Has it ever not permitted the request?
    pub(super) fn has_withheld(&self) -> bool {
        self.has_withheld.load(Ordering::Relaxed)
    }
}

impl Permit<'_> {
    /// What the request asks once it has its connection.
    pub(super) fn guard(&self) -> PermitGuard {
        PermitGuard {
            pause: self.pause.clone(),
            ticket: self.ticket,
            has_withheld: Arc::default(),
        }
    }

    /// The receiver has taken what was sent.
    pub(super) fn taken(mut self) {
        self.is_taken = true;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        (self.pause).gate(|gate, _| gate.leave(self.ticket, self.is_taken));
    }
}
