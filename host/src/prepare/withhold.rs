//! Applies the mask of known secrets to events. An event that cannot be masked loses its texts.

use super::Preparation;
use super::event_mask::EventMask;
use crate::plugin::withhold_texts;
use crate::step::{Envelope, EventContext, StepRecord, StringMap};
use cloudevents::AttributesReader as _;
use std::sync::Arc;
use tracing::error;

impl Preparation {
    /// Returns the mask for the events of a record; `None` if nothing is known that could be in them.
    pub(super) fn event_mask(&self, _record: &StepRecord) -> Option<EventMask> {
        self.known_secrets.engine().map(EventMask::new)
    }

    /// Masks an event. An event that cannot be masked loses its texts.
    pub(super) fn masked(&self, mask: Option<&EventMask>, mut envelope: Envelope) -> Envelope {
        let Some(mask) = mask else {
            return envelope;
        };
        if mask.mask(&mut envelope).is_ok() {
            return envelope;
        }
        let (id, subject) = (envelope.event.id(), envelope.event.subject());
        error!(
            id,
            subject,
            "known secrets cannot be masked in time: the event continues without its texts"
        );
        self.withhold(envelope, "known secrets could not be masked")
    }

    fn withhold(&self, envelope: Envelope, reason: &str) -> Envelope {
        self.known_secrets.count_withheld();
        let mut envelope = withhold_texts(envelope, reason);
        // Plugins could copy annotations into the event.
        envelope.context = Arc::new(EventContext {
            annotations: StringMap::default(),
            ..(*envelope.context).clone()
        });
        envelope
    }
}
