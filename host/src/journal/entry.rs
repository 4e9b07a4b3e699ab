//! What the journal says, one entry after the other.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Number of an event in the journal: grows with every event, never used twice.
pub type Seq = u64;

/// One entry. What was written with an older version is read by every later one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub(super) enum Entry {
    /// The journal's first: runs that ended before are history.
    Begun { horizon: Timestamp },
    /// What is watched from now on: what is not seen may be out of it.
    Scope { scope: String },
    /// A transition is told: its mark, and the events that came of it, whose bodies follow.
    Accepted {
        run: Arc<str>,
        /// What is told; not there where an event is only moved to another segment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<String>,
        at: Timestamp,
        events: Vec<Accepted>,
    },
    /// A sink has it, or it is dropped: nothing more to do for this sink.
    Done { seq: Seq, sink: String },
    /// It became a dead letter.
    Dead {
        seq: Seq,
        sink: String,
        letter: Letter,
    },
    /// Nothing of this run will be told again: its marks are not needed.
    Forgotten { run: Arc<str> },
    /// Marks that are moved to another segment.
    Marks { run: Arc<str>, marks: Vec<String> },
}

impl Entry {
    /// Without what only a restart would ask for.
    pub(super) fn without_mark(self) -> Self {
        match self {
            Self::Accepted {
                run, at, events, ..
            } => Self::Accepted {
                run,
                mark: None,
                at,
                events,
            },
            other => other,
        }
    }

    /// Events of which it speaks.
    pub(super) fn seqs(&self) -> impl Iterator<Item = Seq> {
        let (events, one) = match self {
            Self::Accepted { events, .. } => (&**events, None),
            Self::Done { seq, .. } | Self::Dead { seq, .. } => (&[][..], Some(*seq)),
            Self::Begun { .. }
            | Self::Scope { .. }
            | Self::Forgotten { .. }
            | Self::Marks { .. } => (&[][..], None),
        };
        events.iter().map(|event| event.seq).chain(one)
    }
}

/// An event as the journal knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted {
    pub(super) seq: Seq,
    /// Who is to get it.
    pub(super) sinks: Vec<String>,
    /// Length of its body.
    pub(super) bytes: u32,
    /// CRC-32 of its body.
    pub(super) sum: u32,
}

/// Why an event could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// What the sink said, or why no more was tried.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was first tried.
    pub first: Timestamp,
    /// When it was given up.
    pub last: Timestamp,
}
