//! Outcome of a command, and its exit code.

use std::error::Error;
use step_observer::app::Summary;

/// An error that ends the program with exit code 1. Its text is for the user.
pub(super) type CommandError = Box<dyn Error + Send + Sync>;

/// The end of a command without an error.
pub(super) enum CommandOutcome {
    /// Everything was done.
    Complete,
    /// The pipeline ran to its end, but this number of events was not delivered.
    Undelivered(u64),
    /// `redact --check` found secrets.
    SecretsFound,
}

/// Exit code of [`CommandOutcome::SecretsFound`]. A wrong command line ends with 2, every other
/// error with 1.
pub(super) const SECRETS_FOUND: u8 = 3;

impl CommandOutcome {
    /// Logs the totals of a pipeline, and derives the outcome from them.
    pub(super) fn from_summary(summary: &Summary) -> Self {
        log_totals(summary);
        Self::from_undelivered(summary.undelivered())
    }

    /// The outcome for a number of events that were not delivered.
    pub(super) fn from_undelivered(events: u64) -> Self {
        match events {
            0 => Self::Complete,
            count => Self::Undelivered(count),
        }
    }
}

fn log_totals(summary: &Summary) {
    let Summary {
        steps,
        dropped,
        unprepared,
        sinks,
    } = summary;
    tracing::info!(steps, dropped, unprepared, "done");
    for (sink, delivered, undelivered) in sinks {
        tracing::info!(sink, delivered, undelivered, "sink");
        if *undelivered > 0 {
            tracing::error!(sink, delivered, undelivered, "events were not delivered");
        }
    }
}
