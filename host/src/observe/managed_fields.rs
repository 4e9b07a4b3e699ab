//! Reads from `metadata.managedFields` when the annotation `tekton.dev/ready` was set.
//!
//! It reads as little as possible in one pass, because a tenant who can write an object decides on
//! the depth of its fields and on the types and times in them. A malformed member counts as
//! missing.

use super::lenient;
use jiff::Timestamp;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt::{self, Formatter};

/// Path of members in an entry of `managedFields`. If the path exists, the manager of the entry has
/// set the annotation.
const READY_PATH: [&str; 4] = [
    "fieldsV1",
    "f:metadata",
    "f:annotations",
    "f:tekton.dev/ready",
];

/// Returns the earliest time of the entries that contain the annotation: a later entry only sets
/// the same value again.
pub(super) fn ready_at<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    Entries.deserialize(deserializer)
}

/// Reads any value that is neither an object nor a list as the default.
macro_rules! scalars_are_default {
    () => {
        fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
            formatter.write_str("managed fields")
        }

        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
}

/// Skips the elements of a list.
fn skip<'de, A: SeqAccess<'de>>(mut elements: A) -> Result<(), A::Error> {
    while elements.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Visits the list of entries.
struct Entries;

impl<'de> DeserializeSeed<'de> for Entries {
    type Value = Option<Timestamp>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Option<Timestamp>;

    scalars_are_default!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut earliest: Option<Timestamp> = None;
        while let Some(found) = elements.next_element_seed(Entry)? {
            earliest = match (earliest, found) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        Ok(earliest)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// Visits one entry and returns its time, if it contains the annotation.
struct Entry;

#[derive(Deserialize)]
#[serde(transparent)]
struct Time(#[serde(deserialize_with = "lenient::time")] Option<Timestamp>);

impl<'de> DeserializeSeed<'de> for Entry {
    type Value = Option<Timestamp>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry {
    type Value = Option<Timestamp>;

    scalars_are_default!();

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Self::Value, A::Error> {
        skip(elements).map(|()| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let [fields, path @ ..] = &READY_PATH;
        let mut time = None;
        let mut is_set = false;
        while let Some(name) = members.next_key::<Name<'_>>()? {
            if name.is("time") {
                time = members.next_value::<Time>()?.0;
            } else if name.is(fields) {
                is_set = members.next_value_seed(Path(path))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(time.filter(|_| is_set))
    }
}

/// Deserializes nested objects into a boolean: true if they contain this path of member names.
struct Path<'p>(&'p [&'p str]);

impl<'de> DeserializeSeed<'de> for Path<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Path<'_> {
    type Value = bool;

    scalars_are_default!();

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<bool, A::Error> {
        skip(elements).map(|()| false)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(name) = members.next_key::<Name<'_>>()? {
            match self.0 {
                [next] if name.is(next) => {
                    found = true;
                    members.next_value::<IgnoredAny>()?;
                }
                [next, rest @ ..] if !rest.is_empty() && name.is(next) => {
                    found |= members.next_value_seed(Path(rest))?;
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }
}

/// The name of a member. It is compared without a copy unless it contains escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);

impl Name<'_> {
    fn is(&self, name: &str) -> bool {
        self.0 == name
    }
}

#[cfg(test)]
mod tests {
    use super::super::metadata::Metadata;
    use serde_json::{Value, json};

    fn ready_at(managed_fields: &Value) -> Option<String> {
        let json = json!({"name": "a", "managedFields": managed_fields, "uid": "u"}).to_string();
        let read: Metadata = serde_json::from_str(&json).unwrap();
        assert_eq!(read.uid.as_deref(), Some("u"));
        read.ready_at.map(|at| at.to_string())
    }

    fn entry(time: &str, annotation: &str) -> Value {
        json!({"manager": "controller", "time": time, "fieldsV1": {
            "f:metadata": {"f:annotations": {".": {}, annotation: {}}, "f:labels": {"f:tekton.dev/ready": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"step-a\"}": {}}},
        }})
    }

    #[test]
    fn ready_has_the_time_of_the_entry_that_holds_it() {
        let release = entry("2026-01-01T00:00:01Z", "f:pipeline.tekton.dev/release");
        let ready = entry("2026-01-01T00:00:02Z", "f:tekton.dev/ready");
        let again = entry("2026-01-01T00:00:03Z", "f:tekton.dev/ready");
        assert_eq!(ready_at(&json!([release])), None);
        let found = ready_at(&json!([release, again, ready]));
        assert_eq!(found.as_deref(), Some("2026-01-01T00:00:02Z"));
    }

    #[test]
    fn malformed_fields_are_missing() {
        let of = |fields: Value| json!([{"time": "2026-01-01T00:00:01Z", "fieldsV1": fields}]);
        for odd in [
            json!(null),
            json!(1),
            json!(-1.5),
            json!({"a": [1]}),
            json!([null, 1, "a", true, [[]], {"time": 5, "fieldsV1": 7}]),
            of(json!({"f:metadata": [1]})),
            of(json!({"f:metadata": {"f:annotations": "f:tekton.dev/ready"}})),
            of(json!({"f:tekton.dev/ready": {}})),
            json!([entry("soon", "f:tekton.dev/ready")]),
            json!([entry("9999-12-31T23:59:59Z", "f:tekton.dev/ready")]),
        ] {
            assert_eq!(ready_at(&odd), None, "{odd}");
        }
    }
}
