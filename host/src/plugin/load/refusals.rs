//! Finds all reasons for which a plugin refuses its configuration. A plugin reports only one
//! mistake per call, so the field with the mistake is removed and the plugin is called again with
//! the rest.

use crate::yaml::{FieldPath, Segment};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::time::{Duration, Instant};

/// Bound of the reasons that are found.
const MAX_REASONS: usize = 16;
/// Time after which the plugin is not called again to find more reasons.
const MAX_ASKING_TIME: Duration = Duration::from_secs(1);

/// The reasons for which a plugin refuses its configuration. Each reason begins with the path of
/// the refused field, if it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// The first reason.
    pub first: String,
    /// All reasons.
    pub all: Vec<String>,
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.all.join("; and "))
    }
}

impl Refusals {
    /// Finds further reasons after the `first` one. `again` calls the plugin with another
    /// configuration, and returns its reason. `masked` converts a reason into one line, without
    /// values of the configuration.
    pub(crate) fn find(
        config: &str,
        first: String,
        again: impl Fn(&str) -> Option<String>,
        masked: impl Fn(&str) -> String,
    ) -> Self {
        let begin = Instant::now();
        let first_masked = masked(&first);
        let original: Value = serde_json::from_str(config).unwrap_or_default();
        let mut text = original.to_string();
        let (mut omitted, mut all) = (Vec::new(), Vec::new());
        let mut reason = Some(first);
        while let Some(said) = reason.take() {
            let (path, said) = split_location(&text, &said, &omitted);
            // True if the plugin only misses a field that this function has omitted. Such a reason
            // is skipped.
            let follows =
                missing_field_name(said).is_some_and(|field| omitted.contains(&path.key(field)));
            match path.0.is_empty() {
                _ if follows && !all.is_empty() => {}
                true => all.push(masked(said)),
                false => all.push(format!("{path}: {}", masked(said))),
            }
            let is_new = !path.0.is_empty() && !omitted.contains(&path);
            if is_new && all.len() < MAX_REASONS && begin.elapsed() < MAX_ASKING_TIME {
                omitted.push(path);
                text = omit_fields(&original, &FieldPath::default(), &omitted).to_string();
                reason = again(&text);
            }
        }
        Self {
            first: first_masked,
            all,
        }
    }
}

/// Splits a reason into the path of its field in the whole configuration, and the remaining text.
/// `text` is the configuration that was passed to the plugin, as JSON in one line.
fn split_location<'a>(text: &str, said: &'a str, omitted: &[FieldPath]) -> (FieldPath, &'a str) {
    // serde_json ends its messages like this.
    if let Some((reason, place)) = said.rsplit_once(" at line 1 column ")
        && let Ok(column) = place.parse::<usize>()
    {
        let path = original_path(path_at_byte(text, column.saturating_sub(1)), omitted);
        let reason = match reason.split_once(": ") {
            // The SDK begins messages like this.
            Some((plugin, reason)) if plugin.starts_with("configuration of ") => reason,
            _ => reason,
        };
        return match path.0.is_empty() {
            true => (path, said),
            false => (path, reason),
        };
    }
    match FieldPath::split_prefix(said) {
        Some((path, reason)) if has_field(text, &path) => (original_path(path, omitted), reason),
        _ => (FieldPath::default(), said),
    }
}

fn missing_field_name(said: &str) -> Option<&str> {
    said.strip_prefix("missing field `")?.split('`').next()
}

fn has_field(text: &str, path: &FieldPath) -> bool {
    let config: Value = serde_json::from_str(text).unwrap_or_default();
    let below = |value: &'_ Value, segment: &Segment| match segment {
        Segment::Key(name) | Segment::Variant(name) => value.get(name).cloned(),
        Segment::Index(index) => value.get(index).cloned(),
    };
    path.0
        .iter()
        .try_fold(config, |value, segment| below(&value, segment))
        .is_some()
}

/// Returns a value without the omitted fields.
pub(crate) fn omit_fields(value: &Value, path: &FieldPath, omitted: &[FieldPath]) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .map(|(name, value)| (path.key(name), name, value));
            let kept = kept.filter(|(path, ..)| !omitted.contains(path));
            let kept =
                kept.map(|(path, name, value)| (name.clone(), omit_fields(value, &path, omitted)));
            Value::Object(kept.collect())
        }
        Value::Array(items) => {
            let kept = items
                .iter()
                .enumerate()
                .map(|(index, item)| (path.index(index), item));
            let kept = kept.filter(|(path, _)| !omitted.contains(path));
            Value::Array(
                kept.map(|(path, item)| omit_fields(item, &path, omitted))
                    .collect(),
            )
        }
        plain => plain.clone(),
    }
}

