//! The wanted and the loaded version of one plugin.

use super::fetch::{Fetch, FetchedModule};
use super::package::{self, Fingerprint, Origin, Package, PackageError};
use super::status::{Notice, PluginEntry, PluginState, Refusal};
use crate::plugin::run::PluginMetrics;
use crate::plugin::{Plugin, PluginSource, PluginSpec, TrustConfig};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use step_observer_oci::Reference;

/// Identifies a plugin by its place, or by its name if it consists of parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SlotKey {
    Whole(Origin),
    Pieces(String),
}

/// The version that a slot should hold.
#[derive(Clone, Debug)]
pub(super) struct WantedPlugin {
    pub(super) name: String,
    /// The place whose author gets the notices.
    pub(super) origin: Origin,
    /// The fingerprints of all its files.
    pub(super) fingerprints: Vec<(Origin, Fingerprint)>,
    pub(super) package: Result<Package, PackageError>,
}

pub(super) struct Slot {
    pub(super) wanted: WantedPlugin,
    /// The last version that was loaded.
    pub(super) loaded: Option<Loaded>,
    pub(super) refused: Option<String>,
    /// Stands in for a plugin that was refused when the observer started. It fails on every event.
    pub(super) stand_in: Option<Arc<Plugin>>,
    pub(super) metrics: Arc<PluginMetrics>,
    pub(super) loading: bool,
    /// How far the module of a registry is; `None` if there is nothing to fetch.
    pub(super) fetch: Option<Fetch>,
}

pub(super) struct Loaded {
    pub(super) plugin: Arc<Plugin>,
    pub(super) order: i32,
    /// Generation of the first chain that contained this version of the plugin.
    pub(super) since: u64,
}

/// One part of a plugin that a source offers: source, fingerprint and content.
type Piece<'a> = (
    &'a Origin,
    Fingerprint,
    Result<&'a Package, &'a PackageError>,
);

/// Returns the wanted version of each plugin, with the parts joined.
pub(super) fn wanted_plugins(
    packages: &BTreeMap<Origin, (Fingerprint, Result<Package, PackageError>)>,
    piece_of: &BTreeMap<Origin, String>,
) -> BTreeMap<SlotKey, WantedPlugin> {
    let mut wanted = BTreeMap::new();
    let mut groups: BTreeMap<&String, Vec<Piece<'_>>> = BTreeMap::new();
    for (origin, (fingerprint, package)) in packages {
        if let Some(name) = piece_of.get(origin) {
            let piece = (origin, *fingerprint, package.as_ref());
            groups.entry(name).or_default().push(piece);
            continue;
        }
        let want = WantedPlugin {
            name: origin.plugin_name(),
            origin: origin.clone(),
            fingerprints: vec![(origin.clone(), *fingerprint)],
            package: package.clone(),
        };
        wanted.insert(SlotKey::Whole(origin.clone()), want);
    }
    for (name, pieces) in groups {
        let Some((origin, _, _)) = pieces.first() else {
            continue;
        };
        let want = WantedPlugin {
            name: name.clone(),
            origin: (*origin).clone(),
            fingerprints: pieces
                .iter()
                .map(|(origin, fingerprint, _)| ((*origin).clone(), *fingerprint))
                .collect(),
            package: package::assemble(pieces.iter().map(|(_, _, package)| *package)),
        };
        wanted.insert(SlotKey::Pieces(name.clone()), want);
    }
    wanted
}

pub(super) fn describe(plugin: &Plugin) -> String {
    let (name, version) = plugin.identity();
    let digest = plugin.digest().map_or("", |digest| digest.as_str());
    let kept = match plugin.is_snapshotted() {
        true => "",
        false => "; its configured memory cannot be kept, it is configured again for every event",
    };
    format!("{name} {version} (sha256:{digest}) is live{kept}")
}

impl WantedPlugin {
    /// Returns whether loading `other` would give the same plugin.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let problem = |want: &Self| want.package.as_ref().err().cloned();
        self.name == other.name
            && self.fingerprints == other.fingerprints
            && problem(self) == problem(other)
    }

    pub(super) fn stand_in(
        &self,
        reason: &str,
        trust: &Arc<TrustConfig>,
        metrics: &Arc<PluginMetrics>,
    ) -> Arc<Plugin> {
        let spec = match &self.package {
            Ok(package) => package.spec(&self.name, trust, None),
            Err(_) => PluginSpec::new(self.name.clone(), PluginSource::Bundled(String::new())),
        };
        Arc::new(Plugin::stand_in(&spec, reason.to_owned()).with_metrics(metrics.clone()))
    }
}

impl Slot {
    /// Returns the plugin that is in the chain, with its order.
    pub(super) fn active(&self) -> Option<(i32, Arc<Plugin>)> {
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

    pub(super) fn fetched(&self) -> Option<&FetchedModule> {
        match &self.fetch {
            Some(Fetch::Done(fetched)) => Some(fetched),
            _ => None,
        }
    }

    pub(super) fn artifact(&self) -> Option<&Reference> {
        self.wanted.package.as_ref().ok()?.artifact()
    }

    /// Returns whether the first attempt has no result yet.
    pub(super) fn is_first_attempt(&self) -> bool {
        matches!(
            self.fetch,
            Some(Fetch::Waiting { failures: 0, .. } | Fetch::Running { failures: 0 })
        )
    }

    pub(super) fn next_attempt(&self) -> Option<Duration> {
        match self.fetch {
            Some(Fetch::Waiting { not_before, .. }) => Some(not_before),
            _ => None,
        }
    }

    /// Returns whether the module is not here yet.
    pub(super) fn is_being_fetched(&self) -> bool {
        matches!(
            self.fetch,
            Some(Fetch::Waiting { .. } | Fetch::Running { .. })
        )
    }

    pub(super) fn refuse(&mut self, reason: &str) -> Notice {
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

    pub(super) fn notice(&self, outcome: Result<String, String>) -> Notice {
        Notice {
            origin: self.wanted.origin.clone(),
            name: self.wanted.name.clone(),
            outcome,
        }
    }

    pub(super) fn entry(&self) -> PluginEntry {
        let active = self.active();
        let state = match (&self.refused, &self.loaded, &self.stand_in) {
            (_, _, Some(_)) => PluginState::StandIn,
            (Some(_), Some(_), None) => PluginState::LastGood,
            (Some(_), None, None) => PluginState::Rejected,
            (None, Some(_), None) => PluginState::Loaded,
            (None, None, None) if self.is_being_fetched() => PluginState::Fetching,
            (None, None, None) => PluginState::Loading,
        };
        PluginEntry {
            name: self.wanted.name.clone(),
            origin: self.wanted.origin.clone(),
            state,
            order: active.as_ref().map(|(order, _)| *order),
            plugin: active.map(|(_, plugin)| plugin),
            since: self.loaded.as_ref().map_or(0, |loaded| loaded.since),
            refused: self.refused.clone().map(|reason| Refusal { reason }),
        }
    }
}
