//! Facts into spans, as OTLP writes them in JSON (opentelemetry-proto, trace/v1; ids are hexadecimal, times are
//! nanoseconds as text). Pure but for random ids.

use crate::history::{EventStage, HistoryEntry, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};

/// Events whose sinks may still say something.
const MAX_ACCEPTED_EVENTS: usize = 8192;
/// Attempts that are told of one event.
const MAX_FAILED_ATTEMPTS: usize = 32;

/// `SpanKind` of OTLP.
const SPAN_KIND_INTERNAL: u8 = 1;
const SPAN_KIND_PRODUCER: u8 = 4;

/// Facts that wait for the one that their event was accepted: a sink may be faster than whoever tells that.
const MAX_EARLY_FACTS: usize = 1024;

/// What is known of events that are on their way.
#[derive(Debug, Default)]
pub(super) struct SpanBuilder {
    known: HashMap<String, AcceptedEvent>,
    order: VecDeque<String>,
    early: VecDeque<HistoryEntry>,
}

#[derive(Debug)]
struct AcceptedEvent {
    trace: String,
    span: String,
    accepted: Timestamp,
    /// Attempts that failed, with their sinks.
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
    pub(super) fn spans(&mut self, fact: &HistoryEntry) -> Vec<Value> {
        let is_of_a_sink = matches!(
            fact.stage,
            EventStage::Failed { .. } | EventStage::Delivered { .. } | EventStage::Dead { .. }
        );
        if is_of_a_sink && !self.known.contains_key(&fact.id) {
            if self.early.len() >= MAX_EARLY_FACTS {
                self.early.pop_front();
            }
            self.early.push_back(fact.clone());
            return Vec::new();
        }
        let mut spans = self.spans_of(fact);
        if !is_of_a_sink && self.known.contains_key(&fact.id) {
            let waiting = std::mem::take(&mut self.early);
            let (own, others) = waiting.into_iter().partition(|early| early.id == fact.id);
            self.early = others;
            let own: VecDeque<HistoryEntry> = own;
            spans.extend(own.iter().flat_map(|early| self.spans_of(early)));
        }
        spans
    }

    fn spans_of(&mut self, fact: &HistoryEntry) -> Vec<Value> {
        match &fact.stage {
            EventStage::Accepted { .. } => self.accepted(fact).unwrap_or_default(),
            EventStage::Failed {
                sink,
                attempt,
                reason,
                ..
            } => {
                if let Some(known) = self.known.get_mut(&fact.id)
                    && known.failed.len() < MAX_FAILED_ATTEMPTS
                {
                    let event = json!({
                        "timeUnixNano": nanoseconds(fact.at),
                        "name": "attempt failed",
                        "attributes": [number("attempt", (*attempt).into()), text("reason", reason)],
                    });
                    known.failed.push((sink.clone(), event));
                }
                Vec::new()
            }
            EventStage::Delivered { sink, attempt } => {
                self.ended(fact, sink, *attempt, None).into_iter().collect()
            }
            EventStage::Dead {
                sink,
                attempts,
                reason,
                ..
            } => {
                let error = Some(reason.clone());
                self.ended(fact, sink, *attempts, error)
                    .into_iter()
                    .collect()
            }
            EventStage::Held { .. }
            | EventStage::Paused { .. }
            | EventStage::SentAgain { .. }
            | EventStage::Discarded { .. } => Vec::new(),
        }
    }

