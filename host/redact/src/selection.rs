//! Limits of a selection, and the kinds and forms of the catalogue that it names.

use crate::options::{FullRule, Options, Replacement};
use crate::own_rule::OwnRule;
use crate::rule_set::{MAX_LARGE_PATTERNS, MAX_RULES, MAX_VALUES};
use crate::{catalog, forms};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Maximum number of patterns in the allow lists of all own rules.
const MAX_ALLOW_PATTERNS: usize = 1024;
/// Maximum number of words in the allow lists of all own rules.
const MAX_ALLOW_WORDS: usize = 16 * 1024;
/// Longest text that may replace a secret, in bytes.
const MAX_REPLACEMENT_BYTES: usize = 256;
/// Shortest and longest key of [`Replacement::Token`], in bytes. A shorter key can be guessed from a
/// token and its secret.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=4096;
/// Maximum number of ids that an error suggests.
const MAX_NEAR: usize = 5;

/// Ids of rules that `redact-secrets` had before the catalogue and that the catalogue does not
/// have. Each is followed by the beginnings of the ids that replace it. So configurations that name
/// an old id keep their meaning.
///
/// The rules that replace the last two ids also find other secrets. So these two are accepted, but
/// have no effect: masking too much is better than showing a secret.
const OLD_IDS: &[(&str, &[&str])] = &[
    ("github-token", &["github-"]),
    ("gitlab-token", &["gitlab-"]),
    ("npm-token", &["npm-"]),
    ("pypi-token", &["pypi-"]),
    (
        "docker-token",
        &["docker-personal-access-token", "docker-organization-"],
    ),
    ("hugging-face-token", &["hugging-face-"]),
    ("digitalocean-token", &["digitalocean-"]),
    ("stripe-key", &["stripe-"]),
    ("openai-key", &["openai-", "anthropic-", "sk-api-key"]),
    ("sendgrid-key", &["sendgrid-"]),
    ("age-key", &["age-"]),
    (
        "aws-access-key-id",
        &["aws-temporary-access-key-id", "aws-other-key-id"],
    ),
    ("slack-token", &["slack-"]),
    ("google-api-key", &["google-bound-api-key"]),
    ("google-oauth-token", &["google-oauth-access-token"]),
    ("jwt", &["json-web-token", "base64-json-web-token"]),
    ("netrc-password", &[]),
    ("aws-secret-access-key", &[]),
];

/// Why a selection is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum SelectionError {
    /// The catalogue has no kind or form of this id.
    #[error("{list}[{index}]: there is no rule of this id{}", suggestion(near))]
    UnknownId {
        /// `without` or `only`.
        list: String,
        /// Position in the list, starting at 0.
        index: usize,
        /// Ids that are similar.
        near: Vec<String>,
    },
    /// An own rule is not valid.
    #[error("{reason}")]
    Rule {
        /// Position in the list of rules, starting at 0.
        index: usize,
        /// The rule and the reason.
        reason: String,
    },
    /// A value is too short.
    #[error(
        "value {index} is shorter than {} bytes: it would mask ordinary text",
        crate::MIN_VALUE_BYTES
    )]
    Value {
        /// Position in the list of values, starting at 0. The value itself is never stored.
        index: usize,
    },
    /// The replacement is not valid.
    #[error("replacement: {reason}")]
    Replacement {
        /// Reason.
        reason: String,
    },
    /// The bound of a list is exceeded.
    #[error("it has {count} {what}, and at most {most} are allowed: leave some out")]
    TooMany {
        /// The kind of item.
        what: String,
        /// Number that was found.
        count: usize,
        /// The bound.
        most: usize,
    },
}

fn suggestion(near: &[String]) -> String {
    match near {
        [] => "; `step-observer redact --rules` lists all".to_owned(),
        near => format!(
            "; similar ones are {}, and `step-observer redact --rules` lists all",
            near.join(", ")
        ),
    }
}

