//! Operators on values.

use crate::ast::Operator;
use crate::budget::Budget;
use crate::evaluate::Evaluated;
use crate::failure::{Failure, FailureKind};
use crate::numbers::Number;
use crate::value::{List, Map, Text, Value};
use std::cmp::Ordering;

pub(crate) fn binary<'a>(
    operator: Operator,
    left: &Value<'a>,
    right: &Value<'a>,
    budget: &Budget,
    at: usize,
) -> Evaluated<'a> {
    let ordering = || compare(operator, left, right, budget, at);
    let holds = match operator {
        Operator::Equal => equal(left, right, budget, at)?,
        Operator::NotEqual => !equal(left, right, budget, at)?,
        Operator::Less => ordering()?.is_some_and(Ordering::is_lt),
        Operator::LessEqual => ordering()?.is_some_and(Ordering::is_le),
        Operator::Greater => ordering()?.is_some_and(Ordering::is_gt),
        Operator::GreaterEqual => ordering()?.is_some_and(Ordering::is_ge),
        Operator::In => contains(right, left, budget, at)?,
        Operator::Add
        | Operator::Subtract
        | Operator::Multiply
        | Operator::Divide
        | Operator::Remainder => return calculate(operator, left, right, budget, at),
    };
    Ok(Value::Bool(holds))
}

fn number(value: &Value<'_>) -> Option<Number> {
    match value {
        Value::Int(value) => Some(Number::Int(*value)),
        Value::UInt(value) => Some(Number::UInt(*value)),
        Value::Double(value) => Some(Number::Double(*value)),
        _ => None,
    }
}

/// Values of different types are not equal, except numbers.
fn equal(left: &Value<'_>, right: &Value<'_>, budget: &Budget, at: usize) -> Result<bool, Failure> {
    budget.take(1, at)?;
    Ok(match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Text(left), Value::Text(right)) => {
            // Texts of different lengths are not read.
            if left.len() == right.len() {
                budget.take_bytes(left.len(), at)?;
            }
            **left == **right
        }
        (Value::List(left), Value::List(right)) => {
            if left.len() != right.len() {
                return Ok(false);
            }
            for (left, right) in left.iter().zip(right.iter()) {
                if !equal(&left, &right, budget, at)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(left), Value::Map(right)) => equal_maps(left, right, budget, at)?,
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => left.compare(right) == Some(Ordering::Equal),
            _ => false,
        },
    })
}

