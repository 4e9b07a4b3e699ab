//! Deserializers that replace a malformed member by its default.
//!
//! The API server checks the fields of a Pod, but not those of a custom resource that keeps unknown
//! fields: the `spec` and `status` of a TaskRun can contain any JSON. A malformed member counts as
//! missing.

use jiff::Timestamp;
use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt::{self, Formatter};
use std::marker::PhantomData;
use std::sync::Arc;

/// Reads `null` as the default.
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads any value. A value that is not a `T` gives the default. The raw text is read first,
/// without recursion, so that the depth of the value does not matter.
pub(super) fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// Reads the first `MAX` elements of a list and skips the rest. An element that is not a `T` gives
/// the default, a value that is not a list gives an empty list.
pub(super) fn lenient_list<'de, const MAX: usize, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let raw = <&RawValue>::deserialize(deserializer)?;
    if !raw.get().starts_with('[') {
        return Ok(Vec::new());
    }
    let mut json = serde_json::Deserializer::from_str(raw.get());
    let list = json.deserialize_seq(List::<MAX, T>(PhantomData));
    Ok(list.unwrap_or_default())
}

struct List<const MAX: usize, T>(PhantomData<T>);

impl<'de, const MAX: usize, T: DeserializeOwned + Default> Visitor<'de> for List<MAX, T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while list.len() < MAX {
            let Some(raw) = elements.next_element::<&RawValue>()? else {
                return Ok(list);
            };
            list.push(serde_json::from_str(raw.get()).unwrap_or_default());
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(list)
    }
}

/// Reads a time. A value that is not a time, or that cannot be represented (after the year 9999),
/// counts as missing.
pub(super) fn time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = lenient(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Reads a text and keeps its first `MAX` bytes.
pub(super) fn text<'de, const MAX: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<str>, D::Error> {
    Ok(optional_text::<MAX, D>(deserializer)?.unwrap_or_default())
}

/// Reads a text that may be missing and keeps its first `MAX` bytes.
pub(super) fn optional_text<'de, const MAX: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Arc<str>>, D::Error> {
    let text: Option<String> = lenient(deserializer)?;
    let kept = |text: &str| text.get(..text.floor_char_boundary(MAX)).map(Arc::from);
    Ok(text.as_deref().and_then(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Thing {
        #[serde(deserialize_with = "lenient")]
        number: i32,
        #[serde(deserialize_with = "lenient_list::<2, _, _>")]
        list: Vec<i32>,
        #[serde(deserialize_with = "time")]
        time: Option<Timestamp>,
        #[serde(deserialize_with = "text::<4, _>")]
        text: Arc<str>,
    }

    fn thing(json: &str) -> Thing {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_member_of_another_type_counts_as_missing() {
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        let values = ["null", "\"x\"", "{}", "true", "1e999", "[[]]", &deep];
        for value in values {
            for member in ["number", "list", "time", "text", "unknown"] {
                let found = thing(&format!("{{\"{member}\": {value}, \"other\": 1}}"));
                assert_eq!(found.number, 0, "{member}: {value}");
                assert_eq!(found.time, None, "{member}: {value}");
            }
        }
    }

    #[test]
    fn readable_fields_are_read_and_bounded() {
        let found = thing(
            r#"{"number": 3, "list": [1, "x", 3, 4], "time": "2026-01-01T00:00:00Z", "text": "aäääää"}"#,
        );
        assert_eq!(found.number, 3);
        assert_eq!(found.list, [1, 0]);
        assert!(found.time.is_some());
        assert_eq!(&*found.text, "aä");
        assert_eq!(thing(r#"{"time": "9999-12-31T23:59:59Z"}"#).time, None);
    }
}
