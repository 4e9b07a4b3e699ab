//! Submits prepared events to the journal.

use super::{Pending, Preparation};
use crate::clock;
use crate::event::{self, BuildError, EventIdentity};
use crate::history::{EventStage, PluginResult, PluginVerdict, TraceContext};
use crate::journal::{Accept, Mark, NewEvent, Origin};
use crate::plugin::{CallResult, OnError, PluginCall, PluginIdentity, Report};
use crate::step::StepRecord;
use std::borrow::Cow;
use tracing::error;

impl Preparation {
    /// Submits an event with the mark of its transition. Submits only the mark if there is no
    /// event, because a plugin dropped it or no sink wants it.
    pub(super) async fn submit(
        &self,
        record: &StepRecord,
        identity: &EventIdentity,
        mark: Mark,
        event: Option<NewEvent>,
        report: &Report,
        pending: Pending,
    ) {
        let sinks = event.as_ref().map(|event| event.sinks.clone());
        let now = clock::now();
        let is_event = sinks.is_some();
        if let Some(event) = &event {
            self.page.keep_body(&identity.id, &event.sinks, &event.body);
        }
        let entry = self.history.is_open().then(|| {
            let accepted = EventStage::Accepted {
                observed: record.seen_at,
                ty: identity.ty.clone(),
                subject: identity.subject.clone(),
                plugins: report.calls.iter().map(plugin_result).collect(),
                sinks: sinks.unwrap_or_default(),
                traced: self.traced.then(|| TraceContext {
                    parent: event::trace_context(record, &self.event),
                    filtered: now.checked_sub(report.took()).unwrap_or(now),
                }),
            };
            (identity.id.clone(), accepted)
        });
        let (metrics, history) = (self.metrics.clone(), self.history.clone());
        let accepted = move || {
            pending.accepted();
            if is_event {
                metrics.accepted.increment();
            }
            if let Some(entry) = entry {
                history.record(now, || entry);
            }
        };
        let accept = Accept {
            origin: Origin {
                run: record.transition.run_uid.clone(),
                namespace: record.namespace.clone(),
            },
            mark: Some(mark),
            at: now,
            events: event.into_iter().collect(),
        };
        // Does not wait until the event is on the disk: the journal keeps the order, so the next
        // event of the run can already follow.
        if let Err(error) = self.journal.submit(accept, accepted).await {
            self.metrics.failed.increment();
            error!(%error, "the event is not accepted");
        }
    }

    pub(super) fn report_unbuildable(&self, error: &BuildError, record: &StepRecord) {
        self.metrics.failed.increment();
        error!(%error, step = record.transition.step(), "no event could be made");
    }
}

/// Converts a plugin call into its entry in the history.
fn plugin_result(call: &PluginCall) -> PluginResult {
    let dropped = call.drop_reason().map(Cow::into_owned);
    let (verdict, reason) = match (dropped, &call.result) {
        (Some(reason), _) => (PluginVerdict::Dropped, Some(reason)),
        (None, CallResult::Failed { failure, on_error }) => match on_error {
            OnError::Strip => (PluginVerdict::Stripped, Some(failure.to_string())),
            OnError::Pass | OnError::Drop | OnError::Block => {
                (PluginVerdict::PassedBy, Some(failure.to_string()))
            }
        },
        (None, CallResult::Kept | CallResult::Dropped(_)) => (PluginVerdict::Kept, None),
    };
    let PluginIdentity {
        name,
        version,
        digest,
    } = &*call.plugin;
    PluginResult {
        plugin: name.to_string(),
        version: version.clone(),
        digest: digest.as_ref().map(|digest| digest.as_str().to_owned()),
        verdict,
        micros: u64::try_from(call.took.as_micros()).unwrap_or(u64::MAX),
        masked: u64::from(call.masked.total()),
        reason,
    }
}
