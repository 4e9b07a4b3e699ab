//! Conditions on step events in the [Common Expression Language](https://cel.dev) (CEL).
//!
//! Pure: no clock, no randomness, no environment, no I/O. The input is the text of an expression, the
//! JSON Schema of the event's data, and events; the output is errors with line and column, and decisions.
//!
//! - [`Condition::compile`] parses an expression, checks its names, types and bounds, and compiles its
//!   regular expressions. Whatever it accepts, [`Condition::matches`] evaluates within a budget.
//! - [`Schema`] is what the names are checked against, made from the published JSON Schema.
//! - [`EventView`] is the event. Only the members that the expression names are read, and none is copied.
//!
//! # Language
//!
//! The grammar, operators and errors are those of the CEL specification (github.com/google/cel-spec,
//! doc/langdef.md), the functions on texts those of cel-go's extension `strings` (ext/strings.go) except
//! `format` and `quote`, which write texts for people. Left out are bytes, times, messages, optional values
//! (`a.?b`), and `type` and `dyn`: JSON has no such values.
//!
//! The members of an event behave like those of a message, not of a map: a member that the schema neither
//! requires nor lets be null reads as the empty value of its type (no `labels` are empty labels), and
//! `has` of a path is false if any part of the path is absent.
//!
//! # Bounds
//!
//! | bound | beyond it |
//! |---|---|
//! | [`MAX_SOURCE_BYTES`] of an expression | it is refused |
//! | [`MAX_NODES`] operators, names and literals; [`MAX_DEPTH`] of them inside each other | it is refused |
//! | [`MAX_ELEMENTS`] of a list or a map in an expression | it is refused |
//! | `all`, `exists`, `exists_one`, `map` or `filter` inside another | it is refused |
//! | [`MAX_PATTERNS`] regular expressions, [`MAX_PATTERN_BYTES`] each compiled | it is refused |
//! | [`MAX_STATES_BYTES`] of states that one search makes | the evaluation fails |
//! | [`BUDGET`] steps of one evaluation: one for each operator, name, literal and element, and one for each [`BYTES_PER_STEP`] bytes of text that are read or written | the evaluation fails |
//!
//! # Why there is no dependency on an implementation of CEL
//!
//! The crate `cel` 0.15 has no cost limit, so that an expression of a tenant could hold a thread for seconds
//! (1.05 s for two nested lists of 1,000 elements), its `matches` compiles the pattern at each call, its
//! errors contain values of the event, and with its parser it adds 1.8 MB to a program. A test of this crate has its
//! results for comparison.

#![forbid(unsafe_code)]

mod ast;
mod budget;
mod check;
mod condition;
mod conversions;
mod error;
mod evaluate;
mod failure;
mod functions;
mod lexer;
mod limits;
mod literal;
mod nearest;
mod numbers;
mod operators;
mod parser;
mod pattern;
mod program;
mod schema;
#[cfg(test)]
mod tests;
mod texts;
mod value;
mod view;

pub use condition::Condition;
pub use error::ConditionError;
pub use failure::{EvaluationError, FailureKind};
pub use limits::{
    BUDGET, BYTES_PER_STEP, MAX_DEPTH, MAX_ELEMENTS, MAX_NODES, MAX_PATTERN_BYTES, MAX_PATTERNS,
    MAX_SOURCE_BYTES, MAX_STATES_BYTES,
};
pub use schema::Schema;
pub use view::{Attribute, EventView};
