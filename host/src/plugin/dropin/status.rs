//! The state of all plugins, for operators and authors.

use super::package::Origin;
use crate::plugin::{Chain, OnError, Plugin, PluginCounts, SetSummary};
use serde::Serialize;
use std::sync::Arc;

/// All plugins at one moment, and the chain that they form.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// The current chain, `None` until the plugins that existed at the start are known. No event
    /// may pass before that.
    pub chain: Option<Arc<Chain>>,
    /// All plugins, loaded or not.
    pub entries: Arc<[PluginEntry]>,
}

/// One plugin.
#[derive(Clone, Debug)]
pub struct PluginEntry {
    pub(super) name: String,
    pub(super) origin: Origin,
    pub(super) state: PluginState,
    /// Plugin in the chain.
    pub(super) plugin: Option<Arc<Plugin>>,
    pub(super) order: Option<i32>,
    pub(super) since: u64,
    pub(super) refused: Option<Refusal>,
}

/// State of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum PluginState {
    /// Its module is being fetched from a registry for the first time. It has no effect yet.
    Fetching,
    /// It is being loaded.
    Loading,
    /// It is in the chain.
    Loaded,
    /// The last version is refused; the version before it is in the chain.
    LastGood,
    /// It is refused, and has no effect.
    Rejected,
    /// The plugin was refused when the observer started. A stand-in takes its place in the chain
    /// and fails on every event.
    StandIn,
}

/// A notice for the author of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The place of the plugin.
    pub origin: Origin,
    /// Its name.
    pub name: String,
    /// The result: a description of the loaded plugin, or why it is refused.
    pub outcome: Result<String, String>,
}

/// Why a plugin is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Reason and remedy.
    pub reason: String,
}

/// One plugin in the answer of `GET /plugins`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginStatus {
    /// The operator's name for it.
    pub name: String,
    /// Source of the plugin: the configuration, a ConfigMap or a folder.
    pub origin: Origin,
    /// Its state.
    pub state: PluginState,
    /// Why its last version is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// Plugin in the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loaded: Option<LoadedStatus>,
    /// Its counters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<PluginCounts>,
}

/// A plugin in the chain.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadedStatus {
    /// The name that it declares.
    pub name: String,
    /// The version that it declares.
    pub version: String,
    /// SHA-256 of its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Its name in a registry, with the digest of the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// Position among dropped-in plugins; `None` for plugins of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<i32>,
    /// Consequence of a failed call.
    pub on_error: OnError,
    /// Generation of the first chain that contained this version.
    pub generation: u64,
    /// Every event starts from its configured memory.
    pub snapshotted: bool,
    /// Its rule sets and mask sets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<SetStatus>,
}

/// A set of rules or masks of a plugin, in numbers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetStatus {
    /// Its name.
    pub name: String,
    /// Number of rules of the catalogue that the set uses. `None` for a rule set of the contract
    /// 0.1.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<usize>,
    /// Number of its own rules.
    pub rules: usize,
    /// Number of its known values.
    pub values: usize,
}

impl From<&SetSummary> for SetStatus {
    fn from(set: &SetSummary) -> Self {
        Self {
            name: set.name.clone(),
            catalogue: set.catalogue,
            rules: set.rules.len(),
            values: set.values,
        }
    }
}

impl PluginEntry {
    /// Returns the state as it is now.
    #[must_use]
    pub fn status(&self) -> PluginStatus {
        let ready = |plugin: &&Arc<Plugin>| plugin.not_loaded().is_none();
        let counts = self.plugin.as_ref().map(|plugin| plugin.counts());
        let loaded = self.plugin.as_ref().filter(ready).map(|plugin| {
            let (name, version) = plugin.identity();
            LoadedStatus {
                name: name.to_owned(),
                version: version.to_owned(),
                sha256: plugin.digest().map(|digest| digest.as_str().to_owned()),
                artifact: plugin.artifact().map(ToString::to_string),
                order: self.order,
                on_error: plugin.on_error(),
                generation: self.since,
                snapshotted: plugin.is_snapshotted(),
                sets: plugin.sets().iter().map(SetStatus::from).collect(),
            }
        });
        PluginStatus {
            name: self.name.clone(),
            origin: self.origin.clone(),
            state: self.state,
            refused: self.refused.clone(),
            loaded,
            counts,
        }
    }
}
