//! Encodes an event for the journal, within `event.maxBytes`.

use super::{Preparation, SinkRoute};
use crate::event::{self, BuildError, Encoded, Oversize};
use crate::journal::NewEvent;
use crate::step::Envelope;
use bytes::Bytes;
use std::time::Instant;
use tracing::{info, warn};

impl Preparation {
    /// Encodes an event for the sinks that receive it. A sink without plugins of its own receives
    /// the event if it fits the sink's `match`. For other sinks, `match` was checked before their
    /// plugins. Returns `None` if no sink receives the event.
    pub(super) fn encode<'o>(
        &self,
        envelope: Option<&Envelope>,
        routes: impl IntoIterator<Item = &'o SinkRoute>,
    ) -> Result<Option<NewEvent>, BuildError> {
        let Some(envelope) = envelope else {
            return Ok(None);
        };
        let wants =
            |route: &&SinkRoute| route.has_own_chain() || route.select.wants(&envelope.event);
        let wanting: Vec<&SinkRoute> = routes.into_iter().filter(wants).collect();
        if wanting.is_empty() {
            return Ok(None);
        }
        let body = event::structured(&envelope.event)?;
        self.new_event(body, wanting).map(Some)
    }

    /// Bounds the size of an event for these sinks. The journal stores the bounded event, so that
    /// each sink gets the same bytes at every attempt.
    pub(super) fn new_event<'o>(
        &self,
        body: Bytes,
        routes: impl IntoIterator<Item = &'o SinkRoute>,
    ) -> Result<NewEvent, BuildError> {
        let (mut sinks, mut added) = (Vec::new(), 0);
        for route in routes {
            sinks.push(route.name.clone());
            added = added.max(route.added);
        }
        let Some(max_bytes) = self.event.max_bytes.get() else {
            return Ok(NewEvent { sinks, body });
        };
        let (encoded, oversize) = Encoded::from_structured(body).bounded(max_bytes, added)?;
        if let Some(oversize) = oversize {
            self.report_oversize(&encoded, max_bytes, oversize);
        }
        let body = encoded.structured();
        Ok(NewEvent { sinks, body })
    }

    fn report_oversize(&self, event: &Encoded, max_bytes: usize, oversize: Oversize) {
        let Oversize {
            before,
            after,
            fits,
        } = oversize;
        let (counter, limit) = match fits {
            true => (&self.metrics.truncated, &self.truncated_log_limit),
            false => (&self.metrics.oversized, &self.oversized_log_limit),
        };
        counter.increment();
        let Some(others) = limit.pass(Instant::now()) else {
            return;
        };
        let (id, subject) = (event.id(), event.attribute("subject").unwrap_or_default());
        match fits {
            true => info!(
                id,
                subject,
                bytes = before,
                sent_bytes = after,
                max_bytes,
                others,
                "an event is larger than event.maxBytes: parts of its data are removed, and it names them"
            ),
            false => warn!(
                id,
                subject,
                bytes = before,
                sent_bytes = after,
                max_bytes,
                others,
                remedy = "have plugins set fewer or shorter attributes, or raise event.maxBytes",
                "an event is larger than event.maxBytes by parts that cannot be removed, and is sent as it is: receivers may refuse it"
            ),
        }
    }
}
