//! Sign-in on the live page, and the authorization of its data.

use super::super::auth::{self, Guard, Refusal};
use super::super::routes::RouteState;
use super::super::server::Peer;
use super::{PageGuard, origin};
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::io::Read as _;
use zeroize::Zeroizing;

/// Name of the cookie.
const COOKIE: &str = "step-observer-session";
/// Attributes of the cookie. Scripts cannot read it, and other sites cannot send it.
const COOKIE_ATTRIBUTES: &str = "HttpOnly; SameSite=Strict; Path=/";
/// Random bytes of the name of a session.
const NAME_BYTES: usize = 32;

/// The token that a request was authorized with.
#[derive(Clone, Debug)]
pub(super) struct RequestToken {
    pub(super) token: Option<Zeroizing<String>>,
    /// Whether a session stands for the token.
    pub(super) is_session: bool,
}

/// Forwards a request for data, or refuses it. The token comes in the header, or from a session.
pub(super) async fn guard(
    State(page): State<PageGuard>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(refusal) = origin::foreign_refusal(request.headers()) {
        return refusal;
    }
    let in_header = auth::bearer(request.headers()).map(|token| Zeroizing::new(token.to_owned()));
    let is_session = in_header.is_none() && page.guard.needs_token();
    let token = match is_session {
        true => {
            session_of(request.headers()).and_then(|name| page.state.page().session_token(name))
        }
        false => in_header,
    };
    let path = request.uri().path().to_owned();
    let given = token.as_ref().map(|token| token.to_string());
    match page.guard.refusal(given, path).await {
        Some(refusal) => refusal.into_response(),
        None => {
            let token = RequestToken { token, is_session };
            request.extensions_mut().insert(token);
            next.run(request).await
        }
    }
}

/// Checks a token, and begins a session that stands for it.
pub(super) async fn sign_in(
    State(state): State<RouteState>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(guard): Extension<Guard>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let page = state.page();
    if !page.may_sign_in(peer) {
        let headers = [(header::RETRY_AFTER, "60")];
        let problem = "too many tokens were refused: try again in a minute\n";
        return (StatusCode::TOO_MANY_REQUESTS, headers, problem).into_response();
    }
    let token = token_in_form(&body);
    let given = token.as_ref().map(|token| token.to_string());
    if let Some(refusal) = guard.refusal(given, "/page/stream".to_owned()).await {
        if refusal == Refusal::Unknown {
            page.note_refused_sign_in(peer);
        }
        return refusal.into_response();
    }
    // Without `admin.auth` nobody needs a session.
    let Some(token) = token.filter(|_| guard.needs_token()) else {
        return StatusCode::NO_CONTENT.into_response();
    };
    let Some(name) = random_name() else {
        let problem = "no session can begin: the system gives no random bytes\n";
        return (StatusCode::SERVICE_UNAVAILABLE, problem).into_response();
    };
    let secure = if origin::is_tls(&headers) {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!("{COOKIE}={name}; {COOKIE_ATTRIBUTES}{secure}");
    page.begin_session(name, token);
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

/// Ends the session of the cookie.
pub(super) async fn sign_out(State(state): State<RouteState>, headers: HeaderMap) -> Response {
    if let Some(name) = session_of(&headers) {
        state.page().end_session(name);
    }
    let cookie = format!("{COOKIE}=; {COOKIE_ATTRIBUTES}; Max-Age=0");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response()
}

/// Returns the session that the cookie of a request names.
fn session_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let cookies = cookies.filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE && !value.is_empty()).then_some(value)
    })
}

/// Returns the token in the body of a form.
fn token_in_form(body: &[u8]) -> Option<Zeroizing<String>> {
    let mut pairs = url::form_urlencoded::parse(body);
    let (_, token) = pairs.find(|(name, _)| name == "token")?;
    let token = token.trim();
    (!token.is_empty()).then(|| Zeroizing::new(token.to_owned()))
}

/// Returns the name of a new session, from the random bytes of the system.
fn random_name() -> Option<String> {
    let mut bytes = [0; NAME_BYTES];
    let mut random = std::fs::File::open("/dev/urandom").ok()?;
    random.read_exact(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_found_among_other_cookies() {
        for (cookies, expected) in [
            (&["step-observer-session=abc"][..], Some("abc")),
            (&["a=b; step-observer-session=abc; c=d"], Some("abc")),
            (&["a=b", "step-observer-session=abc"], Some("abc")),
            (&["a=b; xstep-observer-session=abc"], None),
            (&["step-observer-session="], None),
            (&["step-observer-session"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for cookie in cookies {
                headers.append(header::COOKIE, cookie.parse().unwrap());
            }
            assert_eq!(session_of(&headers), expected, "{cookies:?}");
        }
    }

    #[test]
    fn a_form_has_one_token() {
        let token = |body: &str| token_in_form(body.as_bytes()).map(|token| token.to_string());
        assert_eq!(token("token=a%2Bb+"), Some("a+b".to_owned()));
        assert_eq!(token("x=1&token=abc&token=def"), Some("abc".to_owned()));
        for none in ["", "token=", "token=+", "tokens=abc", "%ff%fe"] {
            assert_eq!(token(none), None, "{none}");
        }
        assert_eq!(token_in_form(&[0xff, b'=', 0xfe]), None);
    }

    #[test]
    fn names_of_sessions_differ() {
        let (one, other) = (random_name().unwrap(), random_name().unwrap());
        assert_eq!(one.len(), 2 * NAME_BYTES);
        assert_ne!(one, other);
    }
}
