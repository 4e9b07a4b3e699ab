//! A host in memory: tests of plugins run natively, without a WebAssembly toolchain.

mod scanner;

use crate::bindings::step_observer::plugin::events::{
    EditError, Header, LogEdit, Phase, Redaction, Scope, Step,
};
use crate::{Event, Plugin, RuleSet, Verdict};
use scanner::FakeScanner;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::path::Path;

/// An event made from a CloudEvent in JSON format, as the folder `cases` holds them.
///
/// It keeps to the contract, but its scanner only knows patterns and plain values: encodings of
/// values, and the bounds of the host, are tested by the host.
#[derive(Debug, Default)]
pub struct FakeEvent {
    attributes: Map<String, Value>,
    annotations: Map<String, Value>,
    rule_sets: Vec<RuleSet>,
    changes: RefCell<Changes>,
}

/// What says which step it is and how it ended: no plugin changes it.
const PROTECTED: [&str; 10] = [
    "/podRef",
    "/taskRun",
    "/stepIndex",
    "/attempt",
    "/leftOut",
    "/logInfo",
    "/exitCode",
    "/reason",
    "/stepState/name",
    "/stepState/container",
];
/// Longest value of an attribute in bytes.
const MAX_VALUE: usize = 2048;

#[derive(Debug, Default)]
struct Changes {
    attributes: Vec<(String, Option<String>)>,
    data: Vec<(String, Option<Value>)>,
    log: Option<String>,
    redactions: Vec<(usize, Scope)>,
}

/// What a plugin made of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Processed {
    /// The event, changed.
    Kept(Value),
    /// Dropped, for this reason.
    Dropped(String),
}

/// Configures a plugin and has it process one event.
///
/// # Errors
///
/// What the plugin answers instead.
pub fn process<P: Plugin>(config: &str, event: &Value) -> Result<Processed, String> {
    let config = crate::export::read_config::<P>(&name(), config)?;
    let plugin = P::configure(config)?;
    let event = FakeEvent::new(event, plugin.rule_sets())?;
    match plugin.process(&event)? {
        Verdict::Keep => event.into_json().map(Processed::Kept),
        Verdict::Drop(reason) => Ok(Processed::Dropped(reason)),
    }
}

/// Name and version of the crate whose tests run: cargo tells.
#[expect(
    clippy::disallowed_methods,
    reason = "cargo talks to tests through the environment"
)]
fn name() -> String {
    let of = |name| std::env::var(name).unwrap_or_default();
    format!("{} {}", of("CARGO_PKG_NAME"), of("CARGO_PKG_VERSION"))
}

/// Runs every case below a folder: `NAME/config.json` (optional), `NAME/in.json`, `NAME/out.json`.
/// A dropped event is written `{"dropped": "reason"}`.
///
/// # Panics
///
/// Where a case gives something else than it says, or there is no case.
#[expect(clippy::panic, reason = "a failing test panics")]
pub fn check_cases<P: Plugin>(folder: impl AsRef<Path>) {
    let folder = folder.as_ref();
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for case in entries.flatten().map(|entry| entry.path()) {
        if !case.is_dir() {
            continue;
        }
        let config =
            std::fs::read_to_string(case.join("config.json")).unwrap_or_else(|_| "null".to_owned());
        let out = match process::<P>(&config, &read(&case.join("in.json"))) {
            Ok(Processed::Kept(event)) => event,
            Ok(Processed::Dropped(reason)) => serde_json::json!({"dropped": reason}),
            Err(reason) => serde_json::json!({"error": reason}),
        };
        let expected = read(&case.join("out.json"));
        assert!(
            out == expected,
            "{}:\n{out:#}\n  instead of\n{expected:#}",
            case.display()
        );
        count += 1;
    }
    assert!(count > 0, "{} holds no case", folder.display());
}

