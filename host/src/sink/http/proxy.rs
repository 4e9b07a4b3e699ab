//! The proxy of the environment, found as the HTTP client finds it.

use super::super::SinkError;
use super::config::{HttpConfig, HttpUrl, ProxyUse};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// The proxy that requests to a URL go through.
fn found(url: &HttpUrl) -> Option<Intercept> {
    let url: http::Uri = url.0.as_str().parse().ok()?;
    Matcher::from_system().intercept(&url)
}

fn scheme(proxy: &Intercept) -> &str {
    proxy.uri().scheme_str().unwrap_or_default()
}

/// Is there one that is spoken to over TLS?
pub(super) fn is_tls(url: &HttpUrl) -> bool {
    found(url).is_some_and(|proxy| scheme(&proxy) == "https")
}

/// Which proxy there is, as host and port.
///
/// # Errors
///
/// It cannot be used, or would see credentials that are not meant for it.
pub(super) fn of(config: &HttpConfig) -> Result<Option<String>, SinkError> {
    let Some(proxy) = found(&config.url).filter(|_| config.proxy != ProxyUse::None) else {
        return Ok(None);
    };
    let name = proxy.uri().authority().map(ToString::to_string);
    let name = name.unwrap_or_default();
    if !matches!(scheme(&proxy), "http" | "https") {
        let problem = "it speaks neither HTTP nor HTTPS; give another, or write `proxy: none`";
        return Err(SinkError::Proxy(name, problem));
    }
    let is_plain = config.url.0.scheme() == "http";
    if is_plain && has_credentials(config) && config.proxy != ProxyUse::Trusted {
        return Err(SinkError::Proxy(name, IN_THE_CLEAR));
    }
    Ok(Some(name))
}

const IN_THE_CLEAR: &str = "it would see the credentials of this sink, whose URL is plain http: use https, name the host in \
    NO_PROXY, or write `proxy: none` or `proxy: trusted`";

/// Does whoever sees requests learn what others must not know, or something that they could send again?
fn has_credentials(config: &HttpConfig) -> bool {
    let is_secret = |header: &super::Header| header.value.is_none();
    config.auth.is_some() || config.signing.is_some() || config.headers.iter().any(is_secret)
}
