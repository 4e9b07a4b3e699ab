//! Calls of functions.

use super::{Checked, Checker, node};
use crate::ast::{Ast, Expr, Literal};
use crate::error::{Mistake, quoted};
use crate::functions::{Parameter, SIGNATURES, Signature};
use crate::limits::MAX_PATTERNS;
use crate::nearest::nearest;
use crate::pattern::Pattern;
use crate::program::Code;
use crate::schema::Shape;

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        function: &str,
        target: Option<&Ast>,
        arguments: &[Ast],
        at: usize,
    ) -> Checked {
        let parts: Vec<&Ast> = target.into_iter().chain(arguments).collect();
        if function == "matches" {
            return self.matches(&parts, at);
        }
        let named = SIGNATURES.iter().filter(|known| known.name == function);
        let named: Vec<&Signature> = named.collect();
        let Some(first) = named.first() else {
            return Err(unknown_function(function, at));
        };
        let is_method = target.is_some();
        let called = named
            .iter()
            .find(|known| known.is_callable_as(is_method) && known.parameters.len() == parts.len());
        let Some(called) = called else {
            let message = format!("`{function}` is called in another way");
            return Err(Mistake::new(at, message, usage(first, &named)));
        };
        let mut nodes = Vec::new();
        for (part, parameter) in parts.iter().zip(called.parameters) {
            let (node, shape) = self.check(part)?;
            if !parameter.accepts(&shape) {
                let message = format!(
                    "`{function}` gets {} instead of {}",
                    shape.word(),
                    parameter.word()
                );
                return Err(Mistake::new(part.at, message, usage(first, &named)));
            }
            nodes.push(node);
        }
        let result = called.result.shape();
        node(at, Code::Call(called.function, nodes), result)
    }

    /// Compiles the pattern. One that is made during the evaluation is refused: compiling takes longer
    /// than an evaluation may.
    fn matches(&mut self, parts: &[&Ast], at: usize) -> Checked {
        let [text, pattern] = parts else {
            return Err(Mistake::new(
                at,
                "`matches` is called in another way",
                "write `text.matches('pattern')`",
            ));
        };
        let (text_node, shape) = self.check(text)?;
        if !Parameter::Text.accepts(&shape) {
            let message = format!("`matches` gets {} instead of a text", shape.word());
            return Err(Mistake::new(text.at, message, "use it on a text"));
        }
        let Expr::Literal(Literal::Text(source)) = &pattern.expr else {
            return Err(Mistake::new(
                pattern.at,
                "the pattern of `matches` is not a text in quotes",
                "write the pattern itself, or use `contains`, `startsWith` or `endsWith`",
            ));
        };
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            return Err(Mistake::new(
                at,
                format!("more than {MAX_PATTERNS} regular expressions"),
                "join some with `|`",
            ));
        }
        let pattern = Pattern::compile(source).map_err(|reason| {
            let (message, remedy) = reason.texts();
            Mistake::new(pattern.at, message, remedy)
        })?;
        node(
            at,
            Code::Matches(Box::new(text_node), Box::new(pattern)),
            Shape::Bool,
        )
    }
}

fn unknown_function(name: &str, at: usize) -> Mistake {
    let known = || SIGNATURES.iter().map(|known| known.name);
    let macros = [
        "has",
        "all",
        "exists",
        "exists_one",
        "filter",
        "map",
        "matches",
    ];
    let remedy = match nearest(name, known().chain(macros)) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => {
            let mut names: Vec<&str> = known().chain(macros).collect();
            names.sort_unstable();
            names.dedup();
            format!("the functions are {}", names.join(", "))
        }
    };
    Mistake::new(at, format!("unknown function {}", quoted(name)), remedy)
}

/// Describes how a function is called.
fn usage(first: &Signature, named: &[&Signature]) -> String {
    let calls: Vec<String> = named.iter().map(|known| known.usage()).collect();
    match calls.as_slice() {
        [] => first.usage(),
        [only] => format!("write `{only}`"),
        several => format!("write `{}`", several.join("` or `")),
    }
}
