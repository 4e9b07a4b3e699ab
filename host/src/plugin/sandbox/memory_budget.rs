//! One memory budget for all running instances. Each call has a call_memory of its reserved, which nobody can take from it;
//! what is left of the budget is shared, and calls that need more take from that.
//!
//! A call that finds the shared part taken is not left to wait with what it has: two of them would wait for each
//! other. It ends, gives everything back, waits until it can have all that it may need, and runs once more.

mod shared_pool;

use super::limits::MAX_PLUGIN_THREADS;
use crate::locked::{Locked, unpoisoned};
use shared_pool::{MIN_GROWTH_BYTES, SharedPool};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, MutexGuard};
use std::time::Instant;

/// What plugins have together where the system sets no limit: as much as with the limit of the manifest in `deploy`,
/// 256 MiB.
const DEFAULT_TOTAL_BYTES: u64 = 96 * 1024 * 1024;
/// Least that they have together, however small the limit is.
const MIN_TOTAL_BYTES: u64 = 16 * 1024 * 1024;
/// Most that they have together unless the configuration says more.
const MAX_TOTAL_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Calls that have a call_memory of their reserved: one for each thread that runs plugins, and two for plugins that are tried
/// when they are loaded.
const MAX_RESERVED_CALLS: usize = MAX_PLUGIN_THREADS + 2;
/// The reserved call_memory of a call is this part of the budget. With 96 MiB it is 1.5 MiB: more than a bundled plugin takes
/// for an event, and 69 MiB are shared, so that a call can have the default `limits.memoryBytes` of 64 MiB.
const RESERVED_FRACTION: usize = 64;

/// How much of a limit on the process's memory plugins may have: the rest is for everything else, and for the child
/// process that compiles plugins.
#[must_use]
pub fn default_plugin_memory(limit: Option<u64>) -> u64 {
    match limit {
        Some(limit) => (limit / 8)
            .saturating_mul(3)
            .clamp(MIN_TOTAL_BYTES, MAX_TOTAL_BYTES),
        None => DEFAULT_TOTAL_BYTES,
    }
}

/// What all instances may have together. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    /// CallMemory of each call.
    reserved: usize,
    /// Calls that run.
    running: AtomicUsize,
    /// Bytes of machine code of the plugins that are loaded.
    code: AtomicUsize,
    next: AtomicU64,
    shared: Locked<SharedPool>,
    returned: Condvar,
}

// === impl MemoryBudget ===

