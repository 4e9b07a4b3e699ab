//! An event in the hands of a plugin: what it reads, and what it wants changed.
//!
//! Changes are recorded and bounded; nothing of them reaches the event unless the plugin ends well
//! and answers `keep`.

use super::bindings::step_observer::plugin::events as wit;
use super::engine::Limits;
use super::pointer;
use crate::event::attribute::{self, AttributeError};
use crate::redact::{Counts, Exhausted, ScanLimits, Scanner};
use crate::step::{Envelope, EventContext};
use cloudevents::event::Data;
use cloudevents::{AttributesReader, AttributesWriter, Event};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the guest's handle stands for: the one draft in its store.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum EventHandle {}

/// Rule sets by name, compiled once per load.
pub(crate) type RuleSets = Vec<(String, Scanner)>;

/// Members of the data that say which step it is and what it did: no plugin changes them.
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

/// Most parts of the data that one call may set.
const MAX_PARTS: usize = 1024;

/// Most extensions that one call may set or remove: receivers put them into headers.
const MAX_ATTRIBUTES: usize = 64;

/// What a recorded change costs beside its text: a guest that loops on tiny changes is bounded too.
const CHANGE_COST: usize = 64;

/// An event taken apart, with the changes that a plugin asks for.
#[derive(Debug)]
pub(super) struct Draft {
    event: Event,
    context: Arc<EventContext>,
    data: Value,
    log: Option<String>,
    deadline: Instant,
    rule_sets: Arc<RuleSets>,
    changes: Changes,
    /// Bytes that changes may still take.
    budget: usize,
    /// Bytes that they take.
    held: usize,
}

#[derive(Debug, Default)]
struct Changes {
    attributes: BTreeMap<String, Option<String>>,
    data: Vec<(String, Option<Value>)>,
    log: Option<LogChange>,
    redactions: Vec<(usize, wit::Scope)>,
    /// What the redactions so far make of the unchanged event.
    redacted: Option<(Option<String>, Option<Value>)>,
    counts: Counts,
}

#[derive(Debug)]
enum LogChange {
    Text(String),
    Ranges(Vec<(usize, usize, String)>),
}

// === impl Draft ===

impl Draft {
    pub(super) fn new(envelope: Envelope, rule_sets: Arc<RuleSets>, limits: &Limits) -> Self {
        let budget = usize::try_from(limits.output_bytes.get()).unwrap_or(usize::MAX);
        let deadline = Instant::now() + Duration::from_millis(limits.time_ms.get());
        let Envelope { mut event, context } = envelope;
        let mut data = match event.set_data_unchecked(Value::Null) {
            Some(Data::Json(data)) => data,
            Some(Data::String(text)) => Value::String(text),
            Some(Data::Binary(_)) | None => Value::Null,
        };
        let log = match data
            .as_object_mut()
            .and_then(|members| members.remove("log"))
        {
            Some(Value::String(log)) => Some(log),
            Some(_) | None => None,
        };
        Self {
            event,
            context,
            data,
            log,
            deadline,
            rule_sets,
            changes: Changes::default(),
            budget,
            held: 0,
        }
    }

    /// The event as it was.
    pub(super) fn discard(self) -> Envelope {
        let Self {
            event,
            context,
            data,
            log,
            ..
        } = self;
        reassemble(event, context, data, log)
    }

