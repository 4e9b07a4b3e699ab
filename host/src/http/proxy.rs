//! The proxy that environment variables name, found by the same rules that the HTTP client applies.

use super::{HttpError, HttpUrl};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use serde::{Deserialize, Serialize};

/// Whether requests go through a proxy. Only HTTP receivers and the collector of traces can have one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum ProxyUse {
    /// Requests go through the proxy in `HTTP_PROXY` or `HTTPS_PROXY`, or else in `ALL_PROXY`,
    /// unless `NO_PROXY` names the receiver's host. The names of these variables may be in upper or
    /// lower case. Requests to an `https` URL use the proxy as a tunnel. For an `http` URL, the
    /// proxy sees every event; therefore a sink with `auth`, `signing` or a header `fromEnv` or
    /// `fromFile` is refused.
    #[default]
    Environment,
    /// As `environment`, but the proxy may see credentials.
    Trusted,
    /// Requests never go through a proxy.
    None,
}

/// Reason to refuse a proxy because it would see the credentials of a sink.
const SEES_CREDENTIALS: &str = "it would see the credentials of this sink, whose URL is plain http: use https, name the host in \
    NO_PROXY, or write `proxy: none` or `proxy: trusted`";
/// Reason to refuse a proxy because it is not an HTTP proxy.
const NO_HTTP_PROXY: &str =
    "it speaks neither HTTP nor HTTPS; give another, or write `proxy: none`";

/// Returns the proxy for requests to a URL.
fn find(url: &HttpUrl) -> Option<Intercept> {
    let url: http::Uri = url.0.as_str().parse().ok()?;
    Matcher::from_system().intercept(&url)
}

fn scheme(proxy: &Intercept) -> &str {
    proxy.uri().scheme_str().unwrap_or_default()
}

/// Returns whether requests to a URL go through a proxy that is itself reached over TLS.
pub(super) fn is_tls(url: &HttpUrl) -> bool {
    find(url).is_some_and(|proxy| scheme(&proxy) == "https")
}

/// Returns the host of the proxy for requests to a URL, without its port.
pub(super) fn host(url: &HttpUrl) -> Option<String> {
    find(url)?.uri().host().map(str::to_owned)
}

/// Returns host and port of the proxy for requests to a URL. `has_credentials` states whether the
/// requests carry credentials that the proxy could misuse.
///
/// # Errors
///
/// The proxy cannot be used, or would see credentials without permission.
pub(crate) fn environment_proxy(
    url: &HttpUrl,
    proxy_use: ProxyUse,
    has_credentials: bool,
) -> Result<Option<String>, HttpError> {
    let Some(proxy) = find(url).filter(|_| proxy_use != ProxyUse::None) else {
        return Ok(None);
    };
    let name = proxy.uri().authority().map(ToString::to_string);
    let name = name.unwrap_or_default();
    if !matches!(scheme(&proxy), "http" | "https") {
        let reason = NO_HTTP_PROXY;
        return Err(HttpError::Proxy { name, reason });
    }
    if url.is_plain() && has_credentials && proxy_use != ProxyUse::Trusted {
        let reason = SEES_CREDENTIALS;
        return Err(HttpError::Proxy { name, reason });
    }
    Ok(Some(name))
}
