//! The dropped-in plugins, their loaded versions, and the chain that is built from them. The
//! catalog does no I/O and reads no clock; the caller runs each [`LoadJob`].

use super::fetch::{Fetch, Fetches};
use super::job::{LoadJob, LoadResult};
use super::package::{
    self, Fingerprint, MAX_PACKAGES, Origin, Package, PackageError, PackageFiles,
};
use super::slot::{Loaded, Slot, SlotKey, WantedPlugin, describe, wanted_plugins};
use super::status::{Notice, PluginEntry, PluginState, Refusal, Roster};
use crate::plugin::{
    Chain, CrashRecord, LimitCeiling, LoadError, Plugin, PluginEngine, TrustConfig,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use step_observer_oci::RegistryScope;

/// A change that a source of plugins reports.
#[derive(Clone, Debug)]
pub enum SourceChange {
    /// These files are offered.
    Offered {
        /// Where.
        origin: Origin,
        /// All files of the plugin.
        files: PackageFiles,
    },
    /// An offer cannot be read.
    Unreadable {
        /// Where.
        origin: Origin,
        /// Why.
        reason: String,
    },
    /// An offer is gone.
    Withdrawn {
        /// Where.
        origin: Origin,
    },
    /// A source has reported all plugins that existed when it started.
    Listed,
}

/// All plugins of an observer.
#[expect(
    missing_debug_implementations,
    reason = "a machine's inside has nothing to show"
)]
pub struct Catalog {
    engine: PluginEngine,
    trust: Arc<TrustConfig>,
    /// Bounds of the limits of dropped-in plugins.
    ceiling: LimitCeiling,
    /// Registries from which dropped-in plugins may come.
    registries: Vec<RegistryScope>,
    /// Records calls during which the process dies.
    crashes: Option<CrashRecord>,
    /// Plugins of the configuration. They come first, and never change.
    configured: Vec<Arc<Plugin>>,
    /// Plugins of single sinks. They have chains of their own, and are only listed here.
    sink_plugins: Vec<(String, Arc<Plugin>)>,
    packages: BTreeMap<Origin, (Fingerprint, Result<Package, PackageError>)>,
    /// The plugin to which each part last belonged.
    pieces: BTreeMap<Origin, String>,
    pub(super) slots: BTreeMap<SlotKey, Slot>,
    /// Keys of the plugins that wait for a load, in order.
    pub(super) waiting: BTreeSet<SlotKey>,
    pub(super) fetches: Fetches,
    /// Number of sources that have not yet reported all plugins that existed when they started.
    pub(super) unlisted: usize,
    generation: u64,
    pub(super) chain: Option<Arc<Chain>>,
    pub(super) notices: Vec<Notice>,
}

impl Catalog {
    /// Returns a catalog with the plugins of the configuration. `sources` is the number of sources
    /// that will report changes. There is no chain until each source has reported all plugins that
    /// existed when it started.
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
            registries: Vec::new(),
            crashes: None,
            configured,
            sink_plugins: Vec::new(),
            packages: BTreeMap::new(),
            pieces: BTreeMap::new(),
            slots: BTreeMap::new(),
            waiting: BTreeSet::new(),
            fetches: Fetches::default(),
            unlisted: sources,
            generation: 0,
            chain: None,
            notices: Vec::new(),
        };
        catalog.build_first_chain();
        catalog
    }

    /// Sets the bounds of the limits of dropped-in plugins.
    #[must_use]
    pub fn with_ceiling(mut self, ceiling: LimitCeiling) -> Self {
        self.ceiling = ceiling;
        self
    }

    /// Permits dropped-in plugins from these registries. The default is none.
    #[must_use]
    pub fn with_registries(mut self, registries: Vec<RegistryScope>) -> Self {
        self.registries = registries;
        self
    }

    /// Records the calls of dropped-in plugins. Refuses plugins during whose calls the process
    /// died.
    #[must_use]
    pub fn with_crashes(mut self, crashes: Option<CrashRecord>) -> Self {
        self.crashes = crashes;
        self
    }

    /// Lists the plugins of a sink, too.
    pub fn add_sink(&mut self, sink: &str, chain: &Chain) {
        let plugins = chain.plugins().iter();
        let named = plugins.map(|plugin| (format!("{sink}/{}", plugin.name()), plugin.clone()));
        self.sink_plugins.extend(named);
    }

    /// Applies a change that a source reports.
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
                    false => Package::from_files(files)
                        .and_then(|package| package.permitted(&self.registries)),
                };
                // An invalid package keeps its entry in `pieces`. It still counts as a part of the
                // plugin to which it last belonged.
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

    /// Returns the next plugin to load, whose module is there. Loads run one at a time: call this again after each.
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
                spec: package.spec(name, &self.trust, slot.fetched()),
                engine: self.engine.clone(),
                ceiling: self.ceiling.clone(),
                crashes: self.crashes.clone(),
                key,
            });
        }
        // The plugins that waited for a load may be gone now. If the first chain waited only for
        // them, it is built here.
        self.build_first_chain();
        None
    }

    /// Applies the result of a load. The result is discarded if the plugin was changed or removed
    /// meanwhile.
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
                if !matches!(result, Err(LoadError::Busy(_))) {
                    // The module is not needed again, and may be large.
                    slot.fetch = None;
                }
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
                    // The load is tried again.
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

    /// Returns the notices since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Returns all plugins and the chain.
    #[must_use]
    pub fn roster(&self) -> Roster {
        let entry = |name: &str, plugin: &Arc<Plugin>| PluginEntry {
            name: name.to_owned(),
            origin: Origin::Configuration,
            state: match plugin.not_loaded() {
                None => PluginState::Loaded,
                Some(_) => PluginState::StandIn,
            },
            plugin: Some(plugin.clone()),
            order: None,
            since: 1,
            refused: plugin.not_loaded().map(|reason| Refusal {
                reason: reason.to_owned(),
            }),
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

    /// Determines what each slot should hold.
    fn update_slots(&mut self) {
        let mut wanted = wanted_plugins(&self.packages, &self.pieces);
        let mut owners: BTreeMap<String, (Option<SlotKey>, Origin)> = self
            .configured
            .iter()
            .map(|plugin| (plugin.name().to_owned(), (None, Origin::Configuration)))
            .collect();
        // Of plugins with the same name, the plugin that is in the chain keeps the name, even if it
        // is a stand-in.
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
                fetch: None,
            }),
        };
        slot.fetch = None;
        match &slot.wanted.package {
            Ok(package) if package.artifact().is_some() => {
                slot.fetch = Some(Fetch::default());
                self.waiting.remove(&key);
            }
            Ok(_) => drop(self.waiting.insert(key)),
            Err(error) => {
                let reason = error.to_string();
                let notice = slot.refuse(&reason);
                self.notices.push(notice);
            }
        }
    }

    /// Builds the first chain once all plugins that existed at the start are loaded or refused, or wait for a registry for too long.
    pub(super) fn build_first_chain(&mut self) {
        let busy = self.slots.values().any(|slot| slot.loading);
        if self.chain.is_some() || self.unlisted > 0 || busy || !self.waiting.is_empty() {
            return;
        }
        if self.waits_for_fetches() {
            return;
        }
        for slot in self.slots.values_mut() {
            if slot.is_being_fetched() && slot.refused.is_none() {
                let notice = slot.refuse("it is not fetched from its registry yet");
                self.notices.push(notice);
            }
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

    /// Returns the engine that all plugins share.
    pub(crate) fn engine(&self) -> &PluginEngine {
        &self.engine
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
