//! Rule sets in the form of the contract 0.1.0: patterns after a filter by keywords, and known
//! values in their usual encodings. Their matches never change, because plugins that were built for
//! 0.1.0 rely on them.
//!
//! The size of the output is bounded. The time is bounded by a deadline, which is also checked
//! within a search: one search of a slow pattern in a long text could take minutes.

mod json;
mod known_values;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use regex::RegexBuilder;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;
use std::time::Instant;

use crate::meter::{self, Work};
use crate::pattern::{Pattern, without_pattern};
use crate::{Exhausted, RedactionCounts, ScanLimits};

/// Bound of the rules in one set.
pub const MAX_RULES: usize = 1024;
/// Bound of the values in one set.
pub const MAX_VALUES: usize = 1024;
/// Longest pattern in bytes.
const MAX_PATTERN_BYTES: usize = 4096;
/// Largest compiled pattern in bytes.
const MAX_COMPILED_BYTES: usize = 2 * 1024 * 1024;
/// Size in bytes above which a compiled pattern counts as large. Most patterns are smaller.
const ORDINARY_PATTERN_BYTES: usize = 128 * 1024;
/// Largest number of large patterns. With this bound all rules together stay below 100 MiB.
pub const MAX_LARGE_PATTERNS: usize = 32;
/// Longest replacement in bytes.
const MAX_REPLACEMENT_BYTES: usize = 256;
/// Bound of the matches in one text.
const MAX_HITS: usize = 100_000;
/// Minimum length of a known value, in bytes: a shorter value would match in too many places of a
/// log.
pub const MIN_VALUE_BYTES: usize = 4;

/// Sample secret: long, letters and digits, not a word of any language.
const SECRET_PROBE: &str = "Zx9Qm4Tv7Rk2Wp5LdG8h";

/// Rule that finds one kind of secret: `rule` in the plugin contract.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// Regular expression.
    pub pattern: String,
    /// Keywords, ignoring case. Every match must contain at least one of them.
    pub keywords: Vec<String>,
    /// The replacement.
    pub replacement: Option<String>,
}

/// Why a rule set is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum RuleError {
    /// The pattern does not compile.
    #[error("rule `{rule}`: {reason}")]
    Pattern {
        /// Id of the rule.
        rule: String,
        /// Reason.
        reason: String,
    },
    /// A value is too short.
    #[error("value {index} is shorter than {MIN_VALUE_BYTES} bytes: it would mask ordinary text")]
    Value {
        /// Position in the list of values, starting at 0. The value itself is never stored.
        index: usize,
    },
    /// Too many of them.
    #[error("{count} rules and values are more than {MAX_RULES} and {MAX_VALUES}")]
    TooMany {
        /// Number that was found.
        count: usize,
    },
}

/// A compiled rule set.
#[derive(Debug)]
pub struct Scanner {
    rules: Vec<CompiledRule>,
    /// Keywords of all rules. The pattern id of a match is an index into `keyword_rules`.
    keywords: AhoCorasick,
    keyword_rules: Vec<usize>,
    values: known_values::KnownValues,
    /// Number of checked patterns that need much memory.
    large_patterns: usize,
}

#[derive(Debug)]
struct CompiledRule {
    id: String,
    pattern: String,
    always: bool,
    replacement: String,
    /// Compiled when it is needed. `None` if it does not compile: [`Scanner::new`] refuses such a
    /// pattern, [`Scanner::with_checked_rules`] does not check it.
    compiled: OnceLock<Option<Pattern>>,
}

/// A match: its range, and the index of the rule that provides the replacement (`None` for a known
/// value).
#[derive(Debug)]
struct Hit {
    range: Range<usize>,
    rule: Option<usize>,
}

/// The id by which known values are counted.
const KNOWN_VALUE_ID: &str = "known-value";

