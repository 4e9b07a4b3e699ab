//! Reads the spec of a step in the shape of Tekton's v1beta1 API, within bounds.

use super::elements::MAX_CONTAINERS;
use super::lenient::lenient_list;
use crate::step::OmittedMembers;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Formatter};
use std::sync::Arc;

/// Bounds the bytes that are kept of one step. Members that do not fit are omitted whole: half of a
/// script could show half of a secret, which no plugin would recognise.
pub(super) const MAX_STEP_BYTES: usize = 16 * 1024;
/// Bounds the bytes that are kept of all steps of one TaskRun. Of steps that do not fit, only the
/// name is kept.
const MAX_STEPS_BYTES: usize = 128 * 1024;
/// Bounds the members of a step that are read. Tekton has about 20.
const MAX_MEMBERS: usize = 64;
/// Bounds the omitted members whose names and sizes are kept.
const MAX_OMITTED_MEMBERS: usize = 16;
/// Bounds the bytes of the name of a step or member. Tekton allows 63 characters.
const MAX_NAME_BYTES: usize = 256;

/// The spec of a step in a Task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StepSpec {
    /// Name of the step; empty if it has none.
    pub(super) name: Arc<str>,
    /// The spec as a JSON object, with its members in the order of their names.
    pub(super) json: Arc<str>,
    /// Bytes of the whole step in the Task, if members were omitted.
    pub(super) truncated_from: Option<u64>,
    /// Omitted members and their sizes, at most [`MAX_OMITTED_MEMBERS`].
    pub(super) omitted: OmittedMembers,
}

impl StepSpec {
    /// Creates the spec of a step of which only these members are known.
    pub(super) fn from_members(members: BTreeMap<&str, Value>) -> Self {
        let members = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        Self::new(members.collect(), None, Arc::default())
    }

    fn new(
        mut members: BTreeMap<String, Value>,
        truncated_from: Option<u64>,
        omitted: OmittedMembers,
    ) -> Self {
        // In v1beta1 the members `name` and `resources` are always present.
        let resources = members.remove("computeResources");
        members
            .entry("resources".to_owned())
            .or_insert(resources.unwrap_or_else(|| Value::Object(Map::new())));
        let name = members
            .entry("name".to_owned())
            .or_insert_with(|| Value::from(""));
        let full_name = name.as_str().unwrap_or_default();
        let name = full_name.get(..full_name.floor_char_boundary(MAX_NAME_BYTES));
        Self {
            name: name.unwrap_or_default().into(),
            json: serde_json::to_string(&members).unwrap_or_default().into(),
            truncated_from,
            omitted,
        }
    }
}

/// The steps of a Task. Short ones are parsed when they are needed: they are not needed of a run that
/// ended long ago, and most TaskRuns have them twice, in the spec and in the status.
#[derive(Clone, Debug)]
pub(super) enum Steps {
    /// The JSON of all steps, at most [`MAX_STEPS_BYTES`].
    Unparsed(Box<str>),
    Parsed(Vec<StepSpec>),
}

impl Steps {
    /// Returns the steps, within their bounds. Malformed steps count as missing.
    pub(super) fn parsed(&self) -> Cow<'_, [StepSpec]> {
        match self {
            Self::Unparsed(json) => parse(json).into(),
            Self::Parsed(steps) => steps.into(),
        }
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self::Parsed(Vec::new())
    }
}

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        Ok(match json.len() <= MAX_STEPS_BYTES {
            true => Self::Unparsed(json.into()),
            false => Self::Parsed(parse(json)),
        })
    }
}

fn parse(json: &str) -> Vec<StepSpec> {
    bounded(&mut serde_json::Deserializer::from_str(json)).unwrap_or_default()
}

/// Reads the steps of a Task, within their bounds.
fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<StepSpec>, D::Error> {
    let mut steps: Vec<StepSpec> = lenient_list::<MAX_CONTAINERS, _, _>(deserializer)?;
    let mut free = MAX_STEPS_BYTES;
    for step in &mut steps {
        let size = step.json.len();
        match free.checked_sub(size) {
            Some(left) => free = left,
            None => {
                let name = BTreeMap::from([("name", Value::from(&*step.name))]);
                let size = u64::try_from(size).unwrap_or(u64::MAX);
                step.json = StepSpec::from_members(name).json;
                step.truncated_from = step.truncated_from.or(Some(size));
                step.omitted = Arc::default();
            }
        }
    }
    Ok(steps)
}

impl<'de> Deserialize<'de> for StepSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        let mut json = serde_json::Deserializer::from_str(raw.get());
        let Ok(members) = json.deserialize_map(MembersVisitor) else {
            return Ok(Self::default());
        };
        let BoundedMembers {
            members,
            omitted,
            is_whole,
        } = members;
        let size = u64::try_from(raw.get().len()).unwrap_or(u64::MAX);
        let truncated_from = (!is_whole).then_some(size);
        Ok(Self::new(members, truncated_from, omitted.into()))
    }
}

