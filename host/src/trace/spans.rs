//! Turns entries of the history into spans of OTLP in JSON (opentelemetry-proto, trace/v1; ids are hexadecimal, times are
//! nanoseconds as text). Pure, except for random ids.

use crate::history::{EventStage, HistoryEntry, PluginResult, PluginVerdict};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use step_observer_otlp::RunKind;

/// Maximum number of accepted events that are remembered, so that the spans of their deliveries
/// become child spans.
const MAX_ACCEPTED_EVENTS: usize = 8192;
/// Maximum number of failed attempts that are recorded for one event.
const MAX_FAILED_ATTEMPTS: usize = 32;

/// `SpanKind` of OTLP for work inside the program.
const SPAN_KIND_INTERNAL: u8 = 1;
/// `SpanKind` of OTLP for a message that is sent.
const SPAN_KIND_PRODUCER: u8 = 4;

/// Maximum number of early history entries. An early entry is about a sink, and arrives before the
/// entry that reports that the journal has accepted the event. The reason is that a sink may
/// deliver an event before the journal's writer has recorded its acceptance.
const MAX_EARLY_ENTRIES: usize = 1024;

/// Builds spans. Remembers the latest accepted events, for the spans of their deliveries.
#[derive(Debug, Default)]
pub(super) struct SpanBuilder {
    accepted: HashMap<String, AcceptedEvent>,
    /// The ids of `accepted`, the oldest first.
    order: VecDeque<String>,
    /// Entries about sinks that arrived before the entry about the acceptance of their event. The
    /// oldest is first.
    early: VecDeque<HistoryEntry>,
}

#[derive(Debug)]
struct AcceptedEvent {
    trace: String,
    span: String,
    accepted: Timestamp,
    /// Failed attempts, with the names of their sinks.
    failed: Vec<(String, Value)>,
}

struct Span<'a> {
    trace: &'a str,
    id: String,
    parent: Option<&'a str>,
    name: String,
    kind: u8,
    from: Timestamp,
    to: Timestamp,
    attributes: Vec<Value>,
    events: Vec<Value>,
    error: Option<String>,
}

impl SpanBuilder {
    /// Returns the spans that an entry of the history completes.
    pub(super) fn spans(&mut self, entry: &HistoryEntry) -> Vec<Value> {
        let is_of_a_sink = matches!(
            entry.stage,
            EventStage::Failed { .. } | EventStage::Delivered { .. } | EventStage::Dead { .. }
        );
        // The end of a run is no transition: it would wait here for an entry that never comes.
        if RunKind::of_id(&entry.id).is_some() {
            return Vec::new();
        }
        if is_of_a_sink && !self.accepted.contains_key(&entry.id) {
            if self.early.len() >= MAX_EARLY_ENTRIES {
                self.early.pop_front();
            }
            self.early.push_back(entry.clone());
            return Vec::new();
        }
        let mut spans = self.spans_of(entry);
        if !is_of_a_sink && self.accepted.contains_key(&entry.id) {
            let waiting = std::mem::take(&mut self.early);
            let (own, others) = waiting.into_iter().partition(|early| early.id == entry.id);
            self.early = others;
            let own: VecDeque<HistoryEntry> = own;
            spans.extend(own.iter().flat_map(|early| self.spans_of(early)));
        }
        spans
    }

    fn spans_of(&mut self, entry: &HistoryEntry) -> Vec<Value> {
        match &entry.stage {
            EventStage::Accepted { .. } => self.transition(entry).unwrap_or_default(),
            EventStage::Failed {
                sink,
                attempt,
                reason,
                ..
            } => {
                if let Some(accepted) = self.accepted.get_mut(&entry.id)
                    && accepted.failed.len() < MAX_FAILED_ATTEMPTS
                {
                    let event = json!({
                        "timeUnixNano": nanoseconds(entry.at),
                        "name": "attempt failed",
                        "attributes": [number("attempt", (*attempt).into()), text("reason", reason)],
                    });
                    accepted.failed.push((sink.clone(), event));
                }
                Vec::new()
            }
            EventStage::Delivered { sink, attempt } => self
                .delivery(entry, sink, *attempt, None)
                .into_iter()
                .collect(),
            EventStage::Dead {
                sink,
                attempts,
                reason,
                ..
            } => {
                let error = Some(reason.clone());
                self.delivery(entry, sink, *attempts, error)
                    .into_iter()
                    .collect()
            }
            EventStage::Held { .. }
            | EventStage::Paused { .. }
            | EventStage::SentAgain { .. }
            | EventStage::Discarded { .. } => Vec::new(),
        }
    }

    /// Returns the span of a transition, and the spans of the plugins that processed its event.
    fn transition(&mut self, entry: &HistoryEntry) -> Option<Vec<Value>> {
        let EventStage::Accepted {
            observed,
            ty,
            subject,
            plugins,
            sinks,
            traced: Some(traced),
        } = &entry.stage
        else {
            return None;
        };
        let (trace, parent) = parse_traceparent(&traced.parent)?;
        let span = span_id();
        let step = ty.rsplit('.').nth(1).unwrap_or(ty);
        let root = Span {
            trace,
            id: span.clone(),
            parent,
            name: format!("step {step}"),
            kind: SPAN_KIND_INTERNAL,
            from: *observed,
            to: entry.at,
            attributes: vec![
                text("cloudevents.event_id", &entry.id),
                text("cloudevents.event_type", ty),
                text("cloudevents.event_subject", subject),
            ],
            events: Vec::new(),
            error: None,
        };
        let mut spans = vec![root.to_json()];
        let mut from = traced.filtered;
        for result in plugins {
            let took = SignedDuration::from_micros(i64::try_from(result.micros).unwrap_or(0));
            let to = from.checked_add(took).unwrap_or(from);
            spans.push(plugin(result, trace, &span, (from, to)).to_json());
            from = to;
        }
        if !sinks.is_empty() {
            let event = AcceptedEvent {
                trace: trace.to_owned(),
                span,
                accepted: entry.at,
                failed: Vec::new(),
            };
            self.remember(entry.id.clone(), event);
        }
        Some(spans)
    }

