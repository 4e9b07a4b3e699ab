//! An event during a plugin call: the parts that the plugin reads, and the changes that it
//! requests.
//!
//! Changes are recorded and bounded. They are applied to the event only if the call succeeds and
//! the plugin answers `keep`.

use super::bindings::step_observer::plugin::events as wit;
use super::limits::Limits;
use super::rule_sets::{RuleSet, RuleSets};
use crate::redact::{Exhausted, RedactionCounts, ScanLimits};
use crate::step::{Envelope, EventContext};
use cloudevents::event::Data;
use cloudevents::{AttributesReader, AttributesWriter, Event};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use step_observer_event_model::{EditError, Edits, Phase, Step, field};

/// The parts of an event, with the changes that the plugin requests.
#[derive(Debug)]
pub(crate) struct Draft {
    event: Event,
    context: Arc<EventContext>,
    data: Value,
    log: Option<String>,
    deadline: Instant,
    rule_sets: Arc<RuleSets>,
    edits: Edits,
    redactions: Redactions,
}

/// The redactions that the plugin has asked for.
#[derive(Debug, Default)]
struct Redactions {
    /// Index of the rule set, and the scope of the redaction.
    requested: Vec<(usize, wit::Scope)>,
    /// Log and data with only the redactions so far, without the plugin's other changes. `None` if
    /// the redactions change nothing.
    result: Option<(Option<String>, Option<Value>)>,
    counts: RedactionCounts,
}

// === impl Draft ===

impl Draft {
    pub(crate) fn new(envelope: Envelope, rule_sets: Arc<RuleSets>, limits: &Limits) -> Self {
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
            edits: Edits::new(budget),
            redactions: Redactions::default(),
        }
    }

    /// Returns the event as it was before the call.
    pub(crate) fn discard(self) -> Envelope {
        let Self {
            event,
            context,
            data,
            log,
            ..
        } = self;
        reassemble(event, context, data, log)
    }

    /// Returns the event with the changes, and the number of masked matches by rule.
    ///
    /// # Errors
    ///
    /// Masking the changed texts takes too long; returns the event as it was before the call.
    pub(crate) fn apply(self) -> Result<(Envelope, RedactionCounts), Box<Envelope>> {
        let limits = self.scan_limits();
        let Self {
            mut event,
            context,
            data: original,
            log: original_log,
            rule_sets,
            edits,
            redactions,
            ..
        } = self;
        let Redactions {
            requested,
            result,
            counts,
        } = redactions;
        let (log, data, attributes) = if edits.change_content() {
            let (mut log, mut data) = (original_log.clone(), original.clone());
            let attributes = edits.apply(&mut log, &mut data);
            for (set, scope) in requested {
                let Some((_, set)) = rule_sets.get(set) else {
                    continue;
                };
                if scan(set, scope, &mut log, &mut data, limits).is_err() {
                    return Err(Box::new(reassemble(event, context, original, original_log)));
                }
            }
            (log, field::restore(data, &original), attributes)
        } else {
            let (log, data) = result.unwrap_or_default();
            let data = data.map(|data| field::restore(data, &original));
            let (mut log, mut data) = (log.or(original_log), data.unwrap_or(original));
            let attributes = edits.apply(&mut log, &mut data);
            (log, data, attributes)
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
            growth: self.edits.budget(),
            deadline: self.deadline,
        }
    }

    pub(crate) fn header(&self) -> wit::Header {
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

    pub(crate) fn step(&self) -> wit::Step {
        Step::read(self.event.ty(), &self.data).into()
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        let mut all = self.event.iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, value)| crate::event::canonical_text(value).into_owned())
    }

    pub(crate) fn extensions(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> = self
            .event
            .iter_extensions()
            .map(|(name, value)| {
                (
                    name.to_owned(),
                    crate::event::canonical_text(value.into()).into_owned(),
                )
            })
            .collect();
        all.sort();
        all
    }

    pub(crate) fn set_attribute(
        &mut self,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), wit::EditError> {
        Ok(self.edits.set_attribute(name, value)?)
    }

    pub(crate) fn data_json(&self) -> String {
        self.data.to_string()
    }

    pub(crate) fn get(&self, place: &str) -> Option<String> {
        self.data.pointer(place).map(Value::to_string)
    }

    pub(crate) fn set(&mut self, place: &str, json: Option<&str>) -> Result<(), wit::EditError> {
        Ok(self.edits.set(place, json)?)
    }

    pub(crate) fn label(&self, name: &str) -> Option<String> {
        self.data
            .get("labels")?
            .get(name)?
            .as_str()
            .map(str::to_owned)
    }

    pub(crate) fn annotation(&self, name: &str) -> Option<String> {
        self.context.annotations.get(name).map(ToString::to_string)
    }

    pub(crate) fn log(&self) -> &str {
        self.log.as_deref().unwrap_or_default()
    }

    pub(crate) fn read_log(&self, offset: u64, length: u32) -> Vec<u8> {
        let log = self.log().as_bytes();
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(log.len());
        let end = start.saturating_add(length as usize).min(log.len());
        log.get(start..end).unwrap_or_default().to_vec()
    }

    pub(crate) fn set_log(&mut self, text: String) -> Result<(), wit::EditError> {
        Ok(self.edits.set_log(text)?)
    }

    pub(crate) fn edit_log(&mut self, edits: Vec<wit::LogEdit>) -> Result<(), wit::EditError> {
        let edits = edits.into_iter();
        let edits = edits.map(|wit::LogEdit { start, end, text }| (start, end, text));
        let log = self.log.as_deref().unwrap_or_default();
        Ok(self.edits.edit_log(log, edits.collect())?)
    }

    pub(crate) fn redact(
        &mut self,
        rules: &str,
        scope: wit::Scope,
    ) -> Result<Vec<wit::Redaction>, wit::EditError> {
        let sets = self.rule_sets.clone();
        let Some((index, (_, set))) = sets.iter().enumerate().find(|(_, (name, _))| name == rules)
        else {
            let shown: String = rules.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(wit::EditError::Invalid(format!(
                "`configure` declared no rule set `{shown}`"
            )));
        };
        self.edits.spend(rules.len())?;
        let mut counts = RedactionCounts::default();
        let limits = self.scan_limits();
        let (log, data) = self.redactions.result.take().unwrap_or_default();
        let before = log.as_deref().unwrap_or(self.log());
        let masked = set
            .redact(before, &mut counts, limits)
            .map_err(|Exhausted| wit::EditError::TooLarge)?;
        let grown = masked.len().saturating_sub(before.len());
        let log = match masked {
            Cow::Owned(masked) => Some(masked),
            Cow::Borrowed(_) => log,
        };
        self.edits.spend(grown)?;
        let data = match scope {
            wit::Scope::Log => data,
            wit::Scope::Everything => {
                let mut data = data.unwrap_or_else(|| self.data.clone());
                set.redact_json(&mut data, &mut counts, self.scan_limits())
                    .map_err(|Exhausted| wit::EditError::TooLarge)?;
                Some(data)
            }
        };
        self.redactions.result = Some((log, data));
        self.redactions.requested.push((index, scope));
        self.redactions.counts.merge(&counts);
        Ok(counts
            .iter()
            .map(|(rule, count)| wit::Redaction {
                rule: rule.to_owned(),
                count,
            })
            .collect())
    }

    /// Returns the memory that the changes take, in bytes.
    pub(crate) fn held(&self) -> usize {
        self.edits.held()
    }
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

