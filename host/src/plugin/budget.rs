//! One memory budget for all running instances. Each call has a share of its own, which nobody can take from it;
//! what is left of the budget is shared, and calls that need more take from that.
//!
//! A call that finds the shared part taken is not left to wait with what it has: two of them would wait for each
//! other. It ends, gives everything back, waits until it can have all that it may need, and runs once more.

use super::pool::ChainPool;
use crate::locked::{Locked, unpoisoned};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, MutexGuard};
use std::time::Instant;

/// What plugins have together where the system sets no limit: as much as with the limit of the manifest in `deploy`,
/// 256 MiB.
const WITHOUT_LIMIT: u64 = 96 * 1024 * 1024;
/// Least that they have together, however small the limit is.
const LEAST: u64 = 16 * 1024 * 1024;
/// Most that they have together unless the configuration says more.
const MOST: u64 = 4 * 1024 * 1024 * 1024;
/// Calls that have a share of their own: one for each thread that runs plugins, and two for plugins that are tried
/// when they are loaded.
const OWN_SHARES: usize = ChainPool::THREADS + 2;
/// The own share of a call is this part of the budget. With 96 MiB it is 1.5 MiB: more than a bundled plugin takes
/// for an event, and 69 MiB are shared, so that a call can have the default `limits.memoryBytes` of 64 MiB.
const OWN_PART: usize = 64;
/// Least that is taken from the shared part at a time: memory often grows by single pages.
const STEP: usize = 256 * 1024;

/// How much of a limit on the process's memory plugins may have: the rest is for everything else, and for the child
/// process that compiles plugins.
#[must_use]
pub fn plugin_memory_of(limit: Option<u64>) -> u64 {
    match limit {
        Some(limit) => (limit / 8).saturating_mul(3).clamp(LEAST, MOST),
        None => WITHOUT_LIMIT,
    }
}

/// What all instances may have together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    /// Share of each call.
    own: usize,
    /// Calls that run.
    running: AtomicUsize,
    /// Bytes of machine code of the plugins that are loaded.
    code: AtomicUsize,
    next: AtomicU64,
    shared: Locked<Shared>,
    returned: Condvar,
}

/// The part that calls share. Without clock and locks.
#[derive(Debug)]
struct Shared {
    size: usize,
    free: usize,
    plugins: BTreeMap<u64, Use>,
    waiting: Vec<Waiting>,
    turn: u64,
}

/// What a plugin has of the shared part.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    held: usize,
    /// What its calls usually take: so much is kept for it while it has less.
    usual: usize,
    /// Its last turn.
    served: u64,
}

/// A call that waits for its turn.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    plugin: u64,
    ticket: u64,
    bytes: usize,
}

impl Shared {
    fn new(size: usize) -> Self {
        Self {
            size,
            free: size,
            plugins: BTreeMap::new(),
            waiting: Vec::new(),
            turn: 0,
        }
    }

    /// What is kept for a plugin: a quarter of what is shared at most, or one that hoards would keep others out.
    fn kept(&self, of: &Use) -> usize {
        of.usual.min(self.size / 4)
    }

    /// What the others may count on, and do not have at the moment.
    fn kept_for_others(&self, plugin: u64, missing: impl Fn(usize, &Use) -> usize) -> usize {
        let others = self.plugins.iter().filter(|(id, _)| **id != plugin);
        let kept = others.map(|(_, of)| missing(self.kept(of), of));
        // However many plugins there are, half of it is for whoever comes.
        kept.fold(0, usize::saturating_add).min(self.size / 2)
    }

    /// Can it be had now?
    fn fits(&self, plugin: u64, bytes: usize) -> bool {
        let kept = self.kept_for_others(plugin, |kept, of| kept.saturating_sub(of.held));
        bytes <= self.free.saturating_sub(kept)
    }

    /// The most that a call can have if it waits long enough.
    fn most(&self, plugin: u64) -> usize {
        self.size - self.kept_for_others(plugin, |kept, _| kept)
    }