#[expect(clippy::panic, reason = "a failing test panics")]
fn read(path: &Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl FakeEvent {
    /// Takes a CloudEvent in JSON format, with `data` for `application/json`.
    ///
    /// # Errors
    ///
    /// It is no JSON object.
    pub fn new(event: &Value, rule_sets: Vec<RuleSet>) -> Result<Self, String> {
        let attributes = event
            .as_object()
            .cloned()
            .ok_or("an event is a JSON object")?;
        Ok(Self {
            attributes,
            annotations: Map::new(),
            rule_sets,
            changes: RefCell::default(),
        })
    }

    /// Adds an annotation of the TaskRun. Events do not carry them, so cases have none.
    #[must_use]
    pub fn with_annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.into());
        self
    }

    /// The event with all changes.
    ///
    /// # Errors
    ///
    /// A pattern of a rule set does not compile.
    pub fn into_json(self) -> Result<Value, String> {
        let Self {
            mut attributes,
            annotations: _,
            rule_sets,
            changes,
        } = self;
        let Changes {
            attributes: set,
            data: parts,
            log,
            redactions,
        } = changes.into_inner();
        for (name, value) in set {
            match value {
                Some(value) => drop(attributes.insert(name, value.into())),
                None => drop(attributes.remove(&name)),
            }
        }
        let mut data = attributes.remove("data").unwrap_or(Value::Null);
        for (pointer, value) in parts {
            set_part(&mut data, &pointer, value);
        }
        if let (Some(log), Some(members)) = (log, data.as_object_mut()) {
            members.insert("log".to_owned(), log.into());
        }
        for (index, scope) in redactions {
            let Some(set) = rule_sets.get(index) else {
                continue;
            };
            let mut scanner = FakeScanner::new(set)?;
            // The log once, on its own: what stands there now is not looked at again.
            let log = data
                .as_object_mut()
                .and_then(|members| members.remove("log"));
            if scope == Scope::Everything {
                let kept = PROTECTED.map(|place| data.pointer(place).cloned());
                scanner.redact_json(&mut data);
                for (place, value) in PROTECTED.iter().zip(kept) {
                    if let (Some(now), Some(value)) = (data.pointer_mut(place), value) {
                        *now = value;
                    }
                }
            }
            if let (Some(Value::String(log)), Some(members)) = (log, data.as_object_mut()) {
                members.insert("log".to_owned(), scanner.redact(&log).into());
            }
        }
        attributes.insert("data".to_owned(), data);
        Ok(Value::Object(attributes))
    }

    fn data(&self, pointer: &str) -> Option<&Value> {
        self.attributes.get("data")?.pointer(pointer)
    }

    fn text(&self, pointer: &str) -> Option<String> {
        self.data(pointer)?.as_str().map(str::to_owned)
    }

    fn number(&self, pointer: &str) -> u32 {
        let number = self.data(pointer).and_then(Value::as_u64);
        number
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or_default()
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
        let required = |pointer| self.text(pointer).unwrap_or_default();
        let exit_code = self.data("/exitCode").and_then(Value::as_i64);
        Step {
            namespace: required("/taskRun/namespace"),
            pipeline_run: self.text("/pipelineRun"),
            pipeline_task: self.text("/pipelineTask"),
            task_run: required("/taskRun/name"),
            name: required("/stepState/name"),
            index: self.number("/stepIndex"),
            attempt: self.number("/attempt"),
            pod: required("/podRef/name"),
            container: required("/stepState/container"),
            image: self.text("/step/image"),
            phase: match self
                .attribute("type")
                .unwrap_or_default()
                .rsplit('.')
                .nth(1)
            {
                Some("succeeded") => Phase::Succeeded,
                Some("failed") => Phase::Failed,
                Some("skipped") => Phase::Skipped,
                Some(_) | None => Phase::Started,
            },
            exit_code: exit_code.and_then(|code| i32::try_from(code).ok()),
            reason: self.text("/reason"),
            started_at: self.text("/startedAt"),
            finished_at: self.text("/stepState/terminated/finishedAt"),
        }
    }

    fn attribute(&self, name: &str) -> Option<String> {
        match self.attributes.get(name)? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    fn set_attribute(&self, name: &str, value: Option<&str>) -> Result<(), EditError> {
        let own = [
            "id",
            "source",
            "type",
            "specversion",
            "time",
            "datacontenttype",
            "dataschema",
            "data",
            "partitionkey",
            "sequence",
            "recordedtime",
            "traceparent",
            "tracestate",
            "pluginerror",
        ];
        if own.contains(&name) {
            return Err(EditError::ReadOnly(format!(
                "`{name}` cannot be changed by a plugin: it identifies the event or belongs to the observer"
            )));
        }
        let valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if name.is_empty() || name.len() > 20 || !name.bytes().all(valid) {
            return Err(EditError::Invalid(format!(
                "`{name}` is not a valid extension name: use 1 to 20 lower-case letters and digits"
            )));
        }
        let bad = |value: &str| value.len() > MAX_VALUE || value.chars().any(char::is_control);
        if value.is_some_and(bad) {
            return Err(EditError::Invalid(format!(
                "the value of `{name}` is longer than {MAX_VALUE} bytes or has control characters"
            )));
        }
        self.changes
            .borrow_mut()
            .attributes
            .push((name.to_owned(), value.map(str::to_owned)));
        Ok(())
    }

    fn extensions(&self) -> Vec<(String, String)> {
        let core = [
            "id",
            "source",
            "type",
            "specversion",
            "time",
            "subject",
            "datacontenttype",
            "dataschema",
            "data",
        ];
        let names = self
            .attributes
            .keys()
            .filter(|name| !core.contains(&name.as_str()));
        names
            .filter_map(|name| Some((name.clone(), self.attribute(name)?)))
            .collect()
    }

    fn data_json(&self) -> String {
        let mut data = self.attributes.get("data").cloned().unwrap_or_default();
        data.as_object_mut()
            .and_then(|members| members.remove("log"));
        data.to_string()
    }

    fn get_json(&self, pointer: &str) -> Option<String> {
        match pointer {
            "/log" => None,
            "" => Some(self.data_json()),
            _ => self.data(pointer).map(Value::to_string),
        }
    }

    fn set_json(&self, pointer: &str, json: Option<&str>) -> Result<(), EditError> {
        // A place in one of them, or around one of them.
        let below = |place: &str, other: &str| {
            let rest = place.strip_prefix(other);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !pointer.starts_with('/') {
            return Err(EditError::Invalid(
                "not a JSON pointer to a member of the data: use `/member` or `/member/member`"
                    .to_owned(),
            ));
        }
        if let Some(place) = PROTECTED
            .iter()
            .chain(&["/log"])
            .find(|place| below(pointer, place) || below(place, pointer))
        {
            return Err(EditError::ReadOnly(format!("`{place}` cannot be set")));
        }
        let value = json.map(serde_json::from_str).transpose();
        let value = value.map_err(|error| EditError::Invalid(format!("not JSON: {error}")))?;
        self.changes
            .borrow_mut()
            .data
            .push((pointer.to_owned(), value));
        Ok(())
    }

    fn label(&self, name: &str) -> Option<String> {
        self.data("/labels")?.get(name)?.as_str().map(str::to_owned)
    }

    fn annotation(&self, name: &str) -> Option<String> {
        self.annotations.get(name)?.as_str().map(str::to_owned)
    }

    fn log_size(&self) -> u64 {
        self.log().len() as u64
    }

    fn log(&self) -> String {
        self.text("/log").unwrap_or_default()
    }

    fn read_log(&self, offset: u64, length: u32) -> Vec<u8> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        self.log()
            .bytes()
            .skip(offset)
            .take(length as usize)
            .collect()
    }

    fn set_log(&self, text: &str) -> Result<(), EditError> {
        self.changes.borrow_mut().log = Some(text.to_owned());
        Ok(())
    }

    fn edit_log(&self, edits: &[LogEdit]) -> Result<(), EditError> {
        let log = self.log();
        let (mut edited, mut done) = (String::new(), 0);
        for LogEdit { start, end, text } in edits {
            let range = usize::try_from(*start).ok().zip(usize::try_from(*end).ok());
            let (start, end) = range
                .filter(|(start, end)| *start >= done && log.get(*start..*end).is_some())
                .ok_or_else(|| {
                    EditError::Invalid(
                        "a range is not inside the log, not on characters, or not in order"
                            .to_owned(),
                    )
                })?;
            edited.push_str(log.get(done..start).unwrap_or_default());
            edited.push_str(text);
            done = end;
        }
        edited.push_str(log.get(done..).unwrap_or_default());
        if self.changes.borrow().log.is_some() {
            return Err(EditError::Invalid(
                "the log was changed in this call already".to_owned(),
            ));
        }
        self.set_log(&edited)
    }

    fn redact(&self, rules: &str, scope: Scope) -> Result<Vec<Redaction>, EditError> {
        let found = self
            .rule_sets
            .iter()
            .enumerate()
            .find(|(_, set)| set.name == rules);
        let Some((index, set)) = found else {
            return Err(EditError::Invalid(format!(
                "`configure` declared no rule set `{rules}`"
            )));
        };
        let mut scanner = FakeScanner::new(set).map_err(EditError::Invalid)?;
        scanner.redact(&self.log());
        if scope == Scope::Everything {
            let mut data = serde_json::from_str(&self.data_json()).unwrap_or_default();
            scanner.redact_json(&mut data);
        }
        self.changes.borrow_mut().redactions.push((index, scope));
        Ok(scanner.counts)
    }
}

