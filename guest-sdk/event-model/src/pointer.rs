//! JSON Pointers (RFC 6901) to values that are set or removed.

use serde_json::{Map, Value};

/// Most reference tokens of a pointer that can be set.
const MAX_DEPTH: usize = 32;

/// Checks a pointer that a plugin sets or removes: it must point to a member of the data or to
/// something inside a member, and must not be too deep.
///
/// # Errors
///
/// The pointer is not valid. The message is for the author of the plugin.
pub fn check(pointer: &str) -> Result<(), String> {
    let depth = tokens(pointer).count();
    if pointer.starts_with('/') && depth <= MAX_DEPTH {
        return Ok(());
    }
    Err("not a JSON pointer to a member of the data: use `/member` or `/member/member`".to_owned())
}

/// Returns the pointer to a member of the object that `parent` points to.
#[must_use]
pub fn member(parent: &str, name: &str) -> String {
    let mut pointer = parent.to_owned();
    push(&mut pointer, name);
    pointer
}

/// Appends the name of a member, or the index of an item, to a pointer.
pub fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    for c in name.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// Returns whether `pointer` points to `place`, or to something in it.
#[must_use]
pub fn is_within(pointer: &str, place: &str) -> bool {
    let rest = pointer.strip_prefix(place);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The reference tokens of a pointer.
fn tokens(pointer: &str) -> impl Iterator<Item = String> + '_ {
    let tokens = pointer.split('/').skip(1);
    tokens.map(|token| token.replace("~1", "/").replace("~0", "~"))
}

/// Sets or removes the value that a pointer refers to. When setting, creates missing objects on the
/// way. Changes nothing if the parent is neither object nor array, or if the index is beyond the
/// end of an array.
pub fn set(root: &mut Value, pointer: &str, value: Option<Value>) {
    let mut tokens: Vec<String> = tokens(pointer).collect();
    let Some(last) = tokens.pop() else { return };
    let mut place = root;
    for token in tokens {
        if place.is_null() && value.is_some() {
            *place = Value::Object(Map::new());
        }
        let next = match place {
            Value::Object(members) if value.is_none() && !members.contains_key(&token) => None,
            Value::Object(members) => Some(members.entry(token).or_insert(Value::Null)),
            Value::Array(items) => index(&token, items.len()).and_then(|at| items.get_mut(at)),
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
            if let Some(item) = index(&last, items.len()).and_then(|at| items.get_mut(at)) {
                *item = value;
            }
        }
        (Value::Array(items), None) => {
            if let Some(at) = index(&last, items.len()) {
                items.remove(at);
            }
        }
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), _) => {}
    }
}

/// Parses the index of an existing item of an array with this length. Returns `None` if there is no
/// such item.
fn index(token: &str, length: usize) -> Option<usize> {
    token.parse().ok().filter(|index| *index < length)
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
    fn pointers_to_the_whole_and_deep_ones_are_refused() {
        for pointer in ["", "a", &"/a".repeat(33)] {
            assert!(check(pointer).is_err(), "{pointer}");
        }
        for pointer in ["/", "/a", "/~0a/b", &"/a".repeat(32)] {
            assert_eq!(check(pointer), Ok(()), "{pointer}");
        }
    }

    #[test]
    fn a_member_is_within_its_object() {
        assert_eq!(member("/labels", "a/b~c"), "/labels/a~1b~0c");
        assert!(is_within("/log", "/log"));
        assert!(is_within("/log/x", "/log"));
        assert!(!is_within("/logInfo", "/log"));
    }
}
