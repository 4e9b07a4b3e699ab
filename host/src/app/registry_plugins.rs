//! Plugins of the configuration that are in registries: pulls them, and tries again if a registry is down.

use super::plugins;
use crate::locked::Locked;
use crate::oci::{Digest, OciError, PluginStore, Pulled, Reference, Registries};
use crate::plugin::dropin::MAX_ARTIFACT_BYTES;
use crate::plugin::{
    ChainError, LoadError, MAX_FILE_BYTES, Plugin, PluginConfig, PluginEngine, PluginFrom,
    TrustConfig,
};
use futures::StreamExt as _;
use futures::future::select_all;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use step_observer_core::Backoff;
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};

/// Name of the folder with the plugins of the configuration, in the journal's folder.
const FOLDER: &str = "plugins";
/// Name of the folder with dropped-in plugins. They have one of their own, so that they do not displace those of the configuration.
const DROPPED_IN_FOLDER: &str = "dropped-in-plugins";
/// Plugins that are pulled at a time. Each may take 32 MiB.
const PULLS_AT_A_TIME: usize = 2;
/// Most names without a digest whose last version is known. If there are more, all are forgotten: that matters only if their registry is
/// down at the next change of the configuration.
const MAX_VERSIONS: usize = 256;
/// Pauses between attempts to pull a plugin.
const PULL_BACKOFF: Backoff = Backoff {
    initial: Duration::from_secs(1),
    max: Duration::from_secs(300),
};

/// What happens if a plugin cannot be pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unpulled {
    /// The pipeline is not built: a recording can be replayed again.
    Refuse,
    /// The pipeline is not built, unless the running one has a stand-in for the same plugin: else it would lose a plugin that works.
    KeepRunning,
    /// A stand-in takes its place, and it is tried again.
    StandIn,
}

/// The plugins in registries of one pipeline after the other.
#[derive(Clone, Debug)]
pub(super) struct RegistryPlugins {
    store: PluginStore,
    dropped_in: PluginStore,
    /// One permit for each plugin of the configuration that is pulled at a time.
    permits: Arc<Semaphore>,
    state: Arc<Locked<State>>,
}

/// A plugin that could not be pulled, and the registries of its configuration.
type Missing = (Reference, Arc<Registries>);

#[derive(Debug, Default)]
struct State {
    /// The version that a name without a digest had when it was last pulled.
    versions: HashMap<Reference, Digest>,
    /// Those that the running pipeline lacks.
    running: Vec<Missing>,
    /// Those that the pipeline lacks that was built last, whether it runs or was refused.
    wanted: Vec<Missing>,
}

impl RegistryPlugins {
    /// Opens the plugins that earlier processes have pulled.
    pub(super) fn open(journal: Option<&Path>) -> Self {
        Self {
            store: PluginStore::open(journal.map(|journal| journal.join(FOLDER)), MAX_FILE_BYTES),
            dropped_in: PluginStore::open(
                journal.map(|journal| journal.join(DROPPED_IN_FOLDER)),
                MAX_ARTIFACT_BYTES,
            ),
            permits: Arc::new(Semaphore::new(PULLS_AT_A_TIME)),
            state: Arc::default(),
        }
    }

    /// Returns the dropped-in plugins that were pulled.
    pub(super) fn dropped_in(&self) -> &PluginStore {
        &self.dropped_in
    }

    /// Begins to collect what a new pipeline lacks.
    pub(super) fn begin_build(&self) {
        self.state.lock().wanted.clear();
    }

    /// Notes that the new pipeline takes over.
    pub(super) fn finish_build(&self) {
        let mut state = self.state.lock();
        state.running = state.wanted.clone();
    }

    /// Forgets what a refused configuration lacked.
    pub(super) fn forget_refused(&self) {
        let mut state = self.state.lock();
        state.wanted = state.running.clone();
    }

    /// Waits until a missing plugin was pulled. Waits for ever if none is missing.
    pub(super) async fn pulled(&self) {
        let wanted: HashMap<_, _> = {
            let state = self.state.lock();
            let all = state.running.iter().chain(&state.wanted);
            all.cloned().collect()
        };
        let pulls = wanted
            .into_iter()
            .map(|missing| Box::pin(self.retry(missing)));
        let pulls: Vec<_> = pulls.collect();
        if pulls.is_empty() {
            return std::future::pending().await;
        }
        let (reference, ..) = select_all(pulls).await;
        // If it cannot be loaded, pulling it again would not help.
        let mut state = self.state.lock();
        state.wanted.retain(|(other, _)| *other != reference);
        state.running.retain(|(other, _)| *other != reference);
        info!(artifact = %reference, "a missing plugin is pulled now");
    }

    async fn retry(&self, (reference, registries): Missing) -> Reference {
        let mut attempt = 1_u32;
        loop {
            tokio::time::sleep(PULL_BACKOFF.delay(attempt, fastrand::f64())).await;
            match self.get(&reference, &registries).await {
                Ok(_) => return reference,
                Err(error) => debug!(attempt, %error, "a plugin still cannot be pulled"),
            }
            attempt = attempt.saturating_add(1);
        }
    }

