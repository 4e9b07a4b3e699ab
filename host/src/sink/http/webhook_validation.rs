//! Asks a receiver for permission (CloudEvents HTTP webhooks 1.0 §4).

use super::super::{Attempt, DeliveryFailure, PauseGate, RateLimiter, RetryAction};
use super::config::Handshake;
use super::pause_request;
use crate::bounded::Bounded;
use crate::clock;
use reqwest::Method;
use reqwest::header::HeaderMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tracing::info;

const MINUTE: Duration = Duration::from_secs(60);

/// What a receiver permits.
#[derive(Debug)]
pub(super) struct WebhookValidation {
    asks: Handshake,
    /// Once it has permitted: how often, where it says so.
    given: Mutex<Option<Option<Arc<RateLimiter>>>>,
}

impl WebhookValidation {
    pub(super) fn new(asks: Handshake) -> Self {
        Self {
            asks,
            given: Mutex::default(),
        }
    }

    /// It is asked again before the next event.
    pub(super) async fn withdraw(&self) {
        *self.given.lock().await = None;
    }

    /// Waits until it may be sent to.
    ///
    /// # Errors
    ///
    /// It does not permit, or cannot be asked.
    pub(super) async fn turn(
        &self,
        request: impl FnOnce(Method) -> reqwest::RequestBuilder,
        pause: &PauseGate,
    ) -> Result<(), Attempt> {
        let limiter = {
            // One asks for all.
            let mut given = self.given.lock().await;
            match &*given {
                Some(limiter) => limiter.clone(),
                None => given.insert(self.ask(request, pause).await?).clone(),
            }
        };
        if let Some(limiter) = limiter {
            limiter.acquire().await;
        }
        Ok(())
    }

    async fn ask(
        &self,
        request: impl FnOnce(Method) -> reqwest::RequestBuilder,
        pause: &PauseGate,
    ) -> Result<Option<Arc<RateLimiter>>, Attempt> {
        let mut request = request(Method::OPTIONS);
        request = request.header("webhook-request-origin", &self.asks.origin);
        if let Some(rate) = self.asks.requests_per_minute {
            request = request.header("webhook-request-rate", rate.get());
        }
        let entry = pause.enter().ok_or(Attempt::Postponed)?;
        let answer = request.send().await.map_err(|error| {
            let error = super::describe(&error.without_url());
            Attempt::retry(format!(
                "the receiver cannot be asked for permission: {error}"
            ))
        })?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let wish = pause_request::of(status, &headers, clock::now());
        let wish = wish.map(|wish| wish.made(pause));
        super::drain(answer).await;
        let said = match status.is_success() {
            true => allowed(&self.asks, &headers),
            false => Err("which is no permission".to_owned()),
        };
        let rate = said.map_err(|problem| {
            Attempt::Failed(DeliveryFailure {
                action: wish.unwrap_or(RetryAction::LATER),
                reason: format!(
                    "the receiver does not permit deliveries ({status} to OPTIONS, {problem})"
                ),
                code: Some(status.as_u16()),
            })
        })?;
        entry.taken();
        info!(rate_per_minute = rate, "the receiver permits deliveries");
        Ok(rate.map(|rate| Arc::new(RateLimiter::new(rate, MINUTE))))
    }
}

/// How many requests a minute the receiver allows; nothing where as many as there are.
fn allowed(asks: &Handshake, answer: &HeaderMap) -> Result<Option<u64>, String> {
    let header = |name: &str| {
        answer
            .get(name)
            .map(|value| value.to_str().unwrap_or_default().trim())
    };
    match header("webhook-allowed-origin") {
        Some("*") => {}
        Some(origin) if origin.eq_ignore_ascii_case(&asks.origin) => {}
        Some(_) => return Err("WebHook-Allowed-Origin names another".to_owned()),
        None => return Err("without WebHook-Allowed-Origin".to_owned()),
    }
    match header("webhook-allowed-rate") {
        None | Some("*") => Ok(asks.requests_per_minute.map(Bounded::get)),
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
        let asks = |rate: Option<u64>| Handshake {
            origin: "ci.example.com".to_owned(),
            requests_per_minute: rate.map(Bounded::new),
        };
        let answer = |headers: &[(&'static str, &str)]| {
            let pairs = headers.iter().map(|(name, value)| {
                let name = reqwest::header::HeaderName::from_static(name);
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
            let told = allowed(&asks(asked), &answer(&headers));
            assert_eq!(told.ok(), expected, "{headers:?}");
        }
    }
}
