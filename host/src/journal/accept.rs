//! Accepting events: what callers submit, and how they wait for it.

use super::entry::Origin;
use super::writer::{Command, Completion};
use super::{Journal, JournalError};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::oneshot;

/// Maximum number of bytes of the events that are accepted with one mark. The events share a frame,
/// whose payload is bounded by `frame::MAX_PAYLOAD_BYTES`.
const MAX_BODY_BYTES: usize = 48 * 1024 * 1024;

/// The events of one transition, to be accepted together with its mark.
#[derive(Debug)]
pub struct Accept {
    /// Run and namespace of the events.
    pub origin: Origin,
    /// The mark of the transition. `None` for events that the journal held before, such as dead
    /// letters that are sent again: they skip the check for room.
    pub mark: Option<Mark>,
    /// When the events were accepted.
    pub at: Timestamp,
    /// The events. Empty if a plugin dropped them or no sink wants them: then only the mark is kept.
    pub events: Vec<NewEvent>,
}

/// The names of a transition within its run. The journal keeps both as marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The id of the event, and for a sink with plugins of its own the name of the sink.
    pub id: String,
    /// The name of the transition without the UID of its Pod, likewise with the name of the sink: it
    /// recognises a transition that is derived again once the Pod is gone.
    pub name: Option<String>,
}

impl From<&str> for Mark {
    fn from(id: &str) -> Self {
        let (id, name) = (id.to_owned(), None);
        Self { id, name }
    }
}

/// An event to be accepted.
#[derive(Debug)]
pub struct NewEvent {
    /// Names of the sinks that receive the event.
    pub sinks: Vec<String>,
    /// The bytes that the journal stores and gives back unchanged.
    pub body: Bytes,
}

impl Accept {
    /// Returns the size of all bodies in bytes.
    pub(super) fn body_bytes(&self) -> usize {
        self.events.iter().map(|event| event.body.len()).sum()
    }
}

impl Journal {
    /// Accepts the events of one transition and its mark. They survive a crash once this returns.
    ///
    /// Waits while the journal is full or the namespace of the events has used its share.
    ///
    /// # Errors
    ///
    /// Fails if the events are too large together, or if the journal can no longer be written.
    pub async fn accept(&self, accept: Accept) -> Result<(), JournalError> {
        let (sender, accepted) = oneshot::channel();
        self.submit_inner(accept, Completion::Answer(sender))
            .await?;
        self.wait_for(accepted).await
    }

    /// Submits events as [`Journal::accept`] does, but returns once their place in the order of all
    /// events is fixed. The writer calls `accepted` when the events are durable, before any sink
    /// can read them. If the journal can no longer be written, `accepted` is never called.
    ///
    /// # Errors
    ///
    /// As for [`Journal::accept`].
    pub(crate) async fn submit(
        &self,
        accept: Accept,
        accepted: impl FnOnce() + Send + 'static,
    ) -> Result<(), JournalError> {
        let completion = Completion::Call(Box::new(accepted));
        self.submit_inner(accept, completion).await
    }

    async fn submit_inner(
        &self,
        accept: Accept,
        completion: Completion,
    ) -> Result<(), JournalError> {
        let bytes = accept.body_bytes();
        if bytes > MAX_BODY_BYTES {
            return Err(JournalError::TooLarge(bytes));
        }
        if accept.mark.is_some() {
            self.reserve(&accept.origin, bytes as u64).await?;
        }
        let guard = tokio::select! {
            biased;
            guard = self.in_flight.enter(bytes, &accept.origin, accept.mark.as_ref().map(|mark| &*mark.id)) => guard,
            error = self.failed() => return Err(error),
        };
        self.send(Command::Accept(accept, completion, guard)).await
    }

    /// Waits until everything that was submitted before is durable.
    ///
    /// # Errors
    ///
    /// Fails if the journal can no longer be written.
    pub(crate) async fn flush_submitted(&self) -> Result<(), JournalError> {
        match self.in_flight.is_empty() {
            // All submitted events are durable already. A sync would only wait for the disk, which
            // may be full.
            true => Ok(()),
            false => self.sync().await,
        }
    }
}
