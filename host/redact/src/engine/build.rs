//! Compiles a selection of the catalogue, of forms and of own rules.

use super::{CompiledKind, Engine, RuleReplacement, Target, VALUE_RULE, search_of};
use crate::own_rule::OwnRule;
use crate::values::{KnownValue, KnownValues, Policy, ValueSearch};
use crate::{Options, Replacement, catalog, escaped, forms};
use aho_corasick::{AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

impl Engine {
    /// Compiles a selection. The caller checks its bounds before, with [`Options::check`].
    ///
    /// # Errors
    ///
    /// A rule or a value cannot be searched. The message names it.
    pub fn new(options: &Options) -> Result<Self, String> {
        let mut ids: Vec<Arc<str>> = Vec::new();
        let mut words: BTreeMap<String, Vec<Target>> = BTreeMap::new();
        let mut lead = |word: &str, target: Target| {
            let targets = words.entry(word.to_ascii_lowercase()).or_default();
            targets.push(target);
        };
        let mut kinds = Vec::new();
        let mut word_kinds = Vec::new();
        let chosen = |id: &str| options.uses(id);
        for kind in catalog::kinds().filter(|kind| chosen(kind.id)) {
            for word in kind.keywords {
                lead(word, Target::Kind(kinds.len()));
            }
            if kind.keywords.is_empty() {
                word_kinds.push(kinds.len());
            }
            kinds.push(CompiledKind {
                kind,
                rule: ids.len(),
                matcher: OnceLock::new(),
            });
            ids.push(kind.id.into());
        }
        let mut all_forms = Vec::new();
        if options.forms {
            for form in forms::forms() {
                let rule = chosen(form.id).then(|| {
                    ids.push(form.id.into());
                    ids.len() - 1
                });
                all_forms.push((form, rule));
            }
            for detector in forms::detectors() {
                for word in detector.keywords {
                    lead(word, Target::Form(*detector));
                }
            }
        }
        for word in escaped::KEYWORDS {
            lead(word, Target::Escaped);
        }
        let mut own = Vec::new();
        for rule in &options.rules {
            own.push(OwnRule::new(rule, ids.len())?);
            for word in &rule.keywords {
                lead(word, Target::Own(own.len() - 1));
            }
            ids.push(rule.id.as_str().into());
        }
        let value_rule = ids.len();
        ids.push(VALUE_RULE.into());
        let values = known_values(&options.values)?;
        let mut replacements: Vec<_> = ids
            .iter()
            .map(|id| match &options.replacement {
                Replacement::Rule => RuleReplacement::Text(format!("[redacted:{id}]")),
                Replacement::Text(text) => RuleReplacement::Text(text.clone()),
                Replacement::Token(key) => RuleReplacement::Token(id.clone(), key.clone()),
            })
            .collect();
        for (compiled, rule) in own.iter().zip(&options.rules) {
            if let Some(text) = &rule.replacement
                && let Some(replacement) = replacements.get_mut(compiled.rule)
            {
                *replacement = RuleReplacement::Text(text.clone());
            }
        }
        let (words, targets): (Vec<String>, Vec<Vec<Target>>) = words.into_iter().unzip();
        let longest_keyword = words.iter().map(String::len).max().unwrap_or(0);
        let keywords = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&words)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            ids: ids.into(),
            keywords,
            targets: targets.into(),
            longest_keyword,
            kinds: kinds.into(),
            word_kinds: word_kinds.into(),
            forms: all_forms.into(),
            own: own.into(),
            replacements: replacements.into(),
            values,
            value_rule,
        })
    }
}

/// Returns the search of the values of a configuration.
fn known_values(values: &[String]) -> Result<Option<Arc<ValueSearch>>, String> {
    let named = |(index, value): (usize, &String)| KnownValue {
        source: format!("values[{index}]").into(),
        value: value.clone(),
    };
    let values: Vec<_> = values.iter().enumerate().map(named).collect();
    let (values, refusals) = KnownValues::new(&values, Policy::WRITTEN);
    match refusals.first() {
        Some(refusal) => Err(refusal.to_string()),
        None => Ok(search_of(&[Arc::new(values)])),
    }
}
