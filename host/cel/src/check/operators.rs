//! Types of operands.

use super::{Checked, Checker, node};
use crate::ast::{Ast, Operator};
use crate::error::Mistake;
use crate::program::Code;
use crate::schema::Shape;
use std::sync::Arc;

impl Checker<'_> {
    pub(super) fn binary(
        &mut self,
        operator: Operator,
        operands: &(Ast, Ast),
        at: usize,
    ) -> Checked {
        let (left, left_shape) = self.check(&operands.0)?;
        let (right, right_shape) = self.check(&operands.1)?;
        let shape = result(operator, &left_shape, &right_shape)
            .ok_or_else(|| mismatch(operator, &left_shape, &right_shape, at))?;
        node(at, Code::Binary(operator, Box::new((left, right))), shape)
    }

    pub(super) fn negate(&mut self, operand: &Ast, at: usize) -> Checked {
        let (operand, shape) = self.check(operand)?;
        if !matches!(shape, Shape::Int | Shape::Double | Shape::Any) {
            let message = format!("`-` is before {}", shape.word());
            return Err(Mistake::new(at, message, "use a number with sign"));
        }
        node(at, Code::Negate(Box::new(operand)), shape)
    }

    pub(super) fn index(&mut self, operand: &Ast, index: &Ast, at: usize) -> Checked {
        let (operand, shape) = self.check(operand)?;
        let (index, index_shape) = self.check(index)?;
        let is_any = matches!(index_shape, Shape::Any);
        let (fits, result) = match &shape {
            Shape::Any => (true, Shape::Any),
            Shape::List(element) => (
                is_any || matches!(index_shape, Shape::Int | Shape::UInt),
                (**element).clone(),
            ),
            Shape::Map(value) => (
                is_any || matches!(index_shape, Shape::Text),
                (**value).clone(),
            ),
            Shape::Object(_) => (is_any || matches!(index_shape, Shape::Text), Shape::Any),
            _ => (false, Shape::Any),
        };
        if !fits {
            let message = format!(
                "{} has no index that is {}",
                shape.word(),
                index_shape.word()
            );
            let remedy = "lists have integers as indexes, and maps texts";
            return Err(Mistake::new(at, message, remedy));
        }
        node(at, Code::Index(Box::new((operand, index))), result)
    }
}

/// Returns the type of the result, `None` if there is none for these operands.
fn result(operator: Operator, left: &Shape, right: &Shape) -> Option<Shape> {
    let is_any = matches!(left, Shape::Any) || matches!(right, Shape::Any);
    let allowed = match operator {
        Operator::Equal | Operator::NotEqual => left.may_equal(right).then_some(Shape::Bool),
        Operator::Less | Operator::LessEqual | Operator::Greater | Operator::GreaterEqual => {
            let is_ordered = match (left, right) {
                (Shape::Text, Shape::Text) | (Shape::Bool, Shape::Bool) => true,
                _ => left.is_number() && right.is_number(),
            };
            (is_ordered || is_any).then_some(Shape::Bool)
        }
        Operator::In => {
            let is_possible = match right {
                Shape::List(element) => left.may_equal(element),
                Shape::Map(_) | Shape::Object(_) => matches!(left, Shape::Text | Shape::Any),
                Shape::Any => true,
                _ => false,
            };
            is_possible.then_some(Shape::Bool)
        }
        Operator::Add => match (left, right) {
            (Shape::Text, Shape::Text) => Some(Shape::Text),
            (Shape::List(_), Shape::List(_)) => Some(Shape::List(Arc::new(Shape::Any))),
            _ => same_number(left, right),
        },
        Operator::Remainder if matches!(left, Shape::Double) => None,
        Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => {
            same_number(left, right)
        }
    };
    allowed.or_else(|| {
        let is_arithmetic = matches!(
            operator,
            Operator::Add
                | Operator::Subtract
                | Operator::Multiply
                | Operator::Divide
                | Operator::Remainder
        );
        (is_arithmetic && is_any).then_some(Shape::Any)
    })
}

fn same_number(left: &Shape, right: &Shape) -> Option<Shape> {
    match (left, right) {
        (Shape::Int, Shape::Int) => Some(Shape::Int),
        (Shape::UInt, Shape::UInt) => Some(Shape::UInt),
        (Shape::Double, Shape::Double) => Some(Shape::Double),
        _ => None,
    }
}

fn mismatch(operator: Operator, left: &Shape, right: &Shape, at: usize) -> Mistake {
    let symbol = operator.symbol();
    let remedy = match (operator, left, right) {
        (Operator::In, Shape::Text, Shape::Text) => "write `text.contains('part')`",
        (Operator::In, ..) => "write `value in list`, or `'key' in map`",
        (Operator::Equal | Operator::NotEqual, ..) => {
            "they are never equal: write texts in quotes, and numbers without"
        }
        _ => "use two values of one type; `int(…)`, `double(…)` and `string(…)` convert",
    };
    let message = format!("`{symbol}` is between {} and {}", left.word(), right.word());
    Mistake::new(at, message, remedy)
}
