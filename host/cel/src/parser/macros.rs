//! The macros `has`, `all`, `exists`, `exists_one`, `filter` and `map`, which look like calls.

use super::{Parser, deepest};
use crate::ast::{Ast, Expr, Macro};
use crate::error::Mistake;

impl Parser {
    pub(super) fn comprehension(
        &mut self,
        macro_: Macro,
        range: Ast,
        arguments: Vec<Ast>,
        at: usize,
    ) -> Result<Ast, Mistake> {
        let depth = deepest(&arguments).max(range.depth);
        let count = arguments.len();
        let mut arguments = arguments.into_iter();
        let (first, second, third) = (arguments.next(), arguments.next(), arguments.next());
        let wrong_count = || {
            let expected = match macro_ {
                Macro::Map => "a name and one or two expressions, as in `list.map(x, x.name)`",
                _ => "a name and a condition, as in `list.exists(x, x == 'a')`",
            };
            Mistake::new(
                at,
                format!("{count} arguments"),
                format!("write {expected}"),
            )
        };
        let (Some(variable), Some(second)) = (first, second) else {
            return Err(wrong_count());
        };
        let Expr::Name(variable_name) = variable.expr else {
            return Err(Mistake::new(
                variable.at,
                "the first argument is not a name",
                "write a name for the element, as in `list.exists(x, x == 'a')`",
            ));
        };
        let (predicate, transform) = match (macro_, third, count) {
            (Macro::Map, None, 2) => (None, Some(second)),
            (Macro::Map, Some(third), 3) => (Some(second), Some(third)),
            (_, None, 2) => (Some(second), None),
            _ => return Err(wrong_count()),
        };
        let expr = Expr::Comprehension {
            macro_,
            range: Box::new(range),
            variable: variable_name,
            predicate: predicate.map(Box::new),
            transform: transform.map(Box::new),
        };
        self.node(at, depth, expr)
    }

    pub(super) fn has(&mut self, arguments: Vec<Ast>, at: usize) -> Result<Ast, Mistake> {
        let mut arguments = arguments.into_iter();
        let member = arguments.next().filter(|_| arguments.next().is_none());
        match member.map(|member| (member.at, member.expr)) {
            Some((at, Expr::Member(operand, name))) => {
                let depth = operand.depth;
                self.node(at, depth, Expr::Has(operand, name))
            }
            _ => Err(Mistake::new(
                at,
                "`has` needs one member",
                "write it like `has(data.exitCode)`; for a name with other characters, `'a/b' in data.labels`",
            )),
        }
    }
}
