//! Counts of the matches that were masked in an event, by redactor and rule.

use crate::redact::RedactionCounts;
use std::sync::Arc;

/// Who asks for masks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redactor {
    /// The observer itself, by `knownSecrets`.
    KnownSecrets,
    /// A plugin.
    Plugin {
        /// The operator's name for it.
        name: Arc<str>,
        /// The version that it declares.
        version: Arc<str>,
    },
}

/// Numbers of masked matches by redactor and rule, in the order in which the redactors masked
/// something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaskCounts(Vec<(Redactor, RedactionCounts)>);

// === impl Redactor ===

impl Redactor {
    /// Returns whether this redactor is the plugin with this name, in any version.
    #[must_use]
    pub fn is_plugin(&self, plugin: &str) -> bool {
        match self {
            Self::KnownSecrets => false,
            Self::Plugin { name, .. } => **name == *plugin,
        }
    }
}

// === impl MaskCounts ===

impl MaskCounts {
    /// Adds matches of a redactor. Without matches nothing is added.
    pub fn add(&mut self, redactor: &Redactor, counts: &RedactionCounts) {
        if counts.total() == 0 {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| known == redactor) {
            Some((_, known)) => known.merge(counts),
            None => self.0.push((redactor.clone(), counts.clone())),
        }
    }

    /// Adds all matches of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (redactor, counts) in other.iter() {
            self.add(redactor, counts);
        }
    }

    /// Returns whether nothing was masked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the redactors that masked something, with their matches.
    pub fn iter(&self) -> impl Iterator<Item = (&Redactor, &RedactionCounts)> {
        self.0.iter().map(|(redactor, counts)| (redactor, counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_of_a_redactor_are_added_and_versions_stay_apart() {
        let plugin = |version: &str| Redactor::Plugin {
            name: "redact".into(),
            version: version.into(),
        };
        let count = |rule: &str, count| RedactionCounts::from_iter([(rule.to_owned(), count)]);
        let mut counts = MaskCounts::default();
        counts.add(&plugin("1"), &RedactionCounts::default());
        assert!(counts.is_empty());
        counts.add(&plugin("1"), &count("a", 1));
        counts.add(&plugin("2"), &count("a", 2));
        counts.add(&plugin("1"), &count("a", 3));
        let mut twice = counts.clone();
        twice.merge(&counts);
        let seen: Vec<_> = twice.iter().collect();
        assert_eq!(
            seen,
            [
                (&plugin("1"), &count("a", 8)),
                (&plugin("2"), &count("a", 4))
            ]
        );
        assert!(plugin("1").is_plugin("redact") && !Redactor::KnownSecrets.is_plugin("redact"));
    }
}
