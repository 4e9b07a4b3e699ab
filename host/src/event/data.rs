//! The event's data, and its JSON Schema.

use super::redaction::Redaction;
use crate::known_secrets::PodSecrets;
use crate::step::{CapturedLog, StepRecord};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use step_observer_core::{Kind, Start};
use step_observer_event_model::pointer;

/// `dataschema` of every event: names `deploy/schema/step-event.v1.json`.
pub const SCHEMA_URN: &str = "urn:step-observer:step-event:v1";

// In each struct of this file, the members are sorted by their JSON names, as in a
// `serde_json::Value`. Therefore an event has the same bytes whether it is serialized directly or
// through such a value.

/// Data of a step event. `podRef`, `log`, `step` and `stepState` have the same names, and are absent
/// in the same cases, as in tom24d/step-observe-controller; everything else is new.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("$id" = "urn:step-observer:step-event:v1"))]
pub struct StepEventData<'a> {
    /// Attempt of the TaskRun, from 0.
    pub attempt: u32,
    /// Why the step was skipped: `whenFalse`, `previousStepFailed`, `neverStarted`,
    /// `initContainerFailed` or `initContainerOOM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'a str>,
    /// Exit code of the step's command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Labels of the TaskRun.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub labels: BTreeMap<&'a str, &'a str>,
    /// Parts that are missing because they were too large, with their sizes. Each is missing as a
    /// whole, except `log`, of which the middle is missing.
    #[serde(rename = "leftOut", skip_serializing_if = "Vec::is_empty", default)]
    pub omitted: Vec<OmittedPart>,
    /// The step's log, bounded; see `logInfo`. Absent in `started` and `skipped` events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// About the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_info: Option<LogInfo>,
    /// Name of the PipelineRun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline_run: Option<&'a str>,
    /// UID of the PipelineRun.
    #[serde(rename = "pipelineRunUID", skip_serializing_if = "Option::is_none")]
    pub pipeline_run_uid: Option<&'a str>,
    /// Task of the pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline_task: Option<&'a str>,
    /// The Pod that runs the step.
    pub pod_ref: PodRef<'a>,
    /// UID of the Pod. Absent if the observer never saw it.
    #[serde(rename = "podUID", skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<&'a str>,
    /// `Completed`, `Error`, `Continued`, `Skipped`, `TimeoutExceeded`, `Cancelled`,
    /// `TaskRunCancelled`, `TaskRunTimeout`, `OOMKilled`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// What was masked in the event. Missing if nothing was masked, or if `leftOut` lists it. Only the
    /// observer writes it, after the last plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redaction: Option<Redaction>,
    /// When the step started, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// `entrypoint`: the step's entrypoint wrote the time. `inferred`: the time follows from other
    /// times, and may be about a second early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at_source: Option<&'a str>,
    /// The step in the Task, with parameters replaced by their values (Tekton v1beta1 `Step`).
    #[schemars(with = "Map<String, Value>")]
    pub step: &'a RawValue,
    /// Position among the steps, from 0.
    pub step_index: u32,
    /// Size of the whole step, and whether members of `step` are missing. Absent if `step` is
    /// complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_info: Option<StepInfo>,
    /// The step's state (Tekton v1beta1 `StepState`).
    pub step_state: StepState<'a>,
    /// The TaskRun.
    pub task_run: TaskRunRef<'a>,
    /// Number of Secrets of the Pod that the observer should mask but could not read. Their values
    /// may be in the texts. Absent if all could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread_secrets: Option<usize>,
}

/// Reference to the Pod.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodRef<'a> {
    /// Always `v1`.
    pub api_version: &'a str,
    /// Always `Pod`.
    pub kind: &'a str,
    /// Name.
    pub name: &'a str,
    /// Namespace.
    pub namespace: &'a str,
}

/// Reference to the TaskRun.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskRunRef<'a> {
    /// Such as `tekton.dev/v1`.
    pub api_version: &'a str,
    /// Always `TaskRun`.
    pub kind: &'a str,
    /// Name.
    pub name: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// UID.
    pub uid: &'a str,
}

