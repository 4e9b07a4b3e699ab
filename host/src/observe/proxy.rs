//! Selects the proxy to the API server, as client-go does. Pure.

use super::no_proxy;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::Url;

/// The proxies of the environment, as Go's `httpproxy.FromEnvironment` reads them. An empty value
/// counts as absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    /// `HTTP_PROXY`, else `http_proxy`.
    pub(super) http: Option<String>,
    /// `HTTPS_PROXY`, else `https_proxy`.
    pub(super) https: Option<String>,
    /// `NO_PROXY`, else `no_proxy`.
    pub(super) no: Option<String>,
}

/// A proxy that opens a tunnel on `CONNECT`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    /// Its address: `http` or `https`, without credentials.
    pub(super) uri: Uri,
    /// The credentials of the observer.
    pub(super) auth: Option<HeaderValue>,
    /// The setting that names the proxy, for messages.
    pub(super) named_by: &'static str,
}

/// Omits the credentials.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.uri, self.named_by)
    }
}

impl Proxy {
    /// Returns host and port.
    pub(super) fn authority(&self) -> String {
        let place = self.uri.authority().map(ToString::to_string);
        place.unwrap_or_default()
    }
}

/// Errors of a proxy. They never contain its URL, which may contain a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProxyError {
    /// The value is not a URL.
    #[error("{0} is not the URL of a proxy, such as http://proxy.example:3128")]
    InvalidUrl(&'static str),
    /// The scheme is not supported.
    #[error(
        "the proxy of {named_by} speaks `{scheme}`: the API server is reached through HTTP and HTTPS proxies only; \
         give one of these{or}"
    )]
    Scheme {
        /// The setting that names the proxy.
        named_by: &'static str,
        /// The scheme.
        scheme: String,
        /// A further remedy.
        or: &'static str,
    },
}

const KUBECONFIG: &str = "the kubeconfig (proxy-url)";

/// Returns the proxy to a server, if there is one. The proxy of the kubeconfig is used whatever
/// `NO_PROXY` contains. Otherwise the environment decides; it never selects a proxy for this
/// machine (localhost, loopback addresses).
///
/// # Errors
///
/// The proxy cannot be used.
pub(super) fn select(
    server: &Uri,
    kubeconfig: Option<&str>,
    environment: &Environment,
) -> Result<Option<Proxy>, ProxyError> {
    let is_set = |text: &&str| !text.trim().is_empty();
    if let Some(text) = kubeconfig.filter(is_set) {
        return parse(text, KUBECONFIG, "").map(Some);
    }
    let is_tls = server.scheme_str() == Some("https");
    let (text, named_by) = if is_tls {
        (&environment.https, "HTTPS_PROXY")
    } else {
        (&environment.http, "HTTP_PROXY")
    };
    let Some(text) = text.as_deref().filter(is_set) else {
        return Ok(None);
    };
    let host = server.host().unwrap_or_default();
    let port = server.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let no = environment.no.as_deref().unwrap_or_default();
    if no_proxy::excludes(no, host, port) {
        return Ok(None);
    }
    parse(text, named_by, ", or name the API server in NO_PROXY").map(Some)
}

