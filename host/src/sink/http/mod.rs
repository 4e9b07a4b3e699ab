//! CloudEvents over HTTP (HTTP protocol binding 1.0.2), binary, structured or batched mode.

mod config;
mod credentials;
mod guarded_body;
mod json_client;
mod pause_request;
mod payload;
mod proxy;
mod reloading_client;
mod signer;
mod webhook_validation;

pub use config::{
    BatchConfig, Compression, Handshake, Header, HttpAuth, HttpConfig, HttpMode, HttpUrl, ProxyUse,
    Signing,
};
pub use json_client::JsonClient;

use super::batcher::{BatchLimits, Batcher};
use super::{
    Attempt, DeliveryFailure, PauseGate, RetryAction, SinkError, after_status, defaults,
    unencodable,
};
use crate::clock;
use crate::event::Encoded;
use crate::event::attribute::{self, AttributeError};
use futures::FutureExt as _;
use guarded_body::GuardedBody;
use payload::HttpPayload;
use reloading_client::{ClientSnapshot, ReloadingClient};
use reqwest::{Method, Request, StatusCode};
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::info;
use webhook_validation::WebhookValidation;

/// Most of an answer that is read so that its connection can be used again.
const MAX_ANSWER: usize = 64 * 1024;

/// A receiver with its client.
#[derive(Debug)]
pub struct Http {
    config: HttpConfig,
    secrets: ReloadingClient,
    /// In batched mode.
    batches: Option<Batcher>,
    /// Where it wants to be asked.
    permission: Option<WebhookValidation>,
    pause: PauseGate,
}

impl Http {
    pub(super) fn new(config: &HttpConfig) -> Result<Self, SinkError> {
        config.check()?;
        if let Some(proxy) = proxy::of(config)? {
            info!(
                host = config.url.host(),
                proxy, "a sink is reached through a proxy"
            );
        }
        let limits = |batch: BatchConfig| BatchLimits {
            events: batch.max_events.get(),
            bytes: batch.max_bytes.get(),
            batches: config.concurrency.get(),
            linger: Duration::from_millis(batch.linger_ms.get()),
        };
        let batches = (config.mode == HttpMode::Batch)
            .then(|| Batcher::new(limits(config.batch.clone().unwrap_or_default())));
        Ok(Self {
            secrets: ReloadingClient::read(config)?,
            batches,
            permission: config.handshake.clone().map(WebhookValidation::new),
            pause: PauseGate::new(defaults::LONGEST_PAUSE),
            config: config.clone(),
        })
    }

    pub(super) fn pausing(self, pause: PauseGate) -> Self {
        Self { pause, ..self }
    }

    pub(super) fn concurrency(&self) -> usize {
        let batches = self.batches.as_ref();
        batches.map_or(self.config.concurrency.get(), Batcher::concurrency)
    }

    pub(super) fn timeout(&self) -> Duration {
        let batch = self.config.batch.clone().unwrap_or_default();
        let linger = self.batches.as_ref().map_or(0, |_| batch.linger_ms.get());
        Duration::from_millis(self.config.timeout_ms.get() + linger)
    }

    pub(super) async fn send(&self, event: &Encoded) -> Attempt {
        let Some(batches) = &self.batches else {
            return self.post(std::slice::from_ref(event)).await;
        };
        // On its own: more than a thousand events wait for a request of which one becomes a part.
        let post = |events: Vec<Encoded>| async move { self.post(&events).await }.boxed();
        batches.send(event, post).await
    }

    /// One request.
    async fn post(&self, events: &[Encoded]) -> Attempt {
        if let Some(permission) = &self.permission {
            let request = |method| self.request(&self.secrets.now(), method);
            let asked = permission.turn(request, &self.pause);
            if let Err(refused) = asked.await {
                if refused.code() == Some(StatusCode::UNAUTHORIZED.as_u16()) {
                    self.secrets.have_changed();
                }
                return refused;
            }
        }
        // After the wait for its turn, which may be long.
        let in_use = self.secrets.now();
        let mut parcel = match HttpPayload::pack(self.config.mode, events, &self.config.extensions)
        {
            Ok(parcel) => parcel,
            Err(error) => return unencodable(&error),
        };
        if let Some(signer) = &in_use.signer {
            let id = payload::message_id(events);
            let signed = signer.headers(&id, clock::now().as_second(), &parcel.content);
            let signed = signed.map(|(name, value)| (name.into(), value.into()));
            match payload::headers(signed) {
                Ok(signed) => parcel.headers.extend(signed),
                Err(error) => return unencodable(&error),
            }
        }
        let parcel = match self.config.compression {
            None => parcel,
            Some(how) => match parcel.compress(how) {
                Ok(parcel) => parcel,
                Err(error) => return Attempt::retry(format!("failed to compress: {error}")),
            },
        };
        let mut request = Request::new(Method::POST, self.config.url.0.clone());
        *request.headers_mut() = parcel.headers;
        for (name, value) in &*in_use.headers {
            request.headers_mut().append(name.clone(), value.clone());
        }
        // Nothing but the request comes after this: a pause may have begun during any wait before it.
        let Some(entry) = self.pause.enter() else {
            return Attempt::Postponed;
        };
        let guard = entry.guard();
        let content = GuardedBody::new(parcel.content, guard.clone());
        *request.body_mut() = Some(reqwest::Body::wrap(content));
        let attempt = match in_use.client.execute(request).await {
            Err(_) if guard.has_withheld() => Attempt::Postponed,
            // The URL, which may hold a token, stays out of the message.
            Err(error) => Attempt::retry(describe(&error.without_url())),
            Ok(answer) => self.answered(answer).await,
        };
        if attempt == Attempt::Delivered {
            entry.taken();
        }
        attempt
    }