/// As the host does it: objects on the way are made, places beyond the end of an array are left.
fn set_part(root: &mut Value, pointer: &str, value: Option<Value>) {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return;
    };
    if value.is_some() {
        make_objects(root, parent);
    }
    let last = last.replace("~1", "/").replace("~0", "~");
    let index = last.parse::<usize>().ok();
    match (root.pointer_mut(parent), value) {
        (Some(Value::Object(members)), Some(value)) => drop(members.insert(last, value)),
        (Some(Value::Object(members)), None) => drop(members.remove(&last)),
        (Some(Value::Array(items)), Some(value)) if last == "-" => items.push(value),
        (Some(Value::Array(items)), Some(value)) => {
            if let Some(item) = index.and_then(|index| items.get_mut(index)) {
                *item = value;
            }
        }
        (Some(Value::Array(items)), None) => {
            if let Some(index) = index.filter(|index| *index < items.len()) {
                items.remove(index);
            }
        }
        (_, _) => {}
    }
}

fn make_objects(root: &mut Value, pointer: &str) {
    let ends = pointer.match_indices('/').map(|(index, _)| index).skip(1);
    for end in ends.chain([pointer.len()]) {
        let place = pointer.get(..end).unwrap_or_default();
        let Some((parent, name)) = place.rsplit_once('/') else {
            return;
        };
        if let Some(Value::Object(members)) = root.pointer_mut(parent) {
            let name = name.replace("~1", "/").replace("~0", "~");
            members
                .entry(name)
                .or_insert_with(|| Value::Object(Map::new()));
        }
    }
}
