//! Masks secrets in the log and in every string of the data. The plugin only selects rules of the
//! host's catalogue and adds own ones; the host searches and replaces, so the log need not be copied
//! into the plugin.

use serde::Deserialize;
use std::fmt;
use step_observer_guest::{
    Event, FullRule, MaskSet, Plugin, Replacement, Scope, Verdict, export_plugin,
};

/// The configuration. Everything is optional.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Rules of the catalogue to leave out, by id. `step-observer redact --rules` lists them.
    without: Vec<String>,
    /// The only rules of the catalogue to use, by id. An empty list uses none.
    only: Option<Vec<String>>,
    /// Own rules.
    rules: Vec<OwnRule>,
    /// Secrets themselves, found in their usual encodings too.
    values: Vec<String>,
    /// Masks only the log and leaves script, arguments, environment and results as they are.
    log_only: bool,
    /// Text in the place of a secret.
    replacement: SecretReplacement,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It holds secrets.
        f.debug_struct("Config").finish_non_exhaustive()
    }
}

/// An own rule.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OwnRule {
    /// Its id, for the replacement and for counts.
    id: String,
    /// Regular expression. If it has a group called `secret`, only that group is masked.
    pattern: String,
    /// Words, in any case: the pattern is searched only around them. They make the search fast.
    #[serde(default)]
    keywords: Vec<String>,
    /// Least length of the secret in bytes.
    #[serde(default)]
    min_length: u32,
    /// Least entropy of the secret in bits per character, from 0 to 8. Random texts have 3.5 or more.
    #[serde(default)]
    min_entropy: f32,
    /// Regular expressions: a secret that one of them matches is not masked.
    #[serde(default)]
    allow: Vec<String>,
    /// Words, in any case: a secret that contains one of them is not masked.
    #[serde(default)]
    allow_words: Vec<String>,
    /// Text in the place of the secret.
    replacement: Option<String>,
}

/// Text in the place of a secret.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum SecretReplacement {
    /// `[redacted:<id of the rule>]`.
    #[default]
    Rule,
    /// A fixed text.
    Text(String),
    /// The rule and digits that are equal for equal secrets. Key for them, of at least 16 bytes.
    Token(String),
}

/// The redactor.
#[derive(Debug)]
pub struct RedactSecrets {
    masks: MaskSet,
    scope: Scope,
}

/// Name of the only mask set.
const SECRETS: &str = "secrets";

impl Plugin for RedactSecrets {
    type Config = Option<Config>;

    fn configure(config: Self::Config) -> Result<Self, String> {
        let Config {
            without,
            only,
            rules,
            values,
            log_only,
            replacement,
        } = config.unwrap_or_default();
        let masks = MaskSet {
            without,
            only,
            rules: rules.into_iter().map(FullRule::from).collect(),
            values,
            replacement: match replacement {
                SecretReplacement::Rule => Replacement::Rule,
                SecretReplacement::Text(text) => Replacement::Text(text),
                SecretReplacement::Token(key) => Replacement::Token(key),
            },
            ..MaskSet::new(SECRETS)
        };
        let scope = if log_only {
            Scope::Log
        } else {
            Scope::Everything
        };
        Ok(Self { masks, scope })
    }

    fn mask_sets(&self) -> Vec<MaskSet> {
        vec![self.masks.clone()]
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        event.redact(SECRETS, self.scope)?;
        Ok(Verdict::Keep)
    }
}

impl From<OwnRule> for FullRule {
    fn from(rule: OwnRule) -> Self {
        let OwnRule {
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

export_plugin!(RedactSecrets, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests;