impl Options {
    /// Checks that all ids exist, that all patterns compile, and that everything is bounded.
    /// Returns the number of patterns that need much memory.
    ///
    /// # Errors
    ///
    /// The first mistake. It quotes neither values nor keys, nor patterns, which may contain a
    /// secret.
    pub fn check(&self) -> Result<usize, SelectionError> {
        bound("ids", self.without.len().max(self.only.len()), MAX_RULES)?;
        bound("rules", self.rules.len(), MAX_RULES)?;
        bound("values", self.values.len(), MAX_VALUES)?;
        let patterns = self.rules.iter().map(|rule| rule.allow.len()).sum();
        bound("patterns in allow lists", patterns, MAX_ALLOW_PATTERNS)?;
        let words = self.rules.iter().map(|rule| rule.allow_words.len()).sum();
        bound("words in allow lists", words, MAX_ALLOW_WORDS)?;
        let known = known_ids();
        for (list, ids) in [("without", &self.without), ("only", &self.only)] {
            for (index, id) in ids.iter().enumerate() {
                let exists = known.contains(&id.as_str()) || is_old(id);
                if !exists {
                    return Err(SelectionError::UnknownId {
                        list: list.to_owned(),
                        index,
                        near: near(id, &known),
                    });
                }
            }
        }
        let mut large = 0;
        for (index, rule) in self.rules.iter().enumerate() {
            let compiled = OwnRule::new(rule, index);
            large += compiled
                .map_err(|reason| SelectionError::Rule { index, reason })?
                .large;
            bound("large patterns", large, MAX_LARGE_PATTERNS)?;
        }
        let short = |value: &String| value.len() < crate::MIN_VALUE_BYTES;
        if let Some(index) = self.values.iter().position(short) {
            return Err(SelectionError::Value { index });
        }
        let refused = |reason: String| SelectionError::Replacement { reason };
        match &self.replacement {
            Replacement::Text(text) if text.len() > MAX_REPLACEMENT_BYTES => Err(refused(format!(
                "the text is longer than {MAX_REPLACEMENT_BYTES} bytes"
            ))),
            Replacement::Token(key) if !KEY_BYTES.contains(&key.len()) => Err(refused(format!(
                "the key has {} bytes, and {} to {} are allowed",
                key.len(),
                KEY_BYTES.start(),
                KEY_BYTES.end()
            ))),
            _ => Ok(large),
        }
    }

    /// Returns the selection without any rule of the catalogue.
    #[must_use]
    pub fn without_catalogue(self) -> Self {
        Self {
            without: known_ids().into_iter().map(str::to_owned).collect(),
            only: Vec::new(),
            forms: false,
            ..self
        }
    }

    /// Returns the number of kinds and forms of the catalogue that are used.
    #[must_use]
    pub fn catalogue_rules(&self) -> usize {
        let kinds = catalog::kinds().filter(|kind| self.uses(kind.id)).count();
        let forms = forms::forms().into_iter();
        let forms = forms.filter(|form| self.forms && self.uses(form.id));
        kinds + forms.count()
    }

    /// Returns whether a kind or form of the catalogue is used.
    #[must_use]
    pub fn uses(&self, id: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|name| is_named(id, name));
        !named(&self.without) && (self.only.is_empty() || named(&self.only))
    }
}

fn bound(what: &str, count: usize, most: usize) -> Result<(), SelectionError> {
    if count > most {
        return Err(SelectionError::TooMany {
            what: what.to_owned(),
            count,
            most,
        });
    }
    Ok(())
}

/// Returns true if `name`, from a configuration, means the rule `id` of the catalogue.
fn is_named(id: &str, name: &str) -> bool {
    let old = || OLD_IDS.iter().filter(|(old, _)| *old == name);
    id == name || old().any(|(_, new)| new.iter().any(|start| id.starts_with(start)))
}

/// Returns whether an id is one of the rules before the catalogue.
fn is_old(id: &str) -> bool {
    OLD_IDS.iter().any(|(old, _)| *old == id)
}

/// Returns the ids of all kinds and forms.
fn known_ids() -> Vec<&'static str> {
    let kinds = catalog::kinds().map(|kind| kind.id);
    kinds
        .chain(forms::forms().into_iter().map(|form| form.id))
        .collect()
}

/// Returns the known ids that are most similar to `id`.
fn near(id: &str, known: &[&str]) -> Vec<String> {
    let id: String = id.chars().take(64).collect();
    let id = id.to_ascii_lowercase();
    let mut ranked: Vec<(usize, &str)> = known
        .iter()
        .filter_map(|known| {
            let distance = distance(&id, known);
            let is_part = id.len() >= 3 && known.contains(id.as_str());
            let is_near = distance <= id.len().max(known.len()) / 3;
            let rank = if is_part { distance.min(2) } else { distance };
            (is_part || is_near).then_some((rank, *known))
        })
        .collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.truncate(MAX_NEAR);
    ranked.into_iter().map(|(_, id)| id.to_owned()).collect()
}

/// Returns the Levenshtein distance of two texts, in bytes.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, left) in one.bytes().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        let mut next = vec![before];
        for (above, right) in row.iter().skip(1).zip(other.bytes()) {
            let replaced = diagonal + usize::from(left != right);
            before = replaced.min(before + 1).min(above + 1);
            diagonal = *above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

// Debug output shows neither values nor keys. A pattern may contain a secret, too.

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            without,
            only,
            forms,
            rules,
            values,
            replacement,
        } = self;
        formatter
            .debug_struct("Options")
            .field("without", without)
            .field("only", only)
            .field("forms", forms)
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

#[cfg(test)]
mod tests;
