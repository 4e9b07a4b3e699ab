//! The configured bound on the size of an event.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt::{self, Formatter};

/// Smallest bound in bytes. The members that identify a step and its end always fit.
const MIN_BYTES: usize = 4 * 1024;
/// Largest bound in bytes.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Size that every CloudEvents intermediary must forward (CloudEvents 1.0, section "Size Limits").
const DEFAULT_BYTES: usize = 64 * 1024;
/// The word for no bound.
const OFF: &str = "off";

/// Bound of an event in bytes, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxBytes(Option<usize>);

impl MaxBytes {
    /// Returns a bound of this many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Some(bytes))
    }

    /// No bound.
    pub const OFF: Self = Self(None);

    /// Returns the bound in bytes, if there is one.
    #[must_use]
    pub fn get(self) -> Option<usize> {
        self.0
    }
}

impl Default for MaxBytes {
    fn default() -> Self {
        Self(Some(DEFAULT_BYTES))
    }
}

impl Serialize for MaxBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(bytes) => bytes.serialize(serializer),
            None => OFF.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for MaxBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MaxBytesVisitor)
    }
}

struct MaxBytesVisitor;

impl Visitor<'_> for MaxBytesVisitor {
    type Value = MaxBytes;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{MIN_BYTES} to {MAX_BYTES} bytes, or {OFF}")
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<MaxBytes, E> {
        let inside = usize::try_from(bytes).ok();
        let inside = inside.filter(|bytes| (MIN_BYTES..=MAX_BYTES).contains(bytes));
        let refused = || {
            E::custom(format!(
                "{bytes} is not between {MIN_BYTES} and {MAX_BYTES}; {OFF} is for no bound"
            ))
        };
        inside.map(MaxBytes::new).ok_or_else(refused)
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<MaxBytes, E> {
        match u64::try_from(bytes) {
            Ok(bytes) => self.visit_u64(bytes),
            Err(_) => self.visit_str(""),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<MaxBytes, E> {
        match text {
            OFF => Ok(MaxBytes::OFF),
            _ => Err(E::custom(format!(
                "write {MIN_BYTES} to {MAX_BYTES} bytes, or {OFF}"
            ))),
        }
    }

    /// YAML 1.1 reads `off` as a boolean.
    fn visit_bool<E: Error>(self, on: bool) -> Result<MaxBytes, E> {
        match on {
            false => Ok(MaxBytes::OFF),
            true => self.visit_str("true"),
        }
    }
}

impl JsonSchema for MaxBytes {
    fn schema_name() -> Cow<'static, str> {
        "MaxBytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [
            {"type": "integer", "minimum": MIN_BYTES, "maximum": MAX_BYTES},
            {"const": OFF},
        ]})
    }
}
