//! The receipt of masking: the member of an event's data that counts the masked texts.

use crate::redact::{RedactionCounts, VALUE_RULE};
use crate::step::{Envelope, MaskCounts, Redactor};
use cloudevents::event::Data;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Member of the data that holds the receipt.
const MEMBER: &str = "redaction";
/// Maximum number of rules that a receipt lists.
const MAX_RULES: usize = 32;
/// Maximum number of plugins that a receipt lists in addition to the first one.
const MAX_OTHERS: usize = 8;
/// Longest id of a rule in a receipt, in bytes.
const MAX_ID_BYTES: usize = 64;
/// Longest name or version of a plugin in a receipt, in bytes.
const MAX_NAME_BYTES: usize = 64;

// As in `data.rs`, the members are sorted by their JSON names.

/// Counts of the texts that were masked in the event, also in parts that were left out afterwards
/// (`leftOut`, `logInfo`). Contains no positions, no lengths and no texts.
///
/// `rules` and `values` count the matches of all redactors. `plugin` names the first plugin that
/// masked, and `others` lists further plugins. The counts in `others` are a part of `rules` and
/// `values`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redaction {
    /// Number of matches in `values` that the observer itself masked (`knownSecrets`). Missing if
    /// there are none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub known_secrets: u64,
    /// Number of matches of rules that `rules` omits. These are rules beyond the 32 with the most
    /// matches, and rules whose id is longer than 64 bytes or has characters other than ASCII
    /// letters, digits, blanks and `-_.:/`. Missing if there are none.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub other_rules: u64,
    /// The plugins that masked after `plugin` did, at most 8. Missing if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub others: Vec<OtherRedactor>,
    /// Name of the plugin that declared the masks. If several plugins masked, the first of them.
    /// Missing if only `knownSecrets` masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Number of matches by the id of the rule. If there are more than 32 rules, only the 32 with
    /// the most matches.
    pub rules: BTreeMap<String, u64>,
    /// Number of matches of known values: values of a plugin's configuration and of `knownSecrets`.
    pub values: u64,
    /// Version of `plugin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A further plugin that masked in the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtherRedactor {
    /// Number of its matches, of rules and of known values.
    pub count: u64,
    /// Name of the plugin.
    pub plugin: String,
    /// Its version.
    pub version: String,
}

// === impl Redaction ===

impl Redaction {
    /// Returns the receipt for the masked texts, or `None` if nothing was masked.
    #[must_use]
    pub fn of(masked: &MaskCounts) -> Option<Self> {
        if masked.is_empty() {
            return None;
        }
        let mut all = RedactionCounts::default();
        let mut known_secrets = 0;
        let mut plugins = Vec::new();
        for (redactor, counts) in masked.iter() {
            all.merge(counts);
            let count = u64::from(counts.total());
            match redactor {
                Redactor::KnownSecrets => known_secrets += count,
                Redactor::Plugin { name, version } => plugins.push(OtherRedactor {
                    count,
                    plugin: shown(name),
                    version: shown(version),
                }),
            }
        }
        let (values, rules): (Vec<_>, Vec<_>) =
            all.iter().partition(|(rule, _)| *rule == VALUE_RULE);
        let (mut listed, unlisted): (Vec<_>, Vec<_>) =
            rules.into_iter().partition(|(rule, _)| is_listed(rule));
        listed.sort_by_key(|(rule, count)| (Reverse(*count), *rule));
        let rest = listed.split_off(listed.len().min(MAX_RULES));
        let mut plugins = plugins.into_iter();
        let (plugin, version) = plugins
            .next()
            .map(|first| (first.plugin, first.version))
            .unzip();
        Some(Self {
            known_secrets,
            other_rules: sum(rest) + sum(unlisted),
            others: plugins.take(MAX_OTHERS).collect(),
            plugin,
            rules: listed
                .into_iter()
                .map(|(rule, count)| (rule.to_owned(), u64::from(count)))
                .collect(),
            values: sum(values),
            version,
        })
    }
}

fn sum<'r>(counts: impl IntoIterator<Item = (&'r str, u32)>) -> u64 {
    counts.into_iter().map(|(_, count)| u64::from(count)).sum()
}

/// Returns whether a receipt may show the id of a rule. Plugins of the contract 0.1.0 may use any
/// text as an id.
fn is_listed(rule: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" -_.:/".contains(&byte);
    !rule.is_empty() && rule.len() <= MAX_ID_BYTES && rule.bytes().all(is_allowed)
}

/// Returns a name or a version without control characters, cut to `MAX_NAME_BYTES`.
fn shown(name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let end = name.floor_char_boundary(MAX_NAME_BYTES);
    name.get(..end).unwrap_or_default().to_owned()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Removes the receipt from the data before plugins see the event: a redactor would search the
/// receipt, too.
pub(crate) fn remove_redaction(envelope: &mut Envelope) {
    set(envelope, None);
}

/// Writes the receipt of all that was masked in an event into its data.
pub(crate) fn write_redaction(envelope: &mut Envelope) {
    let redaction = Redaction::of(&envelope.context.masked);
    set(envelope, redaction);
}

fn set(envelope: &mut Envelope, redaction: Option<Redaction>) {
    if envelope.event.data().is_none() {
        return;
    }
    let Some(mut data) = envelope.event.set_data_unchecked(Value::Null) else {
        return;
    };
    if let Data::Json(Value::Object(members)) = &mut data {
        match redaction.and_then(|redaction| serde_json::to_value(redaction).ok()) {
            Some(redaction) => drop(members.insert(MEMBER.to_owned(), redaction)),
            None => drop(members.remove(MEMBER)),
        }
    }
    envelope.event.set_data_unchecked(data);
}

#[cfg(test)]
mod tests;
