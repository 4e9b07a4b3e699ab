//! Masks JSON: the data of an event.

use crate::engine::Engine;
use crate::forms::named::{self, Strength, judge};
use crate::meter::{self, Work};
use crate::{Exhausted, RedactionCounts, ScanLimits};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;

/// Longest name of a member that is searched together with its value, in bytes.
const MAX_NAME: usize = 96;

/// Work that is counted for each value, besides the search in its text.
const VALUE_WORK: usize = 256;

/// Names of the members that hold the name for a value in another member.
const NAME_MEMBERS: &[&str] = &[
    "name",
    "key",
    "Name",
    "Key",
    "variable",
    "field",
    "ParameterKey",
];

/// Names of the members that hold the value for a name in another member. Parameters have defaults,
/// too.
const VALUE_MEMBERS: &[&str] = &[
    "value",
    "default",
    "Value",
    "Default",
    "values",
    "ParameterValue",
];

/// Short options of commands before a secret.
const SHORT_OPTIONS: &[&str] = &["-p", "-P", "-u", "-k", "-a", "-w"];

impl Engine {
    /// Masks all secrets in a JSON value: in its strings, and all values under the name of a secret
    /// (strings, numbers, lists and objects). Name and value may also stand in two members (`name`
    /// and `value`) or in two arguments (`--password`, `x`). Names of members are searched, too. A
    /// string that is JSON stays JSON.
    ///
    /// # Errors
    ///
    /// A limit is reached. The value is then partly masked.
    pub fn mask_json(
        &self,
        value: &mut Value,
        counts: &mut RedactionCounts,
        limits: ScanLimits,
    ) -> Result<(), Exhausted> {
        let mut pass = Pass {
            engine: self,
            counts,
            limits,
            work: &mut meter::until(Some(limits.deadline)),
        };
        pass.value(value, Label::default())
    }
}

/// What stands before a value.
#[derive(Clone, Copy, Default)]
struct Label<'l> {
    /// The name, empty if there is none.
    name: &'l str,
    /// How surely this name, or the name of a value around it, is the name of a secret.
    strength: Option<Strength>,
}

impl<'l> Label<'l> {
    /// Returns the label of a value under a name within `self`.
    fn under(self, name: &'l str) -> Self {
        let own = Some(judge(name)).filter(|strength| *strength != Strength::None);
        Self {
            name,
            strength: own.or(self.strength),
        }
    }
}

struct Pass<'p> {
    engine: &'p Engine,
    counts: &'p mut RedactionCounts,
    limits: ScanLimits,
    work: &'p mut dyn Work,
}

