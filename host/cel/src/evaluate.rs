//! Evaluates a program (cel-spec, doc/langdef.md, "Evaluation").

use crate::ast::Macro;
use crate::budget::Budget;
use crate::failure::{Failure, FailureKind};
use crate::program::{Code, Node, Part};
use crate::value::{List, Map, Text, Value};
use crate::view::{Attribute, EventView};
use crate::{functions, operators};
use serde_json::Value as Json;
use std::borrow::Cow;

pub(crate) type Evaluated<'a> = Result<Value<'a>, Failure>;

/// What an evaluation reads.
pub(crate) struct Scope<'a, 's> {
    pub(crate) event: &'a dyn EventView,
    pub(crate) budget: &'s Budget,
    /// The element, inside of a comprehension.
    pub(crate) element: Option<Value<'a>>,
}

/// Evaluates a program to true or false.
pub(crate) fn decide(program: &Node, event: &dyn EventView) -> Result<bool, Failure> {
    let budget = Budget::default();
    let scope = Scope {
        event,
        budget: &budget,
        element: None,
    };
    scope.condition(program, "condition")
}

impl<'a> Scope<'a, '_> {
    pub(crate) fn evaluate(&self, node: &'a Node) -> Evaluated<'a> {
        let at = node.at;
        self.budget.take(1, at)?;
        match &node.code {
            Code::Literal(literal) => Ok(Value::of_literal(literal)),
            Code::Attribute(name) => self.attribute(name, at),
            Code::HasAttribute(name) => Ok(Value::Bool(self.event.attribute(name).is_some())),
            Code::Data(parts) => self.data(parts),
            Code::HasData(parts) => self.has_data(parts).map(Value::Bool),
            Code::Variable => Ok(self.element.clone().unwrap_or(Value::Null)),
            Code::Member(operand, part) => {
                let map = self.map(operand, part)?;
                match (map.get(&part.name), part.empty) {
                    (Some(value), _) => Ok(value),
                    (None, Some(empty)) => Ok(Value::empty(empty)),
                    (None, None) => Err(missing(part)),
                }
            }
            Code::HasMember(operand, part) => {
                let map = self.map(operand, part)?;
                Ok(Value::Bool(map.get(&part.name).is_some()))
            }
            Code::Index(parts) => {
                let (operand, index) = (self.evaluate(&parts.0)?, self.evaluate(&parts.1)?);
                operators::index(&operand, &index, self.budget, at)
            }
            Code::List(elements) => {
                let elements: Result<Vec<_>, _> =
                    elements.iter().map(|node| self.evaluate(node)).collect();
                Ok(Value::List(List::made(elements?)))
            }
            Code::Map(entries) => self.literal_map(entries, at),
            Code::Not(operand) => self
                .condition(operand, "!")
                .map(|value| Value::Bool(!value)),
            Code::Negate(operand) => operators::negate(&self.evaluate(operand)?, at),
            Code::And(operands) => self.chain(operands, "&&", false),
            Code::Or(operands) => self.chain(operands, "||", true),
            Code::Conditional(parts) => match self.condition(&parts.0, "?")? {
                true => self.evaluate(&parts.1),
                false => self.evaluate(&parts.2),
            },
            Code::Binary(operator, operands) => {
                let (left, right) = (self.evaluate(&operands.0)?, self.evaluate(&operands.1)?);
                operators::binary(*operator, &left, &right, self.budget, at)
            }
            Code::Call(function, arguments) => {
                let arguments: Result<Vec<_>, _> =
                    arguments.iter().map(|node| self.evaluate(node)).collect();
                functions::call(*function, &arguments?, self.budget, at)
            }
            Code::Matches(operand, pattern) => {
                let text = match self.evaluate(operand)? {
                    Value::Text(text) => text,
                    other => return Err(Failure::wrong_type(at, "matches", other.word())),
                };
                self.budget.take_bytes(text.len(), at)?;
                let search = pattern.search(&text);
                let search = search.map_err(|_| Failure::new(at, FailureKind::States))?;
                self.budget.take_bytes(search.states_bytes, at)?;
                Ok(Value::Bool(search.is_match))
            }
            Code::Comprehension {
                macro_,
                range,
                predicate,
                transform,
            } => {
                let range = self.evaluate(range)?;
                let bodies = (predicate.as_deref(), transform.as_deref());
                self.comprehension(*macro_, &range, bodies, at)
            }
        }
    }

    fn condition(&self, node: &'a Node, operation: &'static str) -> Result<bool, Failure> {
        match self.evaluate(node)? {
            Value::Bool(value) => Ok(value),
            other => Err(Failure::wrong_type(node.at, operation, other.word())),
        }
    }

    /// Evaluates `&&`, which `false` decides, or `||`, which `true` decides. As the specification demands,
    /// the deciding value decides also if another operand fails. Without steps left, all others fail, too.
    fn chain(&self, operands: &'a [Node], operation: &'static str, decides: bool) -> Evaluated<'a> {
        let mut failure = None;
        for operand in operands {
            match self.condition(operand, operation) {
                Ok(value) if value == decides => return Ok(Value::Bool(decides)),
                Ok(_) => {}
                Err(found) => failure = failure.or(Some(found)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn attribute(&self, name: &str, at: usize) -> Evaluated<'a> {
        match self.event.attribute(name) {
            Some(Attribute::Text(Cow::Borrowed(text))) => Ok(Value::Text(Text::Borrowed(text))),
            Some(Attribute::Text(Cow::Owned(text))) => Ok(Value::Text(Text::made(text))),
            Some(Attribute::Bool(value)) => Ok(Value::Bool(value)),
            Some(Attribute::Int(value)) => Ok(Value::Int(value)),
            None => {
                let kind = FailureKind::Missing(name.to_owned());
                Err(Failure::new(at, kind))
            }
        }
    }

    fn data(&self, parts: &'a [Part]) -> Evaluated<'a> {
        let mut current = self.event.data();
        let mut parts = parts.iter();
        while let Some(part) = parts.next() {
            let Json::Object(members) = current else {
                let found = Value::of_json(current).word();
                return Err(Failure::wrong_type(part.at, ".", found));
            };
            current = match (members.get(&part.name), part.empty) {
                (Some(value), _) => value,
                (None, None) => return Err(missing(part)),
                (None, Some(empty)) => {
                    // An empty map has no members.
                    return match parts.next() {
                        None => Ok(Value::empty(empty)),
                        Some(next) => Err(missing(next)),
                    };
                }
            };
        }
        Ok(Value::of_json(current))
    }

    fn has_data(&self, parts: &'a [Part]) -> Result<bool, Failure> {
        let mut current = self.event.data();
        for part in parts {
            match current {
                Json::Object(members) => match members.get(&part.name) {
                    Some(value) => current = value,
                    None => return Ok(false),
                },
                other => {
                    let found = Value::of_json(other).word();
                    return Err(Failure::wrong_type(part.at, "has", found));
                }
            }
        }
        Ok(true)
    }

    fn map(&self, operand: &'a Node, part: &Part) -> Result<Map<'a>, Failure> {
        match self.evaluate(operand)? {
            Value::Map(map) => Ok(map),
            other => Err(Failure::wrong_type(part.at, ".", other.word())),
        }
    }

    fn literal_map(&self, entries: &'a [(Node, Node)], at: usize) -> Evaluated<'a> {
        let mut made: Vec<(Text<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = match self.evaluate(key)? {
                Value::Text(key) => key,
                other => return Err(Failure::wrong_type(key.at, "{}", other.word())),
            };
            self.budget.take(made.len(), at)?;
            if made.iter().any(|(known, _)| **known == *key) {
                return Err(Failure::new(at, FailureKind::DuplicateKey));
            }
            made.push((key, self.evaluate(value)?));
        }
        Ok(Value::Map(Map::Made(made.into())))
    }

    fn comprehension(
        &self,
        macro_: Macro,
        range: &Value<'a>,
        (predicate, transform): (Option<&'a Node>, Option<&'a Node>),
        at: usize,
    ) -> Evaluated<'a> {
        let elements: Box<dyn Iterator<Item = Value<'a>> + '_> = match range {
            Value::List(list) => Box::new(list.iter()),
            Value::Map(map) => Box::new(map.keys().map(Value::Text)),
            other => return Err(Failure::wrong_type(at, "all, exists, map", other.word())),
        };
        let (mut made, mut matching) = (Vec::new(), 0_usize);
        let mut failure = None;
        for element in elements {
            self.budget.take(1, at)?;
            let scope = Scope {
                event: self.event,
                budget: self.budget,
                element: Some(element.clone()),
            };
            let holds = predicate.map_or(Ok(true), |node| scope.condition(node, "condition"));
            let is_absorbing = matches!(macro_, Macro::All | Macro::Exists);
            let holds = match holds {
                Ok(holds) => holds,
                Err(found) if is_absorbing => {
                    failure = failure.or(Some(found));
                    continue;
                }
                Err(found) => return Err(found),
            };
            match macro_ {
                Macro::All if !holds => return Ok(Value::Bool(false)),
                Macro::Exists if holds => return Ok(Value::Bool(true)),
                Macro::All | Macro::Exists => {}
                Macro::ExistsOne => matching += usize::from(holds),
                Macro::Filter if holds => made.push(element),
                Macro::Map if holds => {
                    if let Some(transform) = transform {
                        made.push(scope.evaluate(transform)?);
                    }
                }
                Macro::Filter | Macro::Map => {}
            }
        }
        match (macro_, failure) {
            (Macro::All | Macro::Exists, Some(failure)) => Err(failure),
            (Macro::All | Macro::Exists, None) => Ok(Value::Bool(macro_ == Macro::All)),
            (Macro::ExistsOne, _) => Ok(Value::Bool(matching == 1)),
            (Macro::Filter | Macro::Map, _) => Ok(Value::List(List::made(made))),
        }
    }
}

fn missing(part: &Part) -> Failure {
    Failure::new(part.at, FailureKind::Missing(part.name.clone()))
}
