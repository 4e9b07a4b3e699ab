//! Configuration of the admin server: its addresses, and the authorization of its callers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The observer's own HTTP pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Address of the live page (`/`), `/status`, `/plugins`, `/sinks`, `/events/ID`, `/metrics`, `/healthz`
    /// and `/readyz` over HTTP, such as `127.0.0.1:8082`. The default is none. On an address that other
    /// machines reach, the first five need `auth`. If none of `auth`, `metrics` and `probes` is
    /// set, such an address serves only the last three.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Address of `/metrics` alone, such as `0.0.0.0:8080`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// Address of `/healthz` and `/readyz` alone, such as `0.0.0.0:8081`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<SocketAddr>,
    /// Authorization for the live page, `/status`, `/plugins`, `/sinks` and `/events/ID`. The default is
    /// none, which is allowed on the machine's own addresses only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthConfig>,
}

/// Method to identify a caller: a token in the header `Authorization: Bearer TOKEN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum AuthConfig {
    /// The token that is in a file.
    Bearer(BearerConfig),
    /// A token of the cluster, such as a service account's. The API server finds its owner
    /// (TokenReview), and decides whether RBAC lets that owner `get` the path, such as `/status`
    /// (`nonResourceURLs`; SubjectAccessReview).
    Kubernetes(KubernetesConfig),
}

/// A token in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BearerConfig {
    /// The file, of at most 64 KiB. It is read for every request, so that it may change.
    pub token_file: PathBuf,
}

/// Tokens of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KubernetesConfig {
    /// Accepted audiences: a token must be made for at least one of them. The default is the API
    /// server itself.
    pub audiences: Vec<String>,
}

/// Why the addresses of the admin server are refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminConfigError {
    /// Other machines could see the runs without authorization.
    #[error(
        "admin.listen: {0} is reached by other machines and shows runs, events and plugins: set admin.auth, or listen on \
         127.0.0.1 (`kubectl port-forward` reaches it)"
    )]
    Unprotected(SocketAddr),
    /// `auth` is set, but there is no address with routes that need it.
    #[error("admin.auth guards what admin.listen shows: set admin.listen, or remove admin.auth")]
    NothingToGuard,
    /// Two servers cannot listen on one address.
    #[error(
        "{field}: {address} is the address of {other} too: use another address, or remove one of them"
    )]
    Twice {
        /// The field that repeats the address, such as `admin.listen`.
        field: &'static str,
        /// The field that comes first.
        other: &'static str,
        /// The address of both.
        address: SocketAddr,
    },
}

/// The routes of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteSet {
    /// `/healthz` and `/readyz`.
    Probes,
    /// `/metrics`.
    Metrics,
    /// All routes.
    All,
    /// All routes; those that show runs need authorization by `auth`.
    Guarded,
    /// All routes; those that show runs refuse every client.
    Withheld,
}

impl RouteSet {
    /// Returns whether clients can get the routes that show runs.
    pub(super) fn shows_runs(self) -> bool {
        matches!(self, Self::All | Self::Guarded)
    }
}

/// An address of the admin server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListenAddress {
    /// The field of the configuration that has the address.
    pub(super) field: &'static str,
    /// The name in logs and metrics.
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    pub(super) routes: RouteSet,
}

impl AdminConfig {
    /// Checks that the addresses show nothing to other machines without authorization.
    ///
    /// # Errors
    ///
    /// Runs would be shown to other machines without `auth`, or `auth` guards nothing.
    pub fn check(&self) -> Result<(), AdminConfigError> {
        self.listen_addresses().map(drop)
    }

    /// Returns the addresses to listen on, with their routes.
    pub(super) fn listen_addresses(&self) -> Result<Vec<ListenAddress>, AdminConfigError> {
        let listen = |field, name, address: Option<SocketAddr>, routes| {
            address.map(|address| ListenAddress {
                field,
                name,
                address,
                routes,
            })
        };
        let runs = match self.listen {
            Some(address) => self.runs_route_set(address)?,
            None if self.auth.is_some() => return Err(AdminConfigError::NothingToGuard),
            None => RouteSet::All,
        };
        let addresses = [
            listen("admin.probes", "probes", self.probes, RouteSet::Probes),
            listen("admin.metrics", "metrics", self.metrics, RouteSet::Metrics),
            listen("admin.listen", "runs", self.listen, runs),
        ];
        let addresses: Vec<ListenAddress> = addresses.into_iter().flatten().collect();
        for (index, listen) in addresses.iter().enumerate() {
            // Port 0 means any free port.
            let same = |earlier: &&ListenAddress| {
                earlier.address == listen.address && listen.address.port() != 0
            };
            if let Some(earlier) = addresses.iter().take(index).find(same) {
                return Err(AdminConfigError::Twice {
                    field: listen.field,
                    other: earlier.field,
                    address: listen.address,
                });
            }
        }
        Ok(addresses)
    }

    fn runs_route_set(&self, address: SocketAddr) -> Result<RouteSet, AdminConfigError> {
        let has_others = self.metrics.is_some() || self.probes.is_some();
        match &self.auth {
            Some(_) => Ok(RouteSet::Guarded),
            None if address.ip().to_canonical().is_loopback() => Ok(RouteSet::All),
            None if has_others => Err(AdminConfigError::Unprotected(address)),
            // In version 0.1.0, a configuration had one address for all routes. Such a
            // configuration must still start, so that probes and scrapes work after an upgrade.
            None => Ok(RouteSet::Withheld),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(listen: &str, others: bool, auth: bool) -> Result<Vec<RouteSet>, AdminConfigError> {
        let address = |text: &str| Some(text.parse().unwrap());
        let config = AdminConfig {
            listen: address(listen),
            metrics: address("0.0.0.0:8080").filter(|_| others),
            probes: address("0.0.0.0:8081").filter(|_| others),
            auth: auth.then(|| AuthConfig::Kubernetes(KubernetesConfig::default())),
        };
        let listen_addresses = config.listen_addresses()?;
        Ok(listen_addresses.iter().map(|place| place.routes).collect())
    }

    #[test]
    fn runs_are_shown_on_loopback_or_to_authorized_clients() {
        use RouteSet::{All, Guarded, Metrics, Probes, Withheld};
        let far = "10.0.0.7:8082";
        for (listen, others, auth, expected) in [
            ("127.0.0.1:8080", false, false, Ok(vec![All])),
            ("[::1]:8080", false, false, Ok(vec![All])),
            ("[::ffff:127.0.0.1]:8080", false, false, Ok(vec![All])),
            (
                "127.0.0.1:8082",
                true,
                false,
                Ok(vec![Probes, Metrics, All]),
            ),
            ("127.0.0.1:8082", false, true, Ok(vec![Guarded])),
            ("0.0.0.0:8080", false, false, Ok(vec![Withheld])),
            ("[::]:8080", false, false, Ok(vec![Withheld])),
            ("0.0.0.0:8080", false, true, Ok(vec![Guarded])),
            (far, true, true, Ok(vec![Probes, Metrics, Guarded])),
            (
                far,
                true,
                false,
                Err(AdminConfigError::Unprotected(far.parse().unwrap())),
            ),
        ] {
            assert_eq!(pages(listen, others, auth), expected, "{listen}");
        }
    }

    #[test]
    fn auth_that_guards_nothing_is_a_mistake() {
        let auth = Some(AuthConfig::Kubernetes(KubernetesConfig::default()));
        let config = AdminConfig {
            auth,
            ..AdminConfig::default()
        };
        assert_eq!(config.check(), Err(AdminConfigError::NothingToGuard));
        assert_eq!(AdminConfig::default().check(), Ok(()));
    }
}
