//! Keeps only events that meet all given conditions. A condition with a list is met if one entry
//! matches. The conditions have the names and the patterns of a sink's `match`.

use serde::Deserialize;
use std::collections::BTreeMap;
use step_observer_guest::{Event, Phase, Plugin, Verdict, export_plugin, glob, matches_any};

/// The configuration. Everything is optional. Texts may hold `*` for any characters.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Phases of the step.
    phases: Vec<Phase>,
    /// Namespaces of runs.
    namespaces: Vec<String>,
    /// PipelineRuns.
    pipeline_runs: Vec<String>,
    /// Tasks of pipelines.
    pipeline_tasks: Vec<String>,
    /// TaskRuns.
    task_runs: Vec<String>,
    /// Steps.
    steps: Vec<String>,
    /// Labels of the TaskRun.
    labels: BTreeMap<String, String>,
    /// Exit codes of steps that have ended.
    exit_codes: Vec<i32>,
    /// Drops the events that meet the conditions, and keeps all others.
    invert: bool,
    /// Old name of `phases`.
    #[cfg_attr(test, schemars(extend("deprecated" = true)))]
    types: Vec<Phase>,
    /// Old name of `pipelineRuns`.
    #[cfg_attr(test, schemars(extend("deprecated" = true)))]
    pipelines: Vec<String>,
    /// Old name of `pipelineTasks`.
    #[cfg_attr(test, schemars(extend("deprecated" = true)))]
    tasks: Vec<String>,
}

/// The filter.
#[derive(Debug)]
pub struct FilterEvents(Config);

impl Plugin for FilterEvents {
    type Config = Option<Config>;

    fn configure(config: Self::Config) -> Result<Self, String> {
        let mut config = config.unwrap_or_default();
        replace_old("types", &mut config.types, "phases", &mut config.phases)?;
        replace_old(
            "pipelines",
            &mut config.pipelines,
            "pipelineRuns",
            &mut config.pipeline_runs,
        )?;
        replace_old(
            "tasks",
            &mut config.tasks,
            "pipelineTasks",
            &mut config.pipeline_tasks,
        )?;
        Ok(Self(config))
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

/// Moves the values of a condition from its old name to its present name.
fn replace_old<T>(
    old_name: &str,
    old: &mut Vec<T>,
    new_name: &str,
    new: &mut Vec<T>,
) -> Result<(), String> {
    if !old.is_empty() && !new.is_empty() {
        return Err(format!(
            "{old_name}: this is the old name of `{new_name}`, which is given, too: write everything under `{new_name}`"
        ));
    }
    new.append(old);
    Ok(())
}

impl FilterEvents {
    fn matches(&self, event: &dyn Event) -> bool {
        let Config {
            phases,
            namespaces,
            pipeline_runs,
            pipeline_tasks,
            task_runs,
            steps,
            labels,
            exit_codes,
            invert: _,
            types: _,
            pipelines: _,
            tasks: _,
        } = &self.0;
        let step = event.step();
        (phases.is_empty() || phases.contains(&step.phase))
            && matches_any(namespaces, &step.namespace)
            && matches_any(
                pipeline_runs,
                step.pipeline_run.as_deref().unwrap_or_default(),
            )
            && matches_any(
                pipeline_tasks,
                step.pipeline_task.as_deref().unwrap_or_default(),
            )
            && matches_any(task_runs, &step.task_run)
            && matches_any(steps, &step.name)
            && (exit_codes.is_empty()
                || step
                    .exit_code
                    .is_some_and(|code| exit_codes.contains(&code)))
            && labels.iter().all(|(name, pattern)| {
                let label = event.label(name);
                label.is_some_and(|label| glob(pattern, &label))
            })
    }
}

export_plugin!(FilterEvents, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests {
    use super::{Config, FilterEvents};
    use step_observer_guest::Plugin as _;

    fn configured(config: &str) -> Result<Config, String> {
        let config = serde_json::from_str(config).unwrap();
        FilterEvents::configure(config).map(|FilterEvents(config)| config)
    }

    #[test]
    fn an_old_name_means_what_its_new_name_means() {
        let old = r#"{"types": ["failed"], "pipelines": ["a"], "tasks": ["b"]}"#;
        let new = r#"{"phases": ["failed"], "pipelineRuns": ["a"], "pipelineTasks": ["b"]}"#;
        let shown = |config| format!("{:?}", configured(config).unwrap());
        assert_eq!(shown(old), shown(new));
    }

    #[test]
    fn an_old_and_a_new_name_together_are_refused_with_the_field() {
        for (config, expected) in [
            (
                r#"{"types": ["failed"], "phases": ["failed"]}"#,
                "types: this is the old name of `phases`",
            ),
            (
                r#"{"pipelines": ["a"], "pipelineRuns": ["a"]}"#,
                "pipelines: this is the old name of `pipelineRuns`",
            ),
            (
                r#"{"tasks": ["a"], "pipelineTasks": ["a"]}"#,
                "tasks: this is the old name of `pipelineTasks`",
            ),
        ] {
            let refused = configured(config).unwrap_err();
            assert!(refused.starts_with(expected), "{refused}");
        }
    }

    #[test]
    fn cases() {
        step_observer_guest::testing::check_cases::<super::FilterEvents>("cases");
    }

    #[test]
    fn the_schema_is_that_of_the_configuration() {
        step_observer_guest::testing::check_schema::<super::Config>(include_str!(
            "../config.schema.json"
        ));
    }
}
