//! The input of the journal.

use super::entry::Origin;
use bytes::Bytes;
use jiff::Timestamp;

/// The events of one transition, to be accepted together with its mark.
#[derive(Debug)]
pub struct Accept {
    /// Run and namespace of the events.
    pub origin: Origin,
    /// The mark of the transition. `None` for events that the journal held before, such as dead
    /// letters that are sent again: they skip the check for room.
    pub mark: Option<String>,
    /// When the events were accepted.
    pub at: Timestamp,
    /// The events. Empty if a plugin dropped them or no sink wants them: then only the mark is kept.
    pub events: Vec<NewEvent>,
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
