//! The sets of rules and masks that a plugin declares.

use crate::redact::{Engine, Exhausted, RedactionCounts, ScanLimits, Scanner};
use serde_json::Value;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// Sets with their names. They are compiled once per load of the plugin.
pub(crate) type RuleSets = Vec<(String, RuleSet)>;

/// A compiled set.
#[derive(Debug)]
pub(crate) enum RuleSet {
    /// Rules and values of the contract 0.1.0. Their matches in a text never change.
    Declared(Scanner),
    /// A selection of the catalogue, of the contract 0.1.1.
    Selected(Arc<Engine>),
}

impl RuleSet {
    /// Replaces all matches in a text. Borrows the text if there are none.
    ///
    /// # Errors
    ///
    /// A limit is reached.
    pub(crate) fn redact<'t>(
        &self,
        text: &'t str,
        counts: &mut RedactionCounts,
        limits: ScanLimits,
    ) -> Result<Cow<'t, str>, Exhausted> {
        match self {
            Self::Declared(scanner) => scanner.redact(text, counts, limits),
            Self::Selected(engine) => engine.mask(text, counts, limits),
        }
    }

    /// Replaces all matches in every string below `value`.
    ///
    /// # Errors
    ///
    /// A limit is reached. The value is then partly redacted.
    pub(crate) fn redact_json(
        &self,
        value: &mut Value,
        counts: &mut RedactionCounts,
        limits: ScanLimits,
    ) -> Result<(), Exhausted> {
        match self {
            Self::Declared(scanner) => scanner.redact_json(value, counts, limits),
            Self::Selected(engine) => engine.mask_json(value, counts, limits),
        }
    }

    /// Returns the places of all matches in order.
    ///
    /// # Errors
    ///
    /// The deadline has passed, or there are too many matches.
    pub(crate) fn secrets(
        &self,
        text: &str,
        deadline: Instant,
    ) -> Result<Vec<Range<usize>>, Exhausted> {
        match self {
            Self::Declared(scanner) => scanner.secrets(text, deadline),
            Self::Selected(engine) => {
                let hits = engine.hits(text, deadline)?;
                Ok(hits.into_iter().map(|hit| hit.range).collect())
            }
        }
    }

    /// Returns the engine, which can also mask a stream. Returns `None` for a rule set of the
    /// contract 0.1.0.
    pub(crate) fn engine(&self) -> Option<&Arc<Engine>> {
        match self {
            Self::Declared(_) => None,
            Self::Selected(engine) => Some(engine),
        }
    }
}
