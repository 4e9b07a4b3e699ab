//! An event in memory.

use super::sets::Sets;
use crate::Event;
use crate::bindings::step_observer::plugin::events::{
    EditError, Header, LogEdit, Redaction, Scope,
};
use serde_json::{Map, Value};
use std::cell::RefCell;
use step_observer_event_model::{Edits, Step, attribute, field};

/// An event made from a CloudEvent in JSON format, as in the files of the folder `cases`.
///
/// Fields, attributes and edits follow the same rules as in the host, because both use
/// `step-observer-event-model`. Secrets are found by the host's own search. Only the host's bounds
/// of time and size are missing.
#[derive(Debug)]
pub struct FakeEvent {
    /// All members of the event except its data.
    attributes: Map<String, Value>,
    /// The data without the log.
    data: Value,
    log: Option<String>,
    annotations: Map<String, Value>,
    sets: Sets,
    edits: RefCell<Edits>,
    /// Position of the set, and the scope of the redaction.
    redactions: RefCell<Vec<(usize, Scope)>>,
}

impl FakeEvent {
    /// Makes an event from a CloudEvent in JSON format, with JSON as `data`. `sets` are those of the
    /// plugin under test: [`Sets::of`], or `Sets::default()` if it has none.
    ///
    /// # Errors
    ///
    /// `event` is not a JSON object.
    pub fn new(event: &Value, sets: Sets) -> Result<Self, String> {
        let attributes = event.as_object().cloned();
        let mut attributes = attributes.ok_or("an event is a JSON object")?;
        let mut data = attributes.remove("data").unwrap_or(Value::Null);
        Ok(Self {
            attributes,
            log: take_log(&mut data),
            data,
            annotations: Map::new(),
            sets,
            edits: RefCell::new(Edits::new(usize::MAX)),
            redactions: RefCell::default(),
        })
    }

    /// Adds an annotation of the TaskRun. The JSON of an event has no annotations, so a case in a
    /// folder cannot set them.
    #[must_use]
    pub fn with_annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.into());
        self
    }

    /// Returns the event with all changes.
    ///
    /// # Errors
    ///
    /// Masking takes too long.
    pub fn into_json(self) -> Result<Value, String> {
        let Self {
            mut attributes,
            data: original,
            mut log,
            annotations: _,
            sets,
            edits,
            redactions,
        } = self;
        let mut data = original.clone();
        for (name, value) in edits.into_inner().apply(&mut log, &mut data) {
            match value {
                Some(value) => drop(attributes.insert(name, value.into())),
                None => drop(attributes.remove(&name)),
            }
        }
        for (index, scope) in redactions.into_inner() {
            let data = Some(&mut data).filter(|_| scope == Scope::Everything);
            sets.mask(index, log.as_mut(), data)?;
        }
        data = field::restore(data, &original);
        if let (Some(members), Some(log)) = (data.as_object_mut(), log) {
            members.insert("log".to_owned(), log.into());
        }
        for index in 0..sets.len() {
            mask_attributes(&mut attributes, &sets, index)?;
        }
        attributes.insert("data".to_owned(), data);
        Ok(Value::Object(attributes))
    }
}

/// Masks the subject and the extensions with a set, as the host does after the last plugin.
fn mask_attributes(
    attributes: &mut Map<String, Value>,
    sets: &Sets,
    index: usize,
) -> Result<(), String> {
    let mut changed = Vec::new();
    for (name, value) in attributes.iter() {
        let masked = match (name.as_str(), value) {
            ("subject", Value::String(subject)) => {
                let mut subject = subject.clone();
                sets.mask(index, Some(&mut subject), None)?;
                Some(subject.into())
            }
            (name, Value::String(_) | Value::Number(_))
                if !attribute::CORE.contains(&name) && !attribute::is_reserved(name) =>
            {
                let mut member = Value::Object(Map::from_iter([(name.to_owned(), value.clone())]));
                sets.mask(index, None, Some(&mut member))?;
                member.get_mut(name).map(Value::take)
            }
            _ => continue,
        };
        if masked.as_ref() != Some(value) {
            changed.push((name.clone(), masked));
        }
    }
    for (name, masked) in changed {
        let masked = masked.as_ref().and_then(Value::as_str);
        match masked.and_then(|masked| attribute::masked_value(&name, masked)) {
            Some(masked) => drop(attributes.insert(name, masked.into())),
            None => drop(attributes.remove(&name)),
        }
    }
    Ok(())
}

