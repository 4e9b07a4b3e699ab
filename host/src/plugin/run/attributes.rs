//! Masks the subject and the extension attributes of an event after the last plugin of a chain: a
//! plugin before or after the redactor may have copied a secret into them.

use crate::plugin::sandbox::{RuleSet, RuleSets};
use crate::redact::{Exhausted, RedactionCounts, ScanLimits};
use cloudevents::event::ExtensionValue;
use cloudevents::{AttributesReader as _, AttributesWriter as _, Event};
use serde_json::{Map, Value};
use step_observer_event_model::attribute;

/// Masks the subject and the extension attributes with all sets of a plugin. An extension is
/// searched together with its name, like a member of the data. Attributes that identify the event,
/// and attributes that only the observer sets, are not changed: receivers use them to route events
/// and to drop repeated events. An attribute that is not valid after masking is removed.
///
/// # Errors
///
/// A limit is reached. The attributes are then partly masked.
pub(super) fn mask(
    event: &mut Event,
    sets: &RuleSets,
    limits: ScanLimits,
) -> Result<RedactionCounts, Exhausted> {
    let mut all = RedactionCounts::default();
    for (_, set) in sets {
        mask_subject(event, set, &mut all, limits)?;
        mask_extensions(event, set, &mut all, limits)?;
    }
    Ok(all)
}

fn mask_subject(
    event: &mut Event,
    set: &RuleSet,
    all: &mut RedactionCounts,
    limits: ScanLimits,
) -> Result<(), Exhausted> {
    let Some(subject) = event.subject() else {
        return Ok(());
    };
    let mut counts = RedactionCounts::default();
    let masked = set.redact(subject, &mut counts, limits)?;
    // A rule may match the mask that it has inserted before. Such a match is not counted.
    if masked != subject {
        let masked = attribute::masked_value("subject", &masked);
        event.set_subject(masked);
        all.merge(&counts);
    }
    Ok(())
}

fn mask_extensions(
    event: &mut Event,
    set: &RuleSet,
    all: &mut RedactionCounts,
    limits: ScanLimits,
) -> Result<(), Exhausted> {
    let mut changed = Vec::new();
    for (name, value) in event.iter_extensions() {
        if attribute::is_reserved(name) {
            continue;
        }
        let value: Value = match value {
            ExtensionValue::String(text) => text.as_str().into(),
            ExtensionValue::Integer(number) => (*number).into(),
            ExtensionValue::Boolean(_) => continue,
        };
        let mut counts = RedactionCounts::default();
        let mut masked = Value::Object(Map::from_iter([(name.to_owned(), value.clone())]));
        set.redact_json(&mut masked, &mut counts, limits)?;
        // The name is missing if it was masked itself.
        let masked = masked.get_mut(name).map(Value::take);
        if masked.as_ref() != Some(&value) {
            all.merge(&counts);
            changed.push((name.to_owned(), masked));
        }
    }
    for (name, masked) in changed {
        let masked = masked.as_ref().and_then(Value::as_str);
        match masked.and_then(|masked| attribute::masked_value(&name, masked)) {
            Some(masked) => event.set_extension(&name, masked),
            None => drop(event.remove_extension(&name)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
