//! Which events a sink wants.

use cloudevents::Event;
use cloudevents::event::Data;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Conditions on an event. All that are given must hold; of a list, one entry. Texts may hold `*`
/// for any characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EventMatch {
    /// What the step did.
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
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Its command runs.
    Started,
    /// Its command ended with exit code 0.
    Succeeded,
    /// Its command failed.
    Failed,
    /// Its command never ran.
    Skipped,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl EventMatch {
    /// Does it want events of this phase at all?
    pub(crate) fn wants_phase(&self, event: &Event) -> bool {
        let phase = super::phase(event).unwrap_or_default();
        self.phases.is_empty() || self.phases.iter().any(|wanted| wanted.as_str() == phase)
    }

    /// Does the event meet all conditions?
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let Self {
            phases: _,
            namespaces,
            pipeline_runs,
            pipeline_tasks,
            task_runs,
            steps,
            labels,
        } = self;
        let data = match event.data() {
            Some(Data::Json(data)) => data,
            Some(_) | None => &Value::Null,
        };
        let text = |place: &str| {
            data.pointer(place)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let any = |patterns: &[String], place: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| glob(pattern, text(place)))
        };
        self.wants_phase(event)
            && any(namespaces, "/taskRun/namespace")
            && any(pipeline_runs, "/pipelineRun")
            && any(pipeline_tasks, "/pipelineTask")
            && any(task_runs, "/taskRun/name")
            && any(steps, "/stepState/name")
            && labels.iter().all(|(name, pattern)| {
                let value = data.get("labels").and_then(|labels| labels.get(name));
                value
                    .and_then(Value::as_str)
                    .is_some_and(|value| glob(pattern, value))
            })
    }
}

/// `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, expected) in [
            ("ci", "ci", true),
            ("ci", "ci2", false),
            ("ci-*", "ci-shop", true),
            ("*-prod", "shop-prod", true),
            ("*", "", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxcyyb", false),
            ("*aa*aa", "aaa", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