    /// The event with the changes, and how much was masked.
    ///
    /// # Errors
    ///
    /// Masking what was changed takes too long; the event is as it was.
    pub(super) fn apply(self) -> Result<(Envelope, Counts), Box<Envelope>> {
        let limits = self.scan_limits();
        let Self {
            mut event,
            context,
            data: original,
            log: original_log,
            rule_sets,
            changes,
            ..
        } = self;
        let Changes {
            attributes,
            data: parts,
            log: log_change,
            redactions,
            redacted,
            counts,
        } = changes;
        let untouched = parts.is_empty() && log_change.is_none();
        let (log, data) = match redacted {
            None if untouched => (original_log, original),
            Some((log, data)) if untouched => {
                let data = data.map(|data| restore(data, &original));
                (log.or(original_log), data.unwrap_or(original))
            }
            None | Some(_) => {
                let (mut log, mut data) = (original_log.clone(), original.clone());
                for (place, value) in parts {
                    pointer::set(&mut data, &place, value);
                }
                match log_change {
                    None => {}
                    Some(LogChange::Text(text)) => log = Some(text),
                    Some(LogChange::Ranges(ranges)) => log = log.map(|log| splice(&log, &ranges)),
                }
                for (set, scope) in redactions {
                    let Some((_, scanner)) = rule_sets.get(set) else {
                        continue;
                    };
                    if scan(scanner, scope, &mut log, &mut data, limits).is_err() {
                        return Err(Box::new(reassemble(event, context, original, original_log)));
                    }
                }
                (log, restore(data, &original))
            }
        };
        for (name, value) in attributes {
            match (name.as_str(), value) {
                ("subject", value) => drop(event.set_subject(value)),
                (name, Some(value)) => event.set_extension(name, value),
                (name, None) => drop(event.remove_extension(name)),
            }
        }
        Ok((reassemble(event, context, data, log), counts))
    }

    fn scan_limits(&self) -> ScanLimits {
        ScanLimits {
            growth: self.budget,
            deadline: self.deadline,
        }
    }

    pub(super) fn header(&self) -> wit::Header {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        wit::Header {
            id: self.event.id().to_owned(),
            source: self.event.source().clone(),
            type_: self.event.ty().to_owned(),
            subject: owned(self.event.subject()),
            time: self.attribute("time"),
            datacontenttype: owned(self.event.datacontenttype()),
        }
    }

    pub(super) fn step(&self) -> wit::Step {
        let text = |place: &str| {
            self.data
                .pointer(place)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let required = |place: &str| text(place).unwrap_or_default();
        let number = |place: &str| {
            let value = self.data.pointer(place).and_then(Value::as_u64);
            value
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or_default()
        };
        let exit_code = self.data.get("exitCode").and_then(Value::as_i64);
        wit::Step {
            namespace: required("/taskRun/namespace"),
            pipeline_run: text("/pipelineRun"),
            pipeline_task: text("/pipelineTask"),
            task_run: required("/taskRun/name"),
            name: required("/stepState/name"),
            index: number("/stepIndex"),
            attempt: number("/attempt"),
            pod: required("/podRef/name"),
            container: required("/stepState/container"),
            image: text("/step/image"),
            phase: match crate::event::phase(&self.event) {
                Some("succeeded") => wit::Phase::Succeeded,
                Some("failed") => wit::Phase::Failed,
                Some("skipped") => wit::Phase::Skipped,
                Some(_) | None => wit::Phase::Started,
            },
            exit_code: exit_code.and_then(|code| i32::try_from(code).ok()),
            reason: text("/reason"),
            started_at: text("/startedAt"),
            finished_at: text("/stepState/terminated/finishedAt"),
        }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<String> {
        let mut all = self.event.iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, value)| crate::event::text(value).into_owned())
    }

    pub(super) fn extensions(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> = self
            .event
            .iter_extensions()
            .map(|(name, value)| {
                (
                    name.to_owned(),
                    crate::event::text(value.into()).into_owned(),
                )
            })
            .collect();
        all.sort();
        all
    }

