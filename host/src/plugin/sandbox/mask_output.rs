//! What a plugin says about an event may quote it. Its lines and errors pass every rule set that the
//! plugins declared before they reach a log.

use super::config_values::ConfigValues;
use super::rule_sets::RuleSets;
use crate::redact::{Exhausted, RedactionCounts, ScanLimits};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time to mask one line.
const MAX_SCAN_TIME: Duration = Duration::from_millis(100);

/// Masks with all rule sets.
#[derive(Debug, Default)]
pub(crate) struct OutputMask {
    rule_sets: Vec<Arc<RuleSets>>,
    /// A plugin whose rules are not known belongs to the chain: nothing that may quote an event is
    /// shown.
    withholds_all: bool,
    /// What stands in a configuration.
    config_values: ConfigValues,
}

impl OutputMask {
    pub(crate) fn new(rule_sets: Vec<Arc<RuleSets>>) -> Self {
        Self {
            rule_sets,
            ..Self::default()
        }
    }

    /// Masks the config_values of a plugin's configuration, JSON: what a plugin says while it is configured may quote it, and
    /// no rules are known yet.
    pub(crate) fn for_config(config: &str) -> Self {
        Self {
            config_values: ConfigValues::parse(config),
            ..Self::default()
        }
    }

    /// Shows nothing where `unknown` says that there are rules that it does not know.
    pub(crate) fn withhold_all_if(self, unknown: bool) -> Self {
        Self {
            withholds_all: unknown,
            ..self
        }
    }

    /// One line of at most `max` bytes, masked, without control characters.
    pub(crate) fn mask_line(&self, text: &str, max: usize) -> String {
        if self.withholds_all {
            return "(left out: a plugin that may mask it is not loaded)".to_owned();
        }
        // Cut after masking: half a secret matches no rule. Bounded first all the same.
        let bounded = text
            .get(..text.floor_char_boundary(max * 16))
            .unwrap_or_default();
        let mut masked = self.config_values.mask(bounded);
        for scanner in self
            .rule_sets
            .iter()
            .flat_map(|sets| sets.iter())
            .map(|(_, scanner)| scanner)
        {
            let limits = ScanLimits {
                growth: max * 16,
                deadline: Instant::now() + MAX_SCAN_TIME,
            };
            masked = match scanner.redact(&masked, &mut RedactionCounts::default(), limits) {
                Ok(line) => line.into_owned(),
                Err(Exhausted) => return "(left out: it could not be masked in time)".to_owned(),
            };
        }
        let end = masked.floor_char_boundary(max);
        let mut line: String = masked
            .get(..end)
            .unwrap_or_default()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        if end < masked.len() {
            line.push('…');
        }
        line
    }
}
