//! Exports events to a collector. The crate `step-observer-otlp` makes the requests and reads the answers; this module sends them.

use super::super::batcher::{BatchLimits, Batcher};
use super::super::http::{Http, HttpPayload};
use super::super::not_built::OptionalSettings;
use super::super::wire::{SettingProblem, SinkContext, Wire};
use super::super::{Attempt, PauseGate, RetryAction, SinkError};
use super::config::OtlpConfig;
use crate::event::Encoded;
use crate::http::{HttpResponse, HttpUrl};
use bytes::Bytes;
use futures::FutureExt as _;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use std::time::Duration;
use step_observer_otlp::{
    MAX_ANSWER_BYTES, Outcome, Request, StatusMeaning, Translator, error_message, meaning,
    partial_success,
};
use tracing::warn;

/// A collector with its client.
#[derive(Debug)]
pub(crate) struct Otlp {
    config: OtlpConfig,
    http: Http,
    translator: Translator,
    traces_url: HttpUrl,
    logs_url: HttpUrl,
    batcher: Batcher,
}

impl Wire for Otlp {
    type Config = Box<OtlpConfig>;

    const NAME: &'static str = <Self::Config as OptionalSettings>::NAME;

    const TAKES_RUN_ENDS: bool = true;

    fn problems(config: &Box<OtlpConfig>) -> Vec<SettingProblem> {
        config.problems()
    }

    fn check_files(config: &Box<OtlpConfig>) -> Result<(), SinkError> {
        Http::new(&config.http()).map(drop)
    }

    fn origin(config: &Box<OtlpConfig>) -> Option<String> {
        Some(config.url.origin())
    }

    fn takes_pipeline_runs(config: &Box<OtlpConfig>) -> bool {
        config.pipeline_runs
    }

    fn mask(config: &mut Box<OtlpConfig>) {
        OptionalSettings::mask(config);
    }

    async fn open(
        config: &Box<OtlpConfig>,
        context: &mut SinkContext<'_>,
    ) -> Result<Self, SinkError> {
        if let Some((_, problem)) = config.problems().into_iter().next() {
            return Err(problem);
        }
        let options = config.options(context.own_traces);
        let options = options.map_err(|(_, problem)| problem)?;
        let batch = &config.batch;
        Ok(Self {
            http: Http::new(&config.http())?,
            translator: Translator::new(options)?,
            traces_url: config.url.below(&["v1", "traces"]),
            logs_url: config.url.below(&["v1", "logs"]),
            batcher: Batcher::new(BatchLimits {
                events: batch.max_events.get(),
                bytes: batch.max_bytes.get(),
                batches: config.concurrency.get(),
                linger: Duration::from_millis(batch.linger_ms.get()),
            }),
            config: (**config).clone(),
        })
    }

    async fn send(&self, event: &Encoded) -> Attempt {
        // Boxed to keep the futures of waiting events small.
        let export = |events: Vec<Encoded>| async move { self.export(&events).await }.boxed();
        self.batcher.send(event, export).await
    }

    fn timeout(&self) -> Duration {
        // A batch may need several requests, one after the other: at least its spans and its log records.
        let requests = Duration::from_millis(self.config.timeout_ms.get()).saturating_mul(2);
        requests.saturating_add(Duration::from_millis(self.config.batch.linger_ms.get()))
    }

    fn concurrency(&self) -> usize {
        self.batcher.concurrency()
    }

    fn with_pause_gate(self, pause: PauseGate) -> Self {
        let http = self.http.with_pause_gate(pause);
        Self { http, ..self }
    }
}