    pub(super) fn set_attribute(
        &mut self,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), wit::EditError> {
        let text = value.unwrap_or_default();
        let checked = match name {
            "subject" if value == Some("") => Err(AttributeError::Value(name.to_owned())),
            "subject" => attribute::check_value(name, text),
            _ => attribute::check_extension(name, text),
        };
        checked.map_err(|error| match error {
            AttributeError::ReadOnly(_) => wit::EditError::ReadOnly(error.to_string()),
            AttributeError::Name(_) | AttributeError::Value(_) => {
                wit::EditError::Invalid(error.to_string())
            }
        })?;
        self.spend(name.len() + text.len())?;
        if self.changes.attributes.len() >= MAX_ATTRIBUTES {
            return Err(wit::EditError::TooLarge);
        }
        self.changes
            .attributes
            .insert(name.to_owned(), value.map(str::to_owned));
        Ok(())
    }

    pub(super) fn data_json(&self) -> String {
        self.data.to_string()
    }

    pub(super) fn get(&self, place: &str) -> Option<String> {
        self.data.pointer(place).map(Value::to_string)
    }

    pub(super) fn set(&mut self, place: &str, json: Option<&str>) -> Result<(), wit::EditError> {
        pointer::root(place).map_err(wit::EditError::Invalid)?;
        let inside = |of: &str, place: &str| {
            place
                .strip_prefix(of)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let protected = PROTECTED
            .iter()
            .find(|known| inside(known, place) || inside(place, known));
        if let Some(known) = protected.or_else(|| ["/log"].iter().find(|log| inside(log, place))) {
            return Err(wit::EditError::ReadOnly(format!(
                "`{known}` cannot be set: it says what the event is about, or has functions of its own"
            )));
        }
        if self.changes.data.len() >= MAX_PARTS {
            return Err(wit::EditError::TooLarge);
        }
        // A parsed value takes many times its text.
        self.spend(place.len() + json.map_or(0, str::len).saturating_mul(4))?;
        self.held = self.held.saturating_add(json.map_or(0, size_in_memory));
        let value = json
            .map(serde_json::from_str)
            .transpose()
            .map_err(|error| wit::EditError::Invalid(format!("not JSON: {error}")))?;
        self.changes.data.push((place.to_owned(), value));
        Ok(())
    }

    pub(super) fn label(&self, name: &str) -> Option<String> {
        self.data
            .get("labels")?
            .get(name)?
            .as_str()
            .map(str::to_owned)
    }

    pub(super) fn annotation(&self, name: &str) -> Option<String> {
        self.context.annotations.get(name).map(ToString::to_string)
    }

    pub(super) fn log(&self) -> &str {
        self.log.as_deref().unwrap_or_default()
    }

    pub(super) fn read_log(&self, offset: u64, length: u32) -> Vec<u8> {
        let log = self.log().as_bytes();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(log.len());
        let end = start.saturating_add(length as usize).min(log.len());
        log.get(start..end).unwrap_or_default().to_vec()
    }

    pub(super) fn set_log(&mut self, text: String) -> Result<(), wit::EditError> {
        self.spend(text.len())?;
        self.changes.log = Some(LogChange::Text(text));
        Ok(())
    }

    pub(super) fn edit_log(&mut self, edits: Vec<wit::LogEdit>) -> Result<(), wit::EditError> {
        if self.changes.log.is_some() {
            return Err(wit::EditError::Invalid(
                "the log was changed in this call already".to_owned(),
            ));
        }
        self.spend(edits.iter().map(|edit| edit.text.len() + CHANGE_COST).sum())?;
        let mut ranges: Vec<(usize, usize, String)> = Vec::with_capacity(edits.len());
        for wit::LogEdit { start, end, text } in edits {
            let before = ranges.last().map_or(0, |(_, end, _)| *end);
            let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
            match range {
                Some((start, end)) if start >= before && self.log().get(start..end).is_some() => {
                    ranges.push((start, end, text));
                }
                _ => {
                    return Err(wit::EditError::Invalid(format!(
                        "range {start}..{end} is not inside the log, not on characters, or not after the one before"
                    )));
                }
            }
        }
        self.changes.log = Some(LogChange::Ranges(ranges));
        Ok(())
    }

    pub(super) fn redact(
        &mut self,
        rules: &str,
        scope: wit::Scope,
    ) -> Result<Vec<wit::Redaction>, wit::EditError> {
        let sets = self.rule_sets.clone();
        let Some((index, (_, scanner))) =
            sets.iter().enumerate().find(|(_, (name, _))| name == rules)
        else {
            let shown: String = rules.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(wit::EditError::Invalid(format!(
                "`configure` declared no rule set `{shown}`"
            )));
        };
        self.spend(rules.len())?;
        let mut counts = Counts::default();
        let limits = self.scan_limits();
        let (log, data) = self.changes.redacted.take().unwrap_or_default();
        let before = log.as_deref().unwrap_or(self.log());
        let masked = scanner
            .redact(before, &mut counts, limits)
            .map_err(|Exhausted| wit::EditError::TooLarge)?;
        let grown = masked.len().saturating_sub(before.len());
        let log = match masked {
            Cow::Owned(masked) => Some(masked),
            Cow::Borrowed(_) => log,
        };
        self.spend(grown)?;
        let data = match scope {
            wit::Scope::Log => data,
            wit::Scope::Everything => {
                let mut data = data.unwrap_or_else(|| self.data.clone());
                scanner
                    .redact_json(&mut data, &mut counts, self.scan_limits())
                    .map_err(|Exhausted| wit::EditError::TooLarge)?;
                Some(data)
            }
        };
        self.changes.redacted = Some((log, data));
        self.changes.redactions.push((index, scope));
        self.changes.counts.merge(&counts);
        Ok(counts
            .iter()
            .map(|(rule, count)| wit::Redaction {
                rule: rule.to_owned(),
                count,
            })
            .collect())
    }

    /// Memory that the changes take, in bytes.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    fn spend(&mut self, bytes: usize) -> Result<(), wit::EditError> {
        let cost = bytes.saturating_add(CHANGE_COST);
        let left = self.budget.checked_sub(cost);
        self.budget = left.ok_or(wit::EditError::TooLarge)?;
        self.held = self.held.saturating_add(cost);
        Ok(())
    }
}

