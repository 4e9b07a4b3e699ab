//! The messages of OTLP that the observer sends, for protobuf and for JSON.
//!
//! Tags and types: opentelemetry-proto 1.9, `trace/v1/trace.proto`, `logs/v1/logs.proto`,
//! `common/v1/common.proto`, `resource/v1/resource.proto` and `collector/*/v1`. Only members that are
//! sent are here: a receiver reads an absent member as its default.
//!
//! JSON: OTLP 1.9, "JSON Protobuf Encoding": names in lowerCamelCase, ids as hexadecimal text, 64-bit
//! integers as decimal text, enums as numbers.

use prost::{Message, Oneof};
use serde::{Serialize, Serializer};
use std::fmt::Write as _;

/// `SpanKind`: work inside a program.
pub(crate) const SPAN_KIND_INTERNAL: i32 = 1;
/// `SpanKind`: work that a request from outside caused.
pub(crate) const SPAN_KIND_SERVER: i32 = 2;
/// `Status.code`: an error. The code of everything else is 0, unset.
pub(crate) const STATUS_CODE_ERROR: i32 = 2;
/// `SeverityNumber` of INFO.
pub(crate) const SEVERITY_INFO: i32 = 9;
/// `SeverityNumber` of ERROR.
pub(crate) const SEVERITY_ERROR: i32 = 17;
/// `Span.flags`, `LogRecord.flags`: the trace is sampled (W3C Trace Context).
pub(crate) const FLAG_SAMPLED: u32 = 0x01;
/// `Span.flags`: it is known whether the parent is in another process.
pub(crate) const FLAG_IS_REMOTE_KNOWN: u32 = 0x100;
/// `Span.flags`: the parent is in another process.
pub(crate) const FLAG_IS_REMOTE: u32 = 0x200;

/// A value of an attribute, or a body. Only the types that the observer sends.
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(transparent)]
pub(crate) struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3")]
    pub(crate) value: Option<Value>,
}

/// See [`AnyValue`].
#[derive(Clone, PartialEq, Eq, Oneof, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Value {
    /// Text.
    #[prost(string, tag = "1")]
    StringValue(String),
    /// A number.
    #[prost(int64, tag = "3")]
    #[serde(serialize_with = "decimal")]
    IntValue(i64),
}

/// An attribute.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(crate) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<AnyValue>,
}

/// What the spans and records are about.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(crate) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(crate) attributes: Vec<KeyValue>,
}

/// The program that made the spans and records.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(crate) struct InstrumentationScope {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) version: String,
}

/// How the work of a span ended.
#[derive(Clone, PartialEq, Message, Serialize)]
pub(crate) struct Status {
    #[prost(int32, tag = "3")]
    pub(crate) code: i32,
}

/// A span.
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    #[serde(serialize_with = "hex")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    #[serde(serialize_with = "hex")]
    pub(crate) span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    #[serde(serialize_with = "hex", skip_serializing_if = "Vec::is_empty")]
    pub(crate) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) name: String,
    #[prost(int32, tag = "6")]
    pub(crate) kind: i32,
    #[prost(fixed64, tag = "7")]
    #[serde(serialize_with = "decimal")]
    pub(crate) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    #[serde(serialize_with = "decimal")]
    pub(crate) end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    pub(crate) flags: u32,
}

/// A log record. Its own time (`timeUnixNano`) is left at 0, unknown: the log in an event has no times.
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LogRecord {
    #[prost(int32, tag = "2")]
    pub(crate) severity_number: i32,
    #[prost(string, tag = "3")]
    pub(crate) severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(fixed32, tag = "8")]
    pub(crate) flags: u32,
    #[prost(bytes = "vec", tag = "9")]
    #[serde(serialize_with = "hex")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    #[serde(serialize_with = "hex")]
    pub(crate) span_id: Vec<u8>,
    #[prost(fixed64, tag = "11")]
    #[serde(serialize_with = "decimal")]
    pub(crate) observed_time_unix_nano: u64,
}

/// Spans of one run.
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) scope_spans: Vec<ScopeSpans>,
    #[prost(string, tag = "3")]
    pub(crate) schema_url: String,
}

/// Spans that one program made.
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    pub(crate) scope: Option<InstrumentationScope>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) spans: Vec<Span>,
    #[prost(string, tag = "3")]
    pub(crate) schema_url: String,
}

/// The body of a request to `/v1/traces`.
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExportTraceServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resource_spans: Vec<ResourceSpans>,
}

/// Log records of one run.
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) scope_logs: Vec<ScopeLogs>,
    #[prost(string, tag = "3")]
    pub(crate) schema_url: String,
}

/// Log records that one program made.
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    pub(crate) scope: Option<InstrumentationScope>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) log_records: Vec<LogRecord>,
    #[prost(string, tag = "3")]
    pub(crate) schema_url: String,
}

/// The body of a request to `/v1/logs`.
#[derive(Clone, PartialEq, Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExportLogsServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resource_logs: Vec<ResourceLogs>,
}

/// The answer to both requests: their messages differ in names only.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportServiceResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) partial_success: Option<ExportPartialSuccess>,
}

/// `ExportTracePartialSuccess` and `ExportLogsPartialSuccess`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportPartialSuccess {
    /// `rejected_spans` or `rejected_log_records`.
    #[prost(int64, tag = "1")]
    pub(crate) rejected: i64,
    #[prost(string, tag = "2")]
    pub(crate) error_message: String,
}

/// `google.rpc.Status`, the body of an answer that is an error. Its `details` are not read.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RpcStatus {
    #[prost(string, tag = "2")]
    pub(crate) message: String,
}

/// Makes an attribute of a text.
pub(crate) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(string_value(value)),
    }
}

/// Makes an attribute of a number.
pub(crate) fn number(key: &str, value: i64) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::IntValue(value)),
        }),
    }
}

/// Makes a value of a text.
pub(crate) fn string_value(value: impl Into<String>) -> AnyValue {
    AnyValue {
        value: Some(Value::StringValue(value.into())),
    }
}

fn hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a `String` cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    serializer.serialize_str(&text)
}

fn decimal<N: ToString, S: Serializer>(number: &N, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&number.to_string())
}
