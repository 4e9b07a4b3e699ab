//! What was dropped in, what of it is loaded, and the chain that follows from it. Without I/O and
//! without clock; loading itself is a [`Job`] that somebody else runs.

use super::package::{self, Files, Fingerprint, Origin, Package, PackageError};
use super::status::{PluginEntry, PluginState, Refused, Roster};
use crate::plugin::stats::Stats;
use crate::plugin::{Chain, LoadError, Plugin, PluginEngine, PluginSpec, TrustConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a source of plugins tells.
#[derive(Clone, Debug)]
pub enum Change {
    /// These files are there.
    Offered {
        /// Where.
        origin: Origin,
        /// All of them.
        files: Files,
    },
    /// Nothing is there any more.
    Withdrawn {
        /// Where.
        origin: Origin,
    },
    /// A source has told all that was there when it began.
    Listed,
}

/// News for the author of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Where it was dropped in.
    pub origin: Origin,
    /// Its name.
    pub name: String,
    /// What became of it: what it is, or why it is refused.
    pub outcome: Result<String, String>,
}

/// A plugin in a place of its own, or one in pieces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Whole(Origin),
    Pieces(String),
}

/// What a slot should hold.
#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    /// Where news about it goes.
    origin: Origin,
    /// Of all its files.
    fingerprints: Vec<(Origin, Fingerprint)>,
    package: Result<Package, PackageError>,
}

struct Slot {
    wanted: Wanted,
    /// The last good version.
    loaded: Option<Loaded>,
    refused: Option<String>,
    /// It was refused when the observer started: it fails on every event.
    stand_in: Option<Arc<Plugin>>,
    stats: Arc<Stats>,
    loading: bool,
}

struct Loaded {
    plugin: Arc<Plugin>,
    order: i32,
    /// The generation of the chain in which it came.
    since: u64,
}

/// A plugin to load.
#[derive(Debug)]
pub struct Job {
    key: Key,
    fingerprints: Vec<(Origin, Fingerprint)>,
    order: i32,
    spec: PluginSpec,
    engine: PluginEngine,
}

/// A plugin that was loaded, or not.
#[derive(Debug)]
pub struct Done {
    key: Key,
    fingerprints: Vec<(Origin, Fingerprint)>,
    order: i32,
    result: Result<Plugin, LoadError>,
}

impl Job {
    /// Loads and tries the plugin. Takes its time: call it on a thread that may wait.
    #[must_use]
    pub fn run(self) -> Done {
        let loaded = Plugin::load(&self.engine, &self.spec);
        let result = loaded.and_then(|plugin| plugin.self_test(&self.engine).map(|()| plugin));
        Done {
            key: self.key,
            fingerprints: self.fingerprints,
            order: self.order,
            result,
        }
    }

    /// The plugin's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }
}

