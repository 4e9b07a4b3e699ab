//! Applies a rule set to JSON.

use super::{CompiledRule, MIN_VALUE_BYTES, SECRET_PROBE, Scanner};
use crate::meter::{self, Work};
use crate::{Exhausted, RedactionCounts, ScanLimits};
use serde_json::Value;
use std::borrow::Cow;

impl Scanner {
    /// Replaces all matches in every string below `value`. A string is searched together with its
    /// name, so that the rules for `password=x` find `{"password": "x"}`, `{"name": "TOKEN",
    /// "value": "x"}` and `["--password", "x"]`. A string that is JSON itself (results of a step)
    /// stays JSON.
    ///
    /// # Errors
    ///
    /// A limit is reached. The value is then partly redacted.
    pub fn redact_json(
        &self,
        value: &mut Value,
        counts: &mut RedactionCounts,
        limits: ScanLimits,
    ) -> Result<(), Exhausted> {
        self.redact_labelled(None, value, counts, limits)
    }

    /// Redacts a value that stands under the name `outer`.
    fn redact_labelled(
        &self,
        outer: Option<&str>,
        value: &mut Value,
        counts: &mut RedactionCounts,
        limits: ScanLimits,
    ) -> Result<(), Exhausted> {
        match value {
            Value::String(text) => self.redact_member(outer, text, counts, limits),
            Value::Array(items) => {
                let mut flag = None;
                for item in items {
                    let next = item
                        .as_str()
                        .filter(|text| text.starts_with('-'))
                        .map(|text| text.trim_start_matches('-').to_owned());
                    match item {
                        Value::String(text) => {
                            let label = flag.as_deref().or(outer);
                            self.redact_member(label, text, counts, limits)?
                        }
                        other => self.redact_labelled(outer, other, counts, limits)?,
                    }
                    flag = next;
                }
                Ok(())
            }
            Value::Object(members) => {
                let text =
                    |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
                let name = text("name").or_else(|| text("key"));
                for (key, member) in members {
                    // Parameters have values and defaults beside their names.
                    match (key.as_str(), &name) {
                        ("value" | "default", Some(name)) => {
                            self.redact_labelled(Some(name), member, counts, limits)?
                        }
                        _ => match member {
                            Value::String(text) => {
                                let before = counts.total();
                                self.redact_member(Some(key), text, counts, limits)?;
                                if outer.is_some() && counts.total() == before {
                                    self.redact_member(outer, text, counts, limits)?;
                                }
                            }
                            other => self.redact_labelled(outer, other, counts, limits)?,
                        },
                    }
                }
                Ok(())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn redact_member(
        &self,
        label: Option<&str>,
        text: &mut String,
        counts: &mut RedactionCounts,
        limits: ScanLimits,
    ) -> Result<(), Exhausted> {
        if text.starts_with(['{', '['])
            && let Ok(mut inner) = serde_json::from_str::<Value>(text)
        {
            let before = counts.total();
            self.redact_labelled(label, &mut inner, counts, limits)?;
            if counts.total() > before {
                *text = inner.to_string();
            }
            // The parser keeps only one of two members with the same name, and some rules match the
            // names in JSON; so the text is scanned, too.
            if let Cow::Owned(redacted) = self.redact(text, counts, limits)? {
                *text = redacted;
            }
            return Ok(());
        }
        // Masks the whole text, including blanks, if its name makes it a secret.
        if let Some(label) =
            label.filter(|_| text.len() >= MIN_VALUE_BYTES && !text.starts_with('$'))
            && let Some(rule) = self.rule_of_name(label, limits)?
        {
            if rule.replacement.len() > text.len().saturating_add(limits.growth) {
                return Err(Exhausted);
            }
            counts.add(&rule.id);
            text.clone_from(&rule.replacement);
            return Ok(());
        }
        if let Cow::Owned(redacted) = self.redact(text, counts, limits)? {
            *text = redacted;
        }
        Ok(())
    }

    /// Returns the rule that takes a text for a secret because of its name: it masks the whole of a
    /// sample secret with this name, and not without. A rule for any digits or letters, which would mask
    /// parts or all of every sample, looks at the text itself.
    fn rule_of_name(
        &self,
        name: &str,
        limits: ScanLimits,
    ) -> Result<Option<&CompiledRule>, Exhausted> {
        let named = format!("{name}={SECRET_PROBE}");
        let secret_start = named.len() - SECRET_PROBE.len();
        let work = &mut meter::until(Some(limits.deadline));
        let wanted = self.wanted(&named, work)?;
        for (rule, _) in self.rules.iter().zip(wanted).filter(|(_, wanted)| *wanted) {
            if rule.masks_rest(&named, secret_start, work)?
                && !rule.masks_rest(SECRET_PROBE, 0, work)?
            {
                return Ok(Some(rule));
            }
        }
        Ok(None)
    }
}

impl CompiledRule {
    /// Returns whether one match is all of a text from an offset on.
    fn masks_rest(&self, text: &str, from: usize, work: &mut dyn Work) -> Result<bool, Exhausted> {
        let mut masks = false;
        self.find(text, work, |range| {
            masks |= range.start <= from && range.end == text.len();
            Ok(())
        })?;
        Ok(masks)
    }
}
