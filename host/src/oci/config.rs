//! The configuration of registries.

use super::registry::RegistryAccess;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
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

impl RegistryConfig {
    /// Returns the mistakes of a list, each with the index of its entry: a host that no reference can have, and one that an earlier entry
    /// has.
    #[must_use]
    pub fn problems(registries: &[Self]) -> Vec<(usize, String)> {
        let mut hosts = HashSet::new();
        let problem = |(index, registry): (usize, &Self)| {
            // Any repository shows how a reference writes the host.
            let reference: Result<Reference, _> = format!("{}/any:any", registry.host).parse();
            let problem = match reference {
                Ok(reference) if reference.registry() != registry.host => {
                    format!("write the host as references do: {}", reference.registry())
                }
                Ok(_) if hosts.insert(registry.host.clone()) => return None,
                Ok(_) => format!(
                    "the host `{}` is there twice: remove an entry",
                    registry.host
                ),
                Err(error) => error.to_string(),
            };
            Some((index, problem))
        };
        registries.iter().enumerate().filter_map(problem).collect()
    }
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
    /// Returns how the registry of a reference is reached.
    #[must_use]
    pub fn access(&self, reference: &Reference) -> RegistryAccess {
        let is_its = |registry: &&RegistryConfig| registry.host == reference.registry();
        let Some(registry) = self.0.iter().find(is_its) else {
            return RegistryAccess::default();
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
            ..RegistryAccess::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_those_of_references_and_are_there_once() {
        let hosts = [
            "registry.example",
            "127.0.0.1:5000",
            "Registry.example",
            "https://registry.example",
            "registry.example/plugins",
            "127.0.0.1:5000",
            "registry",
        ];
        let registries = hosts.map(|host| RegistryConfig {
            host: host.to_owned(),
            credentials_file: None,
            ca_file: None,
            plain_http: false,
            token_hosts: Vec::new(),
        });
        let problems = RegistryConfig::problems(&registries);
        let wrong: Vec<usize> = problems.iter().map(|(index, _)| *index).collect();
        assert_eq!(wrong, [2, 3, 4, 5, 6], "{problems:?}");
        assert_eq!(
            problems[0].1,
            "write the host as references do: registry.example"
        );
        assert_eq!(
            problems[3].1,
            "the host `127.0.0.1:5000` is there twice: remove an entry"
        );
    }
}
