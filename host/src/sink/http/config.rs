//! What can be configured of an HTTP receiver.

use super::super::{ExtraRoots, TlsConfig, defaults};
use crate::bounded::Bounded;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An HTTP receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpConfig {
    /// Where to post.
    pub url: HttpUrl,
    /// How events are encoded.
    #[serde(default)]
    pub mode: HttpMode,
    /// Further headers.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// Who the observer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
    /// Whom the observer trusts, and how it shows who it is, where the URL is `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<TlsConfig>>,
    /// Authorities that are trusted beside those of the system: those of a Knative SinkBinding (`K_CA_CERTS`).
    #[serde(skip)]
    pub roots: ExtraRoots,
    /// Extension attributes that every event gets on its way there, as the `ceOverrides` of Knative.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, String>,
    /// How events are gathered in batched mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchConfig>,
    /// How bodies of a kibibyte and more are compressed. The default is not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Signatures by which the receiver knows who sent it, in structured and batched mode: in binary
    /// mode attributes are headers, which they would not cover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// Asks the receiver for permission before the first event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Handshake>,
    /// Whether requests go through a proxy.
    #[serde(default)]
    pub proxy: ProxyUse,
    /// Longest wait for an answer, in milliseconds.
    #[serde(default = "defaults::timeout_ms")]
    pub timeout_ms: Bounded<1, 600_000>,
    /// Requests in flight at a time. Events of one TaskRun go one after the other.
    #[serde(default = "defaults::concurrency")]
    pub concurrency: Bounded<1, 256, usize>,
}

/// How events are encoded.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum HttpMode {
    /// Attributes as headers, data as body.
    #[default]
    Binary,
    /// The whole event as body.
    Structured,
    /// Many whole events as body (`application/cloudevents-batch+json`), of each TaskRun one at a time.
    Batch,
}

/// Whether requests go through a proxy. Only HTTP receivers and the collector of traces can have one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum ProxyUse {
    /// Through the one that `HTTP_PROXY` or `HTTPS_PROXY` names, else `ALL_PROXY`, unless `NO_PROXY` names the receiver's
    /// host; all in upper or lower case. To an `https` URL it is a tunnel. To an `http` URL the proxy sees every event, and
    /// a sink with `auth`, `signing` or a header `fromEnv` or `fromFile` is refused.
    #[default]
    Environment,
    /// The same, but the proxy may see credentials.
    Trusted,
    /// Never.
    None,
}

/// How events are gathered in batched mode: while all requests are in flight, and for `lingerMs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Most events in a batch.
    pub max_events: Bounded<1, 1000, usize>,
    /// Most bytes of events in a batch, before compression; an event that is larger goes alone. A
    /// batch that the receiver refuses is sent again in halves.
    pub max_bytes: Bounded<1024, 67_108_864, usize>,
    /// How long a batch that is not full waits for more, in milliseconds.
    pub linger_ms: Bounded<0, 60_000>,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            max_events: Bounded::new(100),
            max_bytes: Bounded::new(1024 * 1024),
            linger_ms: Bounded::new(100),
        }
    }
}

/// How bodies are compressed (`Content-Encoding`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Compression {
    /// Gzip.
    Gzip,
}

/// HMAC-SHA256 over id, time and content before compression, by the convention of Standard Webhooks
/// (`webhook-id`, `webhook-timestamp`, `webhook-signature`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signing {
    /// Files with a secret each: `whsec_` and base64 of 24 to 64 bytes. While one replaces another,
    /// both are given, and the receiver takes the one it knows. Read again every ten seconds.
    #[schemars(length(min = 1, max = 4))]
    pub secret_files: Vec<PathBuf>,
}

/// Validation of the receiver by CloudEvents' HTTP webhooks 1.0 §4: `OPTIONS` before the first event.
/// Where it does not permit, events wait and it is asked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Handshake {
    /// Who asks, as a DNS name, such as `ci.example.com` (`WebHook-Request-Origin`).
    #[serde(deserialize_with = "crate::bounded::short_text")]
    pub origin: String,
    /// Requests a minute that are asked for (`WebHook-Request-Rate`). What the receiver allows is kept
    /// in any case.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::not_null"
    )]
    pub requests_per_minute: Option<Bounded<1, 1_000_000>>,
}

/// Who the observer is. The files are read again every ten seconds, and when the receiver answers 401.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum HttpAuth {
    /// `Authorization: Bearer`, with a token such as that of a service account with an audience
    /// (a projected volume).
    #[serde(rename_all = "camelCase")]
    Bearer {
        /// File that holds the token.
        token_file: PathBuf,
    },
    /// `Authorization: Basic`.
    #[serde(rename_all = "camelCase")]
    Basic {
        /// Name of the user, without colon.
        user: String,
        /// File that holds the password.
        password_file: PathBuf,
    },
}

/// A header to send. ReloadingClient come from the environment or a file, which is read again every ten
/// seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value, where it is no secret.
    pub value: Option<String>,
    /// Environment variable that holds its value.
    pub from_env: Option<String>,
    /// File that holds its value.
    pub from_file: Option<PathBuf>,
}

/// An `http` or `https` URL without user and password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "uri"))]
pub struct HttpUrl(pub(super) url::Url);

impl TryFrom<String> for HttpUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        // The text is not repeated: it may hold a password.
        let url = url::Url::parse(&text)
            .map_err(|error| format!("not a URL ({error}); write http://host/path"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!(
                "`{}` URLs are not supported; write http:// or https://",
                url.scheme()
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "a URL must not hold user and password; use headers with fromEnv or fromFile"
                    .to_owned(),
            );
        }
        Ok(Self(url))
    }
}

impl From<HttpUrl> for String {
    fn from(url: HttpUrl) -> Self {
        url.0.into()
    }
}

impl HttpUrl {
    /// Its scheme, host and port, which are no secret.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The same without path and query, which may be secrets.
    #[must_use]
    pub fn masked(&self) -> Self {
        Self(crate::sink::secret_file::masked(&self.0))
    }

    /// Its host, which is no secret.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl std::fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl HttpConfig {
    /// A receiver with everything else at its default.
    #[must_use]
    pub fn new(url: HttpUrl) -> Self {
        Self {
            url,
            mode: HttpMode::default(),
            headers: Vec::new(),
            auth: None,
            tls: None,
            roots: ExtraRoots::default(),
            extensions: BTreeMap::new(),
            batch: None,
            compression: None,
            signing: None,
            handshake: None,
            proxy: ProxyUse::default(),
            timeout_ms: defaults::timeout_ms(),
            concurrency: defaults::concurrency(),
        }
    }
}