/// About what JSON takes beside its text once it is parsed: a list of zeros has two bytes of text for each.
pub(super) fn size_in_memory(json: &str) -> usize {
    let values = json.bytes().filter(|byte| b",[{:".contains(byte)).count();
    values
        .saturating_add(1)
        .saturating_mul(2 * size_of::<Value>())
}

fn reassemble(
    mut event: Event,
    context: Arc<EventContext>,
    mut data: Value,
    log: Option<String>,
) -> Envelope {
    if let (Some(members), Some(log)) = (data.as_object_mut(), log) {
        members.insert("log".to_owned(), Value::String(log));
    }
    event.set_data_unchecked(data);
    Envelope { event, context }
}

/// Puts back what no plugin may change.
fn restore(mut data: Value, original: &Value) -> Value {
    for place in PROTECTED {
        pointer::set(&mut data, place, original.pointer(place).cloned());
    }
    data
}

fn scan(
    scanner: &Scanner,
    scope: wit::Scope,
    log: &mut Option<String>,
    data: &mut Value,
    limits: ScanLimits,
) -> Result<(), Exhausted> {
    let mut ignored = Counts::default();
    if let Some(log) = log
        && let Cow::Owned(masked) = scanner.redact(log, &mut ignored, limits)?
    {
        *log = masked;
    }
    match scope {
        wit::Scope::Log => Ok(()),
        wit::Scope::Everything => scanner.redact_json(data, &mut ignored, limits),
    }
}

fn splice(log: &str, ranges: &[(usize, usize, String)]) -> String {
    let mut spliced = String::with_capacity(log.len());
    let mut done = 0;
    for (start, end, text) in ranges {
        spliced.push_str(log.get(done..*start).unwrap_or_default());
        spliced.push_str(text);
        done = *end;
    }
    spliced.push_str(log.get(done..).unwrap_or_default());
    spliced
}
