//! Requests that an API server cannot answer now are asked again, so that one bad page does not begin
//! a whole list anew, and a server that asks for a pause gets it.

use crate::clock;
use crate::http::retry_after_of;
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use std::time::Duration;
use step_observer_core::Backoff;
use tower::BoxError;
use tower::retry::Policy;
use tower::timeout::error::Elapsed;

/// Tries after the first. What fails longer is logged, and tried again by whoever asked.
const RETRIES: u32 = 5;
/// The same where there is no answer at all.
const RECONNECTS: u32 = 2;
/// Longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Waits if the server names none.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(150),
    max: LONGEST_WAIT,
};

/// How often one request was asked again.
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
        let wait = match result {
            Ok(response) if self.retries < RETRIES && passes(response.status()) => {
                let asked = retry_after_of(response.headers(), clock::now());
                wait(asked, self.retries)
            }
            // The connection broke. What took too long once is not waited for again.
            Err(error) if self.retries < RECONNECTS && !error.is::<Elapsed>() => {
                wait(None, self.retries)
            }
            Ok(_) | Err(_) => return None,
        };
        self.retries += 1;
        Some(tokio::time::sleep(wait))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        // Nothing is written twice.
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

/// Does this go away by itself?
fn passes(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// As long as the server asks for, within bounds; else longer each time, and not for all at once.
fn wait(asked: Option<Duration>, retries: u32) -> Duration {
    match asked {
        Some(asked) => asked.min(LONGEST_WAIT),
        None => BACKOFF.delay(retries + 1, fastrand::f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_is_without_a_bound() {
        let asked = Duration::from_secs(7);
        assert_eq!(wait(Some(asked), 0), asked);
        assert_eq!(wait(Some(Duration::MAX), 0), LONGEST_WAIT);
        for retries in 0..RETRIES {
            assert!(wait(None, retries) < Duration::from_secs(5));
        }
    }
}
