//! The phases of a step.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Phase of a step, as in the event's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Its command runs.
    Started,
    /// Its command ended with exit code 0.
    Succeeded,
    /// The step's command failed, was killed, or could not be started.
    Failed,
    /// Its command never ran.
    Skipped,
}

/// A word that names no phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPhase(String);

// === impl Phase ===

impl Phase {
    /// All phases.
    pub const ALL: [Self; 4] = [Self::Started, Self::Succeeded, Self::Failed, Self::Skipped];

    /// Returns the word for the phase in event types, in configurations and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Reads the phase from the type of an event, such as
    /// `dev.tekton.event.plugin.step.failed.v1`; `None` if the type names no phase.
    #[must_use]
    pub fn of_type(event_type: &str) -> Option<Self> {
        let name = event_type.strip_suffix(".v1")?;
        name.rsplit('.').next()?.parse().ok()
    }

    /// Returns whether an event of this phase carries the log: only if the command has run and
    /// ended.
    #[must_use]
    pub const fn has_log(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = UnknownPhase;

    fn from_str(word: &str) -> Result<Self, UnknownPhase> {
        let mut all = Self::ALL.into_iter();
        let found = all.find(|phase| phase.as_str() == word);
        found.ok_or_else(|| UnknownPhase(word.to_owned()))
    }
}

// === impl UnknownPhase ===

impl fmt::Display for UnknownPhase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Phase::ALL.map(Phase::as_str).join(", ");
        write!(formatter, "`{}` is not a phase; there are: {names}", self.0)
    }
}

impl std::error::Error for UnknownPhase {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_and_its_word_belong_together() {
        for phase in Phase::ALL {
            assert_eq!(phase.as_str().parse(), Ok(phase));
            assert_eq!(
                serde_json::to_value(phase).ok(),
                Some(phase.as_str().into())
            );
            let event_type = format!("dev.tekton.event.plugin.step.{phase}.v1");
            assert_eq!(Phase::of_type(&event_type), Some(phase));
        }
        for other in [
            "",
            "failed",
            "step.failed",
            "step.failed.v2",
            "step.over.v1",
        ] {
            assert_eq!(Phase::of_type(other), None, "{other}");
        }
        let unknown: Result<Phase, _> = "over".parse();
        assert_eq!(
            unknown.map_err(|error| error.to_string()),
            Err("`over` is not a phase; there are: started, succeeded, failed, skipped".to_owned())
        );
    }
}
