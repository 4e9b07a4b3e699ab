//! The configuration of the sources of dropped-in plugins.

use crate::plugin::LimitCeiling;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use step_observer_oci::RegistryScope;

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
    /// Registries from which these plugins may come (`from: {oci: …}` in a `plugin.yaml`): `registry.example`, or
    /// `registry.example/team` for the repositories below `team`. The default is none. Addresses of this machine and its
    /// network link are refused, unless they are written here as addresses, with the port.
    #[schemars(with = "Vec<String>")]
    pub registries: Vec<RegistryScope>,
    /// Names of Secrets of the type `kubernetes.io/dockerconfigjson` with credentials for these registries, in the
    /// observer's own namespace. The first that has an entry for a repository counts. At most 16.
    pub pull_secrets: Vec<String>,
    /// Upper bounds for the `limits` in a `plugin.yaml`. A plugin that asks for more is refused.
    pub limits: LimitCeiling,
}

impl Default for DropInConfig {
    fn default() -> Self {
        Self {
            config_maps: true,
            namespace: None,
            folders: Vec::new(),
            registries: Vec::new(),
            pull_secrets: Vec::new(),
            limits: LimitCeiling::default(),
        }
    }
}
