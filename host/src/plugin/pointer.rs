//! JSON pointers (RFC 6901) that set.

use serde_json::{Map, Value};

/// Deepest place that can be set.
const MAX_DEPTH: usize = 32;

/// The first member that a pointer names, or why it cannot be set.
pub(super) fn root(pointer: &str) -> Result<String, String> {
    let mut parts = parts(pointer);
    match parts.next() {
        Some(first) if pointer.starts_with('/') && parts.count() < MAX_DEPTH => Ok(first),
        _ => Err(
            "not a JSON pointer to a member of the data: use `/member` or `/member/member`"
                .to_owned(),
        ),
    }
}

fn parts(pointer: &str) -> impl Iterator<Item = String> + '_ {
    pointer
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
}

/// Sets, or removes, what a pointer names. Objects on the way are made; a place inside something
/// that is neither object nor array, or beyond the end of an array, is left alone.
pub(super) fn set(root: &mut Value, pointer: &str, value: Option<Value>) {
    let mut parts: Vec<String> = parts(pointer).collect();
    let Some(last) = parts.pop() else { return };
    let mut place = root;
    for part in parts {
        if place.is_null() && value.is_some() {
            *place = Value::Object(Map::new());
        }
        let next = match place {
            Value::Object(members) if value.is_none() && !members.contains_key(&part) => None,
            Value::Object(members) => Some(members.entry(part).or_insert(Value::Null)),
            Value::Array(items) => part
                .parse()
                .ok()
                .and_then(|index: usize| items.get_mut(index)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        };
        let Some(next) = next else { return };
        place = next;
    }
    if place.is_null() && value.is_some() {
        *place = Value::Object(Map::new());
    }
    match (place, value) {
        (Value::Object(members), Some(value)) => drop(members.insert(last, value)),
        (Value::Object(members), None) => drop(members.remove(&last)),
        (Value::Array(items), Some(value)) if last == "-" => items.push(value),
        (Value::Array(items), Some(value)) => {
            if let Some(item) = last
                .parse()
                .ok()
                .and_then(|index: usize| items.get_mut(index))
            {
                *item = value;
            }
        }
        (Value::Array(items), None) => {
            if let Some(index) = last
                .parse()
                .ok()
                .filter(|index: &usize| *index < items.len())
            {
                items.remove(index);
            }
        }
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sets_makes_and_removes() {
        let mut data = json!({"a": {"b": [1, 2]}});
        set(&mut data, "/a/b/1", Some(json!(3)));
        set(&mut data, "/a/b/-", Some(json!(4)));
        set(&mut data, "/x/y~1z", Some(json!(true)));
        set(&mut data, "/a/b/9/c", Some(json!(0)));
        set(&mut data, "/a/b/0/c", Some(json!(0)));
        assert_eq!(data, json!({"a": {"b": [1, 3, 4]}, "x": {"y/z": true}}));
        set(&mut data, "/a", None);
        set(&mut data, "/nowhere/at/all", None);
        assert_eq!(data, json!({"x": {"y/z": true}}));
    }

    #[test]
    fn pointers_to_the_whole_are_refused() {
        assert!(root("").is_err());
        assert!(root("a").is_err());
        assert!(root(&"/a".repeat(100)).is_err());
        assert_eq!(root("/~0a/b"), Ok("~a".to_owned()));
    }
}
