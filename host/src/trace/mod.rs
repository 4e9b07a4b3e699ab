//! Traces: one span per transition, with a child span for each plugin that processed the event and
//! for each sink that received it. Spans are created from history entries and sent to an
//! OpenTelemetry collector as OTLP over HTTP, in JSON. Deliveries never wait for spans: spans that
//! the collector does not accept are dropped, with a log line.

mod spans;

use crate::history::HistoryEntry;
use crate::http::{HttpError, HttpUrl, JsonClient, TlsConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spans::SpanBuilder;
use std::io;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

/// Most spans that wait to be sent. Further spans are dropped.
const MAX_QUEUED_SPANS: usize = 4096;
/// Most spans in one request.
const MAX_BATCH_SPANS: usize = 512;
/// How long a batch that is not full waits for more spans.
const BATCH_LINGER: Duration = Duration::from_secs(1);
/// Longest time of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Export of traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TracesConfig {
    /// URL of an OpenTelemetry collector for OTLP over HTTP, including the path, such as
    /// `http://collector.example:4318/v1/traces`.
    pub otlp: HttpUrl,
    /// TLS of the collector.
    #[serde(default)]
    pub tls: TlsConfig,
}

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The HTTP client cannot be built.
    #[error("traces: {0}")]
    Client(#[from] HttpError),
    /// The thread that sends traces cannot be started.
    #[error("failed to start the thread that sends traces: {0}")]
    Thread(#[from] io::Error),
}

enum Message {
    Span(Value),
    /// Requests a reply once all spans queued before this message are sent or dropped.
    Flush(oneshot::Sender<()>),
}

/// Sends spans to the collector from a separate thread. Clones are cheap. The thread ends when the
/// last clone is dropped.
#[derive(Clone, Debug)]
pub struct TraceExporter(mpsc::Sender<Message>);

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

impl TraceExporter {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The TLS settings cannot be used, or the thread cannot be started.
    pub fn start(config: &TracesConfig) -> Result<Self, TraceError> {
        let client = JsonClient::new(&config.otlp, &config.tls, REQUEST_TIMEOUT)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (messages, waiting) = mpsc::channel(MAX_QUEUED_SPANS);
        std::thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || runtime.block_on(send(waiting, &client)))?;
        info!(
            host = config.otlp.host(),
            "traces go to an OpenTelemetry collector"
        );
        Ok(Self(messages))
    }

    /// Returns a function that turns each entry of the history into spans and queues them. The
    /// function never waits.
    pub fn recorder(&self) -> impl FnMut(&HistoryEntry) + Send + 'static {
        let (messages, mut builder) = (self.0.clone(), SpanBuilder::default());
        let mut dropped = 0_u64;
        move |entry| {
            for span in builder.spans(entry) {
                match messages.try_send(Message::Span(span)) {
                    Ok(()) if dropped > 0 => {
                        warn!(
                            dropped,
                            "spans were dropped: they came faster than they could be sent"
                        );
                        dropped = 0;
                    }
                    Ok(()) => {}
                    Err(_) => dropped += 1,
                }
            }
        }
    }

    /// Waits until all queued spans are sent or dropped.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.0.send(Message::Flush(done)).await.is_ok() {
            flushed.await.ok();
        }
    }
}

async fn send(mut waiting: mpsc::Receiver<Message>, client: &JsonClient) {
    let mut is_failing = false;
    let mut messages = Vec::with_capacity(MAX_BATCH_SPANS);
    while waiting.recv_many(&mut messages, MAX_BATCH_SPANS).await > 0 {
        let is_due = |messages: &[Message]| {
            let flush = |message: &Message| matches!(message, Message::Flush(_));
            messages.len() >= MAX_BATCH_SPANS || messages.iter().any(flush)
        };
        let linger = tokio::time::sleep(BATCH_LINGER);
        let mut linger = std::pin::pin!(linger);
        while !is_due(&messages) {
            let room = MAX_BATCH_SPANS - messages.len();
            tokio::select! {
                () = &mut linger => break,
                more = waiting.recv_many(&mut messages, room) => if more == 0 { break },
            }
        }
        let (mut spans, mut flushed) = (Vec::new(), Vec::new());
        for message in messages.drain(..) {
            match message {
                Message::Span(span) => spans.push(span),
                Message::Flush(done) => flushed.push(done),
            }
        }
        if !spans.is_empty() {
            let count = spans.len();
            let sent = client.post(&spans::request(&spans)).await;
            match &sent {
                Err(problem) if !is_failing => {
                    warn!(
                        problem,
                        spans = count,
                        "the collector does not accept traces: spans are dropped until it does"
                    );
                }
                Ok(()) if is_failing => info!("the collector accepts traces again"),
                Ok(()) | Err(_) => {}
            }
            is_failing = sent.is_err();
        }
        for done in flushed {
            // The caller of `flush` may have stopped waiting.
            done.send(()).ok();
        }
    }
}