/// Converts a path in the value without the omitted fields into the path in the whole value. The
/// indexes of the items behind an omitted item differ.
pub(crate) fn original_path(path: FieldPath, omitted: &[FieldPath]) -> FieldPath {
    let mut whole = FieldPath::default();
    for segment in path.0 {
        whole = match segment {
            Segment::Key(name) | Segment::Variant(name) => whole.key(&name),
            Segment::Index(index) => {
                let kept = (0..).map(|index| whole.index(index));
                let mut kept = kept.filter(|path| !omitted.contains(path));
                kept.nth(index).unwrap_or_default()
            }
        };
    }
    whole
}

/// Returns the path of the value that contains a byte of a JSON text.
fn path_at_byte(text: &str, target: usize) -> FieldPath {
    let mut path: Vec<Option<Segment>> = Vec::new();
    let known = |path: &[Option<Segment>]| FieldPath(path.iter().flatten().cloned().collect());
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        let mut end = at;
        match byte {
            b'{' | b'[' if at == target => return known(&path),
            b'{' => path.push(None),
            b'[' => path.push(Some(Segment::Index(0))),
            b'}' | b']' => {
                path.pop();
            }
            b',' => match path.last_mut() {
                Some(Some(Segment::Index(index))) => *index += 1,
                Some(field) => *field = None,
                None => {}
            },
            b'"' => {
                let rest = text.get(at..).unwrap_or_default();
                end += json_string_length(rest).saturating_sub(1);
                if let Some(field @ None) = path.last_mut() {
                    let name = text.get(at..=end).unwrap_or_default();
                    *field = serde_json::from_str(name).ok().map(Segment::Key);
                }
            }
            _ => {}
        }
        if (at..=end).contains(&target) {
            return known(&path);
        }
        at = end + 1;
    }
    FieldPath::default()
}

/// Returns the length of a JSON string in bytes, including its quotes.
fn json_string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Config {
        #[serde(default)]
        words: Vec<String>,
        #[serde(default)]
        rules: Vec<Rule>,
        #[serde(default)]
        count: u8,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Rule {
        id: String,
        pattern: String,
    }

    /// Acts as a plugin that was made with the SDK and accepts only the word `known`.
    fn configure(config: &str) -> Option<String> {
        let config: Config = match serde_json::from_str(config) {
            Ok(config) => config,
            Err(error) => return Some(format!("configuration of own 0.1.0: {error}")),
        };
        let unknown = config.words.iter().position(|word| word != "known");
        unknown.map(|index| format!("words[{index}]: there is no such word"))
    }

    #[test]
    fn all_that_a_plugin_refuses_is_found_with_its_field() {
        let config = json!({
            "words": ["no", "known", "nor", 7, "known", "this"],
            "rules": [{"id": "a"}, {"id": "b", "patern": "x", "pattern": "y"}, {"id": 1, "pattern": "a\\\"}, {"}],
            "count": 256,
            "cuont": {"a": [1, 2]},
        })
        .to_string();
        let first = configure(&config).unwrap();
        let refusals = Refusals::find(&config, first, configure, str::to_owned);
        let mut found: Vec<_> = refusals
            .all
            .iter()
            .filter_map(|reason| reason.split_once(": "))
            .collect();
        found.sort_unstable();
        let places: Vec<_> = found.iter().map(|(path, _)| *path).collect();
        assert_eq!(
            places,
            [
                "count",
                "cuont",
                "rules[0]",
                "rules[1].patern",
                "rules[2].id",
                "words[0]",
                "words[2]",
                "words[3]",
                "words[5]"
            ],
            "{refusals}"
        );
        assert!(
            refusals
                .all
                .iter()
                .any(|reason| reason == "rules[0]: missing field `pattern`"),
            "{refusals}"
        );
    }

    #[test]
    fn a_plugin_that_names_no_field_is_asked_once() {
        let says = |_: &str| Some("no: never".to_owned());
        for config in ["{\"a\": 1}", "null", "[]", "no JSON"] {
            let refusals = Refusals::find(config, "no: never".to_owned(), says, str::to_owned);
            assert_eq!(refusals.all, ["no: never"]);
        }
    }
}