    /// Is it the turn of this call? The plugin that was served longest ago comes first, and whoever does not fit holds
    /// all after it, or large calls would wait for ever; but what is kept for a plugin it gets at once.
    fn is_turn(&self, ticket: u64) -> bool {
        let Some(call) = self.waiting.iter().find(|call| call.ticket == ticket) else {
            return false;
        };
        if !self.fits(call.plugin, call.bytes) {
            return false;
        }
        let rank = |call: &Waiting| {
            let served = self.plugins.get(&call.plugin).map_or(0, |of| of.served);
            (served, call.ticket)
        };
        let is_first = self.waiting.iter().all(|other| rank(call) <= rank(other));
        is_first || self.is_kept(call.plugin, call.bytes)
    }

    /// Is it kept for this plugin?
    fn is_kept(&self, plugin: u64, bytes: usize) -> bool {
        let of = self.plugins.get(&plugin).copied().unwrap_or_default();
        of.held.saturating_add(bytes) <= self.kept(&of)
    }

    fn enqueue(&mut self, plugin: u64, bytes: usize) -> u64 {
        self.turn += 1;
        let ticket = self.turn;
        self.waiting.push(Waiting {
            plugin,
            ticket,
            bytes,
        });
        ticket
    }

    fn leave(&mut self, ticket: u64) {
        self.waiting.retain(|call| call.ticket != ticket);
    }

    fn take(&mut self, plugin: u64, bytes: usize) {
        self.turn += 1;
        self.free = self.free.saturating_sub(bytes);
        let of = self.plugins.entry(plugin).or_default();
        of.held = of.held.saturating_add(bytes);
        of.served = self.turn;
    }

    fn give_back(&mut self, plugin: u64, bytes: usize) {
        self.free = self.free.saturating_add(bytes).min(self.size);
        if let Some(of) = self.plugins.get_mut(&plugin) {
            of.held = of.held.saturating_sub(bytes);
        }
    }

    /// Notes what a call has taken of the shared part, and gives what its plugin's calls usually take. One large event
    /// is forgotten after some dozens of others.
    fn note(&mut self, plugin: u64, used: usize) -> usize {
        let of = self.plugins.entry(plugin).or_default();
        let faded = of.usual - of.usual / 32;
        of.usual = match used.max(faded) {
            // What is left of a large event is no need.
            usual if usual < STEP && used == 0 => 0,
            usual => usual,
        };
        of.usual
    }
}

// === impl MemoryBudget ===

impl MemoryBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(total: u64) -> Self {
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let own = total / OWN_PART;
        Self(Arc::new(Inner {
            total,
            own,
            running: AtomicUsize::new(0),
            code: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            shared: Locked::new(Shared::new(total - own * OWN_SHARES)),
            returned: Condvar::new(),
        }))
    }

    /// All of it, in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.total as u64
    }

    /// The most that one call can have while nobody else needs anything, in bytes.
    #[must_use]
    pub fn largest_call(&self) -> u64 {
        (self.0.own + self.0.lock().size) as u64
    }

    /// What calls have of the shared part at the moment, in bytes.
    #[must_use]
    pub fn shared_in_use(&self) -> u64 {
        let shared = self.0.lock();
        (shared.size - shared.free) as u64
    }

    /// An account for one more plugin.
    pub(super) fn account(&self) -> Account {
        Account {
            budget: self.clone(),
            plugin: self.0.next.fetch_add(1, Ordering::Relaxed),
            usual: AtomicUsize::new(0),
        }
    }

    /// Room for the machine code of one more plugin, in bytes: all plugins together have as much for their code as for
    /// their instances.
    pub(super) fn room_for_code(&self) -> u64 {
        let used = self.0.code.load(Ordering::Relaxed);
        self.0.total.saturating_sub(used) as u64
    }

    /// Takes room for machine code until what is given back is dropped.
    pub(super) fn hold_code(&self, bytes: usize) -> Option<CodeShare> {
        let before = self.0.code.fetch_add(bytes, Ordering::Relaxed);
        let share = CodeShare {
            budget: self.clone(),
            bytes,
        };
        (before.saturating_add(bytes) <= self.0.total).then_some(share)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock()
    }
}

/// Room that the machine code of a plugin takes.
#[derive(Debug)]
pub(super) struct CodeShare {
    budget: MemoryBudget,
    bytes: usize,
}