/// State of a step: `running` or `terminated`; neither if it never ran.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepState<'a> {
    /// Container of the step.
    pub container: &'a str,
    /// Image that the container runs.
    #[serde(rename = "imageID", skip_serializing_if = "str::is_empty", default)]
    pub image_id: &'a str,
    /// Name of the step; `unnamed-<index>` if it has none.
    pub name: &'a str,
    /// The step runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// The step ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<TerminatedState<'a>>,
}

/// A running step.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// RFC 3339.
    pub started_at: String,
}

/// An ended step.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TerminatedState<'a> {
    /// Container that ran the step.
    #[serde(rename = "containerID", skip_serializing_if = "str::is_empty", default)]
    pub container_id: &'a str,
    /// Exit code of the step's command.
    pub exit_code: i32,
    /// RFC 3339, in seconds.
    pub finished_at: String,
    /// Results that the step wrote, as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
    /// The container's reason, or Tekton's.
    pub reason: &'a str,
    /// Signal that ended the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// RFC 3339, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
}

/// About the log in `log`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogInfo {
    /// Whether the log may be larger than `bytes`, because not all of it was read.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub at_least: bool,
    /// Size of the whole log in bytes.
    pub bytes: u64,
    /// Why the end of the log is missing in `log`, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Whether the middle or the end of the log is missing in `log`.
    pub truncated: bool,
    /// Why there is no log, if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

/// A part of the data that is missing because it was too large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "LeftOut")]
pub struct OmittedPart {
    /// Size of the part in bytes: of a text as UTF-8, of any other value as JSON.
    pub bytes: u64,
    /// JSON Pointer to the part in the data. Small members of an object, and members beyond the
    /// first 16, share one entry: its `path` points to the object, and its `bytes` is the sum of
    /// their sizes.
    pub path: String,
    /// Name of the result, if the part is one of the results in `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// About the step in `step`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepInfo {
    /// Size of the whole step in the Task in bytes, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Whether members are missing in `step`, each as a whole, because together they were too large.
    pub truncated: bool,
}

impl<'a> StepEventData<'a> {
    /// Builds the `data` of the event for a transition, with the log of the step if there is one.
    #[must_use]
    pub fn new(record: &'a StepRecord, log: Option<CapturedLog>) -> Self {
        let transition = &record.transition;
        let outcome = transition.kind.outcome();
        let (log, log_info, redaction) = match log {
            None => (None, None, None),
            Some(CapturedLog {
                text,
                bytes,
                at_least,
                truncated,
                incomplete,
                unavailable,
                masked,
            }) => (
                unavailable.is_none().then_some(text),
                Some(LogInfo {
                    at_least,
                    bytes,
                    incomplete,
                    truncated,
                    unavailable,
                }),
                Redaction::of(&masked),
            ),
        };
        Self {
            pod_ref: PodRef {
                kind: "Pod",
                namespace: &record.namespace,
                name: &transition.pod_name,
                api_version: "v1",
            },
            log,
            step: serde_json::from_str(&record.spec).unwrap_or(RawValue::NULL),
            step_state: step_state(record),
            task_run: TaskRunRef {
                api_version: &record.api_version,
                kind: "TaskRun",
                namespace: &record.namespace,
                name: &record.task_run,
                uid: &transition.run_uid,
            },
            pipeline_run: record.pipeline_run.as_deref(),
            pipeline_run_uid: record.pipeline_run_uid.as_deref(),
            pipeline_task: record.pipeline_task.as_deref(),
            pod_uid: transition.pod_uid.as_deref(),
            labels: record.labels.iter().collect(),
            omitted: omitted(record),
            step_index: transition.index,
            step_info: record.spec_truncation.map(|cut| StepInfo {
                bytes: cut.bytes,
                truncated: true,
            }),
            attempt: transition.attempt,
            started_at: transition.start.map(|start| start.at.to_string()),
            started_at_source: transition.start.map(|start| start.source.as_str()),
            exit_code: outcome.and_then(|outcome| outcome.exit_code),
            reason: outcome.map(|outcome| &*outcome.reason),
            redaction,
            unread_secrets: record
                .pod_secrets
                .as_ref()
                .map(PodSecrets::unread)
                .filter(|unread| *unread > 0),
            cause: transition.kind.cause().map(|cause| cause.as_str()),
            log_info,
        }
    }
}

