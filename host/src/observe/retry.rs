//! Repeats requests that an API server cannot answer now, after the delay that the server requests.
//! So one failed page does not restart a whole list.

use crate::clock;
use crate::http::retry_after_of;
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use std::time::Duration;
use step_observer_core::Backoff;
use tower::BoxError;
use tower::retry::Policy;
use tower::timeout::error::Elapsed;

/// Attempts after the first. If all fail, the caller logs the error and tries again later.
const RETRIES: u32 = 5;
/// Attempts after the first if there is no response.
const RECONNECTS: u32 = 2;
/// Bounds the delay that a server may request.
const MAX_DELAY: Duration = Duration::from_secs(60);
/// Delays if the server requests none.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(150),
    max: MAX_DELAY,
};

/// Counts the repetitions of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Retry {
    retries: u32,
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for Retry {
    type Future = tokio::time::Sleep;

    fn retry(
        &mut self,
        _request: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Self::Future> {
        let delay = match result {
            Ok(response) if self.retries < RETRIES && is_temporary(response.status()) => {
                let requested = retry_after_of(response.headers(), clock::now());
                delay(requested, self.retries)
            }
            // The connection broke. A request that timed out is not repeated.
            Err(error) if self.retries < RECONNECTS && !error.is::<Elapsed>() => {
                delay(None, self.retries)
            }
            Ok(_) | Err(_) => return None,
        };
        self.retries += 1;
        Some(tokio::time::sleep(delay))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        // A request that changes an object is not repeated.
        if request.method() != Method::GET {
            return None;
        }
        let mut again = Request::new(request.body().try_clone()?);
        again.method_mut().clone_from(request.method());
        again.uri_mut().clone_from(request.uri());
        again.headers_mut().clone_from(request.headers());
        again.extensions_mut().clone_from(request.extensions());
        Some(again)
    }
}

/// Returns whether an error of this status is temporary.
fn is_temporary(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// Returns the delay that the server requests, within its bound; else a delay that grows with each
/// repetition and has jitter.
fn delay(requested: Option<Duration>, retries: u32) -> Duration {
    match requested {
        Some(requested) => requested.min(MAX_DELAY),
        None => BACKOFF.delay(retries + 1, fastrand::f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_is_without_a_bound() {
        let requested = Duration::from_secs(7);
        assert_eq!(delay(Some(requested), 0), requested);
        assert_eq!(delay(Some(Duration::MAX), 0), MAX_DELAY);
        for retries in 0..RETRIES {
            assert!(delay(None, retries) < Duration::from_secs(5));
        }
    }
}
