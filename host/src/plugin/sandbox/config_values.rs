//! Masks the values of a plugin's configuration in the messages of the plugin. Values of any type
//! may be secret.

use serde_json::{Number, Value};
use std::borrow::Cow;

/// Bound of the values that are masked.
const MAX_MASKED_VALUES: usize = 4096;
/// Length in bytes below which a text is masked only as a whole word. If a text of one letter were
/// masked everywhere, it would make messages unreadable.
const MIN_SUBSTRING_BYTES: usize = 4;
/// Replaces a value.
const VALUE_MASK: &str = "…";

/// The values of a configuration, without the names of its fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigValues {
    /// Longest first, because one text may contain another.
    texts: Vec<String>,
    numbers: Vec<Number>,
    has_booleans: bool,
    /// The configuration has more values than the bound.
    too_many: bool,
}

impl ConfigValues {
    /// Collects the values of a JSON text. A text that is not JSON has no values.
    pub(crate) fn parse(config: &str) -> Self {
        let mut values = Self::default();
        if let Ok(config) = serde_json::from_str(config) {
            values.collect(&config);
        }
        values.too_many = values.texts.len() + values.numbers.len() > MAX_MASKED_VALUES;
        values
            .texts
            .sort_unstable_by(|one, other| (other.len(), other).cmp(&(one.len(), one)));
        values.texts.dedup();
        values
    }

    fn collect(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(_) => self.has_booleans = true,
            Value::Number(number) => self.numbers.push(number.clone()),
            Value::String(text) => {
                // Adds the text itself, and the forms in which errors quote it.
                let quoted = [format!("{text:?}"), value.to_string()];
                let inside = quoted.iter().map(|text| text.get(1..text.len() - 1));
                let forms = inside.flatten().chain([text.as_str(), text.trim()]);
                let forms = forms.filter(|form| !form.is_empty());
                self.texts.extend(forms.map(str::to_owned));
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Value::Object(members) => members.values().for_each(|item| self.collect(item)),
        }
    }

    /// Returns a text with the values masked.
    pub(crate) fn mask(&self, text: &str) -> String {
        if self.too_many {
            return "(omitted: its configuration has too many values to mask them)".to_owned();
        }
        let mut masked = Cow::Borrowed(text);
        for value in &self.texts {
            masked = match value.len() < MIN_SUBSTRING_BYTES {
                true => mask_words(masked, value),
                false if masked.contains(value.as_str()) => {
                    masked.replace(value, VALUE_MASK).into()
                }
                false => masked,
            };
        }
        if self.has_booleans {
            // Masks booleans only in this notation, which serde uses for values. Without backquotes
            // they are ordinary words.
            for quoted in ["`true`", "`false`"] {
                if masked.contains(quoted) {
                    masked = masked.replace(quoted, "`…`").into();
                }
            }
        }
        match self.numbers.is_empty() {
            true => masked.into_owned(),
            false => self.mask_numbers(&masked),
        }
    }

    /// Masks numbers in every notation: serde writes `1000.0` for 1e3.
    fn mask_numbers(&self, text: &str) -> String {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
        let mut masked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(is_part) {
            let (before, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
            masked.push_str(before);
            // A line or column number is no value.
            let is_place = masked.ends_with("line ") || masked.ends_with("column ");
            let number = word.trim_end_matches('.');
            match !is_place && self.matches_number(number) {
                true => {
                    masked.push_str(VALUE_MASK);
                    masked.push_str(word.get(number.len()..).unwrap_or_default());
                }
                false => masked.push_str(word),
            }
            rest = after;
        }
        masked.push_str(rest);
        masked
    }

    fn matches_number(&self, word: &str) -> bool {
        let known = |number: &Number| {
            let text = number.to_string();
            let same = number.as_f64().zip(word.parse::<f64>().ok());
            text == word || same.is_some_and(|(one, other)| one == other)
        };
        self.numbers.iter().any(known)
    }
}

/// Masks a word that has no letter or digit before or behind it.
fn mask_words<'a>(text: Cow<'a, str>, word: &str) -> Cow<'a, str> {
    let mut masked = String::new();
    let mut done = 0;
    for (start, _) in text.match_indices(word) {
        let end = start + word.len();
        let (before, after) = (text.get(..start), text.get(end..));
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let inside = is_letter(before.and_then(|text| text.chars().next_back()))
            || is_letter(after.and_then(|text| text.chars().next()));
        if !inside {
            masked.push_str(text.get(done..start).unwrap_or_default());
            masked.push_str(VALUE_MASK);
            done = end;
        }
    }
    if done == 0 {
        return text;
    }
    masked.push_str(text.get(done..).unwrap_or_default());
    masked.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(config: &str, text: &str) -> String {
        ConfigValues::parse(config).mask(text)
    }

    #[test]
    fn values_of_every_type_of_a_configuration_are_masked() {
        let config = r#"{"pin": 90210, "rate": 1e3, "deep": [{"key": "hunter2", "n": -7}], "short": "ab", "on": true}"#;
        for (said, shown) in [
            (
                "invalid type: integer `90210`, expected a string",
                "invalid type: integer `…`, expected a string",
            ),
            (
                "invalid type: floating point `1000.0`, expected",
                "invalid type: floating point `…`, expected",
            ),
            ("the key hunter2, and \"hunter2\".", "the key …, and \"…\"."),
            ("n is -7.", "n is …."),
            ("`ab` is about a table", "`…` is about a table"),
            ("pin=90210", "pin=…"),
            ("at line 7 column 90210", "at line 7 column 90210"),
            (
                "890210 and 90210x are others",
                "890210 and 90210x are others",
            ),
            (
                "boolean `true`, expected a map",
                "boolean `…`, expected a map",
            ),
            ("it is true that", "it is true that"),
        ] {
            assert_eq!(masked(config, said), shown);
        }
    }

    #[test]
    fn a_text_is_masked_as_errors_quote_it() {
        let config = r#"{"key": "a\"b\nc\u00e9 "}"#;
        for said in ["a\"b\ncé ", r#"a\"b\ncé "#, "<a\"b\ncé>"] {
            assert!(!masked(config, said).contains("cé"), "{said}");
        }
    }

    #[test]
    fn a_configuration_of_too_many_values_lets_nothing_be_said() {
        let many = serde_json::to_string(&vec![1; 5000]).unwrap();
        assert!(masked(&many, "x 1").starts_with("(omitted"));
        assert_eq!(masked("null", "as it is"), "as it is");
    }
}
