//! What can be configured of the journal, and why there may be none.

use crate::bounded::Bounded;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where accepted events are kept until every sink has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Folder of the journal; made where it does not exist. Without it events are kept in memory,
    /// and a crash or restart loses those that no sink has yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Most bytes of events that wait for sinks. On the disk it may be twice as much and 32 MiB. The
    /// default is 1 GiB on disk and 32 MiB in memory.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::not_null"
    )]
    pub max_bytes: Option<Bounded<1_048_576, 1_099_511_627_776>>,
    /// What happens where so many bytes wait.
    pub when_full: WhenFull,
    /// Bytes of the history beside it: what happened to each event, for `explain` and `/events/ID`. The
    /// oldest goes. The default is 64 MiB on disk; in memory 4 MiB where `admin.listen` is given, else
    /// none.
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

/// What happens at the journal's bound.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum WhenFull {
    /// Nothing more is accepted until a sink takes something: what the cluster still shows then is told. One
    /// namespace has at most four times what is left free; its events wait then, and those of others do not.
    #[default]
    Block,
    /// The oldest waiting event of the namespace with the most is dropped, logged and counted.
    DropOldest,
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be opened.
    #[error("failed to open the journal in {folder} (--journal, journal.directory): {source}")]
    Open {
        /// Its folder, or the file in it.
        folder: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Another process uses it.
    #[error("the journal in {folder} is used by another step-observer: give each its own folder")]
    Locked {
        /// Its folder.
        folder: PathBuf,
    },
    /// Another version wrote it.
    #[error(
        "{file} was written by another version of step-observer: use that one to deliver what it holds, or another folder"
    )]
    Version {
        /// The segment.
        file: PathBuf,
    },
    /// It is damaged.
    #[error(
        "the journal is damaged: {file} cannot be read at byte {at}, and {problem}. Nothing was changed. Restore the \
         file, or move the folder away to start anew: what the cluster still shows is told again, what waited in the \
         journal is not"
    )]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where.
        at: u64,
        /// What speaks against a crash.
        problem: String,
    },
    /// It cannot be written any more.
    #[error(
        "the journal cannot be written ({0}): stopped, since nobody knows what is on the disk. Mend the disk and start again"
    )]
    Failed(String),
    /// An event is too large.
    #[error("an event of {0} bytes is too large: at most 48 MiB")]
    TooLarge(usize),
    /// Its thread cannot be started.
    #[error("failed to start the journal's thread: {0}")]
    Thread(std::io::Error),
}
