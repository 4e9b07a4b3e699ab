//! The sets of rules and masks that a plugin declares: their bounds, their checks and their
//! summaries.

use super::error::LoadError;
use crate::plugin::sandbox::{OutputMask, RuleSet, RuleSets, masking, transform};
use crate::redact::{
    Engine, FullRule, MAX_LARGE_PATTERNS, MAX_RULES, MAX_VALUES, Options, Replacement, Rule,
    RuleError, Scanner,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Bound of the sets of a plugin.
const MAX_SETS: usize = 16;
/// Longest name, version or rule id that is shown, in bytes.
pub(super) const MAX_SHOWN_NAME_BYTES: usize = 128;

/// Summary of a set. Contains no values, no patterns and no keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetSummary {
    /// Its name.
    pub name: String,
    /// Number of rules of the catalogue that the set uses. `None` for a rule set of the contract
    /// 0.1.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<usize>,
    /// Ids of its own rules.
    pub rules: Vec<String>,
    /// Number of its values.
    pub values: usize,
    /// `rule`, `text` or `token`. `None` for a rule set of the contract 0.1.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replacement: Option<&'static str>,
}

/// All sets of a plugin, in the form in which the compiler process sends them.
#[derive(Serialize, Deserialize)]
pub(super) struct DeclaredSets {
    rule_sets: Vec<DeclaredRuleSet>,
    mask_sets: Vec<DeclaredMaskSet>,
}

/// The contract's `rule-set`.
#[derive(Serialize, Deserialize)]
struct DeclaredRuleSet {
    name: String,
    rules: Vec<Rule>,
    values: Vec<String>,
}

/// The contract's `mask-set`.
#[derive(Serialize, Deserialize)]
struct DeclaredMaskSet {
    name: String,
    options: Options,
}

// === impl DeclaredSets ===

impl DeclaredSets {
    /// Takes the sets that a plugin has returned.
    ///
    /// # Errors
    ///
    /// All sets together exceed the bounds of one set, a mask set has the same name as another set,
    /// or a rule, value or id is not valid.
    pub(super) fn check(
        rule_sets: Vec<transform::RuleSet>,
        mask_sets: Vec<masking::MaskSet>,
    ) -> Result<Self, LoadError> {
        // Counted before anything is converted or compiled.
        let rules = rule_sets.iter().map(|set| set.rules.len());
        let masks = mask_sets.iter().map(|set| set.rules.len());
        let values = rule_sets.iter().map(|set| set.values.len());
        let mask_values = mask_sets.iter().map(|set| set.values.len());
        if rule_sets.len() + mask_sets.len() > MAX_SETS
            || rules.chain(masks).sum::<usize>() > MAX_RULES
            || values.chain(mask_values).sum::<usize>() > MAX_VALUES
        {
            return Err(LoadError::Rules);
        }
        let sets = Self {
            rule_sets: rule_sets.into_iter().map(DeclaredRuleSet::from).collect(),
            mask_sets: mask_sets.into_iter().map(DeclaredMaskSet::from).collect(),
        };
        sets.check_names()?;
        sets.check_patterns()?;
        Ok(sets)
    }

    /// Checks that no mask set has the same name as another set. Two rule sets may have the same
    /// name: the first is used.
    fn check_names(&self) -> Result<(), LoadError> {
        let mut names: Vec<&str> = self.rule_sets.iter().map(|set| &*set.name).collect();
        for set in &self.mask_sets {
            if names.contains(&&*set.name) {
                return Err(LoadError::SetName(line(&set.name)));
            }
            names.push(&set.name);
        }
        Ok(())
    }

    /// Compiles all patterns once to check them. The patterns of rule sets are compiled again when
    /// an event first needs them.
    fn check_patterns(&self) -> Result<(), LoadError> {
        let mut large = 0;
        // Checked before the next set is compiled.
        let mut count = |more: usize| {
            large += more;
            match large > MAX_LARGE_PATTERNS {
                true => Err(LoadError::LargeRules),
                false => Ok(()),
            }
        };
        for set in &self.rule_sets {
            let scanner = Scanner::new(&set.rules, &set.values);
            count(
                scanner
                    .map_err(|source| set.refused(source))?
                    .large_patterns(),
            )?;
        }
        for set in &self.mask_sets {
            let checked = set.options.check();
            count(checked.map_err(|source| LoadError::MaskSet {
                set: set.name.clone(),
                source: Box::new(source),
            })?)?;
        }
        Ok(())
    }

