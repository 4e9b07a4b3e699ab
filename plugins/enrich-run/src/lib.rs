//! Adds what is known of a run to its events, as extensions: labels, annotations, constants.

use serde::Deserialize;
use std::collections::BTreeMap;
use step_observer_guest::{Event, Plugin, Verdict, export_plugin};

/// The configuration: per extension, where its value comes from.
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
    if let Some(value) = value {
        event.set_attribute(extension, Some(&value))?;
    }
    Ok(())
}

export_plugin!(EnrichRun, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        step_observer_guest::testing::check_cases::<super::EnrichRun>("cases");
    }

    #[test]
    fn the_schema_is_that_of_the_configuration() {
        let schema = schemars::schema_for!(super::EnrichRun);
        let text = serde_json::to_string_pretty(&schema).unwrap();
        let stored = include_str!("../config.schema.json");
        assert_eq!(
            stored.trim_end(),
            text,
            "write this into config.schema.json:\n{text}"
        );
    }
}