impl Pass<'_> {
    fn value(&mut self, value: &mut Value, label: Label<'_>) -> Result<(), Exhausted> {
        self.work.spend(VALUE_WORK)?;
        match value {
            Value::String(text) => self.string(text, label),
            Value::Array(items) => self.list(items, label),
            Value::Object(members) => self.object(members, label),
            Value::Number(number) => {
                if let Some(masked) = self.whole(&number.to_string(), label) {
                    *value = Value::String(masked);
                }
                Ok(())
            }
            Value::Null | Value::Bool(_) => Ok(()),
        }
    }

    fn string(&mut self, text: &mut String, label: Label<'_>) -> Result<(), Exhausted> {
        if text.trim_start().starts_with(['{', '['])
            && let Some(mut inner) = parse(text)
        {
            let before = self.counts.total();
            self.value(&mut inner, label)?;
            if self.counts.total() > before {
                *text = inner.to_string();
            }
            return Ok(());
        }
        if let Some(masked) = self.whole(text, label) {
            *text = masked;
            return Ok(());
        }
        self.text(text, label.name)
    }

    /// Returns the mask of a whole value if its name says that it is a secret.
    fn whole(&mut self, text: &str, label: Label<'_>) -> Option<String> {
        let form = named::form_of_value(label.strength?, text.trim())?;
        let rule = self.engine.rule_of(form)?;
        self.counts.add(self.engine.rule_id(rule));
        Some(self.engine.replacement(rule, text).into_owned())
    }

    /// Masks a text together with its name, because headers are recognised by their names.
    fn text(&mut self, text: &mut String, name: &str) -> Result<(), Exhausted> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(is_name) {
            let prefix = format!("{name}: ");
            let joined = format!("{prefix}{text}");
            let mut counts = RedactionCounts::default();
            match self.engine.mask(&joined, &mut counts, self.limits)? {
                Cow::Borrowed(_) => return Ok(()),
                Cow::Owned(masked) => {
                    if let Some(masked) = masked.strip_prefix(&prefix) {
                        self.counts.merge(&counts);
                        *text = masked.to_owned();
                        return Ok(());
                    }
                }
            }
        }
        if let Cow::Owned(masked) = self.engine.mask(text, self.counts, self.limits)? {
            *text = masked;
        }
        Ok(())
    }

    fn list(&mut self, items: &mut [Value], label: Label<'_>) -> Result<(), Exhausted> {
        self.command(items)?;
        let pair = items.len() == 2;
        let mut before: Option<String> = None;
        for item in items {
            let next = item.as_str().and_then(|text| {
                let name = text.trim_start_matches('-');
                let is_option = name.len() < text.len() && !name.contains(['=', ' ']);
                let is_first = pair && before.is_none() && judge(name) >= Strength::Medium;
                (is_option || is_first).then(|| name.to_owned())
            });
            let label = match (&before, &item) {
                (Some(name), Value::String(_) | Value::Number(_)) if next.is_none() => {
                    // The name of the option is another item, so the text is searched without a
                    // name.
                    Label {
                        name: "",
                        ..label.under(name)
                    }
                }
                _ => Label { name: "", ..label },
            };
            self.value(item, label)?;
            before = next;
        }
        Ok(())
    }

    /// Masks the arguments of a command with short options (`docker`, `login`, `-p`, `x`), which have
    /// a meaning only together.
    fn command(&mut self, items: &mut [Value]) -> Result<(), Exhausted> {
        let is_short = |text: &str| {
            let option = text.get(..2).unwrap_or_default();
            SHORT_OPTIONS.contains(&option)
        };
        let mut joined = String::new();
        let mut places = Vec::new();
        let mut short = false;
        for item in items.iter() {
            let Value::String(text) = item else {
                return Ok(());
            };
            short |= is_short(text);
            places.push(joined.len()..joined.len() + text.len());
            joined.push_str(text);
            joined.push(' ');
        }
        if !short || joined.contains('\n') || joined.len() > crate::REACH {
            return Ok(());
        }
        for hit in self.engine.hits(&joined, self.limits.deadline)? {
            let after = places.partition_point(|place| place.start <= hit.range.start);
            let index = after.checked_sub(1).filter(|index| {
                places
                    .get(*index)
                    .is_some_and(|place| hit.range.end <= place.end)
            });
            let Some((Value::String(text), place)) =
                index.and_then(|index| items.get_mut(index).zip(places.get(index)))
            else {
                continue;
            };
            let (from, to) = (hit.range.start - place.start, hit.range.end - place.start);
            // Masks only the first secret of an argument. The others are found by a later search of
            // the argument.
            let (Some(start), Some(secret), Some(end)) =
                (text.get(..from), text.get(from..to), text.get(to..))
            else {
                continue;
            };
            if joined.get(hit.range.clone()) != Some(secret) {
                continue;
            }
            let mask = self.engine.replacement(hit.rule, secret);
            let masked = format!("{start}{mask}{end}");
            self.counts.add(self.engine.rule_id(hit.rule));
            *text = masked;
        }
        Ok(())
    }

    fn object(
        &mut self,
        members: &mut Map<String, Value>,
        label: Label<'_>,
    ) -> Result<(), Exhausted> {
        let named = NAME_MEMBERS
            .iter()
            .find_map(|name| members.get(*name).and_then(Value::as_str))
            .map(str::to_owned);
        let mut renamed = Vec::new();
        for (key, member) in members.iter_mut() {
            let own = match &named {
                Some(name) if VALUE_MEMBERS.contains(&key.as_str()) => label.under(name),
                _ => label.under(key),
            };
            self.value(member, own)?;
            if let Cow::Owned(masked) = self.engine.mask(key, self.counts, self.limits)? {
                renamed.push((key.clone(), masked));
            }
        }
        // The next number for each masked name: many names may look the same when they are masked.
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for (key, masked) in renamed {
            self.work.spend(VALUE_WORK)?;
            if let Some(member) = members.remove(&key) {
                let mut unused = masked.clone();
                let number = numbers.entry(masked.clone()).or_insert(2);
                while members.contains_key(&unused) {
                    unused = format!("{masked} {number}");
                    *number += 1;
                }
                members.insert(unused, member);
            }
        }
        Ok(())
    }
}

/// Parses JSON. Returns `None` if a name stands twice in an object: only one of the two members would
/// be kept, and the other would escape the search.
fn parse(text: &str) -> Option<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Unique.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    serde_json::from_str(text).ok()
}

/// Reads JSON without keeping it, and fails if a name stands twice in an object.
#[derive(Clone, Copy)]
struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("JSON without double names")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = std::collections::HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a name stands twice"));
            }
            members.next_value_seed(self)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