    /// Compiles the sets.
    pub(super) fn compile(self) -> Result<RuleSets, LoadError> {
        let mut sets = RuleSets::new();
        for set in self.rule_sets {
            let scanner = Scanner::with_checked_rules(&set.rules, &set.values);
            let scanner = scanner.map_err(|source| set.refused(source))?;
            sets.push((set.name, RuleSet::Declared(scanner)));
        }
        for DeclaredMaskSet { name, options } in self.mask_sets {
            let engine = Engine::new(&options)
                .map_err(|reason| LoadError::MaskSets(format!("mask set `{name}`: {reason}")))?;
            sets.push((name, RuleSet::Selected(Arc::new(engine))));
        }
        Ok(sets)
    }

    /// Describes the sets that mask something. A plugin with masks has an empty rule set for hosts of 0.1.0.
    pub(super) fn summaries(&self) -> Vec<SetSummary> {
        let masking = |set: &&DeclaredRuleSet| !(set.rules.is_empty() && set.values.is_empty());
        let rules = self.rule_sets.iter().filter(masking).map(|set| SetSummary {
            name: line(&set.name),
            catalogue: None,
            rules: set.rules.iter().map(|rule| line(&rule.id)).collect(),
            values: set.values.len(),
            replacement: None,
        });
        let masks = self.mask_sets.iter().map(|set| SetSummary {
            name: line(&set.name),
            catalogue: Some(set.options.catalogue_rules()),
            rules: set
                .options
                .rules
                .iter()
                .map(|rule| line(&rule.id))
                .collect(),
            values: set.options.values.len(),
            replacement: Some(match set.options.replacement {
                Replacement::Rule => "rule",
                Replacement::Text(_) => "text",
                Replacement::Token(_) => "token",
            }),
        });
        rules.chain(masks).collect()
    }
}

/// Returns a name as one line.
fn line(text: &str) -> String {
    OutputMask::default().mask_line(text, MAX_SHOWN_NAME_BYTES)
}

impl DeclaredRuleSet {
    fn refused(&self, source: RuleError) -> LoadError {
        LoadError::RuleSet {
            set: self.name.clone(),
            source,
        }
    }
}

impl From<transform::RuleSet> for DeclaredRuleSet {
    fn from(set: transform::RuleSet) -> Self {
        let rule = |rule: transform::Rule| Rule {
            id: rule.id,
            pattern: rule.pattern,
            keywords: rule.keywords,
            replacement: rule.replacement,
        };
        Self {
            name: set.name,
            rules: set.rules.into_iter().map(rule).collect(),
            values: set.values,
        }
    }
}

impl From<masking::MaskSet> for DeclaredMaskSet {
    fn from(set: masking::MaskSet) -> Self {
        let rule = |rule: masking::FullRule| FullRule {
            id: rule.id,
            pattern: rule.pattern,
            keywords: rule.keywords,
            min_length: rule.min_length as usize,
            min_entropy: rule.min_entropy,
            allow: rule.allow,
            allow_words: rule.allow_words,
            replacement: rule.replacement,
        };
        let uses_nothing = set.only.as_ref().is_some_and(Vec::is_empty);
        let options = Options {
            without: set.without,
            only: set.only.unwrap_or_default(),
            rules: set.rules.into_iter().map(rule).collect(),
            values: set.values,
            replacement: match set.replacement {
                masking::Replacement::Rule => Replacement::Rule,
                masking::Replacement::Text(text) => Replacement::Text(text),
                masking::Replacement::Token(key) => Replacement::Token(key),
            },
            ..Options::default()
        };
        Self {
            name: set.name,
            options: match uses_nothing {
                true => options.without_catalogue(),
                false => options,
            },
        }
    }
}
