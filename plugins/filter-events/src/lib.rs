//! Lets only the events through that match: all conditions that are given must hold, of a list one
//! entry.

use serde::Deserialize;
use std::collections::BTreeMap;
use step_observer_guest::{Event, Phase, Plugin, Verdict, export_plugin};

/// The configuration. Everything is optional.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// `started`, `succeeded`, `failed`, `skipped`.
    types: Vec<Type>,
    namespaces: Vec<String>,
    /// PipelineRuns.
    pipelines: Vec<String>,
    /// Tasks of pipelines.
    tasks: Vec<String>,
    steps: Vec<String>,
    /// Labels of the TaskRun with their values.
    labels: BTreeMap<String, String>,
    /// Exit codes of steps that have ended.
    exit_codes: Vec<i32>,
    /// Lets everything through but what matches.
    invert: bool,
}

#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Type {
    Started,
    Succeeded,
    Failed,
    Skipped,
}

/// The filter.
#[derive(Debug)]
pub struct FilterEvents(Config);

impl Plugin for FilterEvents {
    type Config = Option<Config>;

    fn configure(config: Self::Config) -> Result<Self, String> {
        Ok(Self(config.unwrap_or_default()))
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        let wanted = self.matches(event) != self.0.invert;
        Ok(if wanted {
            Verdict::Keep
        } else {
            Verdict::Drop("filtered".to_owned())
        })
    }
}

impl FilterEvents {
    fn matches(&self, event: &dyn Event) -> bool {
        let step = event.step();
        let what = match step.phase {
            Phase::Started => Type::Started,
            Phase::Succeeded => Type::Succeeded,
            Phase::Failed => Type::Failed,
            Phase::Skipped => Type::Skipped,
        };
        let one = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || wanted.iter().any(|wanted| Some(wanted.as_str()) == value)
        };
        let Config {
            types,
            namespaces,
            pipelines,
            tasks,
            steps,
            labels,
            exit_codes,
            invert: _,
        } = &self.0;
        (types.is_empty() || types.contains(&what))
            && one(namespaces, Some(&step.namespace))
            && one(pipelines, step.pipeline_run.as_deref())
            && one(tasks, step.pipeline_task.as_deref())
            && one(steps, Some(&step.name))
            && (exit_codes.is_empty()
                || step
                    .exit_code
                    .is_some_and(|code| exit_codes.contains(&code)))
            && labels
                .iter()
                .all(|(name, value)| event.label(name).as_ref() == Some(value))
    }
}

export_plugin!(FilterEvents, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        step_observer_guest::testing::check_cases::<super::FilterEvents>("cases");
    }

    #[test]
    fn the_schema_is_that_of_the_configuration() {
        let schema = schemars::schema_for!(super::Config);
        let text = serde_json::to_string_pretty(&schema).unwrap();
        let stored = include_str!("../config.schema.json");
        assert_eq!(
            stored.trim_end(),
            text,
            "write this into config.schema.json:\n{text}"
        );
    }
}