    /// A transition, and the plugins that its event has passed.
    fn accepted(&mut self, fact: &HistoryEntry) -> Option<Vec<Value>> {
        let EventStage::Accepted {
            observed,
            ty,
            subject,
            plugins,
            sinks,
            traced: Some(traced),
        } = &fact.stage
        else {
            return None;
        };
        let (trace, parent) = context(&traced.parent)?;
        let span = span_id();
        let step = ty.rsplit('.').nth(1).unwrap_or(ty);
        let root = Span {
            trace,
            id: span.clone(),
            parent,
            name: format!("step {step}"),
            kind: SPAN_KIND_INTERNAL,
            from: *observed,
            to: fact.at,
            attributes: vec![
                text("cloudevents.event_id", &fact.id),
                text("cloudevents.event_type", ty),
                text("cloudevents.event_subject", subject),
            ],
            events: Vec::new(),
            error: None,
        };
        let mut spans = vec![root.to_json()];
        let mut from = traced.filtered;
        for verdict in plugins {
            let took = SignedDuration::from_micros(i64::try_from(verdict.micros).unwrap_or(0));
            let to = from.checked_add(took).unwrap_or(from);
            spans.push(plugin(verdict, trace, &span, (from, to)).to_json());
            from = to;
        }
        if !sinks.is_empty() {
            let known = AcceptedEvent {
                trace: trace.to_owned(),
                span,
                accepted: fact.at,
                failed: Vec::new(),
            };
            self.remember(fact.id.clone(), known);
        }
        Some(spans)
    }

    fn remember(&mut self, id: String, known: AcceptedEvent) {
        if self.order.len() >= MAX_ACCEPTED_EVENTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        if self.known.insert(id.clone(), known).is_none() {
            self.order.push_back(id);
        }
    }

    /// What a sink made of an event; nothing where the event is not known any more.
    fn ended(
        &self,
        fact: &HistoryEntry,
        sink: &str,
        attempts: u32,
        error: Option<String>,
    ) -> Option<Value> {
        let known = self.known.get(&fact.id)?;
        let failed = known.failed.iter();
        let own = failed.filter(|(of, _)| of == sink);
        let span = Span {
            trace: &known.trace,
            id: span_id(),
            parent: Some(&known.span),
            name: format!("deliver {sink}"),
            kind: SPAN_KIND_PRODUCER,
            from: known.accepted,
            to: fact.at,
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
    verdict: &Verdict,
    trace: &'a str,
    parent: &'a str,
    (from, to): (Timestamp, Timestamp),
) -> Span<'a> {
    let failed = matches!(verdict.verdict.as_str(), "stripped" | "passed by");
    Span {
        trace,
        id: span_id(),
        parent: Some(parent),
        name: format!("plugin {}", verdict.plugin),
        kind: SPAN_KIND_INTERNAL,
        from,
        to,
        attributes: vec![
            text("step_observer.plugin", &verdict.plugin),
            text("step_observer.plugin.version", &verdict.version),
            text("step_observer.verdict", &verdict.verdict),
            number("step_observer.masked", verdict.masked),
        ],
        events: Vec::new(),
        error: verdict.reason.clone().filter(|_| failed),
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

/// What a collector is sent.
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
    // Zero is none.
    format!("{:016x}", fastrand::u64(1..))
}

/// Trace and span of a W3C `traceparent`; the span is missing where it is zero.
fn context(traceparent: &str) -> Option<(&str, Option<&str>)> {
    let mut parts = traceparent.split('-').skip(1);
    let (trace, span) = (parts.next()?, parts.next()?);
    let is_set = |id: &&str| id.bytes().any(|byte| byte != b'0');
    Some((trace, Some(span).filter(is_set)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::TraceContext;

    fn fact(stage: EventStage) -> HistoryEntry {
        HistoryEntry {
            id: "an-event".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            stage,
        }
    }

    #[test]
    fn a_delivery_may_be_recorded_before_the_acceptance() {
        let accepted = fact(EventStage::Accepted {
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
        let delivered = fact(EventStage::Delivered {
            sink: "all".to_owned(),
            attempt: 1,
        });
        for facts in [[&accepted, &delivered], [&delivered, &accepted]] {
            let mut builder = SpanBuilder::default();
            let spans: Vec<Value> = facts
                .into_iter()
                .flat_map(|fact| builder.spans(fact))
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
