//! Finds secrets in texts and in JSON, and masks them.
//!
//! - [`Engine`] finds credentials of the [`catalog`] by their form, values that stand under the name
//!   of a secret ([`forms`]), and known values in their encodings. Every decision looks at no more
//!   than [`REACH`] bytes of the text around it, so that a stream of any length is masked as the
//!   whole text would be.
//! - [`Scanner`] applies the rule sets that plugins of the contract 0.1.0 declare.
//!
//! The crate does no I/O. The only clock that it reads is the deadline of a scan.

pub mod catalog;
mod counts;
mod engine;
mod escaped;
pub mod forms;
mod json;
mod kind;
mod marks;
mod mask;
mod matcher;
mod memo;
mod meter;
mod options;
mod own_rule;
mod pattern;

mod rule_set;
mod runs;
mod selection;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod testing;
mod text;
mod values;
mod view;
mod word_table;

pub use counts::RedactionCounts;
pub use engine::{Engine, Hit, VALUE_RULE};
pub use mask::{Masker, Replaced};
pub use options::{FullRule, Options, Replacement};
pub use rule_set::{
    MAX_LARGE_PATTERNS, MAX_RULES, MAX_VALUES, MIN_VALUE_BYTES, Rule, RuleError, Scanner,
};
pub use selection::SelectionError;
pub use text::{REACH, Text};
pub use values::{KnownValue, KnownValues, Policy, Reason, Refusal};

use std::time::Instant;

/// Error of a scan that ended early: too many matches, too much output, too little time, or a
/// pattern that does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("scanning takes too much time or gives too much text")]
pub struct Exhausted;

/// Limits of a scan.
#[derive(Clone, Copy, Debug)]
pub struct ScanLimits {
    /// Bytes by which the text may grow.
    pub growth: usize,
    /// The deadline.
    pub deadline: Instant,
}
