//! An event, and a schema for it.

use crate::{Attribute, Condition, ConditionError, EvaluationError, EventView, Schema};
use serde_json::{Value, json};
use std::borrow::Cow;

const ATTRIBUTES: [&str; 5] = ["id", "source", "type", "subject", "traceparent"];

pub(super) struct TestEvent {
    pub(super) attributes: Vec<(&'static str, Attribute<'static>)>,
    pub(super) data: Value,
}

impl EventView for TestEvent {
    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        let mut attributes = self.attributes.iter();
        let found = attributes.find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone())
    }

    fn data(&self) -> &Value {
        &self.data
    }
}

pub(super) fn text(text: &'static str) -> Attribute<'static> {
    Attribute::Text(Cow::Borrowed(text))
}

/// Returns an event of a failed step.
pub(super) fn event() -> TestEvent {
    TestEvent {
        attributes: vec![
            ("id", text("1")),
            ("type", text("dev.example.step.failed.v1")),
            ("priority", Attribute::Int(3)),
            ("urgent", Attribute::Bool(true)),
        ],
        data: json!({
            "reason": "Error",
            "exitCode": 3,
            "stepIndex": 0,
            "labels": {"tekton.dev/pipeline": "main", "team": "shop"},
            "taskRun": {"name": "build-1", "namespace": "ci"},
            "log": "start\nerror: timeout\n",
            "logInfo": {"bytes": 120, "truncated": false},
            "leftOut": [{"bytes": 12, "path": "/log"}],
            "step": {
                "name": "compile",
                "args": ["--token", "--verbose", "x"],
                "resources": {"limits": {"cpu": "1"}},
                "big": u64::MAX,
                "half": 0.5,
                "null": null,
            },
        }),
    }
}

pub(super) fn schema() -> Schema {
    let nullable = |kind: &str| json!({"type": [kind, "null"]});
    let data = json!({
        "type": "object",
        "required": ["stepIndex", "taskRun", "step"],
        "properties": {
            "reason": nullable("string"),
            "exitCode": nullable("integer"),
            "stepIndex": {"type": "integer"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "taskRun": {"$ref": "#/$defs/TaskRun"},
            "log": nullable("string"),
            "logInfo": {"anyOf": [{"$ref": "#/$defs/LogInfo"}, {"type": "null"}]},
            "leftOut": {"type": "array", "items": {"$ref": "#/$defs/LeftOut"}},
            "step": {"type": "object", "additionalProperties": true},
        },
        "$defs": {
            "TaskRun": {
                "type": "object",
                "required": ["name", "namespace"],
                "properties": {"name": {"type": "string"}, "namespace": {"type": "string"}},
            },
            "LogInfo": {
                "type": "object",
                "required": ["bytes", "truncated"],
                "properties": {
                    "bytes": {"type": "integer"},
                    "truncated": {"type": "boolean"},
                    "atLeast": {"type": "boolean"},
                    "incomplete": nullable("string"),
                },
            },
            "LeftOut": {
                "type": "object",
                "required": ["bytes", "path"],
                "properties": {
                    "bytes": {"type": "integer"},
                    "path": {"type": "string"},
                    "result": nullable("string"),
                },
            },
        },
    });
    Schema::new(&data, &ATTRIBUTES)
}

pub(super) fn compile(source: &str) -> Result<Condition, ConditionError> {
    Condition::compile(source, &schema())
}

/// Compiles and evaluates.
pub(super) fn result(source: &str, event: &TestEvent) -> Result<bool, EvaluationError> {
    let condition = compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    condition.matches(event)
}
