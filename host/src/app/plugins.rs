//! Loads plugins of a configuration, and finds the sources of drop-in plugins.

use super::drop_ins::DropInSource;
use super::{AppError, Source, memory_limit};
use crate::bounded::Bounded;
use crate::observe;
use crate::oci::Pulled;
use crate::plugin::dropin::DropInConfig;
use crate::plugin::{
    ChainError, Compiler, LoadError, MemoryBudget, Plugin, PluginEngine, PluginSettings,
    PluginSource, PluginSpec, TrustConfig, default_plugin_memory,
};
use crate::plugin::{PluginConfig, PluginFrom, PluginMemoryConfig};
use std::sync::Arc;
use tracing::{debug, info, warn};

/// Least memory of the process that compiles plugins. The bundled plugins need about 40 MiB.
const MIN_COMPILER_MEMORY: u64 = 64 * 1024 * 1024;

/// Makes the engine that runs plugins.
pub(super) fn engine() -> Result<PluginEngine, AppError> {
    PluginEngine::new().map_err(|error| AppError::Engine(format!("{error:#}")))
}

/// Returns the engine for the plugins of one configuration. They share the configured memory; the default
/// depends on the memory limit of the system.
pub(super) fn engine_with_memory(
    engine: PluginEngine,
    memory: &PluginMemoryConfig,
    compiler: Compiler,
) -> PluginEngine {
    let limit = memory_limit::cgroup_limit();
    let total = memory
        .total_bytes
        .map_or_else(|| default_plugin_memory(limit), Bounded::get);
    info!(total, limit, "memory shared by all plugins");
    // Bounds the compiler only under a memory limit: there the system might end this process
    // together with the compiler.
    let engine = engine.with_compiler_memory(limit.map(|_| total.max(MIN_COMPILER_MEMORY)));
    engine
        .with_compiler(compiler)
        .with_memory_budget(MemoryBudget::new(total))
}

/// Loads a plugin and tests it, without blocking the runtime's threads. `pulled` is what the registry has, if it is in one.
pub(super) async fn load_pulled(
    engine: &PluginEngine,
    config: &PluginConfig,
    trust: &Arc<TrustConfig>,
    pulled: Option<Pulled>,
) -> Result<Arc<Plugin>, ChainError> {
    info!(plugin = config.name, "loading plugin");
    let (asked, possible) = (
        config.limits.memory_bytes.get(),
        engine.budget().largest_call(),
    );
    if asked > possible {
        warn!(
            plugin = config.name,
            asked,
            possible,
            "limits.memoryBytes is more than one call can get: raise pluginMemory.totalBytes"
        );
    }
    let plugin = load_config(engine, config, trust, pulled).await?;
    let (name, version) = plugin.identity();
    let digest = plugin.digest().map_or("", |digest| digest.as_str());
    debug!(
        plugin = plugin.name(), name, version, digest, on_error = ?plugin.on_error(),
        snapshotted = plugin.is_snapshotted(), "plugin is loaded"
    );
    Ok(plugin)
}

fn load_one(engine: &PluginEngine, spec: &PluginSpec) -> Result<Plugin, ChainError> {
    let loaded = Plugin::load(engine, spec);
    let tried = loaded.and_then(|plugin| plugin.self_test(engine).map(|()| plugin));
    tried.map_err(|source| ChainError {
        name: spec.name.clone(),
        source,
    })
}

/// Loads one plugin as the observer would with this configuration.
///
/// # Errors
///
/// The plugin cannot be loaded.
pub async fn load_plugin(
    engine: &PluginEngine,
    config: &PluginConfig,
    trust: &Arc<TrustConfig>,
) -> Result<Arc<Plugin>, ChainError> {
    load_config(engine, config, trust, None).await
}

async fn load_config(
    engine: &PluginEngine,
    config: &PluginConfig,
    trust: &Arc<TrustConfig>,
    pulled: Option<Pulled>,
) -> Result<Arc<Plugin>, ChainError> {
    let (config, trust) = (config.clone(), trust.clone());
    load_on_a_thread(engine, move || {
        let settings = config.resolve();
        let settings = settings.map_err(|source| ChainError {
            name: config.name.clone(),
            source,
        })?;
        Ok(spec(&config, settings, &trust, pulled))
    })
    .await
}

/// Loads a plugin that is in memory as the observer would with these settings.
///
/// # Errors
///
/// The plugin cannot be loaded.
pub async fn load_module(
    engine: &PluginEngine,
    name: String,
    module: Vec<u8>,
    settings: PluginSettings,
) -> Result<Arc<Plugin>, ChainError> {
    load_on_a_thread(engine, move || {
        Ok(PluginSpec {
            settings,
            ..PluginSpec::new(name, PluginSource::bytes(module))
        })
    })
    .await
}

async fn load_on_a_thread(
    engine: &PluginEngine,
    spec: impl FnOnce() -> Result<PluginSpec, ChainError> + Send + 'static,
) -> Result<Arc<Plugin>, ChainError> {
    let engine = engine.clone();
    let loading = tokio::task::spawn_blocking(move || load_one(&engine, &spec()?));
    match loading.await {
        Ok(loaded) => loaded.map(Arc::new),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Reads the file of a plugin, and checks its digest.
///
/// # Errors
///
/// The file cannot be read, or has another digest.
pub fn read_plugin(config: &PluginConfig) -> Result<Vec<u8>, LoadError> {
    spec(config, config.clone().into(), &Arc::default(), None).read()
}

/// Returns a plugin to load. `pulled` is what the registry has, if it is in one and was pulled.
pub(super) fn spec(
    config: &PluginConfig,
    settings: PluginSettings,
    trust: &Arc<TrustConfig>,
    pulled: Option<Pulled>,
) -> PluginSpec {
    let mut artifact = None;
    let source = match (&config.from, pulled) {
        (PluginFrom::File(path), _) => PluginSource::File(path.clone()),
        (PluginFrom::Bundled(name), _) => PluginSource::Bundled(name.clone()),
        (PluginFrom::Oci(reference), None) => PluginSource::Registry(reference.clone()),
        (PluginFrom::Oci(reference), Some(pulled)) => {
            artifact = Some(reference.pinned(pulled.manifest));
            PluginSource::Bytes {
                module: pulled.module.into(),
                signature: pulled.signature.map(Into::into),
            }
        }
    };
    PluginSpec {
        settings,
        trust: trust.clone(),
        artifact,
        ..PluginSpec::new(&*config.name, source)
    }
}

/// Returns the places where plugins are dropped in.
pub(super) fn sources(source: &Source, config: DropInConfig) -> Vec<DropInSource> {
    let DropInConfig {
        config_maps,
        namespace,
        folders,
        registries: _,
        pull_secrets: _,
        limits: _,
    } = config;
    let mut sources: Vec<_> = folders.into_iter().map(DropInSource::Folder).collect();
    if let Source::Cluster { client, .. } = source
        && let Some(namespace) = namespace.or_else(observe::own_namespace)
        && config_maps
    {
        info!(namespace, "plugins are taken from labelled ConfigMaps");
        sources.push(DropInSource::ConfigMaps {
            client: client.clone(),
            namespace,
        });
    }
    sources
}
