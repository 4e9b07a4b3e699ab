//! Masks the log lines and errors of plugins. They may quote an event, so they pass every rule set
//! of the chain before they are logged.

use super::config_values::ConfigValues;
use super::rule_sets::RuleSets;
use crate::redact::{Exhausted, RedactionCounts, ScanLimits};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest time that one rule set may take for a line.
const MAX_SCAN_TIME: Duration = Duration::from_millis(100);

/// Masks lines with all rule sets of a chain, and with the values of a configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutputMask {
    rule_sets: Vec<Arc<RuleSets>>,
    /// True if the chain has a plugin whose rules are unknown. No line that may quote an event is
    /// shown then.
    withholds_all: bool,
    /// Values of a plugin's configuration.
    config_values: ConfigValues,
}

impl OutputMask {
    pub(crate) fn new(rule_sets: Vec<Arc<RuleSets>>) -> Self {
        Self {
            rule_sets,
            ..Self::default()
        }
    }

    /// Returns the mask with the rule sets of further plugins.
    pub(crate) fn with(&self, rule_sets: impl IntoIterator<Item = Arc<RuleSets>>) -> Self {
        let mut all = self.rule_sets.clone();
        all.extend(rule_sets);
        Self {
            rule_sets: all,
            ..self.clone()
        }
    }

    /// Returns a mask for the values of a configuration, which is a JSON text. It is used while a
    /// plugin is configured, because the plugin may quote its configuration, and its rules are not
    /// known yet.
    pub(crate) fn for_config(config: &str) -> Self {
        Self {
            config_values: ConfigValues::parse(config),
            ..Self::default()
        }
    }

    /// Makes the mask omit every line if `unknown` is true. `unknown` means that some rules of the
    /// chain are not known.
    pub(crate) fn withhold_all_if(self, unknown: bool) -> Self {
        Self {
            withholds_all: unknown,
            ..self
        }
    }

    /// Returns a text as one masked line of at most `max` bytes without control characters.
    pub(crate) fn mask_line(&self, text: &str, max: usize) -> String {
        if self.withholds_all {
            return "(omitted: a plugin that may mask it is not loaded)".to_owned();
        }
        // Cuts the text only roughly before masking. The cut to `max` bytes follows after masking,
        // because half of a secret matches no rule.
        let bounded = text
            .get(..text.floor_char_boundary(max * 16))
            .unwrap_or_default();
        let mut masked = self.config_values.mask(bounded);
        for (_, set) in self.rule_sets.iter().flat_map(|sets| sets.iter()) {
            let limits = ScanLimits {
                growth: max * 16,
                deadline: Instant::now() + MAX_SCAN_TIME,
            };
            masked = match set.redact(&masked, &mut RedactionCounts::default(), limits) {
                Ok(line) => line.into_owned(),
                Err(Exhausted) => return "(omitted: it could not be masked in time)".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::sandbox::RuleSet;
    use crate::redact::Scanner;

    #[test]
    fn sets_of_further_plugins_mask_a_line_too() {
        let sets = |value: &str| {
            let scanner = Scanner::new(&[], &[value.to_owned()]).unwrap();
            Arc::new(vec![("ours".to_owned(), RuleSet::Declared(scanner))])
        };
        let mask = OutputMask::new(vec![sets("hunter2222")]).with([sets("w1nter-3333")]);
        assert_eq!(
            mask.mask_line("a hunter2222 b w1nter-3333", 256),
            "a [redacted:known-value] b [redacted:known-value]"
        );
        let unknown = OutputMask::default().withhold_all_if(true).with([]);
        assert!(unknown.mask_line("a", 256).starts_with("(omitted"));
    }
}
