//! Turns events that a sink does not take into dead letters. While there are too many dead letters,
//! attempts go on instead.

use super::{Delivery, SinkMetrics};
use crate::clock;
use crate::event::Encoded;
use crate::history::EventStage;
use crate::journal::{Accept, DeadLetter, DeadLettered, DroppedLetter, JournalError, WaitingEvent};
use crate::sink::{DeliveryFailure, RetryAction};
use jiff::Timestamp;
use tracing::error;

/// Bytes of the answer of a sink that are kept with a dead letter.
const MAX_REASON_BYTES: usize = 512;

impl Delivery {
    /// Reports that there is no room for a dead letter: attempts go on until there is room, or until
    /// the sink takes the event.
    pub(super) fn report_no_room(&self, id: &str, reason: &str) -> AwaitsRoom<'_> {
        let sink = &self.name;
        error!(
            sink,
            id,
            reason,
            "there are too many dead letters: delivery attempts of the event go on. Send dead letters \
             again or drop them (`step-observer dead-letters`)"
        );
        self.metrics.held.add(1);
        AwaitsRoom(&self.metrics)
    }

    /// Makes an event a dead letter, or sends it to the dead-letter sink. Returns false if there is
    /// no room for it.
    pub(super) async fn dead_letter(
        &self,
        event: WaitingEvent,
        encoded: &Encoded,
        failure: &DeliveryFailure,
        attempts: u32,
        first: Timestamp,
    ) -> Result<bool, JournalError> {
        let end = failure.reason.floor_char_boundary(MAX_REASON_BYTES);
        let letter = DeadLetter {
            reason: failure.reason.get(..end).unwrap_or_default().to_owned(),
            attempts,
            first,
            last: clock::now(),
            refused: matches!(failure.action, RetryAction::Reject),
        };
        let forwarded = self
            .dead_letters
            .as_ref()
            .and_then(|sink| sink.addressed(encoded, &letter, failure.code));
        let is_forwarded = forwarded.is_some();
        let outcome = match forwarded {
            // If the process ends between these two steps, the event is sent twice, with the same
            // id.
            Some((run, to)) => {
                self.page.keep_body(&encoded.id(), &to.sinks, &to.body);
                let accept = Accept {
                    origin: self.journal.origin(event.seq, run),
                    mark: None,
                    at: letter.last,
                    events: vec![to],
                };
                self.journal.accept(accept).await?;
                self.journal.acknowledge(event.seq, &self.name).await?;
                DeadLettered::Done(Vec::new())
            }
            None => {
                let (journal, letter) = (&self.journal, letter.clone());
                journal
                    .try_dead_letter(event.seq, &self.name, letter)
                    .await?
            }
        };
        let DeadLettered::Done(dropped) = outcome else {
            return Ok(false);
        };
        for DroppedLetter { sink, body } in dropped {
            self.history.record(letter.last, || {
                (
                    Encoded::from_structured(body).id(),
                    EventStage::Discarded { sink },
                )
            });
        }
        let (sink, id, reason) = (&self.name, encoded.id(), &letter.reason);
        error!(
            sink,
            id,
            reason,
            failures = attempts,
            "the event is not delivered and becomes a dead letter"
        );
        self.metrics.dead_lettered.increment();
        self.history.record(letter.last, || {
            let dead = EventStage::Dead {
                sink: self.name.clone(),
                attempts,
                reason: letter.reason.clone(),
                to: self
                    .dead_letters
                    .as_ref()
                    .filter(|_| is_forwarded)
                    .map(|sink| sink.name().to_owned()),
            };
            (encoded.id(), dead)
        });
        Ok(true)
    }
}

/// Counts an event as waiting for room among the dead letters until this value is dropped.
pub(super) struct AwaitsRoom<'a>(&'a SinkMetrics);

impl Drop for AwaitsRoom<'_> {
    fn drop(&mut self) {
        self.0.held.subtract(1);
    }
}