fn parse(text: &str, named_by: &'static str, or: &'static str) -> Result<Proxy, ProxyError> {
    let invalid_url = || ProxyError::InvalidUrl(named_by);
    let text = text.trim();
    // As in Go, `proxy.example:3128` is an HTTP proxy.
    let parsed = if text.contains("://") {
        Url::parse(text)
    } else {
        Url::parse(&format!("http://{text}"))
    };
    let url = parsed.map_err(|_| invalid_url())?;
    let scheme = url.scheme();
    if !matches!(scheme, "http" | "https") {
        return Err(ProxyError::Scheme {
            named_by,
            scheme: scheme.to_owned(),
            or,
        });
    }
    let (host, port) = (url.host_str(), url.port_or_known_default());
    let (host, port) = host.zip(port).ok_or_else(invalid_url)?;
    let uri: Uri = format!("{scheme}://{host}:{port}/")
        .parse()
        .map_err(|_| invalid_url())?;
    let decode = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let auth = (!url.username().is_empty() || url.password().is_some()).then(|| {
        let password = url.password().unwrap_or_default();
        let pair = [decode(url.username()), b":".to_vec(), decode(password)].concat();
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
    });
    let mut auth = auth.transpose().map_err(|_| invalid_url())?;
    if let Some(auth) = &mut auth {
        auth.set_sensitive(true);
    }
    Ok(Proxy {
        uri,
        auth,
        named_by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(https: &str, no: &str) -> Environment {
        Environment {
            http: Some("http://plain.example:80".to_owned()),
            https: Some(https.to_owned()),
            no: Some(no.to_owned()),
        }
    }

    fn found(
        server: &str,
        kubeconfig: Option<&str>,
        environment: &Environment,
    ) -> Result<Option<String>, ProxyError> {
        let server = server.parse().unwrap();
        select(&server, kubeconfig, environment).map(|proxy| proxy.map(|proxy| proxy.authority()))
    }

    #[test]
    fn the_kubeconfig_counts_before_the_environment_and_its_exceptions() {
        let proxy = environment("http://proxy.example:3128", "api.example");
        let is = |place: &str| Ok(Some(place.to_owned()));
        let api = "https://api.example:6443";
        assert_eq!(
            found(api, Some("https://own.example"), &proxy),
            is("own.example:443")
        );
        assert_eq!(found(api, None, &proxy), Ok(None));
        assert_eq!(found(api, Some(" "), &proxy), Ok(None));
        let elsewhere = "https://other.example:6443";
        assert_eq!(found(elsewhere, None, &proxy), is("proxy.example:3128"));
        assert_eq!(
            found("http://other.example", None, &proxy),
            is("plain.example:80")
        );
        assert_eq!(found(elsewhere, None, &environment("", "")), Ok(None));
        assert_eq!(found(elsewhere, None, &Environment::default()), Ok(None));
        // Connections to this machine ignore the proxy variables of the environment, but use a
        // proxy that is given explicitly.
        for here in [
            "https://localhost:6443",
            "https://127.0.0.1",
            "https://[::1]:1",
        ] {
            assert_eq!(found(here, None, &proxy), Ok(None), "{here}");
            assert_eq!(
                found(here, Some("http://a.example"), &proxy),
                is("a.example:80")
            );
        }
    }

    #[test]
    fn urls_of_proxies_are_read_as_in_go() {
        let server = "https://api.example:6443";
        for (text, place) in [
            ("proxy.example:3128", "proxy.example:3128"),
            ("http://proxy.example", "proxy.example:80"),
            ("https://proxy.example/", "proxy.example:443"),
            ("HTTP://[fd00::1]:8080", "[fd00::1]:8080"),
            ("http://me:secret@10.0.0.1:3128/path?a=b", "10.0.0.1:3128"),
        ] {
            let place = Ok(Some(place.to_owned()));
            assert_eq!(found(server, None, &environment(text, "")), place, "{text}");
        }
        for scheme in ["socks5", "socks5h", "socks4", "ftp"] {
            let text = format!("{scheme}://me:secret@proxy.example:1080");
            let problem = found(server, None, &environment(&text, "")).unwrap_err();
            let message = problem.to_string();
            assert!(message.contains("HTTPS_PROXY speaks"), "{message}");
            assert!(
                message.contains(scheme) && message.contains("NO_PROXY"),
                "{message}"
            );
            let problem = found(server, Some(&text), &Environment::default()).unwrap_err();
            let message = problem.to_string();
            assert!(
                message.contains("proxy-url") && !message.contains("NO_PROXY"),
                "{message}"
            );
            assert!(!message.contains("secret"), "{message}");
        }
        for text in [
            "http://",
            "http://me:secret@",
            "http://me:secret@a b/",
            "://x",
        ] {
            let problem = found(server, None, &environment(text, "")).unwrap_err();
            assert_eq!(problem, ProxyError::InvalidUrl("HTTPS_PROXY"), "{text}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_shown_nowhere() {
        let server: Uri = "https://api.example".parse().unwrap();
        let text = "http://me:s%40cr%3Aet@proxy.example:3128";
        let proxy = select(&server, Some(text), &Environment::default());
        let proxy = proxy.unwrap().unwrap();
        let auth = proxy.auth.clone().unwrap();
        assert_eq!(auth, format!("Basic {}", STANDARD.encode("me:s@cr:et")));
        let shown = format!("{proxy:?} {auth:?} {}", proxy.uri);
        assert!(!shown.contains("cr") || !shown.contains("et@"), "{shown}");
        assert_eq!(
            format!("{proxy:?}"),
            "http://proxy.example:3128/ (the kubeconfig (proxy-url))"
        );
        let only_a_name = select(
            &server,
            Some("http://me@proxy.example"),
            &Environment::default(),
        );
        let auth = only_a_name.unwrap().unwrap().auth.unwrap();
        assert_eq!(auth, format!("Basic {}", STANDARD.encode("me:")));
    }
}
