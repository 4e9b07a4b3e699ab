//! What was dropped in, what of it is loaded, and the chain that follows from it. Without I/O and
//! without clock; loading itself is a [`LoadJob`] that somebody else runs.

use super::job::{LoadJob, LoadResult};
use super::package::{
    self, Fingerprint, MAX_PACKAGES, Origin, Package, PackageError, PackageFiles,
};
use super::slot::{Loaded, Slot, SlotKey, WantedPlugin, describe, wanted_plugins};
use super::status::{Notice, PluginEntry, PluginState, Roster};
use crate::plugin::{
    Chain, CrashRecord, LimitCeiling, LoadError, Plugin, PluginEngine, TrustConfig,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a source of plugins tells.
#[derive(Clone, Debug)]
pub enum SourceChange {
    /// These files are there.
    Offered {
        /// Where.
        origin: Origin,
        /// All of them.
        files: PackageFiles,
    },
    /// Something is there that cannot be read.
    Unreadable {
        /// Where.
        origin: Origin,
        /// Why.
        reason: String,
    },
    /// Nothing is there any more.
    Withdrawn {
        /// Where.
        origin: Origin,
    },
    /// A source has told all that was there when it began.
    Listed,
}

/// All plugins of a host.
#[expect(
    missing_debug_implementations,
    reason = "a machine's inside has nothing to show"
)]
pub struct Catalog {
    engine: PluginEngine,
    trust: Arc<TrustConfig>,
    /// The most that plugins may ask for.
    ceiling: LimitCeiling,
    /// During whose calls the process died.
    crashes: Option<CrashRecord>,
    /// Plugins of the configuration: first, and always there.
    configured: Vec<Arc<Plugin>>,
    /// Plugins of single sinks, in chains of their own: only told about.
    sink_plugins: Vec<(String, Arc<Plugin>)>,
    packages: BTreeMap<Origin, (Fingerprint, Result<Package, PackageError>)>,
    /// Of which plugins they are pieces, as they last said it.
    pieces: BTreeMap<Origin, String>,
    slots: BTreeMap<SlotKey, Slot>,
    /// To be loaded, in order.
    waiting: BTreeSet<SlotKey>,
    /// Sources that have not told all they have.
    unlisted: usize,
    generation: u64,
    chain: Option<Arc<Chain>>,
    notices: Vec<Notice>,
}

impl Catalog {
    /// A catalog of the configuration's plugins, into which `sources` will drop more. There is no
    /// chain before each of them has told all it has.
    #[must_use]
    pub fn new(
        engine: &PluginEngine,
        trust: Arc<TrustConfig>,
        configured: Vec<Arc<Plugin>>,
        sources: usize,
    ) -> Self {
        let mut catalog = Self {
            engine: engine.clone(),
            trust,
            ceiling: LimitCeiling::default(),
            crashes: None,
            configured,
            sink_plugins: Vec::new(),
            packages: BTreeMap::new(),
            pieces: BTreeMap::new(),
            slots: BTreeMap::new(),
            waiting: BTreeSet::new(),
            unlisted: sources,
            generation: 0,
            chain: None,
            notices: Vec::new(),
        };
        catalog.build_first_chain();
        catalog
    }

    /// Refuses what asks for more than this.
    #[must_use]
    pub fn with_ceiling(mut self, ceiling: LimitCeiling) -> Self {
        self.ceiling = ceiling;
        self
    }

    /// Notes the calls of what is dropped in, and refuses what the process died of.
    #[must_use]
    pub fn with_crashes(mut self, crashes: Option<CrashRecord>) -> Self {
        self.crashes = crashes;
        self
    }

    /// Tells about the plugins of a sink, too.
    pub fn add_sink(&mut self, sink: &str, chain: &Chain) {
        let plugins = chain.plugins().iter();
        let named = plugins.map(|plugin| (format!("{sink}/{}", plugin.name()), plugin.clone()));
        self.sink_plugins.extend(named);
    }

