//! Adds facts of a run to its events, as extensions: labels, annotations, constants. A tenant who
//! may annotate a run chooses these values, so no value makes an event fail: a value that no
//! attribute can hold is cleaned or omitted.

use serde::Deserialize;
use std::collections::BTreeMap;
use step_observer_guest::{Event, Plugin, Verdict, export_plugin};

/// The configuration: the source of each extension's value.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EnrichRun {
    /// Extension to label of the TaskRun.
    labels: BTreeMap<String, String>,
    /// Extension to annotation of the TaskRun.
    annotations: BTreeMap<String, String>,
    /// Extension to value.
    constants: BTreeMap<String, String>,
}

/// Longest value of an attribute, in bytes.
const MAX_VALUE: usize = 2048;

impl Plugin for EnrichRun {
    type Config = Option<Self>;

    fn configure(config: Self::Config) -> Result<Self, String> {
        Ok(config.unwrap_or_default())
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        for (extension, label) in &self.labels {
            set(event, extension, event.label(label).and_then(clean))?;
        }
        for (extension, annotation) in &self.annotations {
            set(
                event,
                extension,
                event.annotation(annotation).and_then(clean),
            )?;
        }
        for (extension, value) in &self.constants {
            set(event, extension, Some(value.clone()))?;
        }
        Ok(Verdict::Keep)
    }
}

/// A missing label or annotation is omitted.
fn set(event: &dyn Event, extension: &str, value: Option<String>) -> Result<(), String> {
    if let Some(value) = value {
        event.set_attribute(extension, Some(&value))?;
    }
    Ok(())
}

/// Converts a value to one that an attribute can hold: each control character and Unicode
/// noncharacter becomes a space, and spaces at both ends are removed. Returns `None` if nothing is
/// left, or if the result is too long. A long value is not truncated, because its beginning may
/// have another meaning than the whole.
fn clean(value: String) -> Option<String> {
    if value.is_empty() {
        return Some(value);
    }
    let allowed = |c: char| if is_forbidden(c) { ' ' } else { c };
    let text: String = value.chars().map(allowed).collect();
    let text = text.trim();
    (!text.is_empty() && text.len() <= MAX_VALUE).then(|| text.to_owned())
}

/// Returns true for characters that a String of CloudEvents 1.0 (section 3.1) cannot hold.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || ('\u{fdd0}'..='\u{fdef}').contains(&c)
        || matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff)
}

export_plugin!(EnrichRun, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn a_value_that_no_attribute_can_hold_is_cleaned_or_left_out() {
        let cleaned = |value: &str| clean(value.to_owned());
        assert_eq!(cleaned("shop"), Some("shop".to_owned()));
        assert_eq!(cleaned(""), Some(String::new()));
        assert_eq!(cleaned("a\r\nx: y\n"), Some("a  x: y".to_owned()));
        assert_eq!(
            cleaned("a\u{7f}b\u{85}c\u{fffe}d\u{fdd0}e"),
            Some("a b c d e".to_owned())
        );
        assert_eq!(cleaned("\n\t\u{1}"), None);
        assert_eq!(cleaned(&"x".repeat(2048)), Some("x".repeat(2048)));
        assert_eq!(cleaned(&"x".repeat(2049)), None);
        // Long because of what is taken away.
        assert_eq!(
            cleaned(&format!("{}\n", "x".repeat(2048))),
            Some("x".repeat(2048))
        );
    }

    #[test]
    fn cases() {
        step_observer_guest::testing::check_cases::<super::EnrichRun>("cases");
    }

    #[test]
    fn the_schema_is_that_of_the_configuration() {
        step_observer_guest::testing::check_schema::<super::EnrichRun>(include_str!(
            "../config.schema.json"
        ));
    }
}
