//! The fast path: if no plugin, no `match` and no hook reads the content of an event, it is encoded
//! directly to bytes, without a tree of its data. A test checks that the bytes are equal to the
//! bytes of the general path.

use super::run_chain::ChainRef;
use super::{AdmittedRecord, Pending, Preparation, SinkRoute, transition_mark};
use crate::event::{self, EventIdentity};
use crate::fair::Permit;
use crate::plugin::Report;
use crate::step::CapturedLog;

impl Preparation {
    /// Returns whether events can take the fast path now. The answer may change between two events,
    /// because the common plugins may change.
    pub(super) async fn is_unread(&self) -> bool {
        let wants_all = |route: &SinkRoute| !route.has_own_chain() && route.select.wants_all();
        !self.routes.is_empty()
            && self.event_hook.is_none()
            && self.routes.iter().all(wants_all)
            && self
                .chain(&ChainRef::Common)
                .await
                .is_some_and(|chain| chain.plugins().is_empty())
    }

    /// Makes the event and submits it for all sinks.
    pub(super) async fn submit_unread(
        &self,
        item: &AdmittedRecord,
        identity: &EventIdentity,
        log: Option<CapturedLog>,
        pending: Pending,
        permit: Permit,
    ) {
        let built = event::build_structured(&item.record, identity, log, &self.event);
        match built.and_then(|body| self.new_event(body, &self.routes)) {
            Ok(event) => {
                // Frees the permit before the event waits for space in the journal, so that records
                // of other namespaces can be prepared meanwhile.
                drop(permit);
                let mark = transition_mark(&item.record.transition, &identity.id);
                self.submit(
                    &item.record,
                    identity,
                    mark,
                    Some(event),
                    &Report::default(),
                    pending,
                )
                .await;
            }
            Err(error) => self.report_unbuildable(&error, &item.record),
        }
    }
}
