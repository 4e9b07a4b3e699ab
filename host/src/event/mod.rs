//! Makes a CloudEvent of a transition and its log, and encodes it.
//!
//! Events are [`cloudevents::Event`]s. That type accepts attributes that the specification forbids,
//! so every attribute from outside is checked with [`attribute`] first.

mod bound;
mod condition;
mod data;
mod decode;
mod encode;
mod encoded;
mod event_match;
mod gap;
mod redaction;
mod selection;
mod size;
mod traceparent;

pub use bound::{Oversize, attribute_size};
pub use condition::EventCondition;
pub use data::{SCHEMA_URN, StepEventData, json_schema};
pub use decode::{DecodeError, from_json, run_uid_of};
pub(crate) use encode::canonical_text;
pub use encode::{EncodeError, STRUCTURED_MEDIA_TYPE, structured};
pub use encoded::{BATCH_MEDIA_TYPE, Binary, Binding, ContentMode, DEAD_LETTER_EXTENSION, Encoded};
pub use event_match::EventMatch;
pub use gap::{GAP_SCHEMA_URN, GAP_TYPE, GapEventData, ShardRef, gap_event, gap_json_schema};
pub use redaction::{OtherRedactor, Redaction};
pub(crate) use redaction::{remove_redaction, write_redaction};
pub(crate) use selection::{Selection, SelectionOwner};
pub use size::MaxBytes;
pub use step_observer_event_model::{Phase, attribute};

use crate::step::{CapturedLog, Envelope, EventContext, StepRecord, StringMap};
use bytes::Bytes;
use cloudevents::{AttributesWriter as _, Event, EventBuilder, EventBuilderV10};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, LazyLock};
use step_observer_core::Kind;
use url::Url;

/// Names, trace and size of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EventConfig {
    /// `source` of every event. The default is the `source` of the original controller, so that
    /// triggers written for that controller still match.
    #[serde(deserialize_with = "crate::bounded::short_text")]
    pub source: String,
    /// Beginning of the `type` of every event, before `.started.v1` and so on.
    #[serde(deserialize_with = "crate::bounded::short_text")]
    pub type_prefix: String,
    /// Which trace events and spans belong to.
    pub trace_context: TraceContext,
    /// Bound of an event in bytes with all its attributes, after the last plugin and before
    /// compression; `off` for no bound. The default is the size that every CloudEvents intermediary
    /// must forward. A larger event loses the middle of its log first; then the script, the
    /// arguments and results are omitted as far as needed, and other members after them. The data
    /// lists omitted parts with their sizes (`leftOut`).
    pub max_bytes: MaxBytes,
    /// Whether each gap is reported by an event of its own, of the type `dev.step-observer.gap.v1`: a time in
    /// which runs may have come and gone unseen, because the observer was not running or its watches were
    /// interrupted. It goes to all sinks whose `match` accepts it, except `otlp`, and passes no plugin.
    pub gap: bool,
}

/// Which trace events and spans belong to.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum TraceContext {
    /// The trace in the status or the annotations of the TaskRun, where Tekton writes it. It becomes the
    /// event's `traceparent`. Without one, the trace id is the UID of the PipelineRun. A tenant who may
    /// create TaskRuns can write both, too, and so put events and spans into a trace of another tenant.
    #[default]
    Tekton,
    /// A separate trace for each TaskRun; the trace id is the UID of the TaskRun. Annotations are
    /// ignored, and events have no `traceparent`.
    Own,
}

impl Default for EventConfig {
    fn default() -> Self {
        Self {
            source: "github.com/tom24d/step-observe-controller".to_owned(),
            type_prefix: "dev.tekton.event.plugin.step".to_owned(),
            trace_context: TraceContext::default(),
            max_bytes: MaxBytes::default(),
            gap: false,
        }
    }
}

/// The attributes that identify an event. They are derived once per transition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventIdentity {
    /// `id` of the event. The same transition always has the same id.
    pub id: String,
    /// `type`.
    pub ty: String,
    /// `subject`: namespace, TaskRun and step.
    pub subject: String,
}

impl EventIdentity {
    /// Derives the attributes from a record.
    #[must_use]
    pub fn new(record: &StepRecord, config: &EventConfig) -> Self {
        let transition = &record.transition;
        let phase = phase(&transition.kind).as_str();
        let ty = [&config.type_prefix, ".", phase, ".v1"].concat();
        Self {
            id: transition.event_id(&ty),
            ty,
            subject: [
                &record.namespace,
                "/",
                &record.task_run,
                "/",
                transition.step(),
            ]
            .concat(),
        }
    }
}

