//! The configuration of plugins.

use super::config_source::{ConfigSource, MAX_SOURCES};
use super::error::LoadError;
use super::settings::PluginSettings;
use super::trust::FileDigest;
use crate::bounded::Bounded;
use crate::event::EventMatch;
use crate::plugin::policy::{OnError, Wasi};
use crate::plugin::sandbox::Limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;
use step_observer_oci::Reference;

/// Memory of plugins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PluginMemoryConfig {
    /// Bytes of memory for the instances of all plugins together. The code of the plugins may take
    /// the same number of bytes in addition. The default is three eighths of the memory limit of
    /// the observer's cgroup, or 96 MiB without such a limit. 18 calls can run at a time; a 64th of
    /// the memory is reserved for each. The rest is shared by calls that need more than this 64th.
    /// Such a call fails if it gets no shared memory within its `limits.timeMs`. A part of the
    /// shared memory is reserved for each plugin whose calls usually need it: at most a quarter for
    /// one plugin, and at most half for all of them together.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::not_null"
    )]
    pub total_bytes: Option<Bounded<16_777_216, 1_099_511_627_776>>,
}

/// A plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginConfig {
    /// Name of the plugin in logs, metrics and events.
    #[serde(deserialize_with = "crate::bounded::name")]
    pub name: String,
    /// Location of the plugin.
    pub from: PluginFrom,
    /// Configuration that the plugin itself defines.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub config: Value,
    /// Values of `config` that are secrets. They are read when the plugin is loaded.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::bounded::at_most::<MAX_SOURCES, _, _>"
    )]
    pub config_from: Vec<ConfigSource>,
    /// Condition for the events that the plugin gets. Other events pass without a call. The default
    /// is all events.
    #[serde(default, rename = "match")]
    pub select: EventMatch,
    /// Consequence of a failed call for the event. The default is `strip` for plugins that redact
    /// and `pass` for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// Limits of one call.
    #[serde(default)]
    pub limits: Limits,
    /// The part of WASI that the plugin can import.
    #[serde(default)]
    pub wasi: Wasi,
    /// SHA-256 of the plugin's file, as `sha256sum` prints it. Another file is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<FileDigest>,
}

impl PluginConfig {
    /// Creates the configuration of a plugin with default settings.
    #[must_use]
    pub fn new(name: String, from: PluginFrom) -> Self {
        Self::with_settings(name, from, PluginSettings::default())
    }

    /// Makes a plugin with these settings.
    #[must_use]
    pub fn with_settings(name: String, from: PluginFrom, settings: PluginSettings) -> Self {
        let PluginSettings {
            config,
            select,
            on_error,
            limits,
            wasi,
            sha256,
        } = settings;
        Self {
            name,
            from,
            config,
            config_from: Vec::new(),
            select,
            on_error,
            limits,
            wasi,
            sha256,
        }
    }

    /// Returns the settings, with the values of `config_from` in `config`.
    ///
    /// # Errors
    ///
    /// A value cannot be read, or `config` has no place for it.
    pub(crate) fn resolve(&self) -> Result<PluginSettings, LoadError> {
        let mut settings = PluginSettings::from(self.clone());
        for source in &self.config_from {
            source.apply(&mut settings.config)?;
        }
        Ok(settings)
    }
}

impl From<PluginConfig> for PluginSettings {
    fn from(plugin: PluginConfig) -> Self {
        let PluginConfig {
            name: _,
            from: _,
            config,
            config_from: _,
            select,
            on_error,
            limits,
            wasi,
            sha256,
        } = plugin;
        Self {
            config,
            select,
            on_error,
            limits,
            wasi,
            sha256,
        }
    }
}

/// Location of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum PluginFrom {
    /// A file: a WebAssembly component, a core module or WAT text, also compressed with gzip or zstd.
    File(PathBuf),
    /// A plugin that is part of step-observer: `passthrough`, `filter-events`, `redact-secrets` or `enrich-run`.
    Bundled(String),
    /// A plugin in a registry of OCI artifacts: `registry.example/plugins/filter:1.0@sha256:…`, where `step-observer
    /// plugin push` prints the digest. Without a digest, the tag decides at each start which plugin is loaded.
    Oci(#[schemars(with = "String")] Reference),
}
