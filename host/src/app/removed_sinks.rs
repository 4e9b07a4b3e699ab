//! The backlog of sinks that are not configured any more. It becomes dead letters, so that an
//! operator sees it and can send it again.

use super::MAX_SYNC_WAIT;
use super::sinks::ReadySink;
use crate::clock;
use crate::event::Encoded;
use crate::history::{EventStage, History};
use crate::journal::{DeadLetter, Journal, JournalError, WaitingEvent};
use tracing::warn;

/// Events that wait for sinks that are not configured any more, each with the name of its sink.
pub(super) struct RemovedSinkBacklog(std::vec::IntoIter<(String, WaitingEvent)>);

impl RemovedSinkBacklog {
    /// Finds the backlog of each sink that is in the journal but not in the configuration.
    pub(super) fn find(journal: &Journal, sinks: &[ReadySink]) -> Self {
        let mut backlog = Vec::new();
        for name in journal.sinks() {
            if sinks.iter().any(|sink| sink.config.name == name) {
                continue;
            }
            let waiting = journal.waiting(&name, 0, usize::MAX);
            let events = waiting.len();
            warn!(
                sink = name,
                events,
                "this sink is not configured any more: its waiting events become dead letters"
            );
            backlog.extend(waiting.into_iter().map(|event| (name.clone(), event)));
        }
        Self(backlog.into_iter())
    }

    /// Dead-letters as many events as the journal has room for, and waits until the journal counts
    /// them, so that later events can use only the remaining room. The wait for the disk is short:
    /// a full disk must not keep the events in the journal from being delivered.
    pub(super) async fn dead_letter_first(
        &mut self,
        journal: &Journal,
        history: &History,
    ) -> Result<(), JournalError> {
        let room = journal.room_for_dead_letters().min(self.0.len());
        for event in self.0.by_ref().take(room) {
            dead_letter(journal, history, event).await?;
        }
        if room == 0 {
            return Ok(());
        }
        let counted = tokio::time::timeout(MAX_SYNC_WAIT, journal.sync()).await;
        counted.unwrap_or(Ok(()))
    }

    /// Dead-letters the events that `dead_letter_first` left. Each waits until an operator makes
    /// room for it.
    pub(super) async fn dead_letter_rest(self, journal: Journal, history: History) {
        for event in self.0 {
            // The error is ignored here: if the journal cannot be written, the observer stops
            // anyway.
            if dead_letter(&journal, &history, event).await.is_err() {
                return;
            }
        }
    }
}

async fn dead_letter(
    journal: &Journal,
    history: &History,
    (sink, event): (String, WaitingEvent),
) -> Result<(), JournalError> {
    let letter = DeadLetter {
        reason: "the sink is not configured any more".to_owned(),
        attempts: 0,
        first: event.at,
        last: event.at,
        refused: false,
    };
    let body = journal.body(event.seq).await.ok().flatten();
    history.record(clock::now(), || {
        let dead = EventStage::Dead {
            sink: sink.clone(),
            attempts: letter.attempts,
            reason: letter.reason.clone(),
            to: None,
        };
        (
            Encoded::from_structured(body.unwrap_or_default()).id(),
            dead,
        )
    });
    journal.dead_letter(event.seq, &sink, letter).await
}
