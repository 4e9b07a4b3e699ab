//! The event as a condition sees it.

use serde_json::Value;
use std::borrow::Cow;

/// An event. Only the members that an expression names are asked for.
pub trait EventView {
    /// Returns the value of an attribute, `None` if the event has no such attribute.
    fn attribute(&self, name: &str) -> Option<Attribute<'_>>;

    /// Returns the data, null if the event has none.
    fn data(&self) -> &Value;
}

/// The value of an attribute of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attribute<'a> {
    /// A text, also for times and URIs.
    Text(Cow<'a, str>),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
}
