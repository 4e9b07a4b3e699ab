//! The plugin of a `plugin` command, as the host would run it.

use crate::cli::args::plugin::PluginTarget;
use crate::cli::outcome::CommandError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use step_observer::app::{load_module, load_plugin};
use step_observer::plugin::PluginSettings;
use step_observer::plugin::dropin::PluginManifest;
use step_observer::plugin::{Chain, Plugin, PluginEngine, TrustConfig};
use step_observer::plugin::{PluginConfig, PluginFrom};

/// Applies the given `plugin.yaml`, else the one beside the module.
pub(super) fn target_config(target: PluginTarget) -> Result<PluginConfig, CommandError> {
    let PluginTarget { plugin, settings } = target;
    let beside = match &plugin.from {
        PluginFrom::File(file) => Some(file.with_file_name("plugin.yaml")),
        PluginFrom::Bundled(_) | PluginFrom::Oci(_) => None,
    };
    let Some(path) = settings.or(beside.filter(|path| path.exists())) else {
        return Ok(plugin);
    };
    Ok(with_settings(plugin, read_manifest(&path)?))
}

fn read_manifest(path: &Path) -> Result<PluginManifest, CommandError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("failed to read {}: {error}", path.display()))?;
    Ok(PluginManifest::parse(&path.display().to_string(), &text)?)
}

/// Loads a plugin from memory, with the given `plugin.yaml`.
pub(super) async fn load_bytes(
    engine: &PluginEngine,
    name: String,
    module: Vec<u8>,
    settings: Option<PathBuf>,
) -> Result<Arc<Plugin>, CommandError> {
    let manifest = settings.map(|path| read_manifest(&path)).transpose()?;
    let settings = manifest.map_or_else(PluginSettings::default, PluginSettings::from);
    Ok(load_module(engine, name, module, settings).await?)
}

/// Applies a `plugin.yaml`, except its configuration if the command line has one.
pub(super) fn with_settings(plugin: PluginConfig, manifest: PluginManifest) -> PluginConfig {
    let mut settings = PluginSettings::from(manifest);
    // The command line takes precedence.
    if !plugin.config.is_null() {
        settings.config = plugin.config;
    }
    PluginConfig::with_settings(plugin.name, plugin.from, settings)
}

pub(super) fn engine() -> Result<PluginEngine, CommandError> {
    PluginEngine::new()
        .map_err(|error| format!("failed to start the plugin engine: {error:#}").into())
}

pub(super) async fn load(
    engine: &PluginEngine,
    config: &PluginConfig,
) -> Result<Arc<Plugin>, CommandError> {
    Ok(load_plugin(engine, config, &Arc::new(TrustConfig::default())).await?)
}

/// A chain of this plugin alone.
pub(super) fn single_chain(engine: &PluginEngine, plugin: Arc<Plugin>) -> Arc<Chain> {
    Arc::new(Chain::new(engine, vec![plugin], 0))
}

pub(super) fn bundled(name: &str) -> PluginConfig {
    PluginConfig::new(name.to_owned(), PluginFrom::Bundled(name.to_owned()))
}
