//! Paths of members from a variable, which the schema of the event checks.

use super::{Checked, Checker, node};
use crate::ast::{Ast, Expr, Literal};
use crate::error::{Mistake, quoted};
use crate::nearest::nearest;
use crate::program::{Code, Empty, Part};
use crate::schema::{Schema, Shape};

/// A path whose value is known by its place alone.
pub(super) enum Path {
    Event,
    Attribute(String),
    Data(Vec<Part>, Shape),
}

impl Checker<'_> {
    /// Returns the path that an expression is, `None` if it is another expression.
    pub(super) fn path(&self, ast: &Ast) -> Result<Option<Path>, Mistake> {
        let at = ast.at;
        let (operand, name, is_index) = match &ast.expr {
            Expr::Name(name) => return self.variable_path(name, at),
            Expr::Member(operand, name) => (operand, name, false),
            Expr::Index(operand, index) => match &index.expr {
                Expr::Literal(Literal::Text(name)) => (operand, name, true),
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let Some(path) = self.path(operand)? else {
            return Ok(None);
        };
        // Plugins may set further attributes. An index shows that one of these is meant, and no known one
        // is misspelled.
        if matches!(path, Path::Event) && is_index && name != "data" {
            return Ok(Some(Path::Attribute(name.clone())));
        }
        path.member(self.schema, name, at).map(Some)
    }

    fn variable_path(&self, name: &str, at: usize) -> Result<Option<Path>, Mistake> {
        let data = || Path::Data(Vec::new(), self.schema.data.clone());
        Ok(Some(match name {
            "event" => Path::Event,
            "data" => data(),
            "labels" | "step" => data().member(self.schema, name, at)?,
            _ => return Ok(None),
        }))
    }
}

impl Path {
    pub(super) fn member(self, schema: &Schema, name: &str, at: usize) -> Result<Self, Mistake> {
        match self {
            Self::Event if name == "data" => Ok(Self::Data(Vec::new(), schema.data.clone())),
            Self::Event if schema.attributes.contains(&name) => {
                Ok(Self::Attribute(name.to_owned()))
            }
            Self::Event => Err(unknown_attribute(schema, name, at)),
            Self::Attribute(_) => Err(no_members(&Shape::Text, at)),
            Self::Data(mut parts, shape) => {
                let (part, shape) = member(&shape, name, at)?;
                parts.push(part);
                Ok(Self::Data(parts, shape))
            }
        }
    }

    /// Returns the program that reads the value.
    pub(super) fn value(self, at: usize) -> Checked {
        match self {
            Self::Event => Err(bare_event(at)),
            // An attribute of a plugin may be a number.
            Self::Attribute(name) => {
                let shape = match crate::condition::is_text_attribute(&name) {
                    true => Shape::Text,
                    false => Shape::Any,
                };
                node(at, Code::Attribute(name), shape)
            }
            Self::Data(parts, shape) => node(at, Code::Data(parts), shape),
        }
    }
}

/// Finds a member in a type.
pub(super) fn member(shape: &Shape, name: &str, at: usize) -> Result<(Part, Shape), Mistake> {
    match shape {
        Shape::Any => Ok((Part::new(at, name, None), Shape::Any)),
        Shape::Map(values) => Ok((Part::new(at, name, None), (**values).clone())),
        Shape::Object(members) => match members.get(name) {
            Some(member) => {
                let part = Part::new(at, name, Empty::of(member));
                Ok((part, member.shape.clone()))
            }
            None => {
                let known: Vec<&str> = members.keys().map(String::as_str).collect();
                Err(unknown_member(name, &known, at))
            }
        },
        _ => Err(no_members(shape, at)),
    }
}

fn unknown_member(name: &str, known: &[&str], at: usize) -> Mistake {
    let remedy = match nearest(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("the members are {}", known.join(", ")),
    };
    Mistake::new(at, format!("unknown member {}", quoted(name)), remedy)
}

fn unknown_attribute(schema: &Schema, name: &str, at: usize) -> Mistake {
    let known = schema.attributes.iter().copied().chain(["data"]);
    let remedy = match nearest(name, known) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!(
            "the attributes are {}; write `event['name']` for one that a plugin sets",
            schema.attributes.join(", ")
        ),
    };
    Mistake::new(at, format!("unknown attribute {}", quoted(name)), remedy)
}

fn no_members(shape: &Shape, at: usize) -> Mistake {
    let message = format!("{} has no members", shape.word());
    Mistake::new(at, message, "use a function, such as `contains`")
}

pub(super) fn bare_event(at: usize) -> Mistake {
    Mistake::new(
        at,
        "`event` is no value by itself",
        "name an attribute, as in `event.type`, or use `data`",
    )
}
