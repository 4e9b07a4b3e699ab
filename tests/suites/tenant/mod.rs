//! Attacks by a user who may create Pods and TaskRuns in one namespace, or by a pod that reaches the observer's
//! ports, each beside an innocent run whose events must arrive, right, while the attack goes on.

mod admin;
mod budget;
mod fairness;
mod memory;
mod ownership;
mod quotas;
mod settings;
mod terminal;
mod unreadable;

use jiff::Timestamp;
use step_observer::observe::{Change, Tracker};
use step_observer_core::Ledger;

/// A tracker as for a cluster whose lists are complete.
fn live() -> Tracker {
    let mut tracker = Tracker::new(Ledger::new(Timestamp::MIN));
    let without = Vec::new();
    tracker.apply(Change::Listed { without }, Timestamp::UNIX_EPOCH);
    tracker
}
