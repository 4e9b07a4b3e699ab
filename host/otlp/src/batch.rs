//! Makes requests of a batch of events.

use crate::event::ReadError;
use crate::message::{
    ExportLogsServiceRequest, ExportTraceServiceRequest, InstrumentationScope, KeyValue, LogRecord,
    Resource, ResourceLogs, ResourceSpans, ScopeLogs, ScopeSpans, Span,
};
use crate::options::{Options, OptionsError};
use crate::split::{Entry, Signal, split};
use crate::translate::{NotExported, translate};

/// Most spans or log records in one request, unless a single event has more: it has at most as many.
pub const MAX_RECORDS: usize = 512;
/// Largest body of a request in bytes, before compression. An event whose span or log records alone
/// are larger goes alone, in a larger request. Gateways in front of collectors commonly bound bodies.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The encoding of requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

/// Turns events into requests.
#[derive(Clone, Debug)]
pub struct Translator {
    options: Options,
}

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has a span, and this many log records. It is delivered once every request that contains it
    /// is.
    Exported {
        /// Log records.
        log_records: usize,
    },
    /// It is not exported, on purpose. The host acknowledges it.
    NotExported(NotExported),
    /// It cannot be read. No later attempt changes that.
    Unreadable(ReadError),
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The body.
    pub body: Vec<u8>,
    /// Positions of the events in the batch that have spans or log records in this request, ascending.
    pub events: Vec<usize>,
    /// Number of spans or log records.
    pub records: usize,
}

/// The requests of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// One for each event, in their order.
    pub outcomes: Vec<Outcome>,
    /// Requests to `/v1/traces`. Each event is in at most one of them.
    pub traces: Vec<Request>,
    /// Requests to `/v1/logs`. Each event is in at most one of them.
    pub logs: Vec<Request>,
}

/// A request could not be written as JSON.
#[derive(Debug, thiserror::Error)]
#[error("failed to write an OTLP request: {0}")]
pub struct EncodeError(#[from] serde_json::Error);

// === impl Encoding ===

impl Encoding {
    /// `Content-Type` of requests in this encoding (OTLP 1.9, "OTLP/HTTP Request").
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    /// The encoding that a `Content-Type` names, with or without parameters.
    #[must_use]
    pub fn of_media_type(content_type: &str) -> Option<Self> {
        let name = content_type.split(';').next().unwrap_or_default().trim();
        let all = [Self::Protobuf, Self::Json];
        all.into_iter()
            .find(|encoding| encoding.media_type().eq_ignore_ascii_case(name))
    }
}

// === impl Translator ===

impl Translator {
    /// Checks the options.
    ///
    /// # Errors
    ///
    /// An option cannot be used.
    pub fn new(options: Options) -> Result<Self, OptionsError> {
        options.check()?;
        Ok(Self { options })
    }

    /// Makes the requests of a batch of events, which are structured CloudEvents in JSON. The same
    /// batch always gives the same bytes.
    ///
    /// # Errors
    ///
    /// A request cannot be written as JSON. No value is known for which that happens.
    pub fn requests<E: AsRef<[u8]>>(
        &self,
        events: &[E],
        encoding: Encoding,
    ) -> Result<Requests, EncodeError> {
        let mut outcomes = Vec::with_capacity(events.len());
        let (mut spans, mut logs) = (Vec::new(), Vec::new());
        for (event, structured) in events.iter().enumerate() {
            outcomes.push(match translate(structured.as_ref(), &self.options) {
                Err(error) => Outcome::Unreadable(error),
                Ok(Err(reason)) => Outcome::NotExported(reason),
                Ok(Ok(exported)) => {
                    let log_records = exported.logs.len();
                    if log_records > 0 {
                        logs.push(Entry {
                            event,
                            run_key: exported.run_key.clone(),
                            resource: exported.resource.clone(),
                            records: exported.logs,
                        });
                    }
                    spans.push(Entry {
                        event,
                        run_key: exported.run_key,
                        resource: exported.resource,
                        records: vec![exported.span],
                    });
                    Outcome::Exported { log_records }
                }
            });
        }
        let schema_url = self.options.schema_url();
        Ok(Requests {
            outcomes,
            traces: split::<Traces>(spans, &schema_url, encoding)?,
            logs: split::<Logs>(logs, &schema_url, encoding)?,
        })
    }
}

/// Requests to `/v1/traces`.
struct Traces;

impl Signal for Traces {
    type Record = Span;
    type Group = ResourceSpans;
    type Body = ExportTraceServiceRequest;

    fn group(resource: Vec<KeyValue>, spans: Vec<Span>, schema_url: &str) -> ResourceSpans {
        ResourceSpans {
            resource: Some(Resource {
                attributes: resource,
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope()),
                spans,
                schema_url: schema_url.to_owned(),
            }],
            schema_url: schema_url.to_owned(),
        }
    }

    fn body(resource_spans: Vec<ResourceSpans>) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest { resource_spans }
    }
}

/// Requests to `/v1/logs`.
struct Logs;

impl Signal for Logs {
    type Record = LogRecord;
    type Group = ResourceLogs;
    type Body = ExportLogsServiceRequest;

    fn group(resource: Vec<KeyValue>, records: Vec<LogRecord>, schema_url: &str) -> ResourceLogs {
        ResourceLogs {
            resource: Some(Resource {
                attributes: resource,
            }),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope()),
                log_records: records,
                schema_url: schema_url.to_owned(),
            }],
            schema_url: schema_url.to_owned(),
        }
    }

    fn body(resource_logs: Vec<ResourceLogs>) -> ExportLogsServiceRequest {
        ExportLogsServiceRequest { resource_logs }
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "step-observer".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
