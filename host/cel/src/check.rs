//! Checks the names, types and bounds of an expression, and makes the program that is evaluated.
//!
//! A type that is not known at load, such as that of a member of `step`, passes every check here; a wrong
//! one is then an error of the evaluation.

mod calls;
mod operators;
mod paths;

use crate::ast::{Ast, Expr, Literal, Macro};
use crate::error::{Mistake, quoted};
use crate::nearest::nearest;
use crate::program::{Code, Node};
use crate::schema::{Schema, Shape};
use paths::Path;
use std::sync::Arc;

/// The variables of every expression.
const VARIABLES: [&str; 4] = ["event", "data", "labels", "step"];

/// Checks a whole expression, whose result must be true or false.
pub(crate) fn check(ast: &Ast, schema: &Schema) -> Result<Node, Mistake> {
    let mut checker = Checker {
        schema,
        variable: None,
        is_inside: false,
        patterns: 0,
    };
    let (node, shape) = checker.check(ast)?;
    expect_bool(&shape, ast.at, "the expression")?;
    Ok(node)
}

struct Checker<'s> {
    schema: &'s Schema,
    /// Name and type of the element, inside of a comprehension.
    variable: Option<(String, Shape)>,
    /// Whether the part is inside of a comprehension.
    is_inside: bool,
    /// Regular expressions so far.
    patterns: usize,
}

type Checked = Result<(Node, Shape), Mistake>;

fn node(at: usize, code: Code, shape: Shape) -> Checked {
    Ok((Node { at, code }, shape))
}