/// Returns the size of a value in bytes: of a text as UTF-8, of any other value as JSON.
fn bytes_of(value: &RawValue) -> u64 {
    let text = serde_json::from_str::<String>(value.get());
    let bytes = text.map_or(value.get().len(), |text| text.len());
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// The members of a step that fit into [`MAX_STEP_BYTES`].
struct BoundedMembers {
    members: BTreeMap<String, Value>,
    omitted: Vec<(Arc<str>, u64)>,
    is_whole: bool,
}

/// Keeps the members of a step that fit.
struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = BoundedMembers;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("a step")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<BoundedMembers, A::Error> {
        let mut found: Vec<(String, &RawValue)> = Vec::new();
        let mut is_whole = true;
        while let Some(name) = members.next_key::<String>()? {
            if found.len() < MAX_MEMBERS {
                found.push((name, members.next_value()?));
            } else {
                members.next_value::<IgnoredAny>()?;
                is_whole = false;
            }
        }
        // The small members come first, so that one large script does not displace the others.
        found.sort_by_key(|(_, value)| value.get().len());
        let mut free = MAX_STEP_BYTES;
        let mut kept = BTreeMap::new();
        let mut omitted = Vec::new();
        for (name, value) in found {
            let size = name.len() + value.get().len();
            let read = (size <= free).then(|| serde_json::from_str::<Value>(value.get()).ok());
            match read.flatten() {
                Some(value) => {
                    free -= size;
                    kept.insert(name, value);
                }
                None => {
                    is_whole = false;
                    if omitted.len() < MAX_OMITTED_MEMBERS && name.len() <= MAX_NAME_BYTES {
                        omitted.push((name.into(), bytes_of(value)));
                    }
                }
            }
        }
        Ok(BoundedMembers {
            members: kept,
            omitted,
            is_whole,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &Value) -> StepSpec {
        serde_json::from_str(&json.to_string()).unwrap()
    }

    #[test]
    fn a_step_has_the_shape_of_v1beta1() {
        let read = spec(
            &serde_json::json!({"script": "a", "name": "b", "computeResources": {"limits": {}}}),
        );
        assert_eq!(&*read.name, "b");
        assert_eq!(
            &*read.json,
            r#"{"name":"b","resources":{"limits":{}},"script":"a"}"#
        );
        assert_eq!(read.truncated_from, None);
        assert_eq!(
            &*spec(&serde_json::json!({})).json,
            r#"{"name":"","resources":{}}"#
        );
    }

    #[test]
    fn a_member_that_does_not_fit_is_left_out_whole() {
        let step = serde_json::json!({"name": "a", "image": "b", "script": "x".repeat(500_000), "args": ["c"]});
        let read = spec(&step);
        assert_eq!(
            &*read.json,
            r#"{"args":["c"],"image":"b","name":"a","resources":{}}"#
        );
        assert_eq!(read.truncated_from, Some(step.to_string().len() as u64));
        assert_eq!(*read.omitted, [("script".into(), 500_000)]);
    }

    #[test]
    fn all_steps_together_are_bounded() {
        let step =
            |n: usize| serde_json::json!({"name": n.to_string(), "script": "x".repeat(15_000)});
        let read = |count: usize| {
            let steps: Vec<Value> = (0..count).map(step).collect();
            serde_json::from_str::<Steps>(&Value::from(steps).to_string()).unwrap()
        };
        assert!(matches!(read(8), Steps::Unparsed(_)));
        assert_eq!(read(8).parsed()[7], spec(&step(7)));
        let steps = read(100).parsed().into_owned();
        let size: usize = steps.iter().map(|step| step.json.len()).sum();
        assert!(size < MAX_STEPS_BYTES + 100 * 64, "{size}");
        assert_eq!(steps[0].truncated_from, None);
        assert!(steps[99].truncated_from.is_some_and(|size| size > 15_000));
        assert_eq!(&*steps[99].json, r#"{"name":"99","resources":{}}"#);
    }

    #[test]
    fn invalid_and_too_deep_steps_are_harmless() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let read: StepSpec =
            serde_json::from_str(&format!(r#"{{"name": "a", "x": {deep}}}"#)).unwrap();
        assert_eq!((&*read.name, read.truncated_from.is_some()), ("a", true));
        for json in ["null", "1", "[]", "\"a\"", &deep] {
            let read: StepSpec = serde_json::from_str(json).unwrap();
            assert_eq!(read, StepSpec::default());
        }
        let many: Map<String, Value> = (0..1000).map(|n| (n.to_string(), n.into())).collect();
        assert!(spec(&many.into()).truncated_from.is_some());
    }
}
