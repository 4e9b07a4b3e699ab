//! A compiled condition.

use crate::ast::Ast;
use crate::error::{ConditionError, Mistake};
use crate::evaluate::decide;
use crate::failure::{EvaluationError, Failure, FailureKind};
use crate::program::Node;
use crate::schema::Schema;
use crate::view::EventView;
use crate::{check, parser};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A condition on an event. A copy shares the compiled expression.
#[derive(Clone, Debug)]
pub struct Condition {
    source: Arc<str>,
    program: Arc<Node>,
}

impl Condition {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// A mistake of syntax, an unknown name, a wrong type, or a bound, with its place.
    pub fn compile(source: &str, schema: &Schema) -> Result<Self, ConditionError> {
        // A defect must not end a program that reads the expression of a tenant.
        let compiled = catch_unwind(AssertUnwindSafe(|| {
            let ast: Ast = parser::parse(source)?;
            check::check(&ast, schema)
        }));
        let compiled = compiled.unwrap_or_else(|_| {
            let message = "compiling the expression panicked";
            Err(Mistake::new(0, message, "report it with the expression"))
        });
        let program = compiled.map_err(|mistake| mistake.in_source(source))?;
        Ok(Self {
            source: source.into(),
            program: Arc::new(program),
        })
    }

    /// Returns the text of the expression.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns whether the condition holds for an event. The time is bounded ([`crate::BUDGET`]).
    ///
    /// # Errors
    ///
    /// The condition has no result for this event: neither true nor false.
    pub fn matches(&self, event: &dyn EventView) -> Result<bool, EvaluationError> {
        let decided = catch_unwind(AssertUnwindSafe(|| decide(&self.program, event)));
        let decided =
            decided.unwrap_or_else(|_| Err(Failure::new(self.program.at, FailureKind::Panic)));
        decided.map_err(|failure| failure.in_source(&self.source))
    }
}

/// Conditions are equal if their texts are: one schema is used for all.
impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Condition {}

/// Returns whether an attribute is a text in every event. Plugins may give others other types.
pub(crate) fn is_text_attribute(name: &str) -> bool {
    matches!(
        name,
        "datacontenttype"
            | "dataschema"
            | "id"
            | "source"
            | "specversion"
            | "subject"
            | "time"
            | "type"
    )
}
