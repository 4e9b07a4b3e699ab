//! Attacks by a user who may create Pods and TaskRuns in one namespace, or by a pod that reaches
//! the observer's ports. Beside each attack there is an innocent run, whose events must arrive,
//! correct, during the attack.

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

/// Returns a tracker whose first lists are complete.
fn live() -> Tracker {
    let mut tracker = Tracker::new(Ledger::new(Timestamp::MIN));
    let without = Vec::new();
    tracker.apply(Change::Listed { without }, Timestamp::UNIX_EPOCH);
    tracker
}
