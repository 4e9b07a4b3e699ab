//! Selections of the host's catalogue of secrets.

use crate::bindings::exports::step_observer::plugin::masking as wit;
use serde::Deserialize;
use std::fmt;

/// A selection of the host's catalogue, with own rules and known values. [`Event::redact`] masks
/// what it finds.
///
/// ```
/// use step_observer_guest::{FullRule, MaskSet};
///
/// let rule = FullRule::new("ticket", "TICKET-[A-Za-z0-9]{12,}")
///     .keywords(["ticket-"])
///     .min_entropy(3.0);
/// let masks = MaskSet::new("secrets").without(["jwt"]).rules([rule]);
/// ```
///
/// [`Event::redact`]: crate::Event::redact
#[derive(Clone, PartialEq)]
pub struct MaskSet {
    /// The name to call `redact` with.
    pub name: String,
    /// Ids of rules of the catalogue that are left out. The host refuses an id that it does not
    /// know; `step-observer redact --rules` lists all.
    pub without: Vec<String>,
    /// Ids of the only rules of the catalogue that are used; an empty list uses none. `None`: all
    /// are used.
    pub only: Option<Vec<String>>,
    /// Own rules.
    pub rules: Vec<FullRule>,
    /// Known secrets. At least 4 bytes each.
    pub values: Vec<String>,
    /// Text in the place of a secret.
    pub replacement: Replacement,
}

/// One kind of secret, with all conditions that a text must meet to be such a secret.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FullRule {
    /// Id of the rule, for the replacement and for counts.
    pub id: String,
    /// Regular expression. If it has a group called `secret`, only this group is masked.
    pub pattern: String,
    /// Words, at least one of which must be near every match. The case of ASCII letters is ignored.
    /// If the list is empty, the pattern searches the whole text.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// Least length of the secret in bytes.
    #[serde(default)]
    pub min_length: u32,
    /// Least Shannon entropy of the secret in bits per byte, from 0 to 8.
    #[serde(default)]
    pub min_entropy: f32,
    /// Regular expressions: a secret that one of them matches is not masked.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Words: a secret that contains one of them is not masked.
    #[serde(default)]
    pub allow_words: Vec<String>,
    /// Text in the place of the secret, instead of the replacement of the set.
    pub replacement: Option<String>,
}

/// Text in the place of a secret.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Replacement {
    /// `[redacted:<id of the rule>]`.
    #[default]
    Rule,
    /// This text.
    Text(String),
    /// `[redacted:<id of the rule>:<ten hexadecimal digits>]`, by which equal secrets of two events
    /// can be recognised. The digits depend on this key, which has at least 16 bytes.
    Token(String),
}

// === impl MaskSet ===

impl MaskSet {
    /// Returns a set that uses the whole catalogue.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            without: Vec::new(),
            only: None,
            rules: Vec::new(),
            values: Vec::new(),
            replacement: Replacement::Rule,
        }
    }

    /// Leaves rules of the catalogue out.
    #[must_use]
    pub fn without<T: Into<String>>(mut self, ids: impl IntoIterator<Item = T>) -> Self {
        self.without.extend(ids.into_iter().map(Into::into));
        self
    }

    /// Uses only these rules of the catalogue.
    #[must_use]
    pub fn only<T: Into<String>>(mut self, ids: impl IntoIterator<Item = T>) -> Self {
        let only = self.only.get_or_insert_default();
        only.extend(ids.into_iter().map(Into::into));
        self
    }

    /// Adds own rules.
    #[must_use]
    pub fn rules(mut self, rules: impl IntoIterator<Item = FullRule>) -> Self {
        self.rules.extend(rules);
        self
    }

    /// Adds known secrets.
    #[must_use]
    pub fn values<T: Into<String>>(mut self, values: impl IntoIterator<Item = T>) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// Sets the text in the place of a secret.
    #[must_use]
    pub fn replacement(mut self, replacement: Replacement) -> Self {
        self.replacement = replacement;
        self
    }
}

// === impl FullRule ===

impl FullRule {
    /// Returns a rule with an id and a pattern.
    #[must_use]
    pub fn new(id: impl Into<String>, pattern: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            pattern: pattern.into(),
            ..Self::default()
        }
    }

    /// Adds keywords.
    #[must_use]
    pub fn keywords<T: Into<String>>(mut self, words: impl IntoIterator<Item = T>) -> Self {
        self.keywords.extend(words.into_iter().map(Into::into));
        self
    }

    /// Sets the least length of the secret in bytes.
    #[must_use]
    pub fn min_length(mut self, bytes: u32) -> Self {
        self.min_length = bytes;
        self
    }

    /// Sets the least entropy of the secret in bits per byte.
    #[must_use]
    pub fn min_entropy(mut self, bits: f32) -> Self {
        self.min_entropy = bits;
        self
    }

    /// Adds patterns of secrets that are not masked.
    #[must_use]
    pub fn allow<T: Into<String>>(mut self, patterns: impl IntoIterator<Item = T>) -> Self {
        self.allow.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Adds words of secrets that are not masked.
    #[must_use]
    pub fn allow_words<T: Into<String>>(mut self, words: impl IntoIterator<Item = T>) -> Self {
        self.allow_words.extend(words.into_iter().map(Into::into));
        self
    }

    /// Sets the text in the place of the secret.
    #[must_use]
    pub fn replacement(mut self, text: impl Into<String>) -> Self {
        self.replacement = Some(text.into());
        self
    }
}

// === Debug output without patterns, values and keys ===

impl fmt::Debug for MaskSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            without,
            only,
            rules,
            values,
            replacement,
        } = self;
        formatter
            .debug_struct("MaskSet")
            .field("name", name)
            .field("without", without)
            .field("only", only)
            .field("rules", rules)
            .field("values", &values.len())
            .field("replacement", replacement)
            .finish()
    }
}

impl fmt::Debug for FullRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FullRule")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Replacement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Rule => "Rule",
            Self::Text(_) => "Text(…)",
            Self::Token(_) => "Token(…)",
        })
    }
}

// === Conversions to the contract ===

impl From<MaskSet> for wit::MaskSet {
    fn from(set: MaskSet) -> Self {
        let MaskSet {
            name,
            without,
            only,
            rules,
            values,
            replacement,
        } = set;
        Self {
            name,
            without,
            only,
            rules: rules.into_iter().map(Into::into).collect(),
            values,
            replacement: match replacement {
                Replacement::Rule => wit::Replacement::Rule,
                Replacement::Text(text) => wit::Replacement::Text(text),
                Replacement::Token(key) => wit::Replacement::Token(key),
            },
        }
    }
}

impl From<FullRule> for wit::FullRule {
    fn from(rule: FullRule) -> Self {
        let FullRule {
            id,
            pattern,
            keywords,
            min_length,
            min_entropy,
            allow,
            allow_words,
            replacement,
        } = rule;
        Self {
            id,
            pattern,
            keywords,
            min_length,
            min_entropy,
            allow,
            allow_words,
            replacement,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_value_no_pattern_and_no_key() {
        let rule = FullRule::new("own", "a-pattern").replacement("a-text");
        let set = MaskSet::new("secrets")
            .only(["jwt"])
            .rules([rule])
            .values(["a-value"])
            .replacement(Replacement::Token("a-key".to_owned()));
        let shown = format!("{set:?}");
        assert!(shown.contains("jwt") && shown.contains("own"), "{shown}");
        assert!(!shown.contains("a-"), "{shown}");
    }
}