    /// Takes a apply in.
    pub fn apply(&mut self, apply: SourceChange) {
        match apply {
            SourceChange::Offered { origin, files } => {
                let fingerprint = package::fingerprint(&files);
                let known = self.packages.get(&origin).map(|(known, _)| *known);
                if known == Some(fingerprint) {
                    return;
                }
                let full = known.is_none() && self.packages.len() >= MAX_PACKAGES;
                let package = match full {
                    true => Err(PackageError::TooManyPackages),
                    false => Package::from_files(files),
                };
                // With a mistake in it, it is still a piece of what it was a piece of.
                if let Ok(package) = &package {
                    match package.piece_of() {
                        Some(name) => self.pieces.insert(origin.clone(), name.to_owned()),
                        None => self.pieces.remove(&origin),
                    };
                }
                self.packages.insert(origin, (fingerprint, package));
            }
            SourceChange::Unreadable { origin, reason } => {
                let fingerprint = package::text_fingerprint(&reason);
                let known = self.packages.get(&origin).map(|(known, _)| *known);
                if known == Some(fingerprint) {
                    return;
                }
                let package = Err(PackageError::Unreadable(reason));
                self.packages.insert(origin, (fingerprint, package));
            }
            SourceChange::Withdrawn { origin } => {
                if self.packages.remove(&origin).is_none() {
                    return;
                }
                self.pieces.remove(&origin);
            }
            SourceChange::Listed => self.unlisted = self.unlisted.saturating_sub(1),
        }
        self.update_slots();
        self.build_first_chain();
    }

    /// The next plugin to load. One at a time: ask again when it is done.
    pub fn next_job(&mut self) -> Option<LoadJob> {
        while let Some(key) = self.waiting.pop_first() {
            let Some(slot) = self.slots.get_mut(&key) else {
                continue;
            };
            let WantedPlugin {
                name,
                fingerprints,
                package: Ok(package),
                ..
            } = &slot.wanted
            else {
                continue;
            };
            slot.loading = true;
            return Some(LoadJob {
                fingerprints: fingerprints.clone(),
                order: package.manifest.order,
                spec: package.spec(name, &self.trust),
                engine: self.engine.clone(),
                ceiling: self.ceiling.clone(),
                crashes: self.crashes.clone(),
                key,
            });
        }
        // What waited is gone, and may have been all that kept the first chain back.
        self.build_first_chain();
        None
    }

