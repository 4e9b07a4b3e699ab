//! CloudEvents over HTTP (HTTP protocol binding 1.0.2) in binary, structured or batched mode.

mod config;
mod guarded_body;
mod headers;
mod pause_request;
mod payload;
mod reloading_client;
mod signer;
mod webhook_validation;

pub use config::{BatchConfig, Compression, Handshake, HttpConfig, HttpMode, Signing};

use super::batcher::{BatchLimits, Batcher};
use super::wire::{SettingProblem, SinkContext, Wire, tls_problem};
use super::{
    Attempt, DeliveryFailure, PauseGate, RetryAction, SinkError, after_status, defaults,
    reject_unencodable,
};
use crate::clock;
use crate::event::attribute::{self, AttributeError};
use crate::event::{self, Encoded};
use crate::http::{Header, HttpError, HttpResponse, HttpUrl, MASK, RequestBody, environment_proxy};
use futures::FutureExt as _;
use guarded_body::GuardedBody;
use http::{HeaderMap, Method, StatusCode};
use pause_request::PauseRequest;
pub(in crate::sink) use payload::HttpPayload;
use reloading_client::{ClientSnapshot, ReloadingClient};
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::info;
use webhook_validation::WebhookValidation;

/// A receiver with its client.
#[derive(Debug)]
pub(super) struct Http {
    config: HttpConfig,
    client: ReloadingClient,
    /// In batched mode.
    batcher: Option<Batcher>,
    /// Set if the receiver must be asked for permission.
    validation: Option<WebhookValidation>,
    pause: PauseGate,
}

impl Wire for Http {
    type Config = HttpConfig;

    const NAME: &'static str = "http";

    fn problems(config: &HttpConfig) -> Vec<SettingProblem> {
        config.problems()
    }

    fn check_files(config: &HttpConfig) -> Result<(), SinkError> {
        Self::new(config).map(drop)
    }

    fn origin(config: &HttpConfig) -> Option<String> {
        Some(config.url.origin())
    }

    fn mask(config: &mut HttpConfig) {
        config.url = config.url.masked();
        mask_headers(&mut config.headers);
    }

    fn added_bytes(config: &HttpConfig) -> usize {
        let added = config.extensions.iter();
        added
            .map(|(name, value)| event::attribute_size(name, value))
            .sum()
    }

    async fn open(config: &HttpConfig, _: &mut SinkContext<'_>) -> Result<Self, SinkError> {
        Self::new(config)
    }

    async fn send(&self, event: &Encoded) -> Attempt {
        let Some(batcher) = &self.batcher else {
            return self.post(std::slice::from_ref(event)).await;
        };
        // Boxed to keep the futures of waiting events small: more than a thousand events may wait,
        // but only one of them sends the request for a batch.
        let post = |events: Vec<Encoded>| async move { self.post(&events).await }.boxed();
        batcher.send(event, post).await
    }

    fn timeout(&self) -> Duration {
        let batch = self.config.batch.clone().unwrap_or_default();
        let linger = self.batcher.as_ref().map_or(0, |_| batch.linger_ms.get());
        Duration::from_millis(self.config.timeout_ms.get() + linger)
    }

    fn concurrency(&self) -> usize {
        let batcher = self.batcher.as_ref();
        batcher.map_or(self.config.concurrency.get(), Batcher::concurrency)
    }

    fn with_pause_gate(self, pause: PauseGate) -> Self {
        Self { pause, ..self }
    }
}

impl Http {
    pub(super) fn new(config: &HttpConfig) -> Result<Self, SinkError> {
        if let Some((_, problem)) = config.problems().into_iter().next() {
            return Err(problem);
        }
        let proxy = environment_proxy(&config.url, config.proxy, config.has_credentials());
        if let Some(proxy) = proxy? {
            let host = config.url.host();
            info!(host, proxy, "a sink is reached through a proxy");
        }
        let limits = |batch: BatchConfig| BatchLimits {
            events: batch.max_events.get(),
            bytes: batch.max_bytes.get(),
            batches: config.concurrency.get(),
            linger: Duration::from_millis(batch.linger_ms.get()),
        };
        let batcher = (config.mode == HttpMode::Batch)
            .then(|| Batcher::new(limits(config.batch.clone().unwrap_or_default())));
        Ok(Self {
            client: ReloadingClient::new(config)?,
            batcher,
            validation: config.handshake.clone().map(WebhookValidation::new),
            pause: PauseGate::new(defaults::MAX_PAUSE),
            config: config.clone(),
        })
    }

    /// Sends the events in one request.
    async fn post(&self, events: &[Encoded]) -> Attempt {
        if let Some(validation) = &self.validation
            && let Err(refused) = self.validate(validation).await
        {
            return refused;
        }
        // Takes the secrets only now, because the wait for permission may be long.
        let snapshot = self.client.snapshot();
        let payload = match self.payload(events, &snapshot) {
            Ok(payload) => payload,
            Err(refused) => return refused,
        };
        let attempt = self.send_payload(snapshot, &self.config.url, payload, |response| async {
            let (status, asked) = (response.status(), self.asked_pause(&response));
            response.drain().await;
            self.judge(status, after_status(status.as_u16()), asked)
                .await
        });
        attempt.await
    }

