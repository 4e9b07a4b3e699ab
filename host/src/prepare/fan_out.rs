//! The general path of an event. First, the event passes the common plugins. Then all sinks without
//! plugins of their own get it together, and each other sink gets it through its own plugins.

use super::run_chain::ChainRef;
use super::{
    AdmittedRecord, MissingMarks, Pending, Preparation, PreparedEvent, SinkRoute, transition_mark,
};
use crate::event::EventIdentity;
use crate::fair::Permit;
use crate::journal::Mark;
use crate::plugin::{Chain, Report};
use crate::step::Envelope;
use std::sync::Arc;

impl Preparation {
    /// Passes an event through the common plugins, and submits it for each sink whose mark is
    /// missing.
    pub(super) async fn fan_out(
        &self,
        item: &AdmittedRecord,
        identity: &EventIdentity,
        envelope: Envelope,
        missing: MissingMarks,
        pending: Pending,
        permit: Permit,
    ) {
        let (record, mut permit) = (&*item.record, Some(permit));
        let before = self.event_hook.is_some().then(|| envelope.clone());
        let passed = self
            .run_chain(&ChainRef::Common, envelope, item, &mut permit)
            .await;
        let Some((envelope, report)) = passed else {
            return;
        };
        if let (Some(event_hook), Some(before), Some(envelope)) =
            (&self.event_hook, &before, &envelope)
        {
            event_hook(PreparedEvent::Passed {
                record,
                before,
                envelope,
                report: &report,
            });
        }
        // All sinks are served at the same time, so that a plugin that holds the event for one sink
        // does not delay it for the others.
        let own = self
            .own_routes()
            .zip(&missing.own)
            .filter(|(_, missing)| **missing)
            .map(|(route, _)| {
                let pending = pending.another();
                // Applies the masks of the common redactors again after this chain, because its
                // plugins may copy a secret into an attribute.
                let chain = route.chain.after(&report.redactors);
                self.submit_to_route(route, chain, envelope.as_ref(), item, identity, pending)
            });
        let own = futures::future::join_all(own);
        let shared = async {
            if missing.shared {
                let sinks = self.routes.iter().filter(|route| !route.has_own_chain());
                let event = self.encode(envelope.as_ref(), sinks);
                // Frees the permit before the event waits for space in the journal, so that records
                // of other namespaces can be prepared meanwhile.
                drop(permit);
                match event {
                    Ok(event) => {
                        let mark = transition_mark(&record.transition, &identity.id);
                        self.submit(record, identity, mark, event, &report, pending)
                            .await;
                    }
                    Err(error) => self.report_unbuildable(&error, record),
                }
            }
        };
        tokio::join!(shared, own);
    }

    /// Passes an event through `chain`, the plugins of one sink, and submits it for that sink.
    async fn submit_to_route(
        &self,
        route: &SinkRoute,
        chain: Arc<Chain>,
        shared: Option<&Envelope>,
        item: &AdmittedRecord,
        identity: &EventIdentity,
        pending: Pending,
    ) {
        let record = &*item.record;
        let wanted = shared.filter(|shared| route.select.wants(&shared.event));
        let (passed, report) = match wanted {
            None => (None, Report::default()),
            Some(shared) => {
                let chain_ref = ChainRef::Own(&chain);
                let mut no_permit = None;
                let passed = self.run_chain(&chain_ref, shared.clone(), item, &mut no_permit);
                match passed.await {
                    Some(passed) => passed,
                    None => return,
                }
            }
        };
        let mark = Mark {
            id: route.mark(&identity.id),
            name: Some(route.mark(&record.transition.name())),
        };
        match self.encode(passed.as_ref(), [route]) {
            Ok(event) => {
                self.submit(record, identity, mark, event, &report, pending)
                    .await;
            }
            Err(error) => self.report_unbuildable(&error, record),
        }
    }
}
