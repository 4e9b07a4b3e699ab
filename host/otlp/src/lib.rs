//! Turns step events and ends of runs into OTLP: spans for `/v1/traces`, log records for `/v1/logs`,
//! as protobuf or JSON, and reads the answers.
//!
//! Pure: no clock, no randomness, no environment, no I/O. The input is the bytes of events and
//! answers, the output is the bodies of requests and decisions.
//!
//! - [`Translator::requests`] makes requests of a batch of events. Events that are not exported on
//!   purpose say so: [`Outcome::NotExported`].
//! - [`RunEnd`] is the end of a TaskRun or a PipelineRun, which no plugin and no other sink sees.
//! - [`meaning`], [`partial_success`] and [`error_message`] interpret answers.
//!
//! One trace for each PipelineRun: PipelineRun → TaskRun → step. Ids follow from UIDs ([`SpanId`],
//! [`TraceId`]); spans are under Tekton's span, if Tekton traces. Attributes are those of the
//! OpenTelemetry semantic conventions ([`SEMANTIC_CONVENTIONS`]).
//!
//! # Bounds
//!
//! | bound | beyond it |
//! |---|---|
//! | [`MAX_RECORDS`], [`MAX_BODY_BYTES`] of a request | the next event goes into another request; a single larger event goes alone |
//! | log records of an event ([`LogMode::Lines`]) | the last record holds the other lines |
//! | 1,024 bytes of an attribute or a name | it is cut |
//! | 4,096 bytes of a URL; 2,048 of its template | it is left out; the template is refused |
//! | [`MAX_ANSWER_BYTES`] of an answer | the answer is refused; its status counts |
//! | [`MAX_MESSAGE_BYTES`] of a receiver's message | it is cut |
//!
//! # Why the messages are written by hand
//!
//! The crate `opentelemetry-proto` needs `opentelemetry_sdk`, and with it a thread pool
//! (`futures-executor`) and a third release of `rand`, to give 15 messages with about 40 members. Here
//! they are derived with `prost`, which is also below that crate. Tests compare the bytes with what the
//! official protobuf of another language reads and writes.

#![forbid(unsafe_code)]

mod ansi;
mod answer;
mod batch;
mod event;
mod ids;
mod lenient;
mod message;
mod options;
mod run;
mod run_end;
mod run_result;
mod semantic;
mod split;
mod translate;
mod url_template;

pub use answer::{
    AnswerError, MAX_ANSWER_BYTES, MAX_MESSAGE_BYTES, PartialSuccess, StatusMeaning, error_message,
    meaning, partial_success,
};
pub use batch::{
    EncodeError, Encoding, MAX_BODY_BYTES, MAX_RECORDS, Outcome, Request, Requests, Translator,
};
pub use event::{ReadError, StepEvent};
pub use ids::{SpanId, TraceContext, TraceId};
pub use options::{LogMode, Options, OptionsError, SEMANTIC_CONVENTIONS};
pub use run_end::{PIPELINE_RUN_ENDED, RunEnd, RunKind, TASK_RUN_ENDED};
pub use run_result::RunResult;
pub use translate::NotExported;
pub use url_template::{TemplateError, UrlTemplate};
