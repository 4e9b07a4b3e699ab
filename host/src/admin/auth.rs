//! Authorizes requests for routes that show runs, events and plugins: by the token in a file, or by a token of
//! the cluster whose owner has the right. Tokens are never logged, and only their digests are stored.

use super::access_cache::AccessCache;
use super::config::AuthConfig;
use crate::locked::Locked;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::warn;

/// Largest token file, in bytes.
const MAX_TOKEN_FILE_BYTES: u64 = 64 * 1024;
/// Reviews of tokens at a time.
const MAX_CONCURRENT_REVIEWS: usize = 4;

/// The decision about a token and a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The owner of the token may get the path.
    Allowed,
    /// The token has an owner, who may not get the path.
    Forbidden,
    /// The token is not valid.
    Unknown,
}

/// Asks the cluster whether the owner of a token may get a path. The error is logged, so it says
/// what to do.
pub type AccessReviewer =
    Arc<dyn Fn(String, String) -> BoxFuture<'static, Result<Access, String>> + Send + Sync>;

/// Shortest time between two warnings that tokens cannot be checked.
const MIN_WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// Guards routes. Cheap to clone.
#[derive(Clone)]
pub(super) struct Guard {
    rule: AccessRule,
    warned: Arc<Locked<Option<Instant>>>,
}

#[derive(Clone)]
enum AccessRule {
    /// Every client may get the routes.
    Open,
    /// No client may get the routes.
    Closed,
    /// A client needs the token in this file.
    Bearer(Arc<PathBuf>),
    /// The cluster decides by token and path.
    Kubernetes(KubernetesAccess),
}

#[derive(Clone)]
struct KubernetesAccess {
    review: AccessReviewer,
    review_slots: Arc<Semaphore>,
    cache: Arc<Locked<AccessCache>>,
}

/// Why no client could be authorized.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The token file cannot be used.
    #[error("admin.auth.bearer.tokenFile: {0}")]
    Token(String),
    /// There is no cluster to review tokens.
    #[error(
        "admin.auth.kubernetes: only `run` has a cluster to ask; use admin.auth.bearer, or listen on 127.0.0.1"
    )]
    NoCluster,
}

impl Guard {
    /// Creates a guard that refuses every request.
    pub(super) fn closed() -> Self {
        Self::with(AccessRule::Closed)
    }

    pub(super) fn new(
        config: Option<&AuthConfig>,
        reviewer: Option<AccessReviewer>,
    ) -> Result<Self, AuthError> {
        let rule = match config {
            None => AccessRule::Open,
            Some(AuthConfig::Bearer(bearer)) => {
                AccessRule::Bearer(Arc::new(bearer.token_file.clone()))
            }
            Some(AuthConfig::Kubernetes(_)) => AccessRule::Kubernetes(KubernetesAccess {
                review: reviewer.ok_or(AuthError::NoCluster)?,
                review_slots: Arc::new(Semaphore::new(MAX_CONCURRENT_REVIEWS)),
                cache: Arc::default(),
            }),
        };
        Ok(Self::with(rule))
    }

    fn with(rule: AccessRule) -> Self {
        let warned = Arc::default();
        Self { rule, warned }
    }
}

/// Checks at the start that requests can be authorized. So a missing token file already fails the
/// start, not only the first request.
///
/// # Errors
///
/// The token file cannot be read, is empty or is too large, or there is no cluster to review
/// tokens.
pub(super) fn check(config: Option<&AuthConfig>, has_cluster: bool) -> Result<(), AuthError> {
    match config {
        Some(AuthConfig::Bearer(bearer)) => {
            let token = read_token(&bearer.token_file).map_err(AuthError::Token);
            token.map(drop)
        }
        Some(AuthConfig::Kubernetes(_)) if !has_cluster => Err(AuthError::NoCluster),
        Some(AuthConfig::Kubernetes(_)) | None => Ok(()),
    }
}

/// Forwards a request, or refuses it.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let token = bearer(request.headers()).map(str::to_owned);
    let path = request.uri().path().to_owned();
    match guard.refusal(token, path).await {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No client may get the path on this address.
    Withheld,
    /// The request has no token.
    NoToken,
    /// The token is not valid.
    Unknown,
    /// The owner of the token may not get the path.
    Forbidden,
    /// Tokens cannot be checked.
    Unavailable,
}

impl Guard {
    /// Returns whether clients need a token.
    pub(super) fn needs_token(&self) -> bool {
        matches!(self.rule, AccessRule::Bearer(_) | AccessRule::Kubernetes(_))
    }

    /// Returns the refusal of every request, if no client may get the routes.
    pub(super) fn withheld(&self) -> Option<Refusal> {
        matches!(self.rule, AccessRule::Closed).then_some(Refusal::Withheld)
    }

    /// Returns why a request with this token may not get a path.
    pub(super) async fn refusal(&self, token: Option<String>, path: String) -> Option<Refusal> {
        let access = match (&self.rule, token) {
            (AccessRule::Open, _) => return None,
            (AccessRule::Closed, _) => return Some(Refusal::Withheld),
            (AccessRule::Bearer(_) | AccessRule::Kubernetes(_), None) => {
                return Some(Refusal::NoToken);
            }
            (AccessRule::Bearer(file), Some(token)) => check_token_file(file.clone(), token).await,
            (AccessRule::Kubernetes(cluster), Some(token)) => cluster.access(token, path).await,
        };
        match access {
            Ok(Access::Allowed) => None,
            Ok(Access::Forbidden) => Some(Refusal::Forbidden),
            Ok(Access::Unknown) => Some(Refusal::Unknown),
            Err(problem) => {
                self.warn(&problem);
                Some(Refusal::Unavailable)
            }
        }
    }
}

