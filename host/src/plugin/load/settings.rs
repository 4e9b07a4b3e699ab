//! The settings of a plugin that do not depend on where the plugin comes from.

use super::trust::FileDigest;
use crate::event::EventMatch;
use crate::plugin::policy::{OnError, Wasi};
use crate::plugin::sandbox::Limits;
use serde_json::Value;

/// Settings of a plugin. `PluginConfig` and `PluginManifest` repeat these fields, because serde
/// cannot flatten a struct that refuses unknown fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginSettings {
    /// Its own configuration.
    pub config: Value,
    /// Condition for the events that the plugin gets. Other events pass without a call.
    pub select: EventMatch,
    /// Consequence of a failed call. The default depends on whether the plugin redacts.
    pub on_error: Option<OnError>,
    /// Limits of a call.
    pub limits: Limits,
    /// Access to WASI.
    pub wasi: Wasi,
    /// The pinned SHA-256: any other file is refused.
    pub sha256: Option<FileDigest>,
}