    /// Takes in what came of a job. Of what was changed or withdrawn meanwhile, nothing.
    pub fn finish(&mut self, done: LoadResult) {
        let LoadResult {
            key,
            fingerprints,
            order,
            result,
        } = done;
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.loading = false;
            if slot.wanted.fingerprints == fingerprints && slot.wanted.package.is_ok() {
                match result {
                    Ok(plugin) => {
                        let plugin = Arc::new(plugin.with_metrics(slot.metrics.clone()));
                        self.notices.push(slot.notice(Ok(describe(&plugin))));
                        slot.loaded = Some(Loaded {
                            plugin,
                            order,
                            since: self.generation + 1,
                        });
                        slot.refused = None;
                        slot.stand_in = None;
                        self.swap_chain_if_started();
                    }
                    // Its turn comes again.
                    Err(LoadError::Busy(_)) => drop(self.waiting.insert(key)),
                    Err(error) => {
                        let notice = slot.refuse(&error.to_string());
                        self.notices.push(notice);
                    }
                }
            }
        }
        self.build_first_chain();
    }

    /// News since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// What is there now.
    #[must_use]
    pub fn roster(&self) -> Roster {
        let entry = |name: &str, plugin: &Arc<Plugin>| PluginEntry {
            name: name.to_owned(),
            origin: Origin::Configuration,
            state: PluginState::Loaded,
            plugin: Some(plugin.clone()),
            order: None,
            since: 1,
            refused: None,
        };
        let configured = self
            .configured
            .iter()
            .map(|plugin| entry(plugin.name(), plugin));
        let sink_plugins = self.sink_plugins.iter();
        let sink_plugins = sink_plugins.map(|(name, plugin)| entry(name, plugin));
        let slots = self.slots.values().map(Slot::entry);
        Roster {
            chain: self.chain.clone(),
            entries: configured.chain(slots).chain(sink_plugins).collect(),
        }
    }

    /// Finds out what each slot should hold.
    fn update_slots(&mut self) {
        let mut wanted = wanted_plugins(&self.packages, &self.pieces);
        let mut owners: BTreeMap<String, (Option<SlotKey>, Origin)> = self
            .configured
            .iter()
            .map(|plugin| (plugin.name().to_owned(), (None, Origin::Configuration)))
            .collect();
        // Whoever is in the chain keeps the name, a stand-in too.
        let is_live = |key: &SlotKey| {
            let slot = self.slots.get(key);
            slot.is_some_and(|slot| slot.active().is_some())
        };
        let (live, others): (Vec<_>, Vec<_>) = wanted.iter().partition(|(key, _)| is_live(key));
        for (key, update_slot) in live.into_iter().chain(others) {
            let owner = (Some(key.clone()), update_slot.origin.clone());
            owners.entry(update_slot.name.clone()).or_insert(owner);
        }
        for (key, update_slot) in &mut wanted {
            if let Some((owner, origin)) = owners.get(&update_slot.name)
                && owner.as_ref() != Some(key)
            {
                update_slot.package = Err(PackageError::NameTaken(origin.clone()));
            }
        }
        let gone: Vec<SlotKey> = self
            .slots
            .keys()
            .filter(|key| !wanted.contains_key(key))
            .cloned()
            .collect();
        let mut changed = false;
        for key in gone {
            let slot = self.slots.remove(&key);
            changed |= slot.is_some_and(|slot| slot.active().is_some());
        }
        for (key, update_slot) in wanted {
            self.update_slot(key, update_slot);
        }
        if changed {
            self.swap_chain_if_started();
        }
    }

    fn update_slot(&mut self, key: SlotKey, update_slot: WantedPlugin) {
        let slot = match self.slots.get_mut(&key) {
            Some(slot) if slot.wanted.is_same(&update_slot) => return,
            Some(slot) => {
                slot.wanted = update_slot;
                slot
            }
            None => self.slots.entry(key.clone()).or_insert(Slot {
                wanted: update_slot,
                loaded: None,
                refused: None,
                stand_in: None,
                metrics: Arc::default(),
                loading: false,
            }),
        };
        match &slot.wanted.package {
            Ok(_) => drop(self.waiting.insert(key)),
            Err(error) => {
                let reason = error.to_string();
                let notice = slot.refuse(&reason);
                self.notices.push(notice);
            }
        }
    }

    /// Makes the first chain, once everything that was there at the start is loaded or refused.
    fn build_first_chain(&mut self) {
        let busy = self.slots.values().any(|slot| slot.loading);
        if self.chain.is_some() || self.unlisted > 0 || busy || !self.waiting.is_empty() {
            return;
        }
        for slot in self.slots.values_mut() {
            let named_twice = matches!(slot.wanted.package, Err(PackageError::NameTaken(_)));
            if let (None, Some(reason), false) = (&slot.loaded, &slot.refused, named_twice) {
                slot.stand_in = Some(slot.wanted.stand_in(reason, &self.trust, &slot.metrics));
            }
        }
        self.swap_chain();
    }

    fn swap_chain_if_started(&mut self) {
        if self.chain.is_some() {
            self.swap_chain();
        }
    }

    fn swap_chain(&mut self) {
        self.generation += 1;
        let mut dropped_in: Vec<_> = self.slots.values().filter_map(Slot::active).collect();
        dropped_in.sort_by(|(order, plugin), (other_order, other)| {
            (order, plugin.name()).cmp(&(other_order, other.name()))
        });
        let dropped_in = dropped_in.into_iter().map(|(_, plugin)| plugin);
        let plugins = self.configured.iter().cloned().chain(dropped_in).collect();
        self.chain = Some(Arc::new(Chain::new(&self.engine, plugins, self.generation)));
    }
}