/// Why the event could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The builder refused an attribute.
    #[error("failed to build the event: {0}")]
    Event(#[from] cloudevents::event::EventBuilderError),
    /// The data is not JSON.
    #[error("failed to encode the event's data: {0}")]
    Data(#[from] serde_json::Error),
    /// The event cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Makes the event of a transition. The event lacks the receipt of masking, which plugins must not
/// see. `log` is `None` for events that carry no log (`started`, `skipped`).
///
/// # Errors
///
/// A name in the configuration or the cluster is not a valid attribute.
pub fn build(
    record: &StepRecord,
    identity: &EventIdentity,
    log: Option<CapturedLog>,
    config: &EventConfig,
) -> Result<Envelope, BuildError> {
    let mut event = attributes(record, identity, config)?;
    let masked = log
        .as_ref()
        .map(|log| log.masked.clone())
        .unwrap_or_default();
    let data = StepEventData {
        redaction: None,
        ..StepEventData::new(record, log)
    };
    event.set_data_unchecked(serde_json::to_value(data)?);
    let context = EventContext {
        run_uid: record.transition.run_uid.clone(),
        annotations: record.annotations.clone(),
        masked_in_log: masked.clone(),
        masked,
    };
    Ok(Envelope {
        event,
        context: Arc::new(context),
    })
}

/// Makes the same event as [`build`], with the receipt of masking, as the bytes that [`structured`]
/// writes. Builds no JSON tree of the data: only plugins and sinks that read the data need one.
///
/// # Errors
///
/// Fails as [`build`] does, or if a required attribute is missing.
pub fn build_structured(
    record: &StepRecord,
    identity: &EventIdentity,
    log: Option<CapturedLog>,
    config: &EventConfig,
) -> Result<Bytes, BuildError> {
    let event = attributes(record, identity, config)?;
    let data = StepEventData::new(record, log);
    // With room for characters that JSON escapes.
    let length = data.log.as_ref().map_or(0, |log| log.len() + log.len() / 8);
    Ok(encode::json(&event, Some(("data", data)), length)?)
}

/// Makes the event of a transition, without its data.
fn attributes(
    record: &StepRecord,
    identity: &EventIdentity,
    config: &EventConfig,
) -> Result<Event, BuildError> {
    static SCHEMA: LazyLock<Option<Url>> = LazyLock::new(|| Url::parse(SCHEMA_URN).ok());
    let transition = &record.transition;
    let mut event = EventBuilderV10::new()
        .id(&*identity.id)
        .source(config.source.as_str())
        .ty(&*identity.ty)
        .subject(&*identity.subject)
        .time(to_chrono(transition.at))
        .build()?;
    event.set_datacontenttype(Some("application/json"));
    event.set_dataschema(SCHEMA.clone());
    event.set_extension("partitionkey", &*transition.run_uid);
    event.set_extension("sequence", transition.sequence());
    event.set_extension("recordedtime", record.seen_at.to_string());
    if let Some(traceparent) = traceparent(record, config) {
        event.set_extension("traceparent", traceparent);
    }
    Ok(event)
}

/// Returns the trace of a transition and its parent span as a W3C `traceparent`. Both come from
/// Tekton; without them, the id of the trace is the UID of the PipelineRun, or of a TaskRun without one.
#[must_use]
pub fn trace_context(record: &StepRecord, config: &EventConfig) -> String {
    traceparent(record, config).unwrap_or_else(|| {
        let of_pipeline = record.pipeline_run_uid.as_ref();
        let of_pipeline = of_pipeline.filter(|_| config.trace_context == TraceContext::Tekton);
        let uid = of_pipeline.unwrap_or(&record.transition.run_uid);
        let uid = uid.replace('-', "");
        let is_id = uid.len() == 32 && uid.bytes().all(|byte| byte.is_ascii_hexdigit());
        let trace = if is_id {
            uid.to_lowercase()
        } else {
            format!("{:032x}", fastrand::u128(1..))
        };
        format!("00-{trace}-{:016x}-01", 0)
    })
}

/// Returns the id of the trace of a transition, of 32 hexadecimal digits.
pub(crate) fn trace_id(record: &StepRecord, config: &EventConfig) -> Option<String> {
    let context = trace_context(record, config);
    context.split('-').nth(1).map(str::to_owned)
}

/// Reads the W3C `traceparent` from Tekton's span context: the status of the TaskRun has it, and before the
/// first status a JSON object in an annotation (pkg/reconciler/taskrun/tracing.go).
fn traceparent(record: &StepRecord, config: &EventConfig) -> Option<String> {
    tekton_trace(&record.annotations, record.traceparent.as_deref(), config)
}

/// Does the same for the annotations of a run and the `traceparent` in its status.
pub(crate) fn tekton_trace(
    annotations: &StringMap,
    in_status: Option<&str>,
    config: &EventConfig,
) -> Option<String> {
    if config.trace_context == TraceContext::Own {
        return None;
    }
    let names = [
        "tekton.dev/taskrunSpanContext",
        "tekton.dev/pipelinerunSpanContext",
    ];
    // An invalid `traceparent` counts as absent (W3C Trace Context §4.3).
    let in_status = in_status.and_then(traceparent::parse);
    let in_annotation = |name: &&str| {
        let annotation = annotations.get(name)?;
        let carrier: serde_json::Value = serde_json::from_str(annotation).ok()?;
        traceparent::parse(carrier.get("traceparent")?.as_str()?)
    };
    in_status.or_else(|| names.iter().find_map(in_annotation))
}

/// Returns the phase that a transition reports. No other function maps transitions to phases.
#[must_use]
pub fn phase(kind: &Kind) -> Phase {
    match kind {
        Kind::Started => Phase::Started,
        Kind::Succeeded(_) => Phase::Succeeded,
        Kind::Failed(_) => Phase::Failed,
        Kind::Skipped(..) => Phase::Skipped,
    }
}

/// Returns whether the event of a transition carries the step's log.
#[must_use]
pub fn wants_log(kind: &Kind) -> bool {
    phase(kind).has_log()
}

fn to_chrono(at: Timestamp) -> chrono::DateTime<chrono::Utc> {
    let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
    chrono::DateTime::from_timestamp(at.as_second(), nanos).unwrap_or_default()
}
