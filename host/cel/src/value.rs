//! Values during an evaluation. They borrow from the event and the program, so that texts are not copied.

use crate::ast::Literal;
use crate::program::Empty;
use serde_json::{Map as JsonMap, Value as Json};
use std::ops::Deref;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Double(f64),
    Text(Text<'a>),
    List(List<'a>),
    Map(Map<'a>),
}

/// A text of the event or the program, or one that a function made.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Made(Rc<str>),
}

#[derive(Clone, Debug)]
pub(crate) enum List<'a> {
    Json(&'a [Json]),
    Made(Rc<[Value<'a>]>),
}

/// A map with texts as keys.
#[derive(Clone, Debug)]
pub(crate) enum Map<'a> {
    Json(&'a JsonMap<String, Json>),
    Made(Rc<[(Text<'a>, Value<'a>)]>),
}

impl<'a> Value<'a> {
    /// Converts a JSON value. Integers become `int` if they fit, else `uint`.
    pub(crate) fn of_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(value), ..) => Self::Int(value),
                (None, Some(value), _) => Self::UInt(value),
                (None, None, Some(value)) => Self::Double(value),
                (None, None, None) => Self::Null,
            },
            Json::String(text) => Self::Text(Text::Borrowed(text)),
            Json::Array(elements) => Self::List(List::Json(elements)),
            Json::Object(members) => Self::Map(Map::Json(members)),
        }
    }

    pub(crate) fn of_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Int(value) => Self::Int(*value),
            Literal::UInt(value) => Self::UInt(*value),
            Literal::Double(value) => Self::Double(*value),
            Literal::Text(text) => Self::Text(Text::Borrowed(text)),
        }
    }

    pub(crate) fn empty(empty: Empty) -> Self {
        match empty {
            Empty::False => Self::Bool(false),
            Empty::Zero => Self::Int(0),
            Empty::Text => Self::Text(Text::Borrowed("")),
            Empty::List => Self::List(List::Made(Rc::default())),
            Empty::Map => Self::Map(Map::Made(Rc::default())),
        }
    }

    /// Returns the word for the type in messages.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) => "an integer",
            Self::UInt(_) => "an unsigned integer",
            Self::Double(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl Text<'_> {
    pub(crate) fn made(text: String) -> Self {
        Self::Made(text.into())
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'a> List<'a> {
    pub(crate) fn made(elements: Vec<Value<'a>>) -> Self {
        Self::Made(elements.into())
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(elements) => elements.len(),
            Self::Made(elements) => elements.len(),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            Self::Json(elements) => elements.get(index).map(Value::of_json),
            Self::Made(elements) => elements.get(index).cloned(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl<'a> Map<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json(members) => members.len(),
            Self::Made(entries) => entries.len(),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Value<'a>> {
        match self {
            Self::Json(members) => members.get(key).map(Value::of_json),
            Self::Made(entries) => {
                let mut entries = entries.iter();
                let found = entries.find(|(known, _)| &**known == key);
                found.map(|(_, value)| value.clone())
            }
        }
    }

    pub(crate) fn entries(&self) -> Box<dyn Iterator<Item = (Text<'a>, Value<'a>)> + '_> {
        match self {
            Self::Json(members) => Box::new(
                members
                    .iter()
                    .map(|(key, value)| (Text::Borrowed(key.as_str()), Value::of_json(value))),
            ),
            Self::Made(entries) => Box::new(entries.iter().cloned()),
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Text<'a>> + '_ {
        self.entries().map(|(key, _)| key)
    }
}
