//! The routes of the live page. `admin/page/README.md` is their contract.

mod assets;
mod event;
mod origin;
mod session;
mod stream;

use super::auth::Guard;
use super::routes::RouteState;
use super::server::Peer;
use axum::Extension;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use stream::StreamToken;

pub(super) use origin::HostRule;

/// Headers of every answer: a browser runs nothing but the files of the page, and shows it in no frame.
const HEADERS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// What the routes of the page need to decide on a request.
#[derive(Clone)]
struct PageGuard {
    guard: Guard,
    hosts: HostRule,
    state: RouteState,
}

/// Builds the routes of the page.
pub(super) fn router(state: &RouteState, guard: Guard, hosts: HostRule) -> Router<RouteState> {
    let page_guard = PageGuard {
        guard,
        hosts,
        state: state.clone(),
    };
    let data = Router::new()
        .route("/page/stream", get(stream))
        .route("/page/events/{id}", get(event::event))
        .route_layer(from_fn_with_state(page_guard.clone(), session::guard));
    let session = Router::new()
        .route("/session", post(session::sign_in).delete(session::sign_out))
        .route_layer(from_fn(origin::check_origin));
    Router::new()
        .route("/", get(async |headers: HeaderMap| assets::index(&headers)))
        .route("/page/{file}", get(file))
        .merge(session)
        .merge(data)
        .route_layer(Extension(page_guard.guard.clone()))
        .route_layer(from_fn_with_state(page_guard, check_host))
        .route_layer(from_fn(add_headers))
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    assets::file(&name, &headers)
}

async fn stream(
    State(state): State<RouteState>,
    Extension(Peer(peer)): Extension<Peer>,
    Extension(token): Extension<session::RequestToken>,
    Extension(guard): Extension<Guard>,
    headers: HeaderMap,
) -> Response {
    let last_event_id = headers.get("last-event-id");
    let last_event_id = last_event_id.and_then(|id| id.to_str().ok());
    let permit = state.page().stream(peer);
    let token = StreamToken {
        guard,
        token: token.token,
        is_session: token.is_session,
    };
    stream::answer(state, permit, token, last_event_id.map(str::to_owned))
}

/// Refuses requests for a name that this page does not have, and pages that are not shown at all.
async fn check_host(State(page): State<PageGuard>, request: Request, next: Next) -> Response {
    if let Some(refusal) = page.guard.withheld() {
        return refusal.into_response();
    }
    match page.hosts.refusal(request.headers()) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
