//! Which proxy leads to the API server, as client-go decides it. Pure.

use super::no_proxy;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::Url;

/// What the environment says of proxies, as Go's `httpproxy.FromEnvironment` reads it. Empty is as good as absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    /// `HTTP_PROXY`, else `http_proxy`.
    pub(super) http: Option<String>,
    /// `HTTPS_PROXY`, else `https_proxy`.
    pub(super) https: Option<String>,
    /// `NO_PROXY`, else `no_proxy`.
    pub(super) no: Option<String>,
}

/// A proxy to which a tunnel is asked for with `CONNECT`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    /// Where it is: `http` or `https`, without credentials.
    pub(super) uri: Uri,
    /// Who the observer is for it.
    pub(super) auth: Option<HeaderValue>,
    /// What named it, for messages.
    pub(super) named_by: &'static str,
}

/// Without the credentials.
impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.uri, self.named_by)
    }
}

impl Proxy {
    /// Host and port.
    pub(super) fn place(&self) -> String {
        let place = self.uri.authority().map(ToString::to_string);
        place.unwrap_or_default()
    }
}

/// Why a proxy cannot be used. Never its URL, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProxyError {
    /// It is no URL.
    #[error("{0} is not the URL of a proxy, such as http://proxy.example:3128")]
    NoUrl(&'static str),
    /// It speaks something else.
    #[error(
        "the proxy of {named_by} speaks `{scheme}`: the API server is reached through HTTP and HTTPS proxies only; \
         give one of these{or}"
    )]
    Scheme {
        /// What named it.
        named_by: &'static str,
        /// What it speaks.
        scheme: String,
        /// What else helps.
        or: &'static str,
    },
}

const KUBECONFIG: &str = "the kubeconfig (proxy-url)";

/// The proxy to a server, if there is one. What the kubeconfig says counts for its server whatever `NO_PROXY` says; else
/// the environment does, which never sends to itself (localhost, loopback addresses) by a proxy.
///
/// # Errors
///
/// It cannot be used.
pub(super) fn to(
    server: &Uri,
    kubeconfig: Option<&str>,
    environment: &Environment,
) -> Result<Option<Proxy>, ProxyError> {
    let is_set = |text: &&str| !text.trim().is_empty();
    if let Some(text) = kubeconfig.filter(is_set) {
        return parse(text, KUBECONFIG, "").map(Some);
    }
    let is_tls = server.scheme_str() == Some("https");
    let (text, named_by) = match is_tls {
        true => (&environment.https, "HTTPS_PROXY"),
        false => (&environment.http, "HTTP_PROXY"),
    };
    let Some(text) = text.as_deref().filter(is_set) else {
        return Ok(None);
    };
    let host = server.host().unwrap_or_default();
    let port = server.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let no = environment.no.as_deref().unwrap_or_default();
    if no_proxy::names(no, host, port) {
        return Ok(None);
    }
    parse(text, named_by, ", or name the API server in NO_PROXY").map(Some)
}

fn parse(text: &str, named_by: &'static str, or: &'static str) -> Result<Proxy, ProxyError> {
    let no_url = || ProxyError::NoUrl(named_by);
    let text = text.trim();
    // As in Go: `proxy.example:3128` is one that speaks HTTP.
    let url = match text.contains("://") {
        true => Url::parse(text),
        false => Url::parse(&format!("http://{text}")),
    };
    let url = url.map_err(|_| no_url())?;
    let scheme = url.scheme();
    if !matches!(scheme, "http" | "https") {
        return Err(ProxyError::Scheme {
            named_by,
            scheme: scheme.to_owned(),
            or,
        });
    }
    let (host, port) = (url.host_str(), url.port_or_known_default());
    let (host, port) = host.zip(port).ok_or_else(no_url)?;
    let uri: Uri = format!("{scheme}://{host}:{port}/")
        .parse()
        .map_err(|_| no_url())?;
    let decode = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let auth = (!url.username().is_empty() || url.password().is_some()).then(|| {
        let password = url.password().unwrap_or_default();
        let pair = [decode(url.username()), b":".to_vec(), decode(password)].concat();
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)))
    });
    let mut auth = auth.transpose().map_err(|_| no_url())?;
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
        to(&server, kubeconfig, environment).map(|proxy| proxy.map(|proxy| proxy.place()))
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
        // This machine is reached through no proxy of the environment.
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
            let said = problem.to_string();
            assert!(said.contains("HTTPS_PROXY speaks"), "{said}");
            assert!(said.contains(scheme) && said.contains("NO_PROXY"), "{said}");
            let problem = found(server, Some(&text), &Environment::default()).unwrap_err();
            let said = problem.to_string();
            assert!(
                said.contains("proxy-url") && !said.contains("NO_PROXY"),
                "{said}"
            );
            assert!(!said.contains("secret"), "{said}");
        }
        for text in [
            "http://",
            "http://me:secret@",
            "http://me:secret@a b/",
            "://x",
        ] {
            let problem = found(server, None, &environment(text, "")).unwrap_err();
            assert_eq!(problem, ProxyError::NoUrl("HTTPS_PROXY"), "{text}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_shown_nowhere() {
        let server: Uri = "https://api.example".parse().unwrap();
        let text = "http://me:s%40cr%3Aet@proxy.example:3128";
        let proxy = to(&server, Some(text), &Environment::default());
        let proxy = proxy.unwrap().unwrap();
        let auth = proxy.auth.clone().unwrap();
        assert_eq!(auth, format!("Basic {}", STANDARD.encode("me:s@cr:et")));
        let shown = format!("{proxy:?} {auth:?} {}", proxy.uri);
        assert!(!shown.contains("cr") || !shown.contains("et@"), "{shown}");
        assert_eq!(
            format!("{proxy:?}"),
            "http://proxy.example:3128/ (the kubeconfig (proxy-url))"
        );
        let only_a_name = to(
            &server,
            Some("http://me@proxy.example"),
            &Environment::default(),
        );
        let auth = only_a_name.unwrap().unwrap().auth.unwrap();
        assert_eq!(auth, format!("Basic {}", STANDARD.encode("me:")));
    }
}
