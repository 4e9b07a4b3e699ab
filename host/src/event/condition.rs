//! `match.cel`: a condition in the Common Expression Language.

use super::canonical_text;
use super::data::json_schema;
use cloudevents::event::{AttributeValue, Data};
use cloudevents::{AttributesReader as _, Event};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::LazyLock;
use step_observer_cel::{
    Attribute, Condition, EvaluationError, EventView, MAX_SOURCE_BYTES, Schema,
};

/// Attributes that the observer sets. Plugins may add others.
const ATTRIBUTES: [&str; 12] = [
    "datacontenttype",
    "dataschema",
    "id",
    "partitionkey",
    "recordedtime",
    "sequence",
    "source",
    "specversion",
    "subject",
    "time",
    "traceparent",
    "type",
];

/// What names are checked against: the published schema of the data.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::new(&json_schema(), &ATTRIBUTES));

/// A condition, which is compiled when it is read, so that every file with a mistake in one is refused with
/// the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventCondition(Condition);

impl EventCondition {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// The first mistake, with line and column.
    pub fn compile(source: &str) -> Result<Self, step_observer_cel::ConditionError> {
        Condition::compile(source, &SCHEMA).map(Self)
    }

    /// Returns whether it holds for an event.
    ///
    /// # Errors
    ///
    /// It is neither true nor false for this event.
    pub fn matches(&self, event: &Event) -> Result<bool, EvaluationError> {
        self.0.matches(&View(event))
    }
}

impl Serialize for EventCondition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.source())
    }
}

impl<'de> Deserialize<'de> for EventCondition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = String::deserialize(deserializer)?;
        Self::compile(&source).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for EventCondition {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "EventCondition".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "maxLength": MAX_SOURCE_BYTES})
    }
}

/// An event as conditions see it.
struct View<'e>(&'e Event);

impl EventView for View<'_> {
    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        let event = self.0;
        // These are asked for most. Reading all attributes would write the time as text.
        match name {
            "id" => return Some(Attribute::Text(event.id().into())),
            "type" => return Some(Attribute::Text(event.ty().into())),
            "source" => return Some(Attribute::Text(event.source().as_str().into())),
            "subject" => return event.subject().map(|text| Attribute::Text(text.into())),
            _ => {}
        }
        let (_, value) = event.iter().find(|(known, _)| *known == name)?;
        Some(match value {
            AttributeValue::Boolean(value) => Attribute::Bool(*value),
            AttributeValue::Integer(value) => Attribute::Int(*value),
            value => Attribute::Text(canonical_text(value)),
        })
    }

    fn data(&self) -> &Value {
        match self.0.data() {
            Some(Data::Json(data)) => data,
            Some(_) | None => &Value::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudevents::EventBuilder as _;
    use cloudevents::event::EventBuilderV10;
    use serde_json::json;

    fn event() -> Event {
        EventBuilderV10::new()
            .id("1")
            .source("s")
            .ty("dev.tekton.event.plugin.step.failed.v1")
            .subject("ci/run/compile")
            .time("2026-11-29T10:00:00Z")
            .extension("priority", 3_i64)
            .extension("urgent", true)
            .extension("team", "shop")
            .data(
                "application/json",
                json!({
                    "attempt": 0,
                    "labels": {"team": "shop"},
                    "step": {"name": "compile", "image": "rust"},
                    "stepState": {"name": "compile", "container": "step-compile"},
                    "exitCode": 2,
                }),
            )
            .build()
            .unwrap()
    }

    #[test]
    fn attributes_and_data_of_an_event_are_compared() {
        for source in [
            "event.type.endsWith('failed.v1') && has(labels.team) && labels.team == 'shop'",
            "event.id == '1' && event.source == 's' && event.subject == 'ci/run/compile'",
            "event.time == '2026-11-29T10:00:00Z' && event.specversion == '1.0'",
            "event['priority'] == 3 && event['urgent'] && event['team'] == labels.team",
            "!has(event.traceparent) && event.datacontenttype == 'application/json'",
            "step.image == 'rust' && data.stepState.name == step.name",
            "data.exitCode in [1, 2] && data.leftOut == [] && data.stepState.imageID == ''",
        ] {
            let condition = EventCondition::compile(source);
            let condition = condition.unwrap_or_else(|error| panic!("{source}: {error}"));
            assert_eq!(condition.matches(&event()), Ok(true), "{source}");
        }
    }

    #[test]
    fn every_member_of_the_schema_and_no_other_is_known() {
        let schema = json_schema();
        let members = schema["properties"].as_object().unwrap();
        for member in members.keys() {
            let source = format!("has(data.{member}) && data.{member} != null");
            assert!(EventCondition::compile(&source).is_ok(), "{source}");
            let error = EventCondition::compile(&format!("has(data.{member}x)")).unwrap_err();
            assert_eq!((error.line, error.column), (1, 10), "{error}");
        }
    }

    #[test]
    fn every_attribute_of_an_event_is_known() {
        use crate::event::{EventConfig, GAP_TYPE, gap_event};
        let (from, to) = ("2026-11-22T13:00:00Z", "2026-11-22T13:01:40Z");
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let gap = gap_event(from, to, None, &[], &EventConfig::default()).unwrap();
        for (name, _) in gap.iter() {
            assert!(ATTRIBUTES.contains(&name), "{name}");
        }
        let condition = EventCondition::compile(&format!("event.type == '{GAP_TYPE}'")).unwrap();
        assert_eq!(condition.matches(&gap), Ok(true));
    }

    #[test]
    fn a_mistake_is_one_of_the_file() {
        let read = serde_json::from_value::<EventCondition>(json!("data.\nnosuch == 1"));
        let error = read.unwrap_err().to_string();
        assert!(
            error.starts_with("in line 2, column 1 of the expression"),
            "{error}"
        );
        let written = serde_json::to_value(EventCondition::compile("true").unwrap());
        assert_eq!(written.unwrap(), json!("true"));
    }
}
