//! Adds what is known of a run to its events, as extensions: labels, annotations, constants.

use serde::Deserialize;
use std::collections::BTreeMap;
use step_observer_guest::{EditError, Event, Plugin, Verdict, export_plugin};

/// The configuration: per extension, where its value comes from.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EnrichRun {
    /// Extension to label of the TaskRun.
    labels: BTreeMap<String, String>,
    /// Extension to annotation of the TaskRun.
    annotations: BTreeMap<String, String>,
    /// Extension to value.
    constants: BTreeMap<String, String>,
}

impl Plugin for EnrichRun {
    type Config = Option<Self>;

    fn configure(config: Self::Config) -> Result<Self, String> {
        Ok(config.unwrap_or_default())
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        for (extension, label) in &self.labels {
            set(event, extension, event.label(label))?;
        }
        for (extension, annotation) in &self.annotations {
            set(event, extension, event.annotation(annotation))?;
        }
        for (extension, value) in &self.constants {
            set(event, extension, Some(value.clone()))?;
        }
        Ok(Verdict::Keep)
    }
}

/// What a run does not have is left out.
fn set(event: &dyn Event, extension: &str, value: Option<String>) -> Result<(), String> {
    let Some(value) = value else { return Ok(()) };
    event
        .set_attribute(extension, Some(&value))
        .map_err(|error| match error {
            EditError::ReadOnly(reason) | EditError::Invalid(reason) => reason,
            EditError::TooLarge => format!("the value of `{extension}` is too large"),
        })
}

export_plugin!(EnrichRun);

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        step_observer_guest::testing::check_cases::<super::EnrichRun>("cases");
    }
}