impl Guard {
    fn warn(&self, problem: &str) {
        let (mut warned, now) = (self.warned.lock(), Instant::now());
        if warned.is_none_or(|at| now.duration_since(at) >= MIN_WARNING_INTERVAL) {
            *warned = Some(now);
            warn!(%problem, "tokens of clients of the admin server cannot be checked");
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, problem) = match self {
            Self::Withheld => (
                StatusCode::FORBIDDEN,
                "runs, events and plugins are not shown on an address that other machines reach: set admin.auth, or \
                 listen on 127.0.0.1 (admin.listen) and give probes and scrapes addresses of their own (admin.probes, \
                 admin.metrics)\n",
            ),
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "a token is required: Authorization: Bearer TOKEN\n",
            ),
            Self::Unknown => (StatusCode::UNAUTHORIZED, "this token is not valid\n"),
            Self::Forbidden => (
                StatusCode::FORBIDDEN,
                "the owner of this token may not get this path (RBAC, nonResourceURLs)\n",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "tokens cannot be checked now: see the log of the observer\n",
            ),
        };
        let mut response = (status, problem).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"step-observer\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Returns the token of a request, if the request has exactly one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

async fn check_token_file(file: Arc<PathBuf>, given: String) -> Result<Access, String> {
    let read = tokio::task::spawn_blocking(move || {
        read_token(&file).map(|token| match tokens_equal(&token, &given) {
            true => Access::Allowed,
            false => Access::Unknown,
        })
    });
    read.await.map_err(|error| error.to_string())?
}

/// Reads the token in a file.
fn read_token(file: &Path) -> Result<String, String> {
    let path = file.display();
    let failed = |error: std::io::Error| format!("failed to read {path}: {error}");
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    let read = opened
        .take(MAX_TOKEN_FILE_BYTES + 1)
        .read_to_string(&mut text);
    if read.map_err(failed)? as u64 > MAX_TOKEN_FILE_BYTES {
        return Err(format!("{path} is larger than 64 KiB"));
    }
    match text.trim() {
        "" => Err(format!("{path} is empty")),
        token => Ok(token.to_owned()),
    }
}

/// Compares two tokens in a time that depends neither on the first difference nor on the lengths.
fn tokens_equal(one: &str, other: &str) -> bool {
    let sealed = |token: &str| {
        // Any key is suitable: an HMAC accepts keys of every length.
        let mac = Hmac::<Sha256>::new_from_slice(b"step-observer admin").ok()?;
        Some(mac.chain_update(token).finalize())
    };
    sealed(one)
        .zip(sealed(other))
        .is_some_and(|(one, other)| one == other)
}

impl KubernetesAccess {
    async fn access(&self, token: String, path: String) -> Result<Access, String> {
        let mut digest = Sha256::new();
        digest.update(&path);
        // Separates the path and the token: no path contains this byte.
        digest.update([0]);
        digest.update(&token);
        let key = digest.finalize().into();
        let known = self.cache().get(&key, Instant::now());
        if let Some(access) = known {
            return Ok(access);
        }
        let place = self.review_slots.acquire().await;
        let access = (self.review)(token, path).await;
        drop(place);
        if let Ok(access) = access {
            self.cache().insert(key, access, Instant::now());
        }
        access
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, AccessCache> {
        self.cache.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn exactly_one_bearer_token_is_taken() {
        assert_eq!(bearer(&with(&["Bearer abc"])), Some("abc"));
        assert_eq!(bearer(&with(&["bearer  abc "])), Some("abc"));
        for none in [
            &[][..],
            &["abc"],
            &["Bearer"],
            &["Bearer  "],
            &["Basic abc"],
            &["Bearer abc", "Bearer def"],
        ] {
            assert_eq!(bearer(&with(none)), None, "{none:?}");
        }
    }

    #[test]
    fn only_the_same_token_is_the_same() {
        assert!(tokens_equal("0123456789abcdef", "0123456789abcdef"));
        for other in [
            "",
            "0123456789abcde",
            "0123456789abcdeg",
            "0123456789abcdef0",
        ] {
            assert!(!tokens_equal("0123456789abcdef", other), "{other}");
        }
    }

    #[test]
    fn a_file_with_a_token_is_neither_empty_nor_large() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let in_file = |text: &str| {
            std::fs::write(&file, text).unwrap();
            read_token(&file)
        };
        assert_eq!(in_file(" abc\n"), Ok("abc".to_owned()));
        assert!(in_file("\n").unwrap_err().ends_with("token is empty"));
        let large = in_file(&"a".repeat(65_537)).unwrap_err();
        assert!(large.ends_with("is larger than 64 KiB"), "{large}");
        let config = AuthConfig::Bearer(super::super::config::BearerConfig {
            token_file: folder.path().join("nothing"),
        });
        let missing = check(Some(&config), true).unwrap_err().to_string();
        assert!(
            missing.starts_with("admin.auth.bearer.tokenFile: failed to read "),
            "{missing}"
        );
    }
}