    /// Sends one request with the headers and the client of the sink. `outcome` reads the response.
    pub(in crate::sink) async fn send_payload<F>(
        &self,
        snapshot: ClientSnapshot,
        url: &HttpUrl,
        payload: HttpPayload,
        outcome: impl FnOnce(HttpResponse) -> F,
    ) -> Attempt
    where
        F: Future<Output = Attempt>,
    {
        let mut headers = payload.headers;
        for (name, value) in &*snapshot.headers {
            headers.append(name.clone(), value.clone());
        }
        // Asks the gate last, immediately before the request: a pause may have begun during any of
        // the waits before.
        let Some(permit) = self.pause.enter() else {
            return Attempt::Postponed;
        };
        let guard = permit.guard();
        let body = GuardedBody::new(payload.content, guard.clone());
        let body = Some(RequestBody::deferred(body));
        let attempt = match (snapshot.client)
            .send(Method::POST, url, headers, body)
            .await
        {
            Err(_) if guard.has_withheld() => Attempt::Postponed,
            Err(error) => Attempt::retry(error),
            Ok(response) => outcome(response).await,
        };
        if attempt == Attempt::Delivered {
            permit.accepted();
        }
        attempt
    }

    /// Begins the pause that a response asks for, before its rest is read, which may take long. Returns
    /// the action for the event that was sent.
    pub(in crate::sink) fn asked_pause(&self, response: &HttpResponse) -> Option<RetryAction> {
        let asked = PauseRequest::of_response(response, clock::now());
        asked.map(|asked| asked.apply(&self.pause))
    }

    /// Returns the current client and its secrets.
    #[cfg(feature = "otlp")]
    pub(in crate::sink) fn client(&self) -> ClientSnapshot {
        self.client.snapshot()
    }

    async fn validate(&self, validation: &WebhookValidation) -> Result<(), Attempt> {
        let ask = |added: HeaderMap| async move {
            let snapshot = self.client.snapshot();
            let mut headers = (*snapshot.headers).clone();
            headers.extend(added);
            let asked = (snapshot.client).send(Method::OPTIONS, &self.config.url, headers, None);
            asked.await
        };
        let refused = validation.acquire(ask, &self.pause).await;
        if let Err(attempt) = &refused
            && attempt.code() == Some(StatusCode::UNAUTHORIZED.as_u16())
        {
            self.client.have_secrets_changed();
        }
        refused
    }

    /// Encodes, signs and compresses.
    fn payload(
        &self,
        events: &[Encoded],
        snapshot: &ClientSnapshot,
    ) -> Result<HttpPayload, Attempt> {
        let payload = HttpPayload::encode(self.config.mode, events, &self.config.extensions);
        let mut payload = payload.map_err(|error| reject_unencodable(&error))?;
        if let Some(signer) = &snapshot.signer {
            let id = payload::message_id(events);
            let signed = signer.headers(&id, clock::now().as_second(), &payload.content);
            let signed = signed.map(|(name, value)| (name.into(), value.into()));
            let signed = payload::headers(signed);
            let signed = signed.map_err(|error| reject_unencodable(&error))?;
            payload.headers.extend(signed);
        }
        match self.config.compression {
            None => Ok(payload),
            Some(compression) => {
                let compressed = payload.compress(compression);
                compressed.map_err(|error| Attempt::retry(format!("failed to compress: {error}")))
            }
        }
    }

    /// Returns the outcome of a request: what a status demands by the sink's table, and the pause that
    /// the response asked for.
    pub(in crate::sink) async fn judge(
        &self,
        status: StatusCode,
        demanded: Option<RetryAction>,
        asked: Option<RetryAction>,
    ) -> Attempt {
        let Some(action) = demanded else {
            return Attempt::Delivered;
        };
        if let (Some(validation), 401 | 403 | 410) = (&self.validation, status.as_u16()) {
            validation.withdraw().await;
        }
        // An expired token may have been replaced in its file; so the secrets are read again.
        let has_new_secrets =
            status == StatusCode::UNAUTHORIZED && self.client.have_secrets_changed();
        let (action, reason) = match action {
            RetryAction::Retry { .. } if has_new_secrets => {
                let reason = format!("{status}, with secrets that have changed since");
                (RetryAction::LATER, reason)
            }
            RetryAction::Retry { .. } => (asked.unwrap_or(action), status.to_string()),
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

impl HttpConfig {
    pub(in crate::sink) fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = Vec::new();
        if self.tls.is_some() && self.url.is_plain() {
            let problem = "the URL is not https: nothing of this would be used";
            let problem = HttpError::Tls(problem.to_owned());
            problems.push(("tls".to_owned(), problem.into()));
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
        let headers = headers::problems(self).into_iter();
        problems.extend(headers.map(|(path, problem)| (path, problem.into())));
        problems.extend(tls_problem(self.tls.as_deref()));
        problems.extend(extension_problems(&self.extensions));
        problems
    }

    /// Returns whether requests contain credentials, which others must not learn, or signatures,
    /// which others could send again.
    fn has_credentials(&self) -> bool {
        let has_secret = self.headers.iter().any(|header| header.is_secret());
        self.auth.is_some() || self.signing.is_some() || has_secret
    }
}

/// Replaces the values of headers by `***`.
pub(super) fn mask_headers(headers: &mut [Header]) {
    for value in headers
        .iter_mut()
        .filter_map(|header| header.value.as_mut())
    {
        MASK.clone_into(value);
    }
}

fn extension_problems(
    extensions: &BTreeMap<String, String>,
) -> impl Iterator<Item = SettingProblem> {
    extensions.iter().filter_map(|(name, value)| {
        let error = attribute::check_extension(name, value).err()?;
        let reason = match error {
            AttributeError::ReadOnly(_) => {
                "it identifies the event or belongs to the observer".to_owned()
            }
            error => error.to_string(),
        };
        let name = name.clone();
        let path = format!("extensions.{name}");
        Some((path, SinkError::Extension { name, reason }))
    })
}
