//! Checks of `Host` and `Origin`: a page of another site must not reach the page of an observer
//! through the browser of somebody who can (DNS rebinding, cross-site requests).

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// The names under which the page of a listener may be requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum HostRule {
    /// Addresses and `localhost`: `kubectl port-forward` and a browser on the same machine. No other
    /// site can have such a name.
    Local,
    /// Every name: the listener is reached by other machines, perhaps through a Service or an
    /// ingress. Its page shows nothing without a token, which another site does not have, because a
    /// browser keeps the cookie for the name that it came from.
    Any,
}

impl HostRule {
    /// Returns the rule of a listener on this address.
    pub(in super::super) fn of(address: SocketAddr) -> Self {
        match address.ip().to_canonical().is_loopback() {
            true => Self::Local,
            false => Self::Any,
        }
    }

    /// Returns the refusal of a request with these headers.
    pub(super) fn refusal(self, headers: &HeaderMap) -> Option<Response> {
        let is_allowed = host(headers).is_some_and(|host| match self {
            Self::Local => is_local(host.host()),
            Self::Any => true,
        });
        let problem = "the page is not shown under this host name: open it as http://localhost or http://127.0.0.1 with \
                       the port that you forwarded\n";
        (!is_allowed).then(|| (StatusCode::MISDIRECTED_REQUEST, problem).into_response())
    }
}

/// Returns the host of a request, if it names exactly one.
fn host(headers: &HeaderMap) -> Option<Authority> {
    let host = single(headers, &header::HOST)?;
    let host: Authority = host.parse().ok()?;
    // User information is not allowed there (RFC 9110, 7.2).
    (!host.as_str().contains('@') && !host.host().is_empty()).then_some(host)
}

fn is_local(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_name = |name: &str| host.eq_ignore_ascii_case(name);
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    is_name("localhost")
        || host.parse::<Ipv4Addr>().is_ok()
        || in_brackets.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// Returns the value of a header, if there is exactly one.
fn single<'h>(headers: &'h HeaderMap, name: &header::HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    value.to_str().ok()
}

/// Returns whether a request comes from the page itself, as far as the browser says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    /// `Origin` is the own one. `true`: over TLS, which a proxy in front has ended.
    Page(bool),
    /// `Origin` is another one, or the browser says that another site has sent the request.
    Other,
    /// Neither: no browser, or a request for which it sends no `Origin`.
    Unknown,
}

fn sender(headers: &HeaderMap) -> Sender {
    let by_site = headers.get("sec-fetch-site");
    let is_foreign =
        |site: &header::HeaderValue| !matches!(site.as_bytes(), b"same-origin" | b"none");
    if by_site.is_some_and(is_foreign) {
        return Sender::Other;
    }
    if !headers.contains_key(header::ORIGIN) {
        return Sender::Unknown;
    }
    let origin = single(headers, &header::ORIGIN).and_then(|origin| origin.split_once("://"));
    let own = host(headers);
    match (origin, own) {
        (Some((scheme @ ("http" | "https"), host)), Some(own))
            if own.as_str().eq_ignore_ascii_case(host) =>
        {
            Sender::Page(scheme == "https")
        }
        _ => Sender::Other,
    }
}

/// Returns whether the page came by TLS.
pub(super) fn is_tls(headers: &HeaderMap) -> bool {
    sender(headers) == Sender::Page(true)
}

/// Returns the refusal of a request for data that another site has sent. Without it, such a site
/// could not read an answer, but could open streams until there is none left.
pub(super) fn foreign_refusal(headers: &HeaderMap) -> Option<Response> {
    (sender(headers) == Sender::Other).then(refusal)
}

/// Refuses requests that do not come from the page itself.
pub(super) async fn check_origin(request: Request, next: Next) -> Response {
    match sender(request.headers()) {
        Sender::Page(_) => next.run(request).await,
        Sender::Other | Sender::Unknown => refusal(),
    }
}

fn refusal() -> Response {
    (
        StatusCode::FORBIDDEN,
        "the request does not come from this page\n",
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in of {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_local_page_is_shown_under_addresses_and_localhost_only() {
        let of = |host: &str| headers(&[("host", host)]);
        for host in [
            "localhost",
            "LocalHost:8082",
            "127.0.0.1:1",
            "[::1]:8082",
            "10.0.0.7",
            "localhost.",
        ] {
            assert!(HostRule::Local.refusal(&of(host)).is_none(), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:8082",
            "127.0.0.1.evil.example",
            "a@localhost",
            "",
            "127.0.0.1:8082:1",
            "[::1",
            "1.2.3.4.5",
            "0x7f.1",
            "loc alhost",
        ] {
            let refusal = HostRule::Local.refusal(&of(host));
            assert_eq!(
                refusal.map(|refusal| refusal.status().as_u16()),
                Some(421),
                "{host}"
            );
        }
        let twice = headers(&[("host", "localhost"), ("host", "localhost")]);
        for none in [headers(&[]), twice] {
            assert!(HostRule::Local.refusal(&none).is_some());
            assert!(HostRule::Any.refusal(&none).is_some());
        }
        assert!(HostRule::Any.refusal(&of("observer.ci.svc:8082")).is_none());
        assert_eq!(
            HostRule::of("127.0.0.1:8082".parse().unwrap()),
            HostRule::Local
        );
        assert_eq!(
            HostRule::of("[::ffff:127.0.0.1]:1".parse().unwrap()),
            HostRule::Local
        );
        assert_eq!(HostRule::of("0.0.0.0:8082".parse().unwrap()), HostRule::Any);
    }

    #[test]
    fn only_the_page_itself_counts_as_the_page() {
        let of = |more: &[(&'static str, &str)]| {
            sender(&headers(&[&[("host", "localhost:8082")], more].concat()))
        };
        assert_eq!(
            of(&[("origin", "http://localhost:8082")]),
            Sender::Page(false)
        );
        assert_eq!(
            of(&[("origin", "https://localhost:8082")]),
            Sender::Page(true)
        );
        assert_eq!(of(&[]), Sender::Unknown);
        assert_eq!(of(&[("sec-fetch-site", "same-origin")]), Sender::Unknown);
        for other in [
            "null",
            "http://localhost",
            "http://localhost:80822",
            "ftp://localhost:8082",
            "",
            "localhost:8082",
        ] {
            assert_eq!(of(&[("origin", other)]), Sender::Other, "{other}");
        }
        let twice = [
            ("origin", "http://localhost:8082"),
            ("origin", "http://localhost:8082"),
        ];
        assert_eq!(of(&twice), Sender::Other);
        for site in ["cross-site", "same-site", "odd"] {
            let own = ("origin", "http://localhost:8082");
            assert_eq!(
                of(&[("sec-fetch-site", site), own]),
                Sender::Other,
                "{site}"
            );
        }
    }
}
