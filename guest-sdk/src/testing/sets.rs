//! The sets of a plugin in native tests. Their matches are found and masked as in the host.

use crate::bindings::step_observer::plugin::events::Redaction;
use crate::{FullRule, MaskSet, Plugin, Replacement, RuleSet};
use serde_json::Value;
use std::time::{Duration, Instant};
use step_observer_redact as redact;
use step_observer_redact::{
    Engine, Exhausted, Options, RedactionCounts, Rule, ScanLimits, Scanner,
};

/// Longest time of a scan. Tests have no other limit.
const MAX_SCAN_TIME: Duration = Duration::from_secs(60);

/// The compiled sets of a plugin, with their names.
#[derive(Debug, Default)]
pub struct Sets(Vec<(String, Set)>);

#[derive(Debug)]
enum Set {
    Rules(Scanner),
    Masks(Engine),
}

impl Sets {
    /// Compiles the sets that a plugin declares.
    ///
    /// # Errors
    ///
    /// The host would refuse a set. The error names the set and the rule or id.
    pub fn of<P: Plugin>(plugin: &P) -> Result<Self, String> {
        let mut sets = Vec::new();
        for RuleSet {
            name,
            rules,
            values,
        } in plugin.rule_sets()
        {
            let rules: Vec<Rule> = rules.into_iter().map(rule).collect();
            let scanner = Scanner::new(&rules, &values)
                .map_err(|error| format!("rule set `{name}`: {error}"))?;
            sets.push((name, Set::Rules(scanner)));
        }
        for set in plugin.mask_sets() {
            let (name, options) = options(set);
            options
                .check()
                .map_err(|error| format!("mask set `{name}`: {error}"))?;
            let engine = Engine::new(&options)?;
            sets.push((name, Set::Masks(engine)));
        }
        Ok(Self(sets))
    }

    /// Returns the number of sets.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the position of a set.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(known, _)| known == name)
    }

    /// Masks a log and all strings of the data; either may be absent. Returns the number of
    /// matches.
    ///
    /// # Errors
    ///
    /// There is no set at that position, or masking takes too long.
    pub(super) fn mask(
        &self,
        set: usize,
        log: Option<&mut String>,
        data: Option<&mut Value>,
    ) -> Result<Vec<Redaction>, String> {
        let (_, set) = self.0.get(set).ok_or("there is no such set")?;
        let mut counts = RedactionCounts::default();
        let limits = ScanLimits {
            growth: usize::MAX,
            deadline: Instant::now() + MAX_SCAN_TIME,
        };
        let failed = |error: Exhausted| error.to_string();
        if let Some(log) = log {
            let masked = match set {
                Set::Rules(scanner) => scanner.redact(log, &mut counts, limits),
                Set::Masks(engine) => engine.mask(log, &mut counts, limits),
            };
            *log = masked.map_err(failed)?.into_owned();
        }
        if let Some(data) = data {
            match set {
                Set::Rules(scanner) => scanner.redact_json(data, &mut counts, limits),
                Set::Masks(engine) => engine.mask_json(data, &mut counts, limits),
            }
            .map_err(failed)?;
        }
        let counts = counts.iter().map(|(rule, count)| Redaction {
            rule: rule.to_owned(),
            count,
        });
        Ok(counts.collect())
    }
}

fn rule(rule: crate::Rule) -> Rule {
    Rule {
        id: rule.id,
        pattern: rule.pattern,
        keywords: rule.keywords,
        replacement: rule.replacement,
    }
}

fn options(set: MaskSet) -> (String, Options) {
    let uses_nothing = set.only.as_ref().is_some_and(Vec::is_empty);
    let full_rule = |rule: FullRule| redact::FullRule {
        id: rule.id,
        pattern: rule.pattern,
        keywords: rule.keywords,
        min_length: rule.min_length as usize,
        min_entropy: rule.min_entropy,
        allow: rule.allow,
        allow_words: rule.allow_words,
        replacement: rule.replacement,
    };
    let options = Options {
        without: set.without,
        only: set.only.unwrap_or_default(),
        rules: set.rules.into_iter().map(full_rule).collect(),
        values: set.values,
        replacement: match set.replacement {
            Replacement::Rule => redact::Replacement::Rule,
            Replacement::Text(text) => redact::Replacement::Text(text),
            Replacement::Token(key) => redact::Replacement::Token(key),
        },
        ..Options::default()
    };
    let options = match uses_nothing {
        true => options.without_catalogue(),
        false => options,
    };
    (set.name, options)
}
