//! Errors of a pipeline, at its start and its end.

use crate::admin::AdminError;
use crate::history::HistoryError;
use crate::journal::JournalError;
use crate::known_secrets::KnownSecretsError;
use crate::observe::ObserveError;
use crate::plugin::ChainError;
use crate::sink::SinkError;
use crate::trace::TraceError;
use std::path::PathBuf;

/// An error of a pipeline, at its start or its end.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The source cannot be observed.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// A plugin cannot be loaded.
    #[error(transparent)]
    Plugin(#[from] ChainError),
    /// WebAssembly does not run here.
    #[error("failed to start the plugin engine: {0}")]
    Engine(String),
    /// A sink cannot be opened.
    #[error("sink `{name}`: {source}")]
    Sink {
        /// Name of the sink.
        name: String,
        /// The cause.
        source: SinkError,
    },
    /// No sink is configured.
    #[error(
        "there is no sink: give --to (stdout, file:PATH or a URL), or `sinks` in the configuration"
    )]
    NoSink,
    /// A folder of plugins cannot be read.
    #[error("failed to read the plugins in {folder} (--plugin-dir, dropIn.folders): {source}")]
    PluginFolder {
        /// Path of the folder.
        folder: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The admin server cannot start.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The journal cannot be opened, or can no longer be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A source of known secrets cannot be read.
    #[error(transparent)]
    KnownSecrets(#[from] KnownSecretsError),
    /// Traces cannot be exported.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The history cannot be opened.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A part of the configuration cannot change while the observer runs.
    #[error("`{0}` cannot change while the observer runs: restart it")]
    NeedsRestart(&'static str),
    /// A thread cannot be started.
    #[error("failed to start a thread: {0}")]
    Thread(#[from] std::io::Error),
    /// A stage panicked.
    #[error("stage `{name}` ended unexpectedly ({cause}); please report this")]
    Stage {
        /// Name of the stage.
        name: &'static str,
        /// The message of the panic.
        cause: String,
    },
}
