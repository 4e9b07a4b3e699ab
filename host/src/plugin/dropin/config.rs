//! The configuration of the sources of dropped-in plugins.

use crate::plugin::LimitCeiling;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Sources of dropped-in plugins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DropInConfig {
    /// Loads ConfigMaps with the label `step-observer.dev/plugin: "true"` as plugins.
    pub config_maps: bool,
    /// Namespace of these ConfigMaps. The default in a cluster is the observer's own namespace. Outside a cluster there is
    /// no default, and no ConfigMap is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Folders of plugins, such as mounted ConfigMaps: `NAME.wasm` with `NAME.yaml`, or a folder NAME with `plugin.wasm`
    /// and `plugin.yaml`. They are read every second.
    pub folders: Vec<PathBuf>,
    /// Upper bounds for the `limits` in a `plugin.yaml`. A plugin that asks for more is refused.
    pub limits: LimitCeiling,
}

impl Default for DropInConfig {
    fn default() -> Self {
        Self {
            config_maps: true,
            namespace: None,
            folders: Vec::new(),
            limits: LimitCeiling::default(),
        }
    }
}
