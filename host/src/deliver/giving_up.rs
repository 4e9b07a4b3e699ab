//! What a sink does not take: it becomes a dead letter, or is held where there are too many.

use super::{Delivery, SinkMetrics};
use crate::clock;
use crate::event::Encoded;
use crate::history::What;
use crate::journal::{Buried, Dropped, JournalError, Letter, Waiting};
use crate::sink::{DeliveryFailure, RetryAction};
use jiff::Timestamp;
use std::sync::atomic::Ordering;
use tracing::error;

/// Longest text of a sink that is kept with a dead letter, in bytes.
const MAX_REASON: usize = 512;

impl Delivery {
    /// There is no room for what should become a dead letter: it goes on being tried until there is, or the sink
    /// takes it.
    pub(super) fn hold(&self, id: &str, reason: &str) -> Held<'_> {
        let sink = &self.name;
        error!(
            sink,
            id,
            reason,
            "there are too many dead letters: the event goes on being tried. Send them again or drop them (`step-observer dead-letters`)"
        );
        self.metrics.held.fetch_add(1, Ordering::Relaxed);
        Held(&self.metrics)
    }

    /// Makes an event a dead letter. Not where there is no room for it.
    pub(super) async fn bury(
        &self,
        event: Waiting,
        encoded: &Encoded,
        failure: &DeliveryFailure,
        attempts: u32,
        first: Timestamp,
    ) -> Result<bool, JournalError> {
        let end = failure.reason.floor_char_boundary(MAX_REASON);
        let letter = Letter {
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
        let buried = match forwarded {
            // Twice after a crash between the two, with the same id.
            Some((run, to)) => {
                let origin = self.journal.origin(event.seq, run);
                let (at, to) = (letter.last, vec![to]);
                self.journal.accept(origin, None, at, to).await?;
                self.journal.done(event.seq, &self.name).await?;
                Buried::Done(Vec::new())
            }
            None => {
                let (journal, letter) = (&self.journal, letter.clone());
                journal.try_bury(event.seq, &self.name, letter).await?
            }
        };
        let Buried::Done(dropped) = buried else {
            return Ok(false);
        };
        for Dropped { sink, body } in dropped {
            let told = || (Encoded::stored(body).id(), What::Discarded { sink });
            self.history.tell(letter.last, told);
        }
        let (sink, id, reason) = (&self.name, encoded.id(), &letter.reason);
        error!(
            sink,
            id,
            reason,
            failures = attempts,
            "the event is not delivered and becomes a dead letter"
        );
        self.metrics.dead_lettered.fetch_add(1, Ordering::Relaxed);
        self.history.tell(letter.last, || {
            let dead = What::Dead {
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

/// One of an metrics's events is held, until this is dropped.
pub(super) struct Held<'a>(&'a SinkMetrics);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}
