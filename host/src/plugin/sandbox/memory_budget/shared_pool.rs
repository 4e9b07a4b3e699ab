//! The part of the budget that calls share, and the order in which waiting calls get it. It has
//! neither clock nor locks.

use std::collections::BTreeMap;

/// Least that is taken from the shared part at a time: memory often grows by single pages.
pub(super) const MIN_GROWTH_BYTES: usize = 256 * 1024;

/// The part that calls share. Without clock and locks.
#[derive(Debug)]
pub(super) struct SharedPool {
    size: usize,
    free: usize,
    plugins: BTreeMap<u64, PluginUse>,
    waiting: Vec<WaitingCall>,
    turn: u64,
}

/// What a plugin has of the shared part.
#[derive(Clone, Copy, Debug, Default)]
struct PluginUse {
    held: usize,
    /// What its calls usually take: so much is kept for it while it has less.
    usual: usize,
    /// Its last turn.
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

    /// What is kept for a plugin: a quarter of what is shared at most, or one that hoards would keep others out.
    fn kept(&self, of: &PluginUse) -> usize {
        of.usual.min(self.size / 4)
    }

    /// What the others may count on, and do not have at the moment.
    fn kept_for_others(&self, plugin: u64, missing: impl Fn(usize, &PluginUse) -> usize) -> usize {
        let others = self.plugins.iter().filter(|(id, _)| **id != plugin);
        let kept = others.map(|(_, of)| missing(self.kept(of), of));
        // However many plugins there are, half of it is for whoever comes.
        kept.fold(0, usize::saturating_add).min(self.size / 2)
    }

    /// Can it be had now?
    pub(super) fn fits(&self, plugin: u64, bytes: usize) -> bool {
        let kept = self.kept_for_others(plugin, |kept, of| kept.saturating_sub(of.held));
        bytes <= self.free.saturating_sub(kept)
    }

    /// The most that a call can have if it waits long enough.
    pub(super) fn most(&self, plugin: u64) -> usize {
        self.size - self.kept_for_others(plugin, |kept, _| kept)
    }

    /// Is it the turn of this call? The plugin that was served longest ago comes first, and whoever does not fit holds
    /// all after it, or large calls would wait for ever; but what is kept for a plugin it gets at once.
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

    /// Is it kept for this plugin?
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

    /// Notes what a call has taken of the shared part, and gives what its plugin's calls usually take. One large event
    /// is forgotten after some dozens of others.
    pub(super) fn note(&mut self, plugin: u64, used: usize) -> usize {
        let of = self.plugins.entry(plugin).or_default();
        let faded = of.usual - of.usual / 32;
        of.usual = match used.max(faded) {
            // What is left of a large event is no need.
            usual if usual < MIN_GROWTH_BYTES && used == 0 => 0,
            usual => usual,
        };
        of.usual
    }
}
