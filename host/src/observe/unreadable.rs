//! Objects that cannot be read. They are identified, counted and skipped, so that they do not
//! affect other objects.

use super::list::RawObject;
use super::log_rate_limit::LogRateLimit;
use crate::metrics::Counter;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt::{self, Formatter};
use std::sync::Arc;
use std::time::Instant;
use tracing::warn;

/// The identity of an object that cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UnreadableObject {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    /// UID, if that part can be read.
    pub(super) uid: Option<Arc<str>>,
    pub(super) resource_version: Option<String>,
    /// Description of the problem, without values of the object.
    pub(super) problem: String,
}

impl UnreadableObject {
    /// Reads the identity of the object, as far as it can be read.
    pub(super) fn new(object: &RawObject<'_>, problem: &serde_json::Error) -> Self {
        let mut found = Self {
            problem: if object.is_truncated {
                format!(
                    "it is larger than {} bytes of JSON: it has {}",
                    object.bytes.len(),
                    object.size
                )
            } else {
                describe(problem)
            },
            ..Self::default()
        };
        let mut json = serde_json::Deserializer::from_slice(object.bytes);
        // Fails where the first parsing failed. The members before that position are then in
        // `found`.
        json.deserialize_map(Identity(&mut found)).ok();
        found
    }
}

/// Describes the position and kind of a problem without quoting the object, which may contain
/// secrets.
fn describe(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a member has the wrong type, or there are too many",
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax => "it is not valid JSON, or is nested too deep",
        serde_json::error::Category::Io => "it cannot be read",
    };
    format!("{what} (at byte {})", error.column())
}

/// Reads `metadata` as far as possible.
struct Identity<'a>(&'a mut UnreadableObject);

impl<'de> Visitor<'de> for Identity<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(member) = members.next_key::<String>()? {
            match &*member {
                // A watch event contains the object in this member.
                "object" => members.next_value_seed(Nested(Identity(&mut *self.0)))?,
                "metadata" => members.next_value_seed(Nested(Names(&mut *self.0)))?,
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads the members of `metadata` that identify an object.
struct Names<'a>(&'a mut UnreadableObject);

impl<'de> Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("metadata")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(member) = members.next_key::<String>()? {
            match &*member {
                "namespace" => self.0.namespace = members.next_value::<Short>()?.0.into(),
                "name" => self.0.name = members.next_value::<Short>()?.0.into(),
                "uid" => self.0.uid = Some(members.next_value::<Short>()?.0.into()),
                "resourceVersion" => {
                    self.0.resource_version = Some(members.next_value::<Short>()?.0);
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Nested<V>(V);

impl<'de, V: Visitor<'de>> serde::de::DeserializeSeed<'de> for Nested<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_map(self.0)
    }
}

/// A name of at most 253 bytes, the bound of the API server.
struct Short(String);

impl<'de> Deserialize<'de> for Short {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut name = String::deserialize(deserializer)?;
        name.truncate(name.floor_char_boundary(253));
        Ok(Self(name))
    }
}

/// Counts the unreadable objects of a kind and logs some of them.
#[derive(Debug, Default)]
pub(super) struct UnreadableCounter {
    count: Counter,
    limit: LogRateLimit,
}

impl UnreadableCounter {
    pub(super) fn count(&self) -> &Counter {
        &self.count
    }

    pub(super) fn note(&self, kind: &str, object: &UnreadableObject) {
        self.count.increment();
        if let Some(others) = self.limit.pass(Instant::now()) {
            warn!(
                kind,
                namespace = &*object.namespace,
                name = &*object.name,
                problem = object.problem,
                others,
                remedy = "only its own events are missing; fix or delete the object",
                "unreadable object skipped"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(json: &str, is_truncated: bool) -> UnreadableObject {
        let problem = serde_json::from_str::<u8>("x").unwrap_err();
        let bytes = json.as_bytes();
        let size = bytes.len();
        let object = RawObject {
            bytes,
            is_truncated,
            size,
        };
        UnreadableObject::new(&object, &problem)
    }

    #[test]
    fn an_object_is_named_as_far_as_it_can_be_read() {
        let json = r#"{"type": "ADDED", "object": {"metadata": {"managedFields": [{"a": 1e999}], "name": "n", "namespace": "ns", "resourceVersion": "5", "uid": "u"}, "spec": 1}}"#;
        let found = named(json, false);
        assert_eq!((&*found.namespace, &*found.name), ("ns", "n"));
        assert_eq!(
            (found.uid.as_deref(), found.resource_version.as_deref()),
            (Some("u"), Some("5"))
        );
        for end in 0..json.len() {
            let found = named(json.get(..end).unwrap(), true);
            assert!(found.name.is_empty() || &*found.name == "n", "{end}");
        }
        assert_eq!(&*named(json.get(..130).unwrap(), true).name, "n");
    }
}
