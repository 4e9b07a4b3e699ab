//! The functions, and how they are called.

use crate::budget::Budget;
use crate::evaluate::Evaluated;
use crate::failure::Failure;
use crate::schema::Shape;
use crate::value::Value;
use crate::{conversions, texts};
use std::sync::Arc;

/// A function that evaluates its arguments first. `matches` is not one of them: its pattern is compiled
/// at load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Bool,
    CharAt,
    Contains,
    Double,
    EndsWith,
    IndexOf,
    Int,
    Join,
    LastIndexOf,
    LowerAscii,
    Replace,
    Reverse,
    Size,
    Split,
    StartsWith,
    String,
    Substring,
    Trim,
    UInt,
    UpperAscii,
}

/// One way to call a function.
pub(crate) struct Signature {
    pub(crate) name: &'static str,
    pub(crate) function: Function,
    style: Style,
    /// The first one is before the point of a method.
    pub(crate) parameters: &'static [Parameter],
    pub(crate) result: Parameter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `text.trim()`.
    Method,
    /// `int(text)`.
    Global,
    /// `size(list)` or `list.size()`.
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    Bool,
    Double,
    Int,
    List,
    /// A number, a text or a boolean.
    Scalar,
    /// A text, a list or a map.
    Sized,
    Text,
    UInt,
}

const fn method(
    name: &'static str,
    function: Function,
    parameters: &'static [Parameter],
    result: Parameter,
) -> Signature {
    Signature {
        name,
        function,
        style: Style::Method,
        parameters,
        result,
    }
}

const fn conversion(name: &'static str, function: Function, result: Parameter) -> Signature {
    Signature {
        name,
        function,
        style: Style::Global,
        parameters: &[Parameter::Scalar],
        result,
    }
}

use Parameter::{Int, List, Text};

/// All functions but `matches`. One with several signatures is there several times.
pub(crate) const SIGNATURES: &[Signature] = &[
    conversion("bool", Function::Bool, Parameter::Bool),
    method("charAt", Function::CharAt, &[Text, Int], Text),
    method(
        "contains",
        Function::Contains,
        &[Text, Text],
        Parameter::Bool,
    ),
    conversion("double", Function::Double, Parameter::Double),
    method(
        "endsWith",
        Function::EndsWith,
        &[Text, Text],
        Parameter::Bool,
    ),
    method("indexOf", Function::IndexOf, &[Text, Text], Int),
    method("indexOf", Function::IndexOf, &[Text, Text, Int], Int),
    conversion("int", Function::Int, Int),
    method("join", Function::Join, &[List], Text),
    method("join", Function::Join, &[List, Text], Text),
    method("lastIndexOf", Function::LastIndexOf, &[Text, Text], Int),
    method(
        "lastIndexOf",
        Function::LastIndexOf,
        &[Text, Text, Int],
        Int,
    ),
    method("lowerAscii", Function::LowerAscii, &[Text], Text),
    method("replace", Function::Replace, &[Text, Text, Text], Text),
    method("replace", Function::Replace, &[Text, Text, Text, Int], Text),
    method("reverse", Function::Reverse, &[Text], Text),
    Signature {
        name: "size",
        function: Function::Size,
        style: Style::Both,
        parameters: &[Parameter::Sized],
        result: Int,
    },
    method("split", Function::Split, &[Text, Text], List),
    method("split", Function::Split, &[Text, Text, Int], List),
    method(
        "startsWith",
        Function::StartsWith,
        &[Text, Text],
        Parameter::Bool,
    ),
    conversion("string", Function::String, Text),
    method("substring", Function::Substring, &[Text, Int], Text),
    method("substring", Function::Substring, &[Text, Int, Int], Text),
    method("trim", Function::Trim, &[Text], Text),
    conversion("uint", Function::UInt, Parameter::UInt),
    method("upperAscii", Function::UpperAscii, &[Text], Text),
];

impl Signature {
    pub(crate) fn is_callable_as(&self, is_method: bool) -> bool {
        match self.style {
            Style::Method => is_method,
            Style::Global => !is_method,
            Style::Both => true,
        }
    }

    /// Returns an example, such as `text.split(text)`.
    pub(crate) fn usage(&self) -> String {
        let mut words = self.parameters.iter().map(|parameter| parameter.example());
        let target = match self.style {
            Style::Method => words.next(),
            Style::Global | Style::Both => None,
        };
        let target = target
            .map(|target| format!("{target}."))
            .unwrap_or_default();
        let arguments: Vec<&str> = words.collect();
        format!("{target}{}({})", self.name, arguments.join(", "))
    }
}

