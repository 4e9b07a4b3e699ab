//! Conditions that select the events for a sink or a plugin.

use super::EventCondition;
use cloudevents::event::Data;
use cloudevents::{AttributesReader as _, Event};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use step_observer_cel::EvaluationError;
use step_observer_event_model::{Phase, glob, matches_any};

/// Conditions on an event. All given conditions must hold; a list holds if one of its entries
/// matches. In texts, `*` stands for any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EventMatch {
    /// Phases of the step.
    pub phases: Vec<Phase>,
    /// Namespaces of runs.
    pub namespaces: Vec<String>,
    /// PipelineRuns.
    pub pipeline_runs: Vec<String>,
    /// Tasks of pipelines.
    pub pipeline_tasks: Vec<String>,
    /// TaskRuns.
    pub task_runs: Vec<String>,
    /// Steps.
    pub steps: Vec<String>,
    /// Labels of the TaskRun.
    pub labels: BTreeMap<String, String>,
    /// Condition in the Common Expression Language, such as
    /// `has(labels.team) && labels.team == 'shop' && !data.taskRun.name.startsWith('nightly-')`. Its
    /// variables are `event`, `data`, `labels` (of `data`) and `step` (of `data`). An event for which it can
    /// be neither true nor false counts as matching.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::not_null"
    )]
    #[schemars(with = "EventCondition")]
    pub cel: Option<EventCondition>,
}

impl EventMatch {
    /// Returns whether the conditions allow the phase of this event.
    pub(crate) fn wants_phase(&self, event: &Event) -> bool {
        self.phases.is_empty()
            || Phase::of_type(event.ty()).is_some_and(|phase| self.phases.contains(&phase))
    }

    /// Returns whether the event meets all conditions.
    ///
    /// # Errors
    ///
    /// It meets all others, and `cel` is neither true nor false for it.
    pub fn matches(&self, event: &Event) -> Result<bool, EvaluationError> {
        if !self.matches_members(event) {
            return Ok(false);
        }
        self.cel.as_ref().map_or(Ok(true), |cel| cel.matches(event))
    }

    /// Returns whether the event meets all conditions except `cel`.
    fn matches_members(&self, event: &Event) -> bool {
        let Self {
            phases: _,
            namespaces,
            pipeline_runs,
            pipeline_tasks,
            task_runs,
            steps,
            labels,
            cel: _,
        } = self;
        let data = match event.data() {
            Some(Data::Json(data)) => data,
            Some(_) | None => &Value::Null,
        };
        let text = |pointer: &str| data.pointer(pointer).and_then(Value::as_str);
        let any = |patterns: &[String], pointer: &str| {
            // Skips the lookup for an empty condition: a lookup allocates, and most conditions are
            // empty.
            patterns.is_empty() || matches_any(patterns, text(pointer).unwrap_or_default())
        };
        self.wants_phase(event)
            && any(namespaces, "/taskRun/namespace")
            && any(pipeline_runs, "/pipelineRun")
            && any(pipeline_tasks, "/pipelineTask")
            && any(task_runs, "/taskRun/name")
            && any(steps, "/stepState/name")
            && labels.iter().all(|(name, pattern)| {
                let label = data.get("labels").and_then(|labels| labels.get(name));
                label
                    .and_then(Value::as_str)
                    .is_some_and(|label| glob(pattern, label))
            })
    }
}
