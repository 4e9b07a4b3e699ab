//! The configuration of registries.

use super::registry::RegistryAccess;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use step_observer_oci::Reference;

/// A registry from which plugins are loaded. A registry without an entry is reached with TLS, with the authorities of
/// the system, and without credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryConfig {
    /// Host, with its port if there is one, as references write it: `registry.example:5000`.
    pub host: String,
    /// Docker's `config.json` with credentials, such as a mounted Secret of the type `kubernetes.io/dockerconfigjson`. It
    /// is read again for each request for credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// Certificates of authorities (PEM), one of which issued the registry's. The default is those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Speak HTTP without TLS. Credentials can then be read, and a plugin without a digest can be changed on the way.
    #[serde(default)]
    pub plain_http: bool,
    /// Hosts that may get the credentials to issue a token, beside the registry's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_hosts: Vec<String>,
}

/// The registries of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registries(Vec<RegistryConfig>);

impl From<Vec<RegistryConfig>> for Registries {
    fn from(registries: Vec<RegistryConfig>) -> Self {
        Self(registries)
    }
}

impl Registries {
    /// Returns how the registry of a reference is reached. The first entry of its host counts.
    pub(super) fn access(&self, reference: &Reference, max_bytes: u64) -> RegistryAccess {
        let is_its =
            |registry: &&RegistryConfig| registry.host.eq_ignore_ascii_case(reference.registry());
        let Some(registry) = self.0.iter().find(is_its) else {
            return RegistryAccess {
                max_bytes,
                ..RegistryAccess::default()
            };
        };
        let RegistryConfig {
            host: _,
            credentials_file,
            ca_file,
            plain_http,
            token_hosts,
        } = registry.clone();
        RegistryAccess {
            plain_http,
            ca_file,
            docker_config: credentials_file,
            token_hosts,
            max_bytes,
        }
    }
}