fn scan(
    set: &RuleSet,
    scope: wit::Scope,
    log: &mut Option<String>,
    data: &mut Value,
    limits: ScanLimits,
) -> Result<(), Exhausted> {
    let mut ignored = RedactionCounts::default();
    if let Some(log) = log
        && let Cow::Owned(masked) = set.redact(log, &mut ignored, limits)?
    {
        *log = masked;
    }
    match scope {
        wit::Scope::Log => Ok(()),
        wit::Scope::Everything => set.redact_json(data, &mut ignored, limits),
    }
}

// === From the event model to the contract ===

impl From<Step> for wit::Step {
    fn from(step: Step) -> Self {
        let Step {
            namespace,
            pipeline_run,
            pipeline_task,
            task_run,
            name,
            index,
            attempt,
            pod,
            container,
            image,
            phase,
            exit_code,
            reason,
            started_at,
            finished_at,
        } = step;
        Self {
            namespace,
            pipeline_run,
            pipeline_task,
            task_run,
            name,
            index,
            attempt,
            pod,
            container,
            image,
            phase: phase.into(),
            exit_code,
            reason,
            started_at,
            finished_at,
        }
    }
}

impl From<Phase> for wit::Phase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Started => Self::Started,
            Phase::Succeeded => Self::Succeeded,
            Phase::Failed => Self::Failed,
            Phase::Skipped => Self::Skipped,
        }
    }
}

impl From<EditError> for wit::EditError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::ReadOnly(why) => Self::ReadOnly(why),
            EditError::Invalid(why) => Self::Invalid(why),
            EditError::TooLarge => Self::TooLarge,
        }
    }
}
