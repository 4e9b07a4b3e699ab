//! What can be configured of an HTTP receiver.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// An HTTP receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpConfig {
    /// Where to post.
    pub url: SinkUrl,
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
    pub tls: Option<Box<HttpTls>>,
    /// Extension attributes that every event gets on its way there, as the `ceOverrides` of Knative.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extensions: BTreeMap<String, String>,
    /// Longest wait for an answer, in milliseconds.
    #[serde(
        default = "default_timeout_ms",
        deserialize_with = "crate::bounded::between::<1, 600000, _, _>"
    )]
    #[schemars(range(min = 1, max = 600000))]
    pub timeout_ms: u64,
    /// Events in flight at a time. Those of one TaskRun go one after the other.
    #[serde(
        default = "default_concurrency",
        deserialize_with = "crate::bounded::between::<1, 256, _, _>"
    )]
    #[schemars(range(min = 1, max = 256))]
    pub concurrency: usize,
}

/// Longest attempt where nothing else is configured.
pub(in super::super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Events in flight where nothing else is configured.
pub(in super::super) const DEFAULT_CONCURRENCY: usize = 16;

fn default_timeout_ms() -> u64 {
    DEFAULT_TIMEOUT.as_millis() as u64
}

fn default_concurrency() -> usize {
    DEFAULT_CONCURRENCY
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
}

/// TLS of a receiver. The files are read again every ten seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct HttpTls {
    /// Certificates of authorities (PEM): the receiver's must come from one of these. The default are
    /// those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Certificate of the observer, with its chain (PEM), and its key in `keyFile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// Key of the observer's certificate (PEM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
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

/// A header to send. Secrets come from the environment or a file, which is read again every ten
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
pub struct SinkUrl(pub(super) url::Url);

impl TryFrom<String> for SinkUrl {
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

impl From<SinkUrl> for String {
    fn from(url: SinkUrl) -> Self {
        url.0.into()
    }
}

impl SinkUrl {
    /// Its host, which is no secret.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl std::fmt::Display for SinkUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl HttpConfig {
    /// A receiver with everything else at its default.
    #[must_use]
    pub fn new(url: SinkUrl) -> Self {
        Self {
            url,
            mode: HttpMode::default(),
            headers: Vec::new(),
            auth: None,
            tls: None,
            extensions: BTreeMap::new(),
            timeout_ms: default_timeout_ms(),
            concurrency: default_concurrency(),
        }
    }
}