impl Scanner {
    /// Creates a scanner from a rule set, and checks that all patterns compile.
    ///
    /// # Errors
    ///
    /// Names the invalid rule, or the position of the invalid value, and the reason.
    pub fn new(rules: &[Rule], values: &[String]) -> Result<Self, RuleError> {
        let mut scanner = Self::with_checked_rules(rules, values)?;
        for rule in &scanner.rules {
            scanner.large_patterns += usize::from(rule.check()?);
        }
        Ok(scanner)
    }

    /// Creates a scanner from a rule set that [`Self::new`] has accepted. Each pattern is compiled
    /// when a text first needs it.
    ///
    /// # Errors
    ///
    /// The same errors as `new`, except for invalid patterns.
    pub fn with_checked_rules(rules: &[Rule], values: &[String]) -> Result<Self, RuleError> {
        if rules.len() > MAX_RULES || values.len() > MAX_VALUES {
            return Err(RuleError::TooMany {
                count: rules.len() + values.len(),
            });
        }
        let mut words = Vec::new();
        let mut keyword_rules = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            words.extend(rule.keywords.iter().cloned());
            keyword_rules.resize(words.len(), index);
        }
        Ok(Self {
            rules: rules
                .iter()
                .map(CompiledRule::new)
                .collect::<Result<_, _>>()?,
            keywords: AhoCorasickBuilder::new()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::Standard)
                .build(&words)
                .map_err(|error| RuleError::Pattern {
                    rule: "keywords".to_owned(),
                    reason: error.to_string(),
                })?,
            keyword_rules,
            values: known_values::KnownValues::new(values)?,
            large_patterns: 0,
        })
    }

    /// Returns how many of the patterns that [`Self::new`] has checked need much memory.
    #[must_use]
    pub fn large_patterns(&self) -> usize {
        self.large_patterns
    }

    /// Replaces all matches in a text. Borrows the text if there are none.
    ///
    /// # Errors
    ///
    /// A limit is reached.
    pub fn redact<'t>(
        &self,
        text: &'t str,
        counts: &mut RedactionCounts,
        limits: ScanLimits,
    ) -> Result<Cow<'t, str>, Exhausted> {
        let hits = self.hits(text, &mut meter::until(Some(limits.deadline)))?;
        if hits.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        let most = text.len().saturating_add(limits.growth);
        let mut redacted = String::with_capacity(text.len());
        let mut done = 0;
        for hit in hits {
            let compiled = hit.rule.and_then(|rule| self.rules.get(rule));
            counts.add(compiled.map_or(KNOWN_VALUE_ID, |rule| &rule.id));
            redacted.push_str(text.get(done..hit.range.start).unwrap_or_default());
            redacted.push_str(compiled.map_or("[redacted:known-value]", |rule| &rule.replacement));
            done = hit.range.end;
            if redacted.len() > most {
                return Err(Exhausted);
            }
        }
        redacted.push_str(text.get(done..).unwrap_or_default());
        if redacted.len() > most {
            Err(Exhausted)
        } else {
            Ok(Cow::Owned(redacted))
        }
    }

    /// Returns the places of all matches in order.
    ///
    /// # Errors
    ///
    /// The deadline has passed, or there are too many matches.
    pub fn secrets(&self, text: &str, deadline: Instant) -> Result<Vec<Range<usize>>, Exhausted> {
        let hits = self.hits(text, &mut meter::until(Some(deadline)))?;
        Ok(hits.into_iter().map(|hit| hit.range).collect())
    }

    /// Returns for each rule whether it must be searched: it has no keywords, or one is in the text.
    fn wanted(&self, text: &str, work: &mut dyn Work) -> Result<Vec<bool>, Exhausted> {
        let mut wanted: Vec<bool> = self.rules.iter().map(|rule| rule.always).collect();
        if !self.keyword_rules.is_empty() {
            for found in self.keywords.find_overlapping_iter(text) {
                work.spend(KEYWORD_WORK)?;
                if let Some(rule) = self.keyword_rules.get(found.pattern().as_usize())
                    && let Some(flag) = wanted.get_mut(*rule)
                {
                    *flag = true;
                }
            }
        }
        Ok(wanted)
    }

    /// Returns all matches in order. Overlapping matches are joined, so that both are covered.
    fn hits(&self, text: &str, work: &mut dyn Work) -> Result<Vec<Hit>, Exhausted> {
        work.ask()?;
        let mut hits: Vec<Hit> = Vec::new();
        let mut take = |range: Range<usize>, rule: Option<usize>| {
            hits.push(Hit { range, rule });
            if hits.len() > MAX_HITS {
                Err(Exhausted)
            } else {
                Ok(())
            }
        };
        let wanted = self.wanted(text, work)?;
        self.values.find(text, work, |range| take(range, None))?;
        for (index, rule) in self.rules.iter().enumerate() {
            if wanted.get(index) == Some(&true) {
                rule.find(text, work, |range| take(range, Some(index)))?;
                work.ask()?;
            }
        }
        hits.sort_by_key(|hit| (hit.range.start, std::cmp::Reverse(hit.range.end)));
        hits.dedup_by(|later, kept| {
            let overlaps = later.range.start < kept.range.end;
            if overlaps {
                kept.range.end = kept.range.end.max(later.range.end);
            }
            overlaps
        });
        Ok(hits)
    }
}

