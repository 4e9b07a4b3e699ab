//! The settings of NATS.

use super::super::defaults;
use super::super::not_built::OptionalSettings;
use crate::bounded::Bounded;
use crate::event::ContentMode;
use crate::http::{TlsConfig, mask_url};
use serde::{Deserialize, Deserializer, Serialize};
use std::path::PathBuf;

/// Settings of a sink that publishes to a subject of a NATS JetStream stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NatsConfig {
    /// Servers of one cluster: `nats://` or `tls://` URLs without user and password.
    #[schemars(length(min = 1, max = 16))]
    #[serde(deserialize_with = "crate::bounded::list::<MAX_SERVERS, _, _>")]
    pub servers: Vec<NatsUrl>,
    /// Subject to which events are published. Events wait while no stream has this subject. The
    /// event's `id` is the message's `Nats-Msg-Id`, so that the stream drops a duplicate within its
    /// duplicate window. Two sinks need two streams, because one stream would drop the event of the
    /// second sink as a duplicate.
    #[schemars(length(min = 1, max = 200))]
    #[serde(deserialize_with = "subject")]
    pub subject: String,
    /// How events are encoded.
    #[serde(default = "structured")]
    pub mode: ContentMode,
    /// How the observer identifies itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<NatsAuth>,
    /// TLS settings: the certificate authorities that the observer trusts, and its own certificate.
    /// With this setting nothing is sent without TLS, even if the URL begins with `nats://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<TlsConfig>>,
    /// Longest wait for the acknowledgement of the stream, including the time to connect, in milliseconds.
    #[serde(default = "defaults::timeout_ms")]
    pub timeout_ms: Bounded<1, 600_000>,
    /// Most events in flight at a time. Events of one TaskRun are sent one after the other.
    #[serde(default = "defaults::concurrency")]
    pub concurrency: Bounded<1, 256, usize>,
}

/// Credentials of the observer. The files are read again for every connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum NatsAuth {
    /// A token.
    Token {
        /// File that holds the token.
        file: PathBuf,
    },
    /// A user with a password.
    #[serde(rename_all = "camelCase")]
    User {
        /// Name of the user.
        name: String,
        /// File that holds the password.
        password_file: PathBuf,
    },
    /// A user's JWT and the seed of the user's key.
    Credentials {
        /// File that holds the JWT and the seed, as `nsc generate creds` writes it (`.creds`).
        file: PathBuf,
    },
    /// An NKey.
    #[serde(rename_all = "camelCase")]
    Nkey {
        /// File that holds the seed of the key (`SU…`).
        seed_file: PathBuf,
    },
}

impl OptionalSettings for NatsConfig {
    const NAME: &'static str = "nats";

    /// Masks paths and queries of URLs. Other settings need no masking, because passwords and keys are in files.
    fn mask(&mut self) {
        for server in &mut self.servers {
            *server = server.masked();
        }
    }
}

fn structured() -> ContentMode {
    ContentMode::Structured
}

/// Maximum number of servers in the settings. A few are enough, because the cluster announces its
/// other servers.
const MAX_SERVERS: usize = 16;

fn subject<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let subject = crate::bounded::short_text(deserializer)?;
    let token =
        |token: &str| !token.is_empty() && !token.contains([' ', '*', '>']) && token.is_ascii();
    if subject.split('.').all(token) {
        Ok(subject)
    } else {
        Err(serde::de::Error::custom(
            "a subject to publish to is made of words with dots between them, without spaces and \
             wildcards, such as tekton.steps",
        ))
    }
}

/// A `nats` or `tls` URL without user and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "uri"))]
pub struct NatsUrl(pub(super) url::Url);

impl TryFrom<String> for NatsUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // The error does not repeat the text, which may hold a password.
        let url = url::Url::parse(&text)
            .map_err(|error| format!("not a URL ({error}); write nats://host:4222"))?;
        if !matches!(url.scheme(), "nats" | "tls") || url.host_str().is_none_or(str::is_empty) {
            return Err("write nats://host:4222 or tls://host:4222".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL must not hold user and password; use auth".to_owned());
        }
        Ok(Self(url))
    }
}

impl NatsUrl {
    /// Returns the URL with path and query masked, because they may be secrets.
    #[must_use]
    pub fn masked(&self) -> Self {
        Self(mask_url(&self.0))
    }
}

impl From<NatsUrl> for String {
    fn from(url: NatsUrl) -> Self {
        url.0.into()
    }
}
