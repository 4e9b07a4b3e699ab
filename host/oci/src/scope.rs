//! Registries, and parts of them, from which plugins may come.

use crate::Reference;
use crate::reference::{is_repository, registry};
use core::net::{IpAddr, SocketAddr};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use url::{Host, Url};

/// A registry, or the repositories below a prefix in it: `registry.example:5000`, `registry.example/team`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegistryScope {
    registry: String,
    /// Whole segments of the path of a repository.
    prefix: Option<String>,
}

/// Why a text names neither a registry nor a part of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// The text does not begin with a host.
    #[error("`{0}` is no host of a registry; write registry.example or registry.example/team")]
    Registry(String),
    /// References write the host in another way.
    #[error("write the host as references do: {0}")]
    Spelling(String),
    /// What follows the host is no path of repositories.
    #[error(
        "`{0}` is no path of repositories: it has lower-case letters, digits, and `.`, `_`, `-` and `/` between them, \
         and neither a tag nor a digest"
    )]
    Prefix(String),
}

impl RegistryScope {
    /// Returns whether an artifact is in it. A prefix ends at a `/`: `team` does not contain `team-of-others`.
    #[must_use]
    pub fn contains(&self, reference: &Reference) -> bool {
        let repository = reference.repository();
        let is_below = |prefix: &String| match repository.strip_prefix(&**prefix) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        };
        self.registry == reference.registry() && self.prefix.as_ref().is_none_or(is_below)
    }

    /// Returns the address of the registry, if it is written as an address and not as a name. Without a port, returns those of HTTPS and
    /// HTTP.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        // For either scheme, the URL has no port if it is the one of the scheme.
        let ports = [("https", 443), ("http", 80)].map(|(scheme, default)| {
            let url = Url::parse(&format!("{scheme}://{}", self.registry)).ok()?;
            let address: IpAddr = match url.host()? {
                Host::Domain(_) => return None,
                Host::Ipv4(address) => address.into(),
                Host::Ipv6(address) => address.into(),
            };
            Some(SocketAddr::new(address, url.port().unwrap_or(default)))
        });
        let mut found: Vec<_> = ports.into_iter().flatten().collect();
        found.dedup();
        found
    }
}

impl FromStr for RegistryScope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (host, prefix) = match text.split_once('/') {
            Some((host, prefix)) => (host, Some(prefix.strip_suffix('/').unwrap_or(prefix))),
            None => (text, None),
        };
        match registry(host) {
            None => return Err(ScopeError::Registry(host.to_owned())),
            Some(written) if written != host => return Err(ScopeError::Spelling(written)),
            Some(_) => {}
        }
        match prefix {
            Some(prefix) if !is_repository(prefix) => Err(ScopeError::Prefix(prefix.to_owned())),
            prefix => Ok(Self {
                registry: host.to_owned(),
                prefix: prefix.map(str::to_owned),
            }),
        }
    }
}

impl TryFrom<String> for RegistryScope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<RegistryScope> for String {
    fn from(scope: RegistryScope) -> Self {
        scope.to_string()
    }
}

impl fmt::Display for RegistryScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.prefix {
            Some(prefix) => write!(f, "{}/{prefix}", self.registry),
            None => f.write_str(&self.registry),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope(text: &str) -> RegistryScope {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_ends_at_a_boundary_of_the_path() {
        for (text, repository, expected) in [
            ("registry.example", "registry.example/a/b", true),
            ("registry.example", "registry.example:5000/a", false),
            ("registry.example", "other.example/a", false),
            ("registry.example/team", "registry.example/team", true),
            ("registry.example/team", "registry.example/team/a/b", true),
            ("registry.example/team/", "registry.example/team/a", true),
            (
                "registry.example/team",
                "registry.example/team-of-others",
                false,
            ),
            ("registry.example/team", "registry.example/a/team", false),
            ("registry.example/a/b", "registry.example/a", false),
        ] {
            let reference = format!("{repository}:1").parse().unwrap();
            assert_eq!(
                scope(text).contains(&reference),
                expected,
                "{text} {repository}"
            );
        }
    }

    #[test]
    fn only_hosts_and_paths_are_scopes() {
        let spelling = |host: &str| ScopeError::Spelling(host.to_owned());
        for (text, expected) in [
            ("", ScopeError::Registry(String::new())),
            ("registry", ScopeError::Registry("registry".to_owned())),
            (
                "https://registry.example",
                ScopeError::Registry("https:".to_owned()),
            ),
            ("*.example", ScopeError::Registry("*.example".to_owned())),
            ("Registry.example", spelling("registry.example")),
            ("0x7f.1", spelling("127.0.0.1")),
            ("registry.example/", ScopeError::Prefix(String::new())),
            ("registry.example/..", ScopeError::Prefix("..".to_owned())),
            ("registry.example/a:1", ScopeError::Prefix("a:1".to_owned())),
        ] {
            assert_eq!(text.parse::<RegistryScope>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn literal_addresses_are_known_and_names_have_none() {
        let addresses = |text: &str| -> Vec<String> {
            let found = scope(text).addresses().into_iter();
            found.map(|address| address.to_string()).collect()
        };
        assert_eq!(addresses("127.0.0.1:5000/team"), ["127.0.0.1:5000"]);
        assert_eq!(addresses("127.0.0.1"), ["127.0.0.1:443", "127.0.0.1:80"]);
        assert_eq!(addresses("[::1]:5000"), ["[::1]:5000"]);
        assert_eq!(addresses("localhost:5000"), [""; 0]);
        assert_eq!(addresses("registry.example"), [""; 0]);
    }

    proptest! {
        #[test]
        fn a_scope_is_written_as_it_is_read(text in "(a|b\\.c|localhost|:5|/|1|@|\\[|-|é){0,8}") {
            if let Ok(scope) = text.parse::<RegistryScope>() {
                prop_assert_eq!(scope.to_string().parse(), Ok(scope));
            }
        }
    }
}