/// Lists the members that were omitted from the step when it was observed.
fn omitted(record: &StepRecord) -> Vec<OmittedPart> {
    let entry = |path: String, bytes| OmittedPart {
        bytes,
        path,
        result: None,
    };
    let named = record.spec_omitted.iter();
    let named = named.map(|(name, bytes)| entry(pointer::member("/step", name), *bytes));
    let whole = record.spec_truncation.and_then(|cut| cut.bytes);
    let whole = whole.filter(|_| record.spec_omitted.is_empty());
    named
        .chain(whole.map(|bytes| entry("/step".to_owned(), bytes)))
        .collect()
}

fn step_state(record: &StepRecord) -> StepState<'_> {
    let transition = &record.transition;
    let container = &record.container;
    let mut state = StepState {
        name: transition.step(),
        container: &transition.container,
        image_id: &container.image_id,
        ..StepState::default()
    };
    match &transition.kind {
        Kind::Started => {
            state.running = Some(Running {
                started_at: whole_seconds(transition.at),
            });
        }
        Kind::Succeeded(outcome) | Kind::Failed(outcome) | Kind::Skipped(outcome, _) => {
            let continued = &*outcome.reason == "Continued";
            state.terminated = Some(TerminatedState {
                exit_code: outcome.exit_code.unwrap_or(1),
                signal: container.signal,
                // As in Tekton: this field holds the container's reason. `Continued` is in another
                // field of the status.
                reason: if continued {
                    "Completed"
                } else {
                    &outcome.reason
                },
                message: container.results.as_deref(),
                started_at: transition.start.map(|start: Start| whole_seconds(start.at)),
                finished_at: whole_seconds(transition.at),
                container_id: &container.container_id,
            });
        }
    }
    state
}

/// Formats a time in the resolution of Kubernetes, whole seconds.
fn whole_seconds(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second())
        .unwrap_or(at)
        .to_string()
}

/// Returns the JSON Schema of the data.
#[must_use]
pub fn json_schema() -> Value {
    schemars::schema_for!(StepEventData<'_>).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use step_observer_event_model::field::{FIELDS, Field, OnOversize};

    /// Objects of the data that have a fixed set of members: pointer to the object in the data, and
    /// pointer to its definition in the schema.
    const OBJECTS: [(&str, &str); 3] = [
        ("", ""),
        ("/stepState", "/$defs/StepState"),
        ("/stepState/terminated", "/$defs/TerminatedState"),
    ];

    fn rows(parent: &str) -> impl Iterator<Item = &'static Field> {
        FIELDS.iter().filter(move |field| field.parent() == parent)
    }

    #[test]
    fn every_field_of_the_data_has_a_row_in_the_table_of_fields() {
        let schema = json_schema();
        for (parent, place) in OBJECTS {
            let members = schema.pointer(&format!("{place}/properties")).unwrap();
            let members: BTreeSet<&str> = members
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            let known: BTreeSet<&str> = rows(parent).map(Field::name).collect();
            assert_eq!(members, known, "members of `{parent}`");
        }
        let parents: BTreeSet<&str> = FIELDS.iter().map(Field::parent).collect();
        let known = ["", "/step", "/stepState", "/stepState/terminated"];
        assert_eq!(parents, known.into());
    }

    #[test]
    fn what_the_schema_requires_is_never_omitted() {
        let schema = json_schema();
        for (parent, place) in OBJECTS {
            let required = schema.pointer(&format!("{place}/required")).unwrap();
            let required: Vec<String> = serde_json::from_value(required.clone()).unwrap();
            let kept: Vec<&str> = rows(parent)
                .filter(|field| field.oversize == OnOversize::Keep)
                .map(Field::name)
                .collect();
            for name in required {
                assert!(kept.contains(&&*name), "{parent}/{name}");
            }
        }
    }
}