impl Parameter {
    pub(crate) fn accepts(self, shape: &Shape) -> bool {
        match (self, shape) {
            (_, Shape::Any) => true,
            (Self::Bool, Shape::Bool)
            | (Self::Double, Shape::Double)
            | (Self::Int, Shape::Int)
            | (Self::List, Shape::List(_))
            | (Self::Text, Shape::Text)
            | (Self::UInt, Shape::UInt) => true,
            (Self::Scalar, shape) => {
                matches!(shape, Shape::Bool | Shape::Text) || shape.is_number()
            }
            (Self::Sized, shape) => matches!(
                shape,
                Shape::Text | Shape::List(_) | Shape::Map(_) | Shape::Object(_)
            ),
            _ => false,
        }
    }

    /// Returns the type of a result.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::Bool => Shape::Bool,
            Self::Double => Shape::Double,
            Self::Int => Shape::Int,
            // The only lists that functions return are those of `split`.
            Self::List => Shape::List(Arc::new(Shape::Text)),
            Self::Scalar | Self::Sized => Shape::Any,
            Self::Text => Shape::Text,
            Self::UInt => Shape::UInt,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Scalar => "a number, a text or a boolean",
            Self::Sized => "a text, a list or a map",
            other => other.shape().word(),
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Double | Self::Int | Self::UInt => "number",
            Self::List => "list",
            Self::Scalar => "value",
            Self::Sized => "list",
            Self::Text => "text",
        }
    }
}

/// Calls a function. The checks at load have seen to the number of arguments.
pub(crate) fn call<'a>(
    function: Function,
    arguments: &[Value<'a>],
    budget: &Budget,
    at: usize,
) -> Evaluated<'a> {
    let name = SIGNATURES
        .iter()
        .find(|known| known.function == function)
        .map_or("", |known| known.name);
    let wrong = || {
        // The first argument that is not what most functions take.
        let found = arguments
            .iter()
            .find(|argument| !matches!(argument, Value::Text(_)))
            .map_or("a text", Value::word);
        Failure::wrong_type(at, name, found)
    };
    let integer = |value: &Value<'_>| match value {
        Value::Int(value) => Ok(*value),
        other => Err(Failure::wrong_type(at, name, other.word())),
    };
    match (function, arguments) {
        (Function::Size, [value]) => texts::size(value, budget, at),
        (
            Function::Bool | Function::Double | Function::Int | Function::String | Function::UInt,
            [value],
        ) => conversions::convert(function, name, value, budget, at),
        (Function::Join, [Value::List(list), rest @ ..]) => match rest {
            [] => texts::join(list, "", budget, at),
            [Value::Text(separator)] => texts::join(list, separator, budget, at),
            _ => Err(wrong()),
        },
        (_, [Value::Text(text), rest @ ..]) => {
            let call = texts::Call { text, budget, at };
            match (function, rest) {
                (Function::LowerAscii, []) => call.mapped(str::to_ascii_lowercase),
                (Function::UpperAscii, []) => call.mapped(str::to_ascii_uppercase),
                (Function::Reverse, []) => call.mapped(|text| text.chars().rev().collect()),
                (Function::Trim, []) => call.trim(),
                (Function::CharAt, [index]) => call.char_at(integer(index)?),
                (Function::Substring, [start]) => call.substring(integer(start)?, None),
                (Function::Substring, [start, end]) => {
                    call.substring(integer(start)?, Some(integer(end)?))
                }
                (Function::Contains, [Value::Text(part)]) => call.contains(part),
                (Function::StartsWith, [Value::Text(part)]) => call.starts_with(part),
                (Function::EndsWith, [Value::Text(part)]) => call.ends_with(part),
                (Function::IndexOf, [Value::Text(part)]) => call.index_of(part, None),
                (Function::IndexOf, [Value::Text(part), offset]) => {
                    call.index_of(part, Some(integer(offset)?))
                }
                (Function::LastIndexOf, [Value::Text(part)]) => call.last_index_of(part, None),
                (Function::LastIndexOf, [Value::Text(part), offset]) => {
                    call.last_index_of(part, Some(integer(offset)?))
                }
                (Function::Replace, [Value::Text(from), Value::Text(to)]) => {
                    call.replace(from, to, -1)
                }
                (Function::Replace, [Value::Text(from), Value::Text(to), limit]) => {
                    call.replace(from, to, integer(limit)?)
                }
                (Function::Split, [Value::Text(separator)]) => call.split(separator, -1),
                (Function::Split, [Value::Text(separator), limit]) => {
                    call.split(separator, integer(limit)?)
                }
                _ => Err(wrong()),
            }
        }
        _ => Err(wrong()),
    }
}