impl Otlp {
    /// Exports a batch: first all spans, then all log records. If a request fails, the whole batch is
    /// sent again: spans that were sent twice have the same ids, and a collector keeps one of them.
    async fn export(&self, events: &[Encoded]) -> Attempt {
        let bodies: Vec<Bytes> = events.iter().map(Encoded::structured).collect();
        let requests = match self.translator.requests(&bodies, self.config.encoding()) {
            Ok(requests) => requests,
            Err(error) => return Attempt::reject(error.to_string()),
        };
        // The batcher splits a batch that is rejected, so that only this event is given up.
        let mut outcomes = requests.outcomes.iter();
        if let Some(Outcome::Unreadable(error)) =
            outcomes.find(|outcome| matches!(outcome, Outcome::Unreadable(_)))
        {
            return Attempt::reject(error.to_string());
        }
        let of = |url| move |request| (url, request);
        let traces = requests.traces.into_iter().map(of(&self.traces_url));
        let logs = requests.logs.into_iter().map(of(&self.logs_url));
        for (url, request) in traces.chain(logs) {
            let attempt = self.post(url, request).await;
            if attempt != Attempt::Delivered {
                return attempt;
            }
        }
        Attempt::Delivered
    }

    async fn post(&self, url: &HttpUrl, request: Request) -> Attempt {
        let records = request.records;
        let media_type = self.config.encoding().media_type();
        let payload = HttpPayload::new(media_type, request.body.into());
        let payload = match self.config.compression {
            None => payload,
            Some(compression) => match payload.compress(compression) {
                Ok(payload) => payload,
                Err(error) => return Attempt::retry(format!("failed to compress: {error}")),
            },
        };
        let snapshot = self.http.client();
        let sent = self.http.send_payload(snapshot, url, payload, |response| {
            self.outcome(response, records)
        });
        sent.await
    }

    async fn outcome(&self, response: HttpResponse, records: usize) -> Attempt {
        let (status, asked) = (response.status(), self.http.asked_pause(&response));
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let answer = response.read(MAX_ANSWER_BYTES.saturating_add(1)).await;
        let action = action(status);
        let message = match action {
            None => {
                self.report_partial_success(content_type.as_deref(), &answer, records);
                None
            }
            Some(_) => error_message(content_type.as_deref(), &answer)
                .ok()
                .filter(|message| !message.is_empty()),
        };
        let attempt = self.http.judge(status, action, asked).await;
        match (attempt, message) {
            (Attempt::Failed(mut failure), Some(message)) => {
                failure.reason = format!("{}: {message}", failure.reason);
                Attempt::Failed(failure)
            }
            (attempt, _) => attempt,
        }
    }

    /// Records that the collector rejected cannot be sent again: the specification forbids it, and it
    /// is unknown which ones they are.
    fn report_partial_success(&self, content_type: Option<&str>, answer: &[u8], records: usize) {
        let host = self.config.url.host();
        match partial_success(content_type, answer) {
            Ok(None) => {}
            Ok(Some(partial)) => warn!(
                host,
                rejected = partial.rejected,
                records,
                message = partial.message,
                "the collector took the request in part; what it rejected is not sent again"
            ),
            Err(error) => warn!(host, %error, "the collector accepted, but its answer is not OTLP"),
        }
    }
}

/// Returns what to do after a status; `None` if the collector took the request (OTLP 1.9, "Failures").
/// Exceptions from the specification: 401, 403 and 404 wait, because an operator can renew credentials,
/// grant a right or correct the URL, and the records are still valid after that.
fn action(status: StatusCode) -> Option<RetryAction> {
    match (meaning(status.as_u16()), status.as_u16()) {
        (StatusMeaning::Delivered, _) => None,
        (StatusMeaning::Retry, _) | (StatusMeaning::Final, 401 | 403 | 404) => {
            Some(RetryAction::LATER)
        }
        (StatusMeaning::Final, _) => Some(RetryAction::Reject),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_otlp_holds_with_three_exceptions() {
        let later = Some(RetryAction::LATER);
        let reject = Some(RetryAction::Reject);
        for (status, expected) in [
            (200, None),
            (202, None),
            (302, reject),
            (400, reject),
            (401, later),
            (403, later),
            (404, later),
            (408, reject),
            (413, reject),
            (429, later),
            (500, reject),
            (501, reject),
            (502, later),
            (503, later),
            (504, later),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(action(status), expected, "{status}");
        }
    }
}