/// All plugins of a host.
#[expect(
    missing_debug_implementations,
    reason = "a machine's inside has nothing to show"
)]
pub struct Catalog {
    engine: PluginEngine,
    trust: Arc<TrustConfig>,
    /// Plugins of the configuration: first, and always there.
    fixed: Vec<Arc<Plugin>>,
    offers: BTreeMap<Origin, (Fingerprint, Result<Package, PackageError>)>,
    slots: BTreeMap<Key, Slot>,
    /// To be loaded, in order.
    waiting: BTreeSet<Key>,
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
        fixed: Vec<Arc<Plugin>>,
        sources: usize,
    ) -> Self {
        let mut catalog = Self {
            engine: engine.clone(),
            trust,
            fixed,
            offers: BTreeMap::new(),
            slots: BTreeMap::new(),
            waiting: BTreeSet::new(),
            unlisted: sources,
            generation: 0,
            chain: None,
            notices: Vec::new(),
        };
        catalog.begin();
        catalog
    }

    /// Takes a change in.
    pub fn change(&mut self, change: Change) {
        match change {
            Change::Offered { origin, files } => {
                let fingerprint = package::fingerprint(&files);
                let known = self.offers.get(&origin).map(|(known, _)| *known);
                if known == Some(fingerprint) {
                    return;
                }
                self.offers
                    .insert(origin, (fingerprint, Package::of(files)));
            }
            Change::Withdrawn { origin } => {
                if self.offers.remove(&origin).is_none() {
                    return;
                }
            }
            Change::Listed => self.unlisted = self.unlisted.saturating_sub(1),
        }
        self.plan();
        self.begin();
    }

    /// The next plugin to load. One at a time: ask again when it is done.
    pub fn next_job(&mut self) -> Option<Job> {
        while let Some(key) = self.waiting.pop_first() {
            let Some(slot) = self.slots.get_mut(&key) else {
                continue;
            };
            let Wanted {
                name,
                fingerprints,
                package: Ok(package),
                ..
            } = &slot.wanted
            else {
                continue;
            };
            slot.loading = true;
            return Some(Job {
                fingerprints: fingerprints.clone(),
                order: package.manifest.order,
                spec: package.spec(name, &self.trust),
                engine: self.engine.clone(),
                key,
            });
        }
        None
    }

    /// Takes in what came of a job. Of what was changed or withdrawn meanwhile, nothing.
    pub fn finish(&mut self, done: Done) {
        let Done {
            key,
            fingerprints,
            order,
            result,
        } = done;
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.loading = false;
            if slot.wanted.fingerprints == fingerprints {
                match result {
                    Ok(plugin) => {
                        let plugin = Arc::new(plugin.with_stats(slot.stats.clone()));
                        self.notices.push(slot.notice(Ok(describe(&plugin))));
                        slot.loaded = Some(Loaded {
                            plugin,
                            order,
                            since: self.generation + 1,
                        });
                        slot.refused = None;
                        slot.stand_in = None;
                        self.publish();
                    }
                    Err(error) => {
                        let notice = slot.refuse(&error.to_string());
                        self.notices.push(notice);
                    }
                }
            }
        }
        self.begin();
    }

    /// News since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// What is there now.
    #[must_use]
    pub fn roster(&self) -> Roster {
        let fixed = self.fixed.iter().map(|plugin| PluginEntry {
            name: plugin.name().to_owned(),
            origin: Origin::Configuration,
            state: PluginState::Loaded,
            plugin: Some(plugin.clone()),
            order: None,
            since: 1,
            refused: None,
        });
        let slots = self.slots.values().map(Slot::entry);
        Roster {
            chain: self.chain.clone(),
            entries: fixed.chain(slots).collect(),
        }
    }

    /// Finds out what each slot should hold.
    fn plan(&mut self) {
        let mut wanted = wanted(&self.offers);
        let mut taken: BTreeMap<String, Origin> = self
            .fixed
            .iter()
            .map(|plugin| (plugin.name().to_owned(), Origin::Configuration))
            .collect();
        for want in wanted.values_mut() {
            match taken.get(&want.name) {
                Some(other) => want.package = Err(PackageError::NameTaken(other.clone())),
                None => drop(taken.insert(want.name.clone(), want.origin.clone())),
            }
        }
        let gone: Vec<Key> = self
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
        for (key, want) in wanted {
            self.want(key, want);
        }
        if changed {
            self.publish();
        }
    }

    fn want(&mut self, key: Key, want: Wanted) {
        let slot = match self.slots.get_mut(&key) {
            Some(slot) if slot.wanted.is_same(&want) => return,
            Some(slot) => {
                slot.wanted = want;
                slot
            }
            None => self.slots.entry(key.clone()).or_insert(Slot {
                wanted: want,
                loaded: None,
                refused: None,
                stand_in: None,
                stats: Arc::default(),
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
    fn begin(&mut self) {
        let busy = self.slots.values().any(|slot| slot.loading);
        if self.chain.is_some() || self.unlisted > 0 || busy || !self.waiting.is_empty() {
            return;
        }
        for slot in self.slots.values_mut() {
            let named_twice = matches!(slot.wanted.package, Err(PackageError::NameTaken(_)));
            if let (None, Some(reason), false) = (&slot.loaded, &slot.refused, named_twice) {
                slot.stand_in = Some(slot.wanted.stand_in(reason, &self.trust, &slot.stats));
            }
        }
        self.install();
    }

    fn publish(&mut self) {
        if self.chain.is_some() {
            self.install();
        }
    }

    fn install(&mut self) {
        self.generation += 1;
        let mut dropped_in: Vec<_> = self.slots.values().filter_map(Slot::active).collect();
        dropped_in.sort_by(|(order, plugin), (other_order, other)| {
            (order, plugin.name()).cmp(&(other_order, other.name()))
        });
        let dropped_in = dropped_in.into_iter().map(|(_, plugin)| plugin);
        let plugins = self.fixed.iter().cloned().chain(dropped_in).collect();
        self.chain = Some(Arc::new(Chain::new(&self.engine, plugins, self.generation)));
    }
}

/// Whole plugins, and pieces together.
fn wanted(
    offers: &BTreeMap<Origin, (Fingerprint, Result<Package, PackageError>)>,
) -> BTreeMap<Key, Wanted> {
    let mut wanted = BTreeMap::new();
    let mut groups: BTreeMap<&String, Vec<(&Origin, Fingerprint, &Package)>> = BTreeMap::new();
    for (origin, (fingerprint, package)) in offers {
        let group = package.as_ref().ok().and_then(|package| {
            let manifest = &package.manifest;
            manifest
                .part
                .and(manifest.plugin.as_ref())
                .zip(Some(package))
        });
        if let Some((name, package)) = group {
            let pieces = groups.entry(name).or_default();
            pieces.push((origin, *fingerprint, package));
            continue;
        }
        let want = Wanted {
            name: origin.plugin_name(),
            origin: origin.clone(),
            fingerprints: vec![(origin.clone(), *fingerprint)],
            package: package.clone(),
        };
        wanted.insert(Key::Whole(origin.clone()), want);
    }
    for (name, pieces) in groups {
        let Some((origin, _, _)) = pieces.first() else {
            continue;
        };
        let want = Wanted {
            name: name.clone(),
            origin: (*origin).clone(),
            fingerprints: pieces
                .iter()
                .map(|(origin, fingerprint, _)| ((*origin).clone(), *fingerprint))
                .collect(),
            package: package::assemble(pieces.iter().map(|(_, _, package)| *package)),
        };
        wanted.insert(Key::Pieces(name.clone()), want);
    }
    wanted
}

fn describe(plugin: &Plugin) -> String {
    let (name, version) = plugin.identity();
    let digest = plugin.digest().map_or("", |digest| digest.as_str());
    let kept = match plugin.is_snapshotted() {
        true => "",
        false => "; its configured memory cannot be kept, it is configured anew for every event",
    };
    format!("{name} {version} (sha256:{digest}) is live{kept}")
}

impl Wanted {
    /// Would loading it give the same?
    fn is_same(&self, other: &Self) -> bool {
        let problem = |want: &Self| want.package.as_ref().err().cloned();
        self.name == other.name
            && self.fingerprints == other.fingerprints
            && problem(self) == problem(other)
    }

    fn stand_in(&self, reason: &str, trust: &Arc<TrustConfig>, stats: &Arc<Stats>) -> Arc<Plugin> {
        let spec = match &self.package {
            Ok(package) => package.spec(&self.name, trust),
            Err(_) => PluginSpec::new(
                self.name.clone(),
                crate::plugin::PluginSource::Bundled(String::new()),
            ),
        };
        Arc::new(Plugin::stand_in(&spec, reason.to_owned()).with_stats(stats.clone()))
    }
}

impl Slot {
    /// What of it is in the chain, with its order.
    fn active(&self) -> Option<(i32, Arc<Plugin>)> {
        match (&self.loaded, &self.stand_in) {
            (Some(loaded), _) => Some((loaded.order, loaded.plugin.clone())),
            (None, Some(stand_in)) => {
                let package = self.wanted.package.as_ref();
                let order = package.map_or(0, |package| package.manifest.order);
                Some((order, stand_in.clone()))
            }
            (None, None) => None,
        }
    }

    fn refuse(&mut self, reason: &str) -> Notice {
        self.refused = Some(reason.to_owned());
        let kept = match (&self.loaded, &self.stand_in) {
            (Some(loaded), _) => {
                let (name, version) = loaded.plugin.identity();
                format!("; {name} {version} stays")
            }
            (None, _) => String::new(),
        };
        self.notice(Err(format!("{reason}{kept}")))
    }

    fn notice(&self, outcome: Result<String, String>) -> Notice {
        Notice {
            origin: self.wanted.origin.clone(),
            name: self.wanted.name.clone(),
            outcome,
        }
    }

    fn entry(&self) -> PluginEntry {
        let active = self.active();
        let state = match (&self.refused, &self.loaded, &self.stand_in) {
            (_, _, Some(_)) => PluginState::StandIn,
            (Some(_), Some(_), None) => PluginState::LastGood,
            (Some(_), None, None) => PluginState::Rejected,
            (None, Some(_), None) => PluginState::Loaded,
            (None, None, None) => PluginState::Loading,
        };
        PluginEntry {
            name: self.wanted.name.clone(),
            origin: self.wanted.origin.clone(),
            state,
            order: active.as_ref().map(|(order, _)| *order),
            plugin: active.map(|(_, plugin)| plugin),
            since: self.loaded.as_ref().map_or(0, |loaded| loaded.since),
            refused: self.refused.clone().map(|reason| Refused { reason }),
        }
    }
}
