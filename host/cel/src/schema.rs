//! What an event may contain, from its JSON Schema.

use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// References that are followed inside each other; what is deeper may be anything.
const MAX_REFERENCES: u8 = 16;

/// The members of an event and their types.
#[derive(Clone, Debug)]
pub struct Schema {
    pub(crate) data: Shape,
    /// Attributes that events have by themselves. Plugins may add others.
    pub(crate) attributes: Vec<&'static str>,
}

/// The type of a value, as far as it is known at load.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Any,
    Null,
    Bool,
    Int,
    UInt,
    Double,
    Text,
    List(Arc<Self>),
    /// A map with texts as keys.
    Map(Arc<Self>),
    /// An object with known members.
    Object(Arc<BTreeMap<String, Member>>),
}

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) shape: Shape,
    /// Whether the member reads as the empty value of its type if it is absent.
    pub(crate) has_empty: bool,
}

impl Schema {
    /// Reads the JSON Schema of the data, and takes the names of the attributes.
    ///
    /// Of the schema it reads `type`, `properties`, `required`, `additionalProperties`, `items`, `anyOf`
    /// with `null`, and `$ref` to `$defs`. Whatever else it contains may be anything.
    #[must_use]
    pub fn new(data: &Value, attributes: &[&'static str]) -> Self {
        Self {
            data: shape(data, data, MAX_REFERENCES).shape,
            attributes: attributes.to_vec(),
        }
    }
}

struct Read {
    shape: Shape,
    is_nullable: bool,
}

impl Read {
    fn any() -> Self {
        Self {
            shape: Shape::Any,
            is_nullable: true,
        }
    }
}

fn shape(schema: &Value, root: &Value, references: u8) -> Read {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let pointer = reference.strip_prefix('#').unwrap_or_default();
        let target = root.pointer(pointer);
        return match (target, references.checked_sub(1)) {
            (Some(target), Some(left)) => shape(target, root, left),
            _ => Read::any(),
        };
    }
    if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
        let is_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) == Some("null");
        let mut others = alternatives.iter().filter(|schema| !is_null(schema));
        return match (others.next(), others.next()) {
            (Some(only), None) => Read {
                is_nullable: true,
                ..shape(only, root, references)
            },
            _ => Read::any(),
        };
    }
    let (names, is_nullable) = types(schema);
    let shape = match names.as_slice() {
        ["boolean"] => Shape::Bool,
        ["integer"] => Shape::Int,
        ["number"] => Shape::Double,
        ["string"] => Shape::Text,
        ["array"] => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            Shape::List(Arc::new(shape(items, root, references).shape))
        }
        ["object"] => object(schema, root, references),
        _ => Shape::Any,
    };
    Read { shape, is_nullable }
}

/// Returns the types except `null`, and whether that is one of them.
fn types(schema: &Value) -> (Vec<&str>, bool) {
    let names: Vec<&str> = match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let others: Vec<&str> = names
        .iter()
        .filter(|name| **name != "null")
        .copied()
        .collect();
    let is_nullable = others.len() != names.len();
    (others, is_nullable)
}

fn object(schema: &Value, root: &Value, references: u8) -> Shape {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        let values = schema.get("additionalProperties");
        let values = values.filter(|values| values.is_object());
        let values = values.map_or(Shape::Any, |values| shape(values, root, references).shape);
        return Shape::Map(Arc::new(values));
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let members = properties.iter().map(|(name, property)| {
        let Read { shape, is_nullable } = shape(property, root, references);
        let is_required = required.contains(&&**name);
        let has_empty = !is_required && !is_nullable;
        (name.clone(), Member { shape, has_empty })
    });
    Shape::Object(Arc::new(members.collect()))
}

impl Shape {
    /// Returns the word for values of this type in messages.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Int => "an integer",
            Self::UInt => "an unsigned integer",
            Self::Double => "a number",
            Self::Text => "a text",
            Self::List(_) => "a list",
            Self::Map(_) | Self::Object(_) => "a map",
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::UInt | Self::Double)
    }

    /// Returns whether a value of one type may equal a value of the other.
    pub(crate) fn may_equal(&self, other: &Self) -> bool {
        match (self, other) {
            // A member that may be absent may be null, too.
            (Self::Any | Self::Null, _) | (_, Self::Any | Self::Null) => true,
            (Self::Bool, Self::Bool) | (Self::Text, Self::Text) => true,
            (Self::List(_), Self::List(_)) => true,
            (Self::Map(_) | Self::Object(_), Self::Map(_) | Self::Object(_)) => true,
            _ => self.is_number() && other.is_number(),
        }
    }
}
