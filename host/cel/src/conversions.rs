//! Conversions between types (cel-spec, doc/langdef.md, "Abstract types").

use crate::budget::Budget;
use crate::evaluate::Evaluated;
use crate::failure::{Failure, FailureKind};
use crate::functions::Function;
use crate::numbers::Number;
use crate::value::{Text, Value};

pub(crate) fn convert<'a>(
    function: Function,
    name: &'static str,
    value: &Value<'a>,
    budget: &Budget,
    at: usize,
) -> Evaluated<'a> {
    let number = match value {
        Value::Int(value) => Some(Number::Int(*value)),
        Value::UInt(value) => Some(Number::UInt(*value)),
        Value::Double(value) => Some(Number::Double(*value)),
        _ => None,
    };
    if let Value::Text(text) = value {
        budget.take_bytes(text.len(), at)?;
    }
    let failed = || Failure::new(at, FailureKind::Conversion(name));
    let wrong = || Failure::wrong_type(at, name, value.word());
    match (function, value, number) {
        (Function::Bool, Value::Bool(value), _) => Ok(Value::Bool(*value)),
        (Function::Bool, Value::Text(text), _) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(failed()),
        },
        (Function::Int, _, Some(number)) => number.to_int().map(Value::Int).ok_or_else(failed),
        (Function::Int, Value::Text(text), _) => text.parse().map(Value::Int).map_err(|_| failed()),
        (Function::UInt, _, Some(number)) => number.to_uint().map(Value::UInt).ok_or_else(failed),
        (Function::UInt, Value::Text(text), _) => {
            text.parse().map(Value::UInt).map_err(|_| failed())
        }
        (Function::Double, _, Some(number)) => Ok(Value::Double(number.to_double())),
        (Function::Double, Value::Text(text), _) => {
            text.parse().map(Value::Double).map_err(|_| failed())
        }
        (Function::String, Value::Text(text), _) => Ok(Value::Text(text.clone())),
        (Function::String, Value::Bool(value), _) => Ok(Value::Text(Text::Borrowed(if *value {
            "true"
        } else {
            "false"
        }))),
        (Function::String, Value::Int(value), _) => Ok(Value::Text(Text::made(value.to_string()))),
        (Function::String, Value::UInt(value), _) => Ok(Value::Text(Text::made(value.to_string()))),
        (Function::String, Value::Double(value), _) => {
            // The largest one has 309 digits.
            budget.take(16, at)?;
            Ok(Value::Text(Text::made(value.to_string())))
        }
        _ => Err(wrong()),
    }
}
