//! Applies the mask of known secrets to events. An event that cannot be masked loses its texts.

use super::Preparation;
use super::event_mask::EventMask;
use crate::plugin::withhold_texts;
use crate::step::{Envelope, Redactor, StepRecord};
use cloudevents::AttributesReader as _;
use tracing::{error, warn};

impl Preparation {
    /// Returns the mask for the events of a record, or `None` if no secret is known that the events
    /// could contain.
    pub(super) fn event_mask(&self, record: &StepRecord) -> Option<EventMask> {
        let engine = self.known_secrets.engine(record.pod_secrets.as_ref());
        engine.map(EventMask::new)
    }

    /// Masks an event. An event that cannot be masked loses its texts.
    pub(super) fn masked(&self, mask: Option<&EventMask>, mut envelope: Envelope) -> Envelope {
        let Some(mask) = mask else {
            return envelope;
        };
        if let Ok(counts) = mask.mask(&mut envelope) {
            envelope.count_masked(&Redactor::KnownSecrets, &counts);
            return envelope;
        }
        // Replaces the subject, too, which a plugin may have set.
        let envelope = self.withhold(envelope, "known secrets could not be masked");
        let (id, subject) = (envelope.event.id(), envelope.event.subject());
        error!(
            id,
            subject,
            "known secrets cannot be masked in time: the event continues without its texts"
        );
        envelope
    }

    /// Returns whether the texts of a record's event must be withheld, because a Secret of its pod is
    /// not known.
    pub(super) fn withholds(&self, record: &StepRecord) -> bool {
        let (namespace, secrets) = (&*record.namespace, record.pod_secrets.as_ref());
        self.known_secrets
            .withholds(namespace, record.pod_seen, secrets)
    }

    /// Removes the texts of an event, because a Secret of its pod is not known.
    pub(super) fn without_texts(&self, envelope: Envelope) -> Envelope {
        let (id, subject) = (envelope.event.id(), envelope.event.subject());
        warn!(
            id,
            subject,
            "a Secret of the pod is not known (knownSecrets.requireSecrets): the event continues without its texts"
        );
        self.withhold(envelope, "a Secret of the pod could not be read")
    }

    fn withhold(&self, envelope: Envelope, reason: &str) -> Envelope {
        self.known_secrets.count_withheld();
        withhold_texts(envelope, reason)
    }
}