fn take_log(data: &mut Value) -> Option<String> {
    match data.as_object_mut()?.remove("log")? {
        Value::String(log) => Some(log),
        _ => None,
    }
}

impl Event for FakeEvent {
    fn header(&self) -> Header {
        let required = |name| self.attribute(name).unwrap_or_default();
        Header {
            id: required("id"),
            source: required("source"),
            type_: required("type"),
            subject: self.attribute("subject"),
            time: self.attribute("time"),
            datacontenttype: self.attribute("datacontenttype"),
        }
    }

    fn step(&self) -> Step {
        Step::read(&self.header().type_, &self.data)
    }

    fn attribute(&self, name: &str) -> Option<String> {
        match self.attributes.get(name)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    fn set_attribute(&self, name: &str, value: Option<&str>) -> Result<(), EditError> {
        Ok(self.edits.borrow_mut().set_attribute(name, value)?)
    }

    fn extensions(&self) -> Vec<(String, String)> {
        let names = self.attributes.keys();
        let names = names.filter(|name| !attribute::CORE.contains(&name.as_str()));
        names
            .filter_map(|name| Some((name.clone(), self.attribute(name)?)))
            .collect()
    }

    fn data_json(&self) -> String {
        self.data.to_string()
    }

    fn get_json(&self, pointer: &str) -> Option<String> {
        self.data.pointer(pointer).map(Value::to_string)
    }

    fn set_json(&self, pointer: &str, json: Option<&str>) -> Result<(), EditError> {
        Ok(self.edits.borrow_mut().set(pointer, json)?)
    }

    fn label(&self, name: &str) -> Option<String> {
        let label = self.data.get("labels")?.get(name)?;
        label.as_str().map(str::to_owned)
    }

    fn annotation(&self, name: &str) -> Option<String> {
        self.annotations.get(name)?.as_str().map(str::to_owned)
    }

    fn log_size(&self) -> u64 {
        self.log().len() as u64
    }

    fn log(&self) -> String {
        self.log.clone().unwrap_or_default()
    }

    fn read_log(&self, offset: u64, length: u32) -> Vec<u8> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.log().into_bytes().into_iter();
        bytes.skip(offset).take(length as usize).collect()
    }

    fn set_log(&self, text: &str) -> Result<(), EditError> {
        Ok(self.edits.borrow_mut().set_log(text.to_owned())?)
    }

    fn edit_log(&self, edits: &[LogEdit]) -> Result<(), EditError> {
        let edits = edits.iter().cloned();
        let edits = edits.map(|LogEdit { start, end, text }| (start, end, text));
        let mut changes = self.edits.borrow_mut();
        Ok(changes.edit_log(&self.log(), edits.collect())?)
    }

    fn redact(&self, rules: &str, scope: Scope) -> Result<Vec<Redaction>, EditError> {
        let Some(index) = self.sets.position(rules) else {
            return Err(EditError::Invalid(format!(
                "`configure` declared no rule set `{rules}`"
            )));
        };
        let (mut log, mut data) = (self.log.clone(), self.data.clone());
        let data = Some(&mut data).filter(|_| scope == Scope::Everything);
        let counts = self.sets.mask(index, log.as_mut(), data);
        self.redactions.borrow_mut().push((index, scope));
        counts.map_err(EditError::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use crate::{MaskSet, Plugin};
    use serde_json::json;

    struct Masks;

    impl Plugin for Masks {
        type Config = ();

        fn configure((): ()) -> Result<Self, String> {
            Ok(Self)
        }

        fn mask_sets(&self) -> Vec<MaskSet> {
            let none = std::iter::empty::<String>();
            vec![MaskSet::new("ours").only(none).values(["hunter2222"])]
        }
    }

    #[test]
    fn subject_and_extensions_are_masked_as_in_the_host() {
        let event = json!({
            "specversion": "1.0", "id": "hunter2222", "source": "s", "type": "t",
            "subject": "ci/hunter2222", "partitionkey": "hunter2222", "team": "hunter2222",
            "hunter2222": "x", "number": 7, "data": {"log": "hunter2222"},
        });
        let masked = crate::testing::process::<Masks>("null", &event);
        assert_eq!(
            masked,
            Ok(crate::testing::Processed::Kept(json!({
                "specversion": "1.0", "id": "hunter2222", "source": "s", "type": "t",
                "subject": "ci/[redacted:known-value]", "partitionkey": "hunter2222",
                "team": "[redacted:known-value]", "number": 7, "data": {"log": "hunter2222"},
            })))
        );
    }
}
