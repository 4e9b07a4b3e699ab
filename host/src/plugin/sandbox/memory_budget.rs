//! One memory budget for all running instances. Each call has a reserved part that no other call
//! can use. The rest of the budget is shared by the calls that need more.
//!
//! A call that needs more shared memory than it can get now ends and returns its memory. It waits
//! until it can get all the memory that it may need, and runs once more. It must not keep its
//! memory while it waits: two such calls would wait for each other for ever.

mod shared_pool;

use super::limits::MAX_PLUGIN_THREADS;
use crate::locked::{Locked, unpoisoned};
use shared_pool::{MIN_GROWTH_BYTES, SharedPool};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, MutexGuard};
use std::time::Instant;

/// Memory of all plugins if the system sets no limit. It is the same as with the limit of 256 MiB
/// in the manifest in `deploy`.
const DEFAULT_TOTAL_BYTES: u64 = 96 * 1024 * 1024;
/// Lower bound of the budget, for small limits.
const MIN_TOTAL_BYTES: u64 = 16 * 1024 * 1024;
/// Upper bound of the budget, unless the configuration sets more.
const MAX_TOTAL_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Number of calls with a reserved part: one for each thread that runs plugins, and two for plugins
/// that are tested during a load.
const MAX_RESERVED_CALLS: usize = MAX_PLUGIN_THREADS + 2;
/// Divisor of the budget that gives the reserved part of a call. With 96 MiB this part is 1.5 MiB,
/// more than a bundled plugin uses for an event. The remaining 69 MiB are shared, so that a call
/// can have the default `limits.memoryBytes` of 64 MiB.
const RESERVED_FRACTION: usize = 64;

/// Returns the default budget for a memory limit of the process. The rest of the limit is for the
/// observer itself and for the compiler process.
#[must_use]
pub fn default_plugin_memory(limit: Option<u64>) -> u64 {
    match limit {
        Some(limit) => (limit / 8)
            .saturating_mul(3)
            .clamp(MIN_TOTAL_BYTES, MAX_TOTAL_BYTES),
        None => DEFAULT_TOTAL_BYTES,
    }
}

/// The memory budget of all instances. A clone shares the same budget.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    /// Reserved bytes of each call.
    reserved: usize,
    /// Number of running calls.
    running: AtomicUsize,
    /// Bytes of machine code of the loaded plugins.
    code: AtomicUsize,
    next: AtomicU64,
    shared: Locked<SharedPool>,
    returned: Condvar,
}

// === impl MemoryBudget ===

impl MemoryBudget {
    /// Returns a budget of `total` bytes.
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

    /// Returns the size of the budget in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.total as u64
    }

    /// Returns the memory in bytes that one call can get if no other call needs memory.
    #[must_use]
    pub fn largest_call(&self) -> u64 {
        (self.0.reserved + self.0.lock().size()) as u64
    }

    /// Returns the bytes of the shared part that are in use.
    #[must_use]
    pub fn shared_in_use(&self) -> u64 {
        let shared = self.0.lock();
        shared.in_use() as u64
    }

    /// Registers one more plugin.
    pub(crate) fn plugin_memory(&self) -> PluginMemory {
        PluginMemory {
            budget: self.clone(),
            plugin: self.0.next.fetch_add(1, Ordering::Relaxed),
            usual: AtomicUsize::new(0),
        }
    }

    /// Returns the bytes that are left for machine code. The code of all plugins may use as much
    /// memory as their instances.
    pub(crate) fn code_bytes_left(&self) -> u64 {
        let used = self.0.code.load(Ordering::Relaxed);
        self.0.total.saturating_sub(used) as u64
    }

    /// Reserves memory for machine code until the returned value is dropped. Returns `None` if not
    /// enough is left.
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

/// The reserved memory of a plugin's machine code.
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

/// The memory that calls of one plugin use, and the amount that they usually need.
#[derive(Debug)]
pub(crate) struct PluginMemory {
    budget: MemoryBudget,
    plugin: u64,
    /// Bytes of the shared part that a call usually needs.
    usual: AtomicUsize,
}

impl PluginMemory {
    pub(crate) fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Returns whether calls of this plugin usually need shared memory.
    pub(crate) fn is_large(&self) -> bool {
        self.usual.load(Ordering::Relaxed) > 0
    }

    /// Reserves the memory that calls of this plugin usually need. Returns `None` if that is not
    /// possible before `deadline`.
    pub(crate) fn reserve_usual(self: &Arc<Self>, deadline: Instant) -> Option<CallMemory> {
        let usual = self.usual.load(Ordering::Relaxed);
        self.begin().wait(usual, deadline)
    }

    /// Reserves `limit` bytes, or the most that a call can get. Returns `None` if that is not
    /// possible before `deadline`.
    pub(crate) fn reserve_whole(
        self: &Arc<Self>,
        limit: usize,
        deadline: Instant,
    ) -> Option<CallMemory> {
        let call_memory = self.begin();
        let rest = limit.saturating_sub(call_memory.reserved);
        call_memory.wait(rest, deadline)
    }

    /// Returns a call with only its reserved part.
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

/// The call needs more memory than it has, and the shared part is in use.
#[derive(Debug, thiserror::Error)]
#[error("the memory that plugins share is taken")]
pub(crate) struct Starved;

/// The memory of one call. When this value is dropped, the memory returns to the budget.
#[derive(Debug)]
pub(crate) struct CallMemory {
    plugin_memory: Arc<PluginMemory>,
    reserved: usize,
    /// Bytes of the shared part.
    taken: usize,
    /// Most bytes of the shared part that the call needed at the same time.
    used: usize,
    /// The call needed more memory than was free.
    pub(crate) starved: bool,
    /// False if the call did not get the memory that it waited for, and so did not run.
    ran: bool,
}

impl CallMemory {
    /// Waits for the turn of this call, and takes `bytes` of the shared part, or the most that a
    /// call can get. Returns `None` at the deadline.
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
        // The next waiting call may have its turn now.
        inner.returned.notify_all();
        self.ran = granted;
        granted.then_some(self)
    }

    /// Extends the memory of the call to `bytes`. Never waits.
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
        // Takes no lock for a call that needed only its reserved part.
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
