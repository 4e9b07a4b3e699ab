//! The part of the budget that calls share, and the order in which waiting calls get it. Uses
//! neither clock nor locks.

use std::collections::BTreeMap;

/// Smallest amount that is taken from the shared part at a time, because memory often grows by
/// single pages.
pub(super) const MIN_GROWTH_BYTES: usize = 256 * 1024;

/// The shared part of the budget.
#[derive(Debug)]
pub(super) struct SharedPool {
    size: usize,
    free: usize,
    plugins: BTreeMap<u64, PluginUse>,
    waiting: Vec<WaitingCall>,
    turn: u64,
}

/// The shared memory of one plugin.
#[derive(Clone, Copy, Debug, Default)]
struct PluginUse {
    held: usize,
    /// Number of bytes of the shared part that a call of this plugin usually needs. While the
    /// plugin uses less, the remaining bytes stay reserved for it.
    usual: usize,
    /// The turn in which this plugin was last served.
    served: u64,
}

/// A call that waits for its turn.
#[derive(Clone, Copy, Debug)]
struct WaitingCall {
    plugin: u64,
    ticket: u64,
    bytes: usize,
}

impl SharedPool {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            free: size,
            plugins: BTreeMap::new(),
            waiting: Vec::new(),
            turn: 0,
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn in_use(&self) -> usize {
        self.size - self.free
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn remove(&mut self, plugin: u64) {
        self.plugins.remove(&plugin);
    }

    /// Returns the bytes that are reserved for a plugin: at most a quarter of the shared part. So a
    /// plugin that usually needs much memory does not exclude the others.
    fn kept(&self, of: &PluginUse) -> usize {
        of.usual.min(self.size / 4)
    }

    /// Returns the bytes that are reserved for all plugins except `plugin`.
    fn kept_for_others(&self, plugin: u64, missing: impl Fn(usize, &PluginUse) -> usize) -> usize {
        let others = self.plugins.iter().filter(|(id, _)| **id != plugin);
        let kept = others.map(|(_, of)| missing(self.kept(of), of));
        // Limits the reservations to half of the shared part, so that the other half stays open to
        // all plugins.
        kept.fold(0, usize::saturating_add).min(self.size / 2)
    }

    /// Returns whether a plugin can have `bytes` now.
    pub(super) fn fits(&self, plugin: u64, bytes: usize) -> bool {
        let kept = self.kept_for_others(plugin, |kept, of| kept.saturating_sub(of.held));
        bytes <= self.free.saturating_sub(kept)
    }

    /// Returns the largest number of bytes that a call of a plugin can get, if it waits long
    /// enough.
    pub(super) fn most(&self, plugin: u64) -> usize {
        self.size - self.kept_for_others(plugin, |kept, _| kept)
    }

    /// Returns whether a waiting call may take its memory now. The first call is the call whose
    /// plugin was served least recently. The other calls wait for it even if it does not fit;
    /// otherwise large calls could wait forever. A call within the reservation of its plugin need
    /// not wait for its turn.
    pub(super) fn is_turn(&self, ticket: u64) -> bool {
        let Some(call) = self.waiting.iter().find(|call| call.ticket == ticket) else {
            return false;
        };
        if !self.fits(call.plugin, call.bytes) {
            return false;
        }
        let rank = |call: &WaitingCall| {
            let served = self.plugins.get(&call.plugin).map_or(0, |of| of.served);
            (served, call.ticket)
        };
        let is_first = self.waiting.iter().all(|other| rank(call) <= rank(other));
        is_first || self.is_kept(call.plugin, call.bytes)
    }

    /// Returns whether `bytes` more are within the reservation of a plugin.
    pub(super) fn is_kept(&self, plugin: u64, bytes: usize) -> bool {
        let of = self.plugins.get(&plugin).copied().unwrap_or_default();
        of.held.saturating_add(bytes) <= self.kept(&of)
    }

    pub(super) fn enqueue(&mut self, plugin: u64, bytes: usize) -> u64 {
        self.turn += 1;
        let ticket = self.turn;
        self.waiting.push(WaitingCall {
            plugin,
            ticket,
            bytes,
        });
        ticket
    }

    pub(super) fn leave(&mut self, ticket: u64) {
        self.waiting.retain(|call| call.ticket != ticket);
    }

    pub(super) fn take(&mut self, plugin: u64, bytes: usize) {
        self.turn += 1;
        self.free = self.free.saturating_sub(bytes);
        let of = self.plugins.entry(plugin).or_default();
        of.held = of.held.saturating_add(bytes);
        of.served = self.turn;
    }

    pub(super) fn give_back(&mut self, plugin: u64, bytes: usize) {
        self.free = self.free.saturating_add(bytes).min(self.size);
        if let Some(of) = self.plugins.get_mut(&plugin) {
            of.held = of.held.saturating_sub(bytes);
        }
    }

    /// Records how much of the shared part a call has used, and returns how much its plugin usually
    /// needs. The effect of one large event ends after a few dozen other events.
    pub(super) fn note(&mut self, plugin: u64, used: usize) -> usize {
        let of = self.plugins.entry(plugin).or_default();
        let faded = of.usual - of.usual / 32;
        of.usual = match used.max(faded) {
            // Ends the slow decrease after a large event: a small remainder counts as 0.
            usual if usual < MIN_GROWTH_BYTES && used == 0 => 0,
            usual => usual,
        };
        of.usual
    }
}