impl MemoryBudget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(total: u64) -> Self {
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let reserved = total / RESERVED_FRACTION;
        Self(Arc::new(Inner {
            total,
            reserved,
            running: AtomicUsize::new(0),
            code: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            shared: Locked::new(SharedPool::new(total - reserved * MAX_RESERVED_CALLS)),
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
        (self.0.reserved + self.0.lock().size()) as u64
    }

    /// What calls have of the shared part at the moment, in bytes.
    #[must_use]
    pub fn shared_in_use(&self) -> u64 {
        let shared = self.0.lock();
        shared.in_use() as u64
    }

    /// An plugin_memory for one more plugin.
    pub(crate) fn plugin_memory(&self) -> PluginMemory {
        PluginMemory {
            budget: self.clone(),
            plugin: self.0.next.fetch_add(1, Ordering::Relaxed),
            usual: AtomicUsize::new(0),
        }
    }

    /// Room for the machine code of one more plugin, in bytes: all plugins together have as much for their code as for
    /// their instances.
    pub(crate) fn code_bytes_left(&self) -> u64 {
        let used = self.0.code.load(Ordering::Relaxed);
        self.0.total.saturating_sub(used) as u64
    }

    /// Takes room for machine code until what is given back is dropped.
    pub(crate) fn reserve_code(&self, bytes: usize) -> Option<CodeMemory> {
        let before = self.0.code.fetch_add(bytes, Ordering::Relaxed);
        let reserved = CodeMemory {
            budget: self.clone(),
            bytes,
        };
        (before.saturating_add(bytes) <= self.0.total).then_some(reserved)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, SharedPool> {
        self.shared.lock()
    }
}

/// Room that the machine code of a plugin takes.
#[derive(Debug)]
pub(crate) struct CodeMemory {
    budget: MemoryBudget,
    bytes: usize,
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        self.budget.0.code.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What one plugin takes and usually takes.
#[derive(Debug)]
pub(crate) struct PluginMemory {
    budget: MemoryBudget,
    plugin: u64,
    /// Bytes of the shared part that a call usually takes.
    usual: AtomicUsize,
}

impl PluginMemory {
    pub(crate) fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Do its calls usually take something of what is shared?
    pub(crate) fn is_large(&self) -> bool {
        self.usual.load(Ordering::Relaxed) > 0
    }

    /// A call_memory for one call: what calls of this plugin usually take. `None` if it cannot be had until `deadline`.
    pub(crate) fn reserve_usual(self: &Arc<Self>, deadline: Instant) -> Option<CallMemory> {
        let usual = self.usual.load(Ordering::Relaxed);
        self.begin().wait(usual, deadline)
    }

    /// A call_memory of all that a call may need, `limit`, or of as much as it can get at all.
    pub(crate) fn reserve_whole(
        self: &Arc<Self>,
        limit: usize,
        deadline: Instant,
    ) -> Option<CallMemory> {
        let call_memory = self.begin();
        let rest = limit.saturating_sub(call_memory.reserved);
        call_memory.wait(rest, deadline)
    }

    /// A call_memory of nothing but what is a call's reserved.
    fn begin(self: &Arc<Self>) -> CallMemory {
        let inner = &self.budget.0;
        let running = inner.running.fetch_add(1, Ordering::Relaxed);
        CallMemory {
            plugin_memory: self.clone(),
            reserved: match running < MAX_RESERVED_CALLS {
                true => inner.reserved,
                false => 0,
            },
            taken: 0,
            used: 0,
            starved: false,
            ran: true,
        }
    }
}

impl Drop for PluginMemory {
    fn drop(&mut self) {
        self.budget.0.lock().remove(self.plugin);
        self.budget.0.returned.notify_all();
    }
}

/// The shared part is taken: the call cannot go on with what it has.
#[derive(Debug, thiserror::Error)]
#[error("the memory that plugins share is taken")]
pub(crate) struct Starved;

/// What one call has. It is given back when it is dropped.
#[derive(Debug)]
pub(crate) struct CallMemory {
    plugin_memory: Arc<PluginMemory>,
    reserved: usize,
    /// Of the shared part.
    taken: usize,
    /// Most that the call needed of the shared part.
    used: usize,
    /// It needed more than it could get at once.
    pub(crate) starved: bool,
    /// It did not wait in vain.
    ran: bool,
}

impl CallMemory {
    /// Takes `bytes` of the shared part, or as much as a call can have, once it is its turn.
    fn wait(mut self, bytes: usize, deadline: Instant) -> Option<Self> {
        if bytes == 0 {
            return Some(self);
        }
        let inner = &self.plugin_memory.budget.0;
        let plugin = self.plugin_memory.plugin;
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
    pub(crate) fn cover(&mut self, bytes: usize) -> Result<(), Starved> {
        let beyond = bytes.saturating_sub(self.reserved);
        self.used = self.used.max(beyond);
        if beyond <= self.taken {
            return Ok(());
        }
        let missing = beyond - self.taken;
        let plugin = self.plugin_memory.plugin;
        let mut shared = self.plugin_memory.budget.0.lock();
        let has_waiting = shared.has_waiting();
        let more = [missing.max(MIN_GROWTH_BYTES), missing]
            .into_iter()
            .find(|more| {
                shared.fits(plugin, *more) && (!has_waiting || shared.is_kept(plugin, *more))
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

impl Drop for CallMemory {
    fn drop(&mut self) {
        let inner = &self.plugin_memory.budget.0;
        inner.running.fetch_sub(1, Ordering::Relaxed);
        // Calls that need nothing but their reserved meet no lock.
        if self.taken == 0 && self.used == 0 && !self.plugin_memory.is_large() {
            return;
        }
        let mut shared = inner.lock();
        shared.give_back(self.plugin_memory.plugin, self.taken);
        if self.ran {
            let usual = shared.note(self.plugin_memory.plugin, self.used);
            self.plugin_memory.usual.store(usual, Ordering::Relaxed);
        }
        drop(shared);
        inner.returned.notify_all();
    }
}

#[cfg(test)]
mod tests;
