//! The settings of the sink `tekton`.

use serde::{Deserialize, Serialize};

/// Namespace of Tekton's ConfigMaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TektonConfig {
    /// Namespace of the ConfigMaps `config-events` and `config-defaults`.
    pub namespace: String,
}

impl Default for TektonConfig {
    fn default() -> Self {
        Self {
            namespace: "tekton-pipelines".to_owned(),
        }
    }
}
