//! The checked expression, as it is evaluated.

use crate::ast::{Literal, Macro, Operator};
use crate::functions::Function;
use crate::pattern::Pattern;
use crate::schema::{Member, Shape};

/// A part of a program, with its place in the source.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) code: Code,
}

#[derive(Debug)]
pub(crate) enum Code {
    Literal(Literal),
    Attribute(String),
    HasAttribute(String),
    /// A path from the data of the event. The data itself has no parts.
    Data(Vec<Part>),
    HasData(Vec<Part>),
    /// The element in a comprehension. There is at most one, because none is inside another.
    Variable,
    Member(Box<Node>, Part),
    HasMember(Box<Node>, Part),
    Index(Box<(Node, Node)>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Conditional(Box<(Node, Node, Node)>),
    Binary(Operator, Box<(Node, Node)>),
    Call(Function, Vec<Node>),
    Matches(Box<Node>, Box<Pattern>),
    Comprehension {
        macro_: Macro,
        range: Box<Node>,
        predicate: Option<Box<Node>>,
        transform: Option<Box<Node>>,
    },
}

/// A member on a path.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) at: usize,
    pub(crate) name: String,
    /// What an absent member reads as.
    pub(crate) empty: Option<Empty>,
}

/// The empty values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Empty {
    False,
    Zero,
    Text,
    List,
    Map,
}

impl Part {
    pub(crate) fn new(at: usize, name: &str, empty: Option<Empty>) -> Self {
        Self {
            at,
            name: name.to_owned(),
            empty,
        }
    }
}

impl Empty {
    /// Returns the empty value of a member, if it has one.
    pub(crate) fn of(member: &Member) -> Option<Self> {
        let empty = match &member.shape {
            Shape::Bool => Self::False,
            Shape::Int | Shape::UInt | Shape::Double => Self::Zero,
            Shape::Text => Self::Text,
            Shape::List(_) => Self::List,
            Shape::Map(_) | Shape::Object(_) => Self::Map,
            Shape::Any | Shape::Null => return None,
        };
        member.has_empty.then_some(empty)
    }
}
