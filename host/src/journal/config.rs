//! Configuration and errors of the journal.

use crate::bounded::Bounded;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where accepted events are kept until every sink has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Folder of the journal; created if it does not exist. Without it, events are kept in memory,
    /// and a crash or restart loses those that were not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Maximum number of bytes of events that wait for sinks. The files may take up to twice this
    /// size plus 32 MiB. The default is 1 GiB on disk and 32 MiB in memory.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::not_null"
    )]
    pub max_bytes: Option<Bounded<1_048_576, 1_099_511_627_776>>,
    /// What happens when the waiting events reach `maxBytes`.
    pub when_full: WhenFull,
    /// Maximum size of the history in bytes. The history is kept beside the journal and records the
    /// processing of each event, for `explain` and `/events/ID`. The oldest entries are removed
    /// first. The default is 64 MiB on disk; in memory it is 4 MiB if `admin.listen` is given, and
    /// 0 (no history) otherwise.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::not_null"
    )]
    pub history_bytes: Option<Bounded<0, 1_099_511_627_776>>,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            directory: None,
            max_bytes: None,
            when_full: WhenFull::Block,
            history_bytes: None,
        }
    }
}

/// What happens when the journal is full.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum WhenFull {
    /// No event is accepted until a sink takes some. After that, the transitions that the cluster
    /// still shows are reported. The events of one namespace may take at most four times the space
    /// that is left free. Above that, they wait, but events of other namespaces do not.
    #[default]
    Block,
    /// The oldest waiting event of the namespace with the most waiting bytes is dropped, logged and
    /// counted.
    DropOldest,
}

/// Why the journal cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder or a file cannot be opened.
    #[error("failed to open the journal in {folder} (--journal, journal.directory): {source}")]
    Open {
        /// The folder, or the file in it.
        folder: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Another process uses the folder.
    #[error("the journal in {folder} is used by another step-observer: give each its own folder")]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// Another version wrote a segment.
    #[error(
        "{file} was written by another version of step-observer: use that version to deliver its events, or another folder"
    )]
    Version {
        /// The segment.
        file: PathBuf,
    },
    /// A segment is damaged.
    #[error(
        "the journal is damaged: {file} cannot be read at byte {at}, and {problem}. Nothing was changed. Restore the \
         file, or move the folder away to start with an empty journal: the observer then reports again what the \
         cluster still shows, and events that waited in the journal are lost"
    )]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Offset of the first byte that cannot be read.
        at: u64,
        /// Why a crash cannot be the cause.
        problem: String,
    },
    /// The journal can no longer be written.
    #[error(
        "the journal cannot be written ({0}): the observer stops, because the content of the disk is unknown now. \
         Repair the disk and start again"
    )]
    Failed(String),
    /// The events of a transition are too large.
    #[error("an event of {0} bytes is too large: at most 48 MiB")]
    TooLarge(usize),
    /// The thread of the writer cannot be started.
    #[error("failed to start the journal's thread: {0}")]
    Thread(std::io::Error),
}