    fn remember(&mut self, id: String, event: AcceptedEvent) {
        if self.order.len() >= MAX_ACCEPTED_EVENTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.accepted.remove(&oldest);
        }
        if self.accepted.insert(id.clone(), event).is_none() {
            self.order.push_back(id);
        }
    }

    /// Returns the span of a delivery that has ended, or `None` if the event is not remembered any more.
    fn delivery(
        &self,
        entry: &HistoryEntry,
        sink: &str,
        attempts: u32,
        error: Option<String>,
    ) -> Option<Value> {
        let event = self.accepted.get(&entry.id)?;
        let failed = event.failed.iter();
        let own = failed.filter(|(of, _)| of == sink);
        let span = Span {
            trace: &event.trace,
            id: span_id(),
            parent: Some(&event.span),
            name: format!("deliver {sink}"),
            kind: SPAN_KIND_PRODUCER,
            from: event.accepted,
            to: entry.at,
            attributes: vec![
                text("step_observer.sink", sink),
                number("step_observer.attempts", attempts.into()),
            ],
            events: own.map(|(_, event)| event.clone()).collect(),
            error,
        };
        Some(span.to_json())
    }
}

fn plugin<'a>(
    result: &PluginResult,
    trace: &'a str,
    parent: &'a str,
    (from, to): (Timestamp, Timestamp),
) -> Span<'a> {
    let failed = match result.verdict {
        PluginVerdict::Stripped | PluginVerdict::PassedBy => true,
        PluginVerdict::Kept | PluginVerdict::Dropped => false,
    };
    Span {
        trace,
        id: span_id(),
        parent: Some(parent),
        name: format!("plugin {}", result.plugin),
        kind: SPAN_KIND_INTERNAL,
        from,
        to,
        attributes: vec![
            text("step_observer.plugin", &result.plugin),
            text("step_observer.plugin.version", &result.version),
            text("step_observer.verdict", result.verdict.as_str()),
            number("step_observer.masked", result.masked),
        ],
        events: Vec::new(),
        error: result.reason.clone().filter(|_| failed),
    }
}

impl Span<'_> {
    fn to_json(&self) -> Value {
        let mut span = json!({
            "traceId": self.trace,
            "spanId": self.id,
            "name": self.name,
            "kind": self.kind,
            "startTimeUnixNano": nanoseconds(self.from),
            "endTimeUnixNano": nanoseconds(self.to.max(self.from)),
            "attributes": self.attributes,
            "events": self.events,
        });
        if let (Some(parent), Some(members)) = (self.parent, span.as_object_mut()) {
            members.insert("parentSpanId".to_owned(), parent.into());
        }
        if let (Some(error), Some(members)) = (&self.error, span.as_object_mut()) {
            let status = json!({"code": 2, "message": error});
            members.insert("status".to_owned(), status);
        }
        span
    }
}

/// Returns the request that sends spans to a collector.
pub(super) fn request(spans: &[Value]) -> Value {
    let resource = [
        text("service.name", "step-observer"),
        text("service.version", env!("CARGO_PKG_VERSION")),
    ];
    json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": {"name": "step-observer"}, "spans": spans}],
    }]})
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn number(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

fn nanoseconds(at: Timestamp) -> String {
    at.as_nanosecond().max(0).to_string()
}

fn span_id() -> String {
    // Starts at 1, because an id of zero is not valid in OTLP.
    format!("{:016x}", fastrand::u64(1..))
}

/// Parses a W3C `traceparent` into the ids of trace and span. The span is `None` if its id is zero.
fn parse_traceparent(traceparent: &str) -> Option<(&str, Option<&str>)> {
    let mut parts = traceparent.split('-').skip(1);
    let (trace, span) = (parts.next()?, parts.next()?);
    let is_set = |id: &&str| id.bytes().any(|byte| byte != b'0');
    Some((trace, Some(span).filter(is_set)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::TraceContext;

    fn entry(stage: EventStage) -> HistoryEntry {
        HistoryEntry {
            id: "an-event".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            stage,
        }
    }

    #[test]
    fn a_delivery_may_be_recorded_before_the_acceptance() {
        let accepted = entry(EventStage::Accepted {
            observed: Timestamp::UNIX_EPOCH,
            ty: "dev.tekton.event.plugin.step.failed.v1".to_owned(),
            subject: "a/b".to_owned(),
            plugins: Vec::new(),
            sinks: vec!["all".to_owned()],
            traced: Some(TraceContext {
                parent: format!("00-{:032x}-{:016x}-01", 7, 0),
                filtered: Timestamp::UNIX_EPOCH,
            }),
        });
        let delivered = entry(EventStage::Delivered {
            sink: "all".to_owned(),
            attempt: 1,
        });
        for entries in [[&accepted, &delivered], [&delivered, &accepted]] {
            let mut builder = SpanBuilder::default();
            let spans: Vec<Value> = entries
                .into_iter()
                .flat_map(|entry| builder.spans(entry))
                .collect();
            let names: Vec<&str> = spans
                .iter()
                .filter_map(|span| span["name"].as_str())
                .collect();
            assert_eq!(names, ["step failed", "deliver all"]);
            assert_eq!(spans[1]["parentSpanId"], spans[0]["spanId"]);
        }
    }
}