/// Work of a keyword that was found.
const KEYWORD_WORK: usize = 4;

impl CompiledRule {
    fn new(rule: &Rule) -> Result<Self, RuleError> {
        let refuse = |reason: String| RuleError::Pattern {
            rule: rule.id.clone(),
            reason,
        };
        if rule
            .replacement
            .as_ref()
            .is_some_and(|text| text.len() > MAX_REPLACEMENT_BYTES)
        {
            return Err(refuse(format!(
                "the replacement is longer than {MAX_REPLACEMENT_BYTES} bytes"
            )));
        }
        if rule.pattern.len() > MAX_PATTERN_BYTES {
            return Err(refuse(format!(
                "the pattern is longer than {MAX_PATTERN_BYTES} bytes"
            )));
        }
        Ok(Self {
            id: rule.id.clone(),
            pattern: rule.pattern.clone(),
            always: rule.keywords.is_empty(),
            replacement: rule
                .replacement
                .clone()
                .unwrap_or_else(|| format!("[redacted:{}]", rule.id)),
            compiled: OnceLock::new(),
        })
    }

    /// Checks the pattern. Returns true if it needs much memory.
    fn check(&self) -> Result<bool, RuleError> {
        let refuse = |reason: String| RuleError::Pattern {
            rule: self.id.clone(),
            reason,
        };
        // What `regex` accepts is what 0.1.0 accepted.
        let build = |size| {
            RegexBuilder::new(&self.pattern)
                .size_limit(size)
                .dfa_size_limit(MAX_COMPILED_BYTES)
                .build()
        };
        let (compiled, is_large) = match build(ORDINARY_PATTERN_BYTES) {
            Err(regex::Error::CompiledTooBig(_)) => (build(MAX_COMPILED_BYTES), true),
            compiled => (compiled, false),
        };
        let regex = compiled.map_err(|error| refuse(without_pattern(&error.to_string())))?;
        if regex.is_match("") {
            return Err(refuse("the pattern matches the empty text".to_owned()));
        }
        Ok(is_large)
    }

    fn compile(&self) -> Option<Pattern> {
        // The crate `regex` has already checked the size in `check`. The bounds here are only a
        // guard.
        let pattern = Pattern::new(&self.pattern, 2 * MAX_COMPILED_BYTES, MAX_COMPILED_BYTES);
        let pattern = pattern.ok()?;
        let matches_empty = pattern.is_match("", &mut meter::until(None)).ok()?;
        (!matches_empty).then_some(pattern)
    }

    fn find(
        &self,
        text: &str,
        work: &mut dyn Work,
        mut found: impl FnMut(Range<usize>) -> Result<(), Exhausted>,
    ) -> Result<(), Exhausted> {
        let compiled = self.compiled.get_or_init(|| self.compile());
        let pattern = compiled.as_ref().ok_or(Exhausted)?;
        pattern.find_each(text, 0, work, |hit| found(hit.secret))
    }
}

#[cfg(test)]
mod tests;
