//! What an engine searches for.

use serde::{Deserialize, Serialize};

/// What an engine searches for, and what it puts in the place of a secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Options {
    /// Ids of kinds and forms of the catalogue that are left out.
    pub without: Vec<String>,
    /// Ids of the only kinds and forms of the catalogue that are used. Empty: all.
    pub only: Vec<String>,
    /// Whether forms are used.
    pub forms: bool,
    /// Own rules, beside those of the catalogue.
    pub rules: Vec<FullRule>,
    /// Known secrets.
    pub values: Vec<String>,
    /// What stands in the place of a secret.
    pub replacement: Replacement,
}

/// An own rule in full form.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FullRule {
    /// Its id.
    pub id: String,
    /// Regular expression. If it has a group `secret`, only that is masked.
    pub pattern: String,
    /// Words of which every match contains at least one, in any case of ASCII letters: the pattern
    /// runs only near them. Empty: it runs over the whole text.
    pub keywords: Vec<String>,
    /// Least length of the secret, in bytes.
    pub min_length: usize,
    /// Minimum Shannon entropy of the secret, in bits per character.
    pub min_entropy: f32,
    /// Regular expressions: a secret that one of them matches is not masked.
    pub allow: Vec<String>,
    /// Words: a secret that contains one of them, in any case of ASCII letters, is not masked.
    pub allow_words: Vec<String>,
    /// What stands in the place of the secret, instead of [`Options::replacement`].
    pub replacement: Option<String>,
}

/// What stands in the place of a secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Replacement {
    /// `[redacted:<id of the rule>]`.
    #[default]
    Rule,
    /// This text.
    Text(String),
    /// `[redacted:<id of the rule>:<ten hexadecimal digits>]`: the digits are the HMAC-SHA-256 of the
    /// secret with this key, so that equal secrets of two texts can be recognised.
    Token(String),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            without: Vec::new(),
            only: Vec::new(),
            forms: true,
            rules: Vec::new(),
            values: Vec::new(),
            replacement: Replacement::default(),
        }
    }
}