    fn request(&self, in_use: &ClientSnapshot, method: Method) -> reqwest::RequestBuilder {
        let request = in_use.client.request(method, self.config.url.0.clone());
        request.headers((*in_use.headers).clone())
    }

    async fn answered(&self, answer: reqwest::Response) -> Attempt {
        let status = answer.status();
        let wish = pause_request::of(status, answer.headers(), clock::now());
        // Before the rest of the answer is read, which may take long: meanwhile nothing else begins.
        let wish = wish.map(|wish| wish.made(&self.pause));
        drain(answer).await;
        let Some(action) = after_status(status.as_u16()) else {
            return Attempt::Delivered;
        };
        if let (Some(permission), 401 | 403 | 410) = (&self.permission, status.as_u16()) {
            permission.withdraw().await;
        }
        // A token that has run out was replaced before.
        let replaced = status == StatusCode::UNAUTHORIZED && self.secrets.have_changed();
        let (action, reason) = match action {
            RetryAction::Retry { .. } if replaced => {
                let reason = format!("{status}, with secrets that have changed since");
                (RetryAction::LATER, reason)
            }
            RetryAction::Retry { .. } => (wish.unwrap_or(action), status.to_string()),
            RetryAction::Suspend | RetryAction::Reject | RetryAction::Pause { .. } => {
                (action, status.to_string())
            }
        };
        Attempt::Failed(DeliveryFailure {
            action,
            reason,
            code: Some(status.as_u16()),
        })
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}

/// Reads what is left of an answer: a connection with unread bytes cannot be used again.
async fn drain(mut answer: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(piece)) = answer.chunk().await {
        read += piece.len();
        if read > MAX_ANSWER {
            break;
        }
    }
}

impl HttpConfig {
    /// Refuses what does not go together.
    pub(crate) fn check(&self) -> Result<(), SinkError> {
        let first = self.problems().into_iter().next();
        first.map_or(Ok(()), |(_, problem)| Err(problem))
    }

    /// All that does not go together, each with the path of its field.
    pub(crate) fn problems(&self) -> Vec<(String, SinkError)> {
        let mut problems = Vec::new();
        if self.tls.is_some() && self.url.0.scheme() == "http" {
            let problem = "the URL is not https: nothing of this would be used";
            problems.push(("tls".to_owned(), SinkError::Tls(problem.to_owned())));
        }
        if self.signing.is_some() && self.mode == HttpMode::Binary {
            let problem = SinkError::Contradiction(
                "signing: in binary mode attributes are headers, which a signature does not cover; write `mode: structured` or `mode: batch`",
            );
            problems.push(("signing".to_owned(), problem));
        }
        if self.batch.is_some() && self.mode != HttpMode::Batch {
            let problem = SinkError::Contradiction("batch: write `mode: batch`, too");
            problems.push(("batch".to_owned(), problem));
        }
        if let Some(Err(problem)) = self.signing.as_ref().map(Signing::check) {
            problems.push(("signing.secretFiles".to_owned(), problem));
        }
        problems.extend(credentials::problems(self));
        problems.extend(extension_problems(&self.extensions));
        problems
    }
}

fn extension_problems(
    extensions: &BTreeMap<String, String>,
) -> impl Iterator<Item = (String, SinkError)> {
    extensions.iter().filter_map(|(name, value)| {
        let error = attribute::check_extension(name, value).err()?;
        let reason = match error {
            AttributeError::ReadOnly(_) => {
                "it identifies the event or belongs to the observer".to_owned()
            }
            error => error.to_string(),
        };
        let name = name.clone();
        Some((
            format!("extensions.{name}"),
            SinkError::Extension { name, reason },
        ))
    })
}
