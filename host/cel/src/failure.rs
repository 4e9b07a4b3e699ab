//! Why an evaluation fails.

use crate::error::{position, quoted};

/// Why a condition has no result for an event, and where. It contains names of the expression, and no value of
/// the event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("in line {line}, column {column} of the expression: {kind}; {}", kind.remedy())]
pub struct EvaluationError {
    /// Line in the expression, from 1.
    pub line: usize,
    /// Column in the line in characters, from 1.
    pub column: usize,
    /// What failed.
    pub kind: FailureKind,
}

/// What failed during an evaluation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// The event has no such member or attribute.
    #[error("the event has no {}", quoted(.0))]
    Missing(String),
    /// A map has no key that is computed.
    #[error("the map has no such key")]
    NoSuchKey,
    /// A list has no such element.
    #[error("the index is outside of the list or text")]
    OutOfRange,
    /// An operator or a function got a value of another type.
    #[error("`{operation}` is used on {found}")]
    WrongType {
        /// The operator or function.
        operation: &'static str,
        /// The type of the value.
        found: &'static str,
    },
    /// The result of a calculation has no representation.
    #[error("the result of `{0}` is outside of the range of its type")]
    Overflow(&'static str),
    /// A division by zero.
    #[error("a division by zero")]
    DivisionByZero,
    /// A text is not what a conversion needs.
    #[error("`{0}` cannot convert the value")]
    Conversion(&'static str),
    /// A map of the expression has a key twice.
    #[error("a map has the same key twice")]
    DuplicateKey,
    /// The evaluation took all steps that it may take.
    #[error("the evaluation takes too many steps for this event")]
    Budget,
    /// A regular expression needs too many states.
    #[error("the regular expression needs too many states for this text")]
    States,
    /// A defect of the evaluator.
    #[error("the evaluation panicked")]
    Panic,
}

impl FailureKind {
    /// Returns what to do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Missing(_) => "test it with `has(…)` before",
            Self::NoSuchKey => "test it with `key in map` before",
            Self::OutOfRange => "test `size(…)` before",
            Self::WrongType { .. } => "test the value before, or convert it with `string(…)`",
            Self::Overflow(_) | Self::DivisionByZero => "compare numbers instead of calculating",
            Self::Conversion(_) => "test the text with `matches` before",
            Self::DuplicateKey => "remove one",
            Self::Budget => "test a shorter member, or use fewer functions on texts",
            Self::States => "use a simpler pattern, without repetitions such as {20}",
            Self::Panic => "report it with the expression",
        }
    }
}

/// A failure at an offset in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) at: usize,
    pub(crate) kind: FailureKind,
}

impl Failure {
    pub(crate) fn new(at: usize, kind: FailureKind) -> Self {
        Self { at, kind }
    }

    pub(crate) fn wrong_type(at: usize, operation: &'static str, found: &'static str) -> Self {
        Self::new(at, FailureKind::WrongType { operation, found })
    }

    pub(crate) fn in_source(self, source: &str) -> EvaluationError {
        let (line, column) = position(source, self.at);
        EvaluationError {
            line,
            column,
            kind: self.kind,
        }
    }
}
