//! Traces: a span for each transition, with a child for each plugin that its event passed and each sink that has it,
//! made of the facts that the history is made of. They go to an OpenTelemetry collector as OTLP over HTTP, in JSON. Nobody
//! waits for them: what the collector does not take is dropped, and said.

mod spans;

use crate::history::HistoryEntry;
use crate::sink::{HttpUrl, JsonClient, SinkError, TlsConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spans::SpanBuilder;
use std::io;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

/// Spans that wait at most.
const MAX_QUEUED_SPANS: usize = 4096;
/// Spans that are sent at once.
const MAX_BATCH_SPANS: usize = 512;
/// How long fewer wait.
const BATCH_LINGER: Duration = Duration::from_secs(1);
/// Longest time for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TracesConfig {
    /// URL of an OpenTelemetry collector's OTLP over HTTP, path included, such as
    /// `http://collector.example:4318/v1/traces`.
    pub otlp: HttpUrl,
    /// TLS of the collector.
    #[serde(default)]
    pub tls: TlsConfig,
}

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The collector cannot be spoken to.
    #[error("traces: {0}")]
    Client(#[from] SinkError),
    /// Its thread cannot be started.
    #[error("failed to start the thread of the traces: {0}")]
    Thread(#[from] io::Error),
}

enum Message {
    Span(Value),
    /// Everything before is sent, or dropped, when it is answered.
    Flush(oneshot::Sender<()>),
}

/// Takes facts. Cheap to clone; the thread ends with the last one.
#[derive(Clone, Debug)]
pub struct TraceExporter(mpsc::Sender<Message>);

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Message")
    }
}

impl TraceExporter {
    /// Begins to send.
    ///
    /// # Errors
    ///
    /// The configuration cannot be used, or there is no thread.
    pub fn start(config: &TracesConfig) -> Result<Self, TraceError> {
        let post = JsonClient::new(&config.otlp, &config.tls, REQUEST_TIMEOUT)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (messages, waiting) = mpsc::channel(MAX_QUEUED_SPANS);
        std::thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || runtime.block_on(send(waiting, &post)))?;
        info!(
            host = config.otlp.host(),
            "traces go to an OpenTelemetry collector"
        );
        Ok(Self(messages))
    }

    /// What is to be told every fact. Never waits.
    pub fn recorder(&self) -> impl FnMut(&HistoryEntry) + Send + 'static {
        let (messages, mut builder) = (self.0.clone(), SpanBuilder::default());
        let mut dropped = 0_u64;
        move |fact| {
            for span in builder.spans(fact) {
                match messages.try_send(Message::Span(span)) {
                    Ok(()) if dropped > 0 => {
                        warn!(
                            dropped,
                            "spans came faster than they could be sent, and were dropped"
                        );
                        dropped = 0;
                    }
                    Ok(()) => {}
                    Err(_) => dropped += 1,
                }
            }
        }
    }

    /// Waits until what was told is sent.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.0.send(Message::Flush(done)).await.is_ok() {
            flushed.await.ok();
        }
    }
}

async fn send(mut waiting: mpsc::Receiver<Message>, post: &JsonClient) {
    let mut failing = false;
    let mut messages = Vec::with_capacity(MAX_BATCH_SPANS);
    while waiting.recv_many(&mut messages, MAX_BATCH_SPANS).await > 0 {
        let urgent = |messages: &[Message]| {
            let flush = |message: &Message| matches!(message, Message::Flush(_));
            messages.len() >= MAX_BATCH_SPANS || messages.iter().any(flush)
        };
        let linger = tokio::time::sleep(BATCH_LINGER);
        let mut linger = std::pin::pin!(linger);
        while !urgent(&messages) {
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
            let sent = post.json(&spans::request(&spans)).await;
            match &sent {
                Err(problem) if !failing => {
                    warn!(
                        problem,
                        spans = count,
                        "the collector does not take traces: spans are dropped until it does"
                    );
                }
                Ok(()) if failing => info!("the collector takes traces again"),
                Ok(()) | Err(_) => {}
            }
            failing = sent.is_err();
        }
        for done in flushed {
            // Who asked may have stopped waiting.
            done.send(()).ok();
        }
    }
}
