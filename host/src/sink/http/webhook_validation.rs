//! Asks a receiver for the permission to deliver (CloudEvents HTTP webhooks 1.0 §4).

use super::super::{Attempt, DeliveryFailure, PauseGate, RateLimiter, RetryAction};
use super::config::Handshake;
use super::pause_request::PauseRequest;
use crate::bounded::Bounded;
use crate::clock;
use crate::http::HttpResponse;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tracing::info;

const MINUTE: Duration = Duration::from_secs(60);

/// The permission of one receiver.
#[derive(Debug)]
pub(super) struct WebhookValidation {
    settings: Handshake,
    permission: Mutex<Permission>,
}

#[derive(Clone, Debug, Default)]
enum Permission {
    /// The receiver has not given permission yet, or the permission was withdrawn. The receiver
    /// must be asked before the next event.
    #[default]
    Unknown,
    /// The receiver permits any number of requests.
    Unlimited,
    /// The receiver permits requests at a rate.
    Limited(Arc<RateLimiter>),
}

impl WebhookValidation {
    pub(super) fn new(settings: Handshake) -> Self {
        Self {
            settings,
            permission: Mutex::default(),
        }
    }

    /// Forgets the permission, so that the receiver is asked again before the next event.
    pub(super) async fn withdraw(&self) {
        *self.permission.lock().await = Permission::Unknown;
    }

    /// Waits until the receiver permits a request now. `ask` sends `OPTIONS` with additional headers.
    ///
    /// # Errors
    ///
    /// The receiver does not permit deliveries, or cannot be asked.
    pub(super) async fn acquire<F>(
        &self,
        ask: impl FnOnce(HeaderMap) -> F,
        gate: &PauseGate,
    ) -> Result<(), Attempt>
    where
        F: Future<Output = Result<HttpResponse, String>>,
    {
        let permission = {
            // Holds the lock during the request, so that one attempt asks on behalf of all others.
            let mut permission = self.permission.lock().await;
            if matches!(*permission, Permission::Unknown) {
                *permission = self.request_permission(ask, gate).await?;
            }
            permission.clone()
        };
        if let Permission::Limited(limiter) = permission {
            limiter.acquire().await;
        }
        Ok(())
    }

    async fn request_permission<F>(
        &self,
        ask: impl FnOnce(HeaderMap) -> F,
        gate: &PauseGate,
    ) -> Result<Permission, Attempt>
    where
        F: Future<Output = Result<HttpResponse, String>>,
    {
        let unreachable = |error| {
            Attempt::retry(format!(
                "the receiver cannot be asked for permission: {error}"
            ))
        };
        let headers = self.request_headers().map_err(unreachable)?;
        let permit = gate.enter().ok_or(Attempt::Postponed)?;
        let response = ask(headers).await.map_err(unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let action = PauseRequest::of_response(&response, clock::now());
        let action = action.map(|asked| asked.apply(gate));
        response.drain().await;
        let rate = match status.is_success() {
            true => allowed_rate(&self.settings, &headers),
            false => Err("which is no permission".to_owned()),
        };
        let rate = rate.map_err(|problem| {
            Attempt::Failed(DeliveryFailure {
                action: action.unwrap_or(RetryAction::LATER),
                reason: format!(
                    "the receiver does not permit deliveries ({status} to OPTIONS, {problem})"
                ),
                code: Some(status.as_u16()),
            })
        })?;
        permit.accepted();
        info!(rate_per_minute = rate, "the receiver permits deliveries");
        Ok(match rate {
            None => Permission::Unlimited,
            Some(rate) => Permission::Limited(Arc::new(RateLimiter::new(rate, MINUTE))),
        })
    }

    fn request_headers(&self) -> Result<HeaderMap, String> {
        let origin = HeaderValue::from_str(&self.settings.origin);
        let origin = origin.map_err(|error| error.to_string())?;
        let name = HeaderName::from_static("webhook-request-origin");
        let mut headers: HeaderMap = [(name, origin)].into_iter().collect();
        if let Some(rate) = self.settings.requests_per_minute {
            let name = HeaderName::from_static("webhook-request-rate");
            headers.insert(name, rate.get().into());
        }
        Ok(headers)
    }
}

/// Returns the maximum number of requests per minute. This is the number in the response, or the
/// configured number if the response contains no number or allows any rate. `None` means no limit.
fn allowed_rate(settings: &Handshake, response: &HeaderMap) -> Result<Option<u64>, String> {
    let header = |name: &str| {
        let value = response.get(name);
        value.map(|value| value.to_str().unwrap_or_default().trim())
    };
    match header("webhook-allowed-origin") {
        Some("*") => {}
        Some(origin) if origin.eq_ignore_ascii_case(&settings.origin) => {}
        Some(_) => return Err("WebHook-Allowed-Origin names another".to_owned()),
        None => return Err("without WebHook-Allowed-Origin".to_owned()),
    }
    match header("webhook-allowed-rate") {
        None | Some("*") => Ok(settings.requests_per_minute.map(Bounded::get)),
        Some(rate) => match rate.parse() {
            Ok(rate) if rate > 0 => Ok(Some(rate)),
            Ok(_) | Err(_) => Err("WebHook-Allowed-Rate is no number above zero".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_and_rate_come_from_the_response() {
        let settings = |rate: Option<u64>| Handshake {
            origin: "ci.example.com".to_owned(),
            requests_per_minute: rate.map(Bounded::new),
        };
        let response = |headers: &[(&'static str, &str)]| {
            let pairs = headers.iter().map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, value.parse().unwrap())
            });
            pairs.collect::<HeaderMap>()
        };
        let (origin, rate) = ("webhook-allowed-origin", "webhook-allowed-rate");
        for (asked, headers, expected) in [
            (None, vec![], None),
            (None, vec![(origin, "other.example.com")], None),
            (None, vec![(origin, "*")], Some(None)),
            (None, vec![(origin, "CI.example.com")], Some(None)),
            (Some(120), vec![(origin, "*")], Some(Some(120))),
            (Some(120), vec![(origin, "*"), (rate, "*")], Some(Some(120))),
            (Some(120), vec![(origin, "*"), (rate, "60")], Some(Some(60))),
            (None, vec![(origin, "*"), (rate, "0")], None),
            (None, vec![(origin, "*"), (rate, "many")], None),
        ] {
            let rate = allowed_rate(&settings(asked), &response(&headers));
            assert_eq!(rate.ok(), expected, "{headers:?}");
        }
    }
}
