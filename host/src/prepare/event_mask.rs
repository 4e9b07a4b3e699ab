//! Masks known secrets in an event: in every string of the data, in names of members, in extension
//! attributes, in the subject, and in the annotations that plugins can read. Fields and attributes
//! that identify the event are not masked, because receivers route by them.

use crate::redact::{Engine, Exhausted, RedactionCounts, ScanLimits};
use crate::step::{Envelope, EventContext, StringMap};
use cloudevents::event::{Data, ExtensionValue};
use cloudevents::{AttributesReader as _, AttributesWriter as _};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use step_observer_event_model::attribute;
use step_observer_event_model::field;

/// Longest time to mask one event.
const MAX_TIME: Duration = Duration::from_secs(5);
/// Most bytes by which a text may grow.
const MAX_GROWTH: usize = 16 * 1024 * 1024;

/// Masks known values in events.
#[derive(Debug)]
pub(super) struct EventMask(Arc<Engine>);

/// The work on one event.
struct Pass<'m> {
    engine: &'m Engine,
    limits: ScanLimits,
    counts: RedactionCounts,
}

impl EventMask {
    /// Creates a mask for the secrets that `engine` finds.
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self(engine)
    }

    /// Masks an event. Returns the number of matches.
    ///
    /// # Errors
    ///
    /// Masking takes too much time or memory. The event is then partly masked.
    pub(super) fn mask(&self, envelope: &mut Envelope) -> Result<RedactionCounts, Exhausted> {
        let mut pass = Pass {
            engine: &self.0,
            limits: ScanLimits {
                growth: MAX_GROWTH,
                deadline: Instant::now() + MAX_TIME,
            },
            counts: RedactionCounts::default(),
        };
        // Does not use `take_data`, which would also remove the attributes that describe the data.
        let data = envelope.event.data().is_some();
        let data = data.then(|| envelope.event.set_data_unchecked(Value::Null));
        if let Some(mut data) = data.flatten() {
            let masked = match &mut data {
                Data::Json(data) => pass.members_of(data, ""),
                Data::String(text) => pass.text(text),
                // Plugins set JSON or text only.
                Data::Binary(_) => Ok(()),
            };
            envelope.event.set_data_unchecked(data);
            masked?;
        }
        pass.attributes(envelope)?;
        pass.annotations(envelope)?;
        Ok(pass.counts)
    }
}

impl Pass<'_> {
    /// Returns the masked text, if a value was found.
    fn masked(&mut self, text: &str) -> Result<Option<String>, Exhausted> {
        Ok(
            match self.engine.mask(text, &mut self.counts, self.limits)? {
                Cow::Owned(masked) => Some(masked),
                Cow::Borrowed(_) => None,
            },
        )
    }

    fn text(&mut self, text: &mut String) -> Result<(), Exhausted> {
        if let Some(masked) = self.masked(text)? {
            *text = masked;
        }
        Ok(())
    }

    /// Masks the members of the object at the pointer `parent`, except those that no plugin may
    /// change.
    fn members_of(&mut self, value: &mut Value, parent: &str) -> Result<(), Exhausted> {
        let Value::Object(members) = value else {
            return self.value(value);
        };
        for (name, member) in members.iter_mut() {
            match field::find(parent, name) {
                Some(field) if field.plugin.is_restored() => {}
                Some(field) => self.members_of(member, field.pointer)?,
                None => self.value(member)?,
            }
        }
        self.names(members, |name| field::find(parent, name).is_some())
    }

    fn value(&mut self, value: &mut Value) -> Result<(), Exhausted> {
        match value {
            Value::Null | Value::Bool(_) => Ok(()),
            Value::String(text) => self.text(text),
            Value::Number(number) => {
                if let Some(masked) = self.masked(&number.to_string())? {
                    *value = masked.into();
                }
                Ok(())
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.value(item)),
            Value::Object(members) => {
                let mut all = members.values_mut();
                all.try_for_each(|member| self.value(member))?;
                self.names(members, |_| false)
            }
        }
    }

    /// Masks the names of members, except those that are fixed.
    fn names(
        &mut self,
        members: &mut Map<String, Value>,
        is_fixed: impl Fn(&str) -> bool,
    ) -> Result<(), Exhausted> {
        let mut renamed = Vec::new();
        for name in members.keys().filter(|name| !is_fixed(name)) {
            if let Some(masked) = self.masked(name)? {
                renamed.push((name.clone(), masked));
            }
        }
        for (name, masked) in renamed {
            let Some(value) = members.remove(&name) else {
                continue;
            };
            // Two names may have the same mask.
            let mut free = masked.clone();
            let mut number = 1_u32;
            while members.contains_key(&free) {
                number += 1;
                free = format!("{masked}-{number}");
            }
            members.insert(free, value);
        }
        Ok(())
    }

    fn attributes(&mut self, envelope: &mut Envelope) -> Result<(), Exhausted> {
        if let Some(subject) = envelope.event.subject()
            && let Some(masked) = self.masked(subject)?
        {
            envelope.event.set_subject(Some(masked));
        }
        let mut changed = Vec::new();
        for (name, value) in envelope.event.iter_extensions() {
            if attribute::is_reserved(name) {
                continue;
            }
            if let Some(masked) = self.masked(&value.to_string())? {
                changed.push((name.to_owned(), masked));
            }
        }
        for (name, masked) in changed {
            let masked = ExtensionValue::String(masked);
            envelope.event.set_extension(&name, masked);
        }
        Ok(())
    }

    fn annotations(&mut self, envelope: &mut Envelope) -> Result<(), Exhausted> {
        let mut entries = Vec::new();
        let mut has_changed = false;
        for (name, value) in envelope.context.annotations.iter() {
            let masked = (self.masked(name)?, self.masked(value)?);
            has_changed |= masked != (None, None);
            let text = |masked: Option<String>, text: &str| -> Arc<str> {
                masked.map_or_else(|| text.into(), Into::into)
            };
            entries.push((text(masked.0, name), text(masked.1, value)));
        }
        if has_changed {
            envelope.context = Arc::new(EventContext {
                annotations: StringMap::from_iter(entries),
                ..(*envelope.context).clone()
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