fn equal_maps(
    left: &Map<'_>,
    right: &Map<'_>,
    budget: &Budget,
    at: usize,
) -> Result<bool, Failure> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for (key, value) in left.entries() {
        budget.take(1, at)?;
        lookup(right, &key, budget, at)?;
        match right.get(&key) {
            Some(other) if equal(&value, &other, budget, at)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Takes the steps for finding a key.
fn lookup(map: &Map<'_>, key: &str, budget: &Budget, at: usize) -> Result<(), Failure> {
    budget.take_bytes(key.len(), at)?;
    match map {
        // A search tree compares few keys.
        Map::Json(_) => budget.take(1, at),
        Map::Made(entries) => budget.take(entries.len(), at),
    }
}

fn contains(
    range: &Value<'_>,
    value: &Value<'_>,
    budget: &Budget,
    at: usize,
) -> Result<bool, Failure> {
    match range {
        Value::List(list) => {
            for element in list.iter() {
                if equal(&element, value, budget, at)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Value::Map(map) => match value {
            Value::Text(key) => {
                lookup(map, key, budget, at)?;
                Ok(map.get(key).is_some())
            }
            // Numbers and booleans could be keys of other maps.
            Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Double(_) => Ok(false),
            other => Err(Failure::wrong_type(at, "in", other.word())),
        },
        other => Err(Failure::wrong_type(at, "in", other.word())),
    }
}

fn compare(
    operator: Operator,
    left: &Value<'_>,
    right: &Value<'_>,
    budget: &Budget,
    at: usize,
) -> Result<Option<Ordering>, Failure> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Ok(Some(left.cmp(right))),
        (Value::Text(left), Value::Text(right)) => {
            budget.take_bytes(left.len().min(right.len()), at)?;
            Ok(Some((**left).cmp(&**right)))
        }
        _ => match (number(left), number(right)) {
            (Some(left), Some(right)) => Ok(left.compare(right)),
            (left_number, _) => {
                let wrong = if left_number.is_none() { left } else { right };
                Err(Failure::wrong_type(at, operator.symbol(), wrong.word()))
            }
        },
    }
}

fn calculate<'a>(
    operator: Operator,
    left: &Value<'a>,
    right: &Value<'a>,
    budget: &Budget,
    at: usize,
) -> Evaluated<'a> {
    let overflow = || Failure::new(at, FailureKind::Overflow(operator.symbol()));
    let by_zero = || Failure::new(at, FailureKind::DivisionByZero);
    let value = match (operator, left, right) {
        (Operator::Add, Value::Text(left), Value::Text(right)) => {
            budget.take_bytes(left.len() + right.len(), at)?;
            Value::Text(Text::made([&**left, &**right].concat()))
        }
        (Operator::Add, Value::List(left), Value::List(right)) => {
            budget.take(left.len() + right.len(), at)?;
            Value::List(List::made(left.iter().chain(right.iter()).collect()))
        }
        (_, Value::Int(left), Value::Int(right)) => Value::Int(
            match operator {
                Operator::Add => left.checked_add(*right),
                Operator::Subtract => left.checked_sub(*right),
                Operator::Multiply => left.checked_mul(*right),
                _ if *right == 0 => return Err(by_zero()),
                Operator::Divide => left.checked_div(*right),
                _ => left.checked_rem(*right),
            }
            .ok_or_else(overflow)?,
        ),
        (_, Value::UInt(left), Value::UInt(right)) => Value::UInt(
            match operator {
                Operator::Add => left.checked_add(*right),
                Operator::Subtract => left.checked_sub(*right),
                Operator::Multiply => left.checked_mul(*right),
                _ if *right == 0 => return Err(by_zero()),
                Operator::Divide => left.checked_div(*right),
                _ => left.checked_rem(*right),
            }
            .ok_or_else(overflow)?,
        ),
        (_, Value::Double(left), Value::Double(right)) => Value::Double(match operator {
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            Operator::Divide => left / right,
            _ => return Err(Failure::wrong_type(at, operator.symbol(), "a number")),
        }),
        (_, left, right) => {
            // The second one is named if the first one could be right.
            let is_possible = number(left).is_some() || matches!(left, Value::Text(_));
            let wrong = if is_possible { right } else { left };
            return Err(Failure::wrong_type(at, operator.symbol(), wrong.word()));
        }
    };
    Ok(value)
}

pub(crate) fn negate<'a>(value: &Value<'a>, at: usize) -> Evaluated<'a> {
    match value {
        Value::Int(value) => match value.checked_neg() {
            Some(value) => Ok(Value::Int(value)),
            None => Err(Failure::new(at, FailureKind::Overflow("-"))),
        },
        Value::Double(value) => Ok(Value::Double(-value)),
        other => Err(Failure::wrong_type(at, "-", other.word())),
    }
}

pub(crate) fn index<'a>(
    operand: &Value<'a>,
    index: &Value<'a>,
    budget: &Budget,
    at: usize,
) -> Evaluated<'a> {
    match (operand, index) {
        (Value::List(list), _) => {
            let position = match index {
                Value::Int(position) => usize::try_from(*position).ok(),
                Value::UInt(position) => usize::try_from(*position).ok(),
                other => return Err(Failure::wrong_type(at, "[]", other.word())),
            };
            let element = position.and_then(|position| list.get(position));
            element.ok_or_else(|| Failure::new(at, FailureKind::OutOfRange))
        }
        (Value::Map(map), Value::Text(key)) => {
            lookup(map, key, budget, at)?;
            map.get(key)
                .ok_or_else(|| Failure::new(at, FailureKind::NoSuchKey))
        }
        (Value::Map(_), other) | (other, _) => Err(Failure::wrong_type(at, "[]", other.word())),
    }
}
