//! Adds the owner of a run, such as a team, as an extension: from a table of the operator, or from labels of the TaskRun. A tenant chooses the
//! labels of their own runs, so the table comes first, and a label that no attribute can hold is ignored.

use serde::Deserialize;
use std::collections::BTreeMap;
use step_observer_guest::{
    Event, Plugin, Step, Verdict, attribute, export_plugin, glob, matches_any,
};

/// The configuration. Texts of `table` may hold `*` for any characters, except `owner`.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Owner {
    /// Name of the extension.
    attribute: String,
    /// The first row that matches gives the owner.
    table: Vec<Row>,
    /// Labels of the TaskRun: the first one with a value gives the owner.
    labels: Vec<String>,
    /// Reads the labels before the table: whoever may start a run can then choose its owner.
    labels_first: bool,
    /// Owner of all other runs. Without it, their events get no extension.
    default: Option<String>,
}

/// A row of the table. A condition without entries is always met.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    /// The owner.
    owner: String,
    /// Namespaces of runs.
    #[serde(default)]
    namespaces: Vec<String>,
    /// PipelineRuns.
    #[serde(default)]
    pipeline_runs: Vec<String>,
    /// Tasks of pipelines.
    #[serde(default)]
    pipeline_tasks: Vec<String>,
    /// Labels of the TaskRun.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Default for Owner {
    fn default() -> Self {
        Self {
            attribute: "owner".to_owned(),
            table: Vec::new(),
            labels: Vec::new(),
            labels_first: false,
            default: None,
        }
    }
}

impl Plugin for Owner {
    type Config = Option<Self>;

    fn configure(config: Self::Config) -> Result<Self, String> {
        let config = config.unwrap_or_default();
        attribute::check_extension(&config.attribute, "")
            .map_err(|error| format!("attribute: {error}"))?;
        for (index, row) in config.table.iter().enumerate() {
            check(&format!("table[{index}].owner"), &row.owner)?;
        }
        if let Some(owner) = &config.default {
            check("default", owner)?;
        }
        if config.table.is_empty() && config.labels.is_empty() && config.default.is_none() {
            return Err("it has no source of an owner: set `table`, `labels` or `default`".into());
        }
        Ok(config)
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        let owner_in_table = || self.owner_in_table(event);
        let owner_in_labels = || self.owner_in_labels(event);
        let found = match self.labels_first {
            true => owner_in_labels().or_else(owner_in_table),
            false => owner_in_table().or_else(owner_in_labels),
        };
        if let Some(owner) = found.or_else(|| self.default.clone()) {
            event.set_attribute(&self.attribute, Some(&owner))?;
        }
        Ok(Verdict::Keep)
    }
}

impl Owner {
    fn owner_in_table(&self, event: &dyn Event) -> Option<String> {
        let step = event.step();
        let row = self.table.iter().find(|row| row.matches(&step, event))?;
        Some(row.owner.clone())
    }

    fn owner_in_labels(&self, event: &dyn Event) -> Option<String> {
        let mut values = self.labels.iter().filter_map(|name| event.label(name));
        values.find(|value| check("", value).is_ok())
    }
}

impl Row {
    fn matches(&self, step: &Step, event: &dyn Event) -> bool {
        let optional = |name: &Option<String>| name.clone().unwrap_or_default();
        matches_any(&self.namespaces, &step.namespace)
            && matches_any(&self.pipeline_runs, &optional(&step.pipeline_run))
            && matches_any(&self.pipeline_tasks, &optional(&step.pipeline_task))
            && self.labels.iter().all(|(name, pattern)| {
                let label = event.label(name);
                label.is_some_and(|label| glob(pattern, &label))
            })
    }
}

/// Checks that an extension can hold an owner.
fn check(place: &str, owner: &str) -> Result<(), String> {
    match owner.trim().is_empty() {
        true => Err(format!("{place}: it is empty")),
        false => {
            attribute::check_value("owner", owner).map_err(|error| format!("{place}: {error}"))
        }
    }
}

export_plugin!(Owner, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests {
    use super::Owner;
    use serde_json::json;
    use step_observer_guest::testing::process;

    #[test]
    fn a_wrong_configuration_is_refused_with_its_place() {
        for (config, expected) in [
            (json!(null), "it has no source of an owner"),
            (
                json!({"labels": ["a"], "attribute": "Team"}),
                "attribute: `Team` is not a valid",
            ),
            (
                json!({"labels": ["a"], "attribute": "id"}),
                "attribute: `id` cannot be changed",
            ),
            (
                json!({"table": [{"owner": "a"}, {"owner": " "}]}),
                "table[1].owner: it is empty",
            ),
            (
                json!({"table": [{"owner": "a\nb"}]}),
                "table[0].owner: the value",
            ),
            (json!({"default": ""}), "default: it is empty"),
            (json!({"lables": []}), "unknown field `lables`"),
            (
                json!({"table": [{"owner": "a", "namespace": []}]}),
                "unknown field `namespace`",
            ),
        ] {
            let refused = process::<Owner>(&config.to_string(), &json!({})).unwrap_err();
            assert!(refused.contains(expected), "{config}: {refused}");
        }
    }

    #[test]
    fn cases() {
        step_observer_guest::testing::check_cases::<Owner>("cases");
    }

    #[test]
    fn the_schema_is_that_of_the_configuration() {
        step_observer_guest::testing::check_schema::<Owner>(include_str!("../config.schema.json"));
    }
}
