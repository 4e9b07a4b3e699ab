//! CloudEvents over HTTP (HTTP protocol binding 1.0.2), binary or structured mode.

use super::{Attempt, Disposition, SinkError, after_status, retry_after, unencodable};
use crate::event::attribute::{self, AttributeError};
use crate::event::{Encoded, STRUCTURED};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Longest wait that a receiver may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Most of an answer that is read so that its connection can be used again.
const MAX_ANSWER: usize = 64 * 1024;

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
pub(super) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Events in flight where nothing else is configured.
pub(super) const DEFAULT_CONCURRENCY: usize = 16;

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

/// A header to send. Secrets come from the environment or a file.
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
pub struct SinkUrl(url::Url);

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
            extensions: BTreeMap::new(),
            timeout_ms: default_timeout_ms(),
            concurrency: default_concurrency(),
        }
    }
}

/// A receiver with its client.
#[derive(Debug)]
pub struct Http {
    client: reqwest::Client,
    url: url::Url,
    mode: HttpMode,
    extensions: BTreeMap<String, String>,
    timeout: Duration,
    concurrency: usize,
}

impl Http {
    pub(super) fn new(config: &HttpConfig) -> Result<Self, SinkError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("step-observer/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(&config.headers)?)
            .redirect(Policy::none())
            .timeout(Duration::from_millis(config.timeout_ms.max(1)))
            .connect_timeout(Duration::from_secs(10))
            .tcp_keepalive(Duration::from_secs(30))
            .pool_max_idle_per_host(config.concurrency);
        if config.url.0.scheme() == "http" {
            // Without this, plain HTTP would need a bundle of CA certificates too.
            builder = builder
                .tls_backend_preconfigured(no_roots().map_err(|error| client_error(&error))?);
        }
        Ok(Self {
            client: builder.build().map_err(|error| client_error(&error))?,
            url: config.url.0.clone(),
            mode: config.mode,
            extensions: checked(&config.extensions)?,
            timeout: Duration::from_millis(config.timeout_ms.max(1)),
            concurrency: config.concurrency.max(1),
        })
    }

    pub(super) fn concurrency(&self) -> usize {
        self.concurrency
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) async fn send(&self, event: &Encoded) -> Attempt {
        let request = self.client.post(self.url.clone());
        let extended = event.extended(&self.extensions);
        let request = match self.mode {
            HttpMode::Structured => extended.map(|event| {
                request
                    .header("content-type", format!("{STRUCTURED}; charset=utf-8"))
                    .body(event.structured())
            }),
            HttpMode::Binary => extended.and_then(|event| event.binary()).map(|binary| {
                let request = request.body(binary.body);
                binary
                    .headers
                    .into_iter()
                    .fold(request, |request, (name, value)| {
                        request.header(name, value)
                    })
            }),
        };
        let request = match request {
            Ok(request) => request,
            Err(error) => return unencodable(&error),
        };
        match request.send().await {
            // The URL, which may hold a token, stays out of the message.
            Err(error) => Attempt::Retry {
                reason: describe(&error.without_url()),
                after: None,
            },
            Ok(answer) => {
                let status = answer.status();
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the edge where the clock is read"
                )]
                let now = Timestamp::now();
                let header = answer
                    .headers()
                    .get(RETRY_AFTER)
                    .and_then(|value| value.to_str().ok());
                let after = header.and_then(|header| retry_after(header, now, MAX_RETRY_AFTER));
                drain(answer).await;
                match after_status(status.as_u16()) {
                    Disposition::Done => Attempt::Delivered,
                    Disposition::Retry => Attempt::Retry {
                        reason: status.to_string(),
                        after,
                    },
                    Disposition::Reject => Attempt::Rejected {
                        reason: status.to_string(),
                    },
                }
            }
        }
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

/// Reads what is left of an answer: a connection with unread bytes cannot be used again.
async fn drain(mut answer: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(piece)) = answer.chunk().await {
        read += piece.len();
        if read > MAX_ANSWER {
            break;
        }
    }
}

fn client_error(error: &dyn std::error::Error) -> SinkError {
    SinkError::Client(describe(error))
}

fn no_roots() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}

fn checked(extensions: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, SinkError> {
    for (name, value) in extensions {
        attribute::check_extension(name, value).map_err(|error| SinkError::Extension {
            name: name.clone(),
            reason: match error {
                AttributeError::ReadOnly(_) => {
                    "it identifies the event or belongs to the observer".to_owned()
                }
                error => error.to_string(),
            },
        })?;
    }
    Ok(extensions.clone())
}

fn headers(configured: &[Header]) -> Result<HeaderMap, SinkError> {
    let mut headers = HeaderMap::new();
    for header in configured {
        let problem = |reason: String| SinkError::Header {
            name: header.name.clone(),
            reason,
        };
        let name: HeaderName = header
            .name
            .parse()
            .map_err(|_| problem("not a header name".to_owned()))?;
        if name.as_str().starts_with("ce-") || name == "content-type" {
            return Err(problem("it belongs to the event".to_owned()));
        }
        let text = value(header).map_err(problem)?;
        let mut value = HeaderValue::from_str(text.trim_end()).map_err(|_| {
            problem("its value has characters that a header cannot have".to_owned())
        })?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

fn value(header: &Header) -> Result<String, String> {
    let secret = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-api-key",
    ];
    match (&header.value, &header.from_env, &header.from_file) {
        (Some(_), None, None) if secret.contains(&header.name.to_ascii_lowercase().as_str()) => {
            Err("secrets do not belong in the configuration: use fromEnv or fromFile".to_owned())
        }
        (Some(value), None, None) => Ok(value.clone()),
        #[expect(
            clippy::disallowed_methods,
            reason = "configuration names the variable"
        )]
        (None, Some(variable), None) => std::env::var(variable)
            .map_err(|_| format!("the environment variable {variable} is not set")),
        (None, None, Some(path)) => std::fs::read_to_string(path)
            .map_err(|error| format!("failed to read {}: {error}", path.display())),
        _ => Err("give exactly one of value, fromEnv and fromFile".to_owned()),
    }
}