impl Drop for CodeShare {
    fn drop(&mut self) {
        self.budget.0.code.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What one plugin takes and usually takes.
#[derive(Debug)]
pub(super) struct Account {
    budget: MemoryBudget,
    plugin: u64,
    /// Bytes of the shared part that a call usually takes.
    usual: AtomicUsize,
}

impl Account {
    pub(super) fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Do its calls usually take something of what is shared?
    pub(super) fn is_large(&self) -> bool {
        self.usual.load(Ordering::Relaxed) > 0
    }

    /// A share for one call: what calls of this plugin usually take. `None` if it cannot be had until `deadline`.
    pub(super) fn share(self: &Arc<Self>, deadline: Instant) -> Option<Share> {
        let usual = self.usual.load(Ordering::Relaxed);
        self.begin().wait(usual, deadline)
    }

    /// A share of all that a call may need, `limit`, or of as much as it can get at all.
    pub(super) fn whole_share(self: &Arc<Self>, limit: usize, deadline: Instant) -> Option<Share> {
        let share = self.begin();
        let rest = limit.saturating_sub(share.own);
        share.wait(rest, deadline)
    }

    /// A share of nothing but what is a call's own.
    fn begin(self: &Arc<Self>) -> Share {
        let inner = &self.budget.0;
        let running = inner.running.fetch_add(1, Ordering::Relaxed);
        Share {
            account: self.clone(),
            own: match running < OWN_SHARES {
                true => inner.own,
                false => 0,
            },
            taken: 0,
            used: 0,
            starved: false,
            ran: true,
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.0.lock().plugins.remove(&self.plugin);
        self.budget.0.returned.notify_all();
    }
}

/// The shared part is taken: the call cannot go on with what it has.
#[derive(Debug, thiserror::Error)]
#[error("the memory that plugins share is taken")]
pub(super) struct Starved;

/// What one call has. It is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    account: Arc<Account>,
    own: usize,
    /// Of the shared part.
    taken: usize,
    /// Most that the call needed of the shared part.
    used: usize,
    /// It needed more than it could get at once.
    pub(super) starved: bool,
    /// It did not wait in vain.
    ran: bool,
}

impl Share {
    /// Takes `bytes` of the shared part, or as much as a call can have, once it is its turn.
    fn wait(mut self, bytes: usize, deadline: Instant) -> Option<Self> {
        if bytes == 0 {
            return Some(self);
        }
        let inner = &self.account.budget.0;
        let plugin = self.account.plugin;
        let mut shared = inner.lock();
        let bytes = bytes.min(shared.most(plugin));
        let ticket = shared.enqueue(plugin, bytes);
        let granted = loop {
            if shared.is_turn(ticket) {
                shared.take(plugin, bytes);
                self.taken = bytes;
                break true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break false;
            }
            let woken = inner.returned.wait_timeout(shared, left);
            shared = unpoisoned(woken).0;
        };
        shared.leave(ticket);
        drop(shared);
        // It may be another's turn now.
        inner.returned.notify_all();
        self.ran = granted;
        granted.then_some(self)
    }

    /// Makes it cover so many bytes. Never waits.
    pub(super) fn cover(&mut self, bytes: usize) -> Result<(), Starved> {
        let beyond = bytes.saturating_sub(self.own);
        self.used = self.used.max(beyond);
        if beyond <= self.taken {
            return Ok(());
        }
        let missing = beyond - self.taken;
        let plugin = self.account.plugin;
        let mut shared = self.account.budget.0.lock();
        let nobody_waits = shared.waiting.is_empty();
        let more = [missing.max(STEP), missing].into_iter().find(|more| {
            shared.fits(plugin, *more) && (nobody_waits || shared.is_kept(plugin, *more))
        });
        let Some(more) = more else {
            self.starved = true;
            return Err(Starved);
        };
        shared.take(plugin, more);
        self.taken += more;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let inner = &self.account.budget.0;
        inner.running.fetch_sub(1, Ordering::Relaxed);
        // Calls that need nothing but their own meet no lock.
        if self.taken == 0 && self.used == 0 && !self.account.is_large() {
            return;
        }
        let mut shared = inner.lock();
        shared.give_back(self.account.plugin, self.taken);
        if self.ran {
            let usual = shared.note(self.account.plugin, self.used);
            self.account.usual.store(usual, Ordering::Relaxed);
        }
        drop(shared);
        inner.returned.notify_all();
    }
}

#[cfg(test)]
mod tests;
