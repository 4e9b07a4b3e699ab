//! The settings of an HTTP receiver.

use super::super::defaults;
use crate::bounded::Bounded;
use crate::http::{ExtraRoots, Header, HttpAuth, HttpUrl, ProxyUse, TlsConfig};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An HTTP receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpConfig {
    /// URL to which events are posted.
    pub url: HttpUrl,
    /// How events are encoded.
    #[serde(default)]
    pub mode: HttpMode,
    /// Headers that every request gets, in addition to the headers of the event.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// How the observer identifies itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
    /// TLS settings for an `https` URL: trusted certificate authorities, and the observer's own
    /// certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<TlsConfig>>,
    /// Certificate authorities that are trusted in addition to the authorities of the system. They
    /// come from a Knative SinkBinding (`K_CA_CERTS`).
    #[serde(skip)]
    pub roots: ExtraRoots,
    /// Extension attributes that every event gets for this sink, like the `ceOverrides` of Knative.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, String>,
    /// How events are gathered in batched mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchConfig>,
    /// Compression of bodies of at least one kibibyte. By default bodies are not compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Signatures that prove to the receiver who sent a request. They require structured or batched
    /// mode, because in binary mode the attributes are headers, and a signature does not cover
    /// headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
    /// Asks the receiver for permission before the first event is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Handshake>,
    /// Whether requests go through a proxy.
    #[serde(default)]
    pub proxy: ProxyUse,
    /// Longest wait for a response, in milliseconds.
    #[serde(default = "defaults::timeout_ms")]
    pub timeout_ms: Bounded<1, 600_000>,
    /// Most requests in flight at a time. Events of one TaskRun are sent one after the other.
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
    /// Several whole events in one body (`application/cloudevents-batch+json`), at most one event
    /// of each TaskRun.
    Batch,
}

/// How events are gathered in batched mode: while all requests are in flight, and for up to
/// `lingerMs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BatchConfig {
    /// Most events in a batch.
    pub max_events: Bounded<1, 1000, usize>,
    /// Maximum size of the events in a batch before compression, in bytes. A larger event is sent
    /// alone. A batch that the receiver rejects is split in halves and sent again.
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
    /// Files with one secret each: `whsec_` and base64 of 24 to 64 bytes. To replace a secret, list
    /// both the old and the new file for a while: every request is signed with every secret, and
    /// the receiver accepts the signature whose secret it knows. The files are read again every ten
    /// seconds.
    #[schemars(length(min = 1, max = 4))]
    pub secret_files: Vec<PathBuf>,
}

/// Validation of the receiver as in CloudEvents HTTP webhooks 1.0 §4: an `OPTIONS` request before
/// the first event. If the receiver does not permit deliveries, events wait and the observer asks
/// again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Handshake {
    /// DNS name of the sender, such as `ci.example.com` (`WebHook-Request-Origin`).
    #[serde(deserialize_with = "crate::bounded::short_text")]
    pub origin: String,
    /// Number of requests per minute that the observer asks for (`WebHook-Request-Rate`). If the
    /// receiver allows another rate, the observer keeps to that rate.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::not_null"
    )]
    pub requests_per_minute: Option<Bounded<1, 1_000_000>>,
}

impl HttpConfig {
    /// Returns settings for a URL, with defaults for all other settings.
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