    async fn get(
        &self,
        reference: &Reference,
        registries: &Registries,
    ) -> Result<Pulled, OciError> {
        // It is never closed.
        let _permit = self.permits.acquire().await.ok();
        let access = registries.access(reference);
        self.store.get(reference, access).await
    }

    /// Pulls a plugin. A name without a digest is resolved again; if that fails, its last version counts.
    async fn pull(
        &self,
        name: &str,
        reference: &Reference,
        registries: &Registries,
    ) -> Result<Pulled, OciError> {
        let error = match self.get(reference, registries).await {
            Ok(pulled) => {
                self.note_version(name, reference, pulled.manifest);
                return Ok(pulled);
            }
            Err(error) => error,
        };
        let version = self.state.lock().versions.get(reference).copied();
        let Some(version) = version else {
            return Err(error);
        };
        let pulled = self.get(&reference.pinned(version), registries).await;
        let pulled = pulled.map_err(|_| error)?;
        warn!(plugin = name, digest = %version, "the registry cannot be asked for a newer version: the last one stays");
        Ok(pulled)
    }

    fn note_version(&self, name: &str, reference: &Reference, version: Digest) {
        if reference.digest().is_some() {
            return;
        }
        let pinned = reference.pinned(version);
        let mut state = self.state.lock();
        if state.versions.len() >= MAX_VERSIONS && !state.versions.contains_key(reference) {
            state.versions.clear();
        }
        let before = state.versions.insert(reference.clone(), version);
        drop(state);
        if before != Some(version) {
            warn!(
                plugin = name, %pinned,
                "a tag can be moved to another plugin at any time: write the name with its digest"
            );
        }
    }
}

/// Loads the plugins of one configuration.
pub(super) struct PluginLoader<'a> {
    pub(super) engine: &'a PluginEngine,
    pub(super) trust: &'a Arc<TrustConfig>,
    pub(super) registry_plugins: &'a RegistryPlugins,
    pub(super) registries: Arc<Registries>,
    pub(super) unpulled: Unpulled,
}

impl PluginLoader<'_> {
    /// Pulls, loads and tests plugins, without blocking the runtime's threads.
    pub(super) async fn load(
        &self,
        configs: &[PluginConfig],
    ) -> Result<Vec<Arc<Plugin>>, ChainError> {
        // Boxed, because the compiler otherwise demands that the closure works for every lifetime.
        let pulls: Vec<_> = configs
            .iter()
            .map(|config| Box::pin(async move { (config, self.pull(config).await) }))
            .collect();
        let mut pulls = futures::stream::iter(pulls).buffered(PULLS_AT_A_TIME);
        let mut loaded = Vec::new();
        while let Some((config, pulled)) = pulls.next().await {
            let plugin = match pulled {
                Ok(pulled) => plugins::load_pulled(self.engine, config, self.trust, pulled).await?,
                Err(reason) => self.stand_in(config, reason)?,
            };
            loaded.push(plugin);
        }
        Ok(loaded)
    }

    /// Pulls a plugin if it is in a registry.
    async fn pull(&self, config: &PluginConfig) -> Result<Option<Pulled>, String> {
        let PluginFrom::Oci(reference) = &config.from else {
            return Ok(None);
        };
        info!(plugin = config.name, artifact = %reference, "pulling plugin");
        let plugins = self.registry_plugins;
        let pulled = plugins
            .pull(&config.name, reference, &self.registries)
            .await;
        pulled.map(Some).map_err(|error| error.to_string())
    }

    fn stand_in(&self, config: &PluginConfig, reason: String) -> Result<Arc<Plugin>, ChainError> {
        let failed = |source| ChainError {
            name: config.name.clone(),
            source,
        };
        let PluginFrom::Oci(reference) = &config.from else {
            return Err(failed(LoadError::Pull(reason)));
        };
        let mut state = self.registry_plugins.state.lock();
        state
            .wanted
            .push((reference.clone(), self.registries.clone()));
        let stands_in = match self.unpulled {
            Unpulled::Refuse => false,
            Unpulled::StandIn => true,
            Unpulled::KeepRunning => {
                let mut running = state.running.iter();
                running.any(|(missing, _)| missing == reference)
            }
        };
        drop(state);
        if !stands_in {
            return Err(failed(LoadError::Pull(reason)));
        }
        let settings = config.resolve().map_err(failed)?;
        warn!(
            plugin = config.name,
            reason, "a plugin cannot be pulled: until it can, it counts as failing on every event"
        );
        let spec = plugins::spec(config, settings, self.trust, None);
        let reason = LoadError::Pull(reason).to_string();
        Ok(Arc::new(Plugin::stand_in(&spec, reason)))
    }
}