impl Checker<'_> {
    fn check(&mut self, ast: &Ast) -> Checked {
        let at = ast.at;
        if let Some(path) = self.path(ast)? {
            return path.value(at);
        }
        match &ast.expr {
            Expr::Literal(literal) => node(at, Code::Literal(literal.clone()), of_literal(literal)),
            Expr::Name(name) => match &self.variable {
                Some((variable, shape)) if variable == name => {
                    node(at, Code::Variable, shape.clone())
                }
                _ => Err(unknown_name(name, at)),
            },
            Expr::Member(operand, name) => {
                let (operand, shape) = self.check(operand)?;
                let (part, shape) = paths::member(&shape, name, at)?;
                node(at, Code::Member(Box::new(operand), part), shape)
            }
            Expr::Has(operand, name) => self.has(operand, name, at),
            Expr::Index(operand, index) => self.index(operand, index, at),
            Expr::Call {
                function,
                target,
                arguments,
            } => self.call(function, target.as_deref(), arguments, at),
            Expr::List(elements) => self.list(elements, at),
            Expr::Map(entries) => self.map(entries, at),
            Expr::Not(operand) => {
                let operand = self.condition(operand)?;
                node(at, Code::Not(Box::new(operand)), Shape::Bool)
            }
            Expr::Negate(operand) => self.negate(operand, at),
            Expr::And(operands) => node(at, Code::And(self.conditions(operands)?), Shape::Bool),
            Expr::Or(operands) => node(at, Code::Or(self.conditions(operands)?), Shape::Bool),
            Expr::Conditional(parts) => {
                let (condition, yes, no) = &**parts;
                let condition = self.condition(condition)?;
                let ((yes, first), (no, second)) = (self.check(yes)?, self.check(no)?);
                let shape = match std::mem::discriminant(&first) == std::mem::discriminant(&second)
                {
                    true => first,
                    false => Shape::Any,
                };
                node(at, Code::Conditional(Box::new((condition, yes, no))), shape)
            }
            Expr::Binary(operator, operands) => self.binary(*operator, operands, at),
            Expr::Comprehension {
                macro_,
                range,
                variable,
                predicate,
                transform,
            } => {
                let bodies = (predicate.as_deref(), transform.as_deref());
                self.comprehension(*macro_, range, variable, bodies, at)
            }
        }
    }

    /// Checks an expression that must be true or false.
    fn condition(&mut self, ast: &Ast) -> Result<Node, Mistake> {
        let (node, shape) = self.check(ast)?;
        expect_bool(&shape, ast.at, "a condition")?;
        Ok(node)
    }

    fn conditions(&mut self, operands: &[Ast]) -> Result<Vec<Node>, Mistake> {
        operands
            .iter()
            .map(|operand| self.condition(operand))
            .collect()
    }

    fn has(&mut self, operand: &Ast, name: &str, at: usize) -> Checked {
        let code = match self.path(operand)? {
            Some(path) => match path.member(self.schema, name, at)? {
                Path::Attribute(name) => Code::HasAttribute(name),
                Path::Data(parts, _) => Code::HasData(parts),
                Path::Event => return Err(paths::bare_event(at)),
            },
            None => {
                let (operand, shape) = self.check(operand)?;
                let (part, _) = paths::member(&shape, name, at)?;
                Code::HasMember(Box::new(operand), part)
            }
        };
        node(at, code, Shape::Bool)
    }

    fn list(&mut self, elements: &[Ast], at: usize) -> Checked {
        let mut nodes = Vec::new();
        let mut common: Option<Shape> = None;
        for element in elements {
            let (node, shape) = self.check(element)?;
            nodes.push(node);
            let is_like =
                |common: &Shape| std::mem::discriminant(common) == std::mem::discriminant(&shape);
            common = match common {
                None => Some(shape),
                Some(common) if is_like(&common) => Some(common),
                Some(_) => Some(Shape::Any),
            };
        }
        let shape = Shape::List(Arc::new(common.unwrap_or(Shape::Any)));
        node(at, Code::List(nodes), shape)
    }

    fn map(&mut self, entries: &[(Ast, Ast)], at: usize) -> Checked {
        let mut nodes = Vec::new();
        for (key, value) in entries {
            let (key_node, shape) = self.check(key)?;
            if !matches!(shape, Shape::Text | Shape::Any) {
                return Err(Mistake::new(
                    key.at,
                    format!("a key is {}", shape.word()),
                    "write keys as texts",
                ));
            }
            nodes.push((key_node, self.check(value)?.0));
        }
        node(at, Code::Map(nodes), Shape::Map(Arc::new(Shape::Any)))
    }

    fn comprehension(
        &mut self,
        macro_: Macro,
        range: &Ast,
        variable: &str,
        (predicate, transform): (Option<&Ast>, Option<&Ast>),
        at: usize,
    ) -> Checked {
        if self.is_inside {
            return Err(Mistake::new(
                at,
                "`all`, `exists`, `exists_one`, `filter` or `map` is inside another",
                "use one after the other, `in`, or write a plugin",
            ));
        }
        if VARIABLES.contains(&variable) {
            return Err(Mistake::new(
                at,
                format!("{} is the name of a variable already", quoted(variable)),
                "use another name for the element",
            ));
        }
        // The range may contain a comprehension: it is evaluated before this one.
        let (range_node, shape) = self.check(range)?;
        let element = match shape {
            Shape::List(element) => (*element).clone(),
            Shape::Map(_) | Shape::Object(_) => Shape::Text,
            Shape::Any => Shape::Any,
            other => {
                let message = format!("there are no elements in {}", other.word());
                return Err(Mistake::new(at, message, "use a list or a map"));
            }
        };
        self.is_inside = true;
        self.variable = Some((variable.to_owned(), element.clone()));
        let predicate = predicate.map(|ast| self.condition(ast)).transpose()?;
        let transform = transform.map(|ast| self.check(ast)).transpose()?;
        self.is_inside = false;
        self.variable = None;
        let (transform, result) = transform.unzip();
        let shape = match macro_ {
            Macro::All | Macro::Exists | Macro::ExistsOne => Shape::Bool,
            Macro::Filter => Shape::List(Arc::new(element)),
            Macro::Map => Shape::List(Arc::new(result.unwrap_or(Shape::Any))),
        };
        let code = Code::Comprehension {
            macro_,
            range: Box::new(range_node),
            predicate: predicate.map(Box::new),
            transform: transform.map(Box::new),
        };
        node(at, code, shape)
    }
}

fn of_literal(literal: &Literal) -> Shape {
    match literal {
        Literal::Null => Shape::Null,
        Literal::Bool(_) => Shape::Bool,
        Literal::Int(_) => Shape::Int,
        Literal::UInt(_) => Shape::UInt,
        Literal::Double(_) => Shape::Double,
        Literal::Text(_) => Shape::Text,
    }
}

fn expect_bool(shape: &Shape, at: usize, what: &str) -> Result<(), Mistake> {
    match shape {
        Shape::Bool | Shape::Any => Ok(()),
        other => Err(Mistake::new(
            at,
            format!("{what} is {}, not true or false", other.word()),
            "compare it, as in `data.reason == 'Error'`, or test it with `has(…)`",
        )),
    }
}

fn unknown_name(name: &str, at: usize) -> Mistake {
    let remedy = match nearest(name, VARIABLES) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("the variables are {}", VARIABLES.join(", ")),
    };
    Mistake::new(at, format!("unknown name {}", quoted(name)), remedy)
}
