//! Adds what is known of a run to its events, as extensions: labels, annotations, constants. Who may annotate a run
//! decides what stands in it, so no value makes an event fail: what no attribute can hold is cleaned or left out.

use serde::Deserialize;
use std::collections::BTreeMap;
use step_observer_guest::{Event, Plugin, Verdict, export_plugin};

/// The configuration: per extension, where its value comes from.
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
        let config = config.unwrap_or_default();
        let fields = [
            ("labels", &config.labels),
            ("annotations", &config.annotations),
            ("constants", &config.constants),
        ];
        for (field, extensions) in fields {
            for name in extensions.keys() {
                check_name(name).map_err(|problem| format!("{field}.{name}: {problem}"))?;
            }
        }
        for (name, value) in &config.constants {
            if clean(value.clone()).as_ref() != Some(value) {
                return Err(format!(
                    "constants.{name}: an attribute holds at most {MAX_VALUE} bytes, without control characters and \
                     without blanks at its ends"
                ));
            }
        }
        Ok(config)
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

/// Names that an extension cannot have: those of CloudEvents 1.0, and those that the observer sets.
const RESERVED: [&str; 16] = [
    "data",
    "data_base64",
    "datacontenttype",
    "dataschema",
    "id",
    "partitionkey",
    "pluginerror",
    "recordedtime",
    "sequence",
    "source",
    "specversion",
    "subject",
    "time",
    "traceparent",
    "tracestate",
    "type",
];

/// Refuses what the observer would refuse of every event.
fn check_name(name: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if RESERVED.contains(&name) {
        return Err("this attribute is the event's own: name another");
    }
    match matches!(name.len(), 1..=20) && name.bytes().all(allowed) {
        true => Ok(()),
        false => Err("an extension has 1 to 20 lower-case letters and digits"),
    }
}

/// What a run does not have is left out.
fn set(event: &dyn Event, extension: &str, value: Option<String>) -> Result<(), String> {
    if let Some(value) = value {
        event.set_attribute(extension, Some(&value))?;
    }
    Ok(())
}

/// A value as an attribute can hold it: with a blank instead of each control character and Unicode noncharacter. `None`
/// if nothing is left, or if it is too long: the beginning of a value may mean something else than the value.
fn clean(value: String) -> Option<String> {
    if value.is_empty() {
        return Some(value);
    }
    let allowed = |c: char| if is_forbidden(c) { ' ' } else { c };
    let text: String = value.chars().map(allowed).collect();
    let text = text.trim();
    (!text.is_empty() && text.len() <= MAX_VALUE).then(|| text.to_owned())
}

/// What a String of CloudEvents 1.0 (section 3.1) cannot hold.
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || ('\u{fdd0}'..='\u{fdef}').contains(&c)
        || matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff)
}

export_plugin!(EnrichRun, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests {
    use super::{EnrichRun, clean};
    use std::collections::BTreeMap;
    use step_observer_guest::Plugin as _;

    #[test]
    fn what_every_event_would_be_refused_for_is_refused_at_once() {
        let constants = |name: &str, value: &str| EnrichRun {
            constants: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..EnrichRun::default()
        };
        assert!(EnrichRun::configure(Some(constants("team", "shop 1"))).is_ok());
        for (name, value) in [
            ("X Y", "z"),
            ("id", "x"),
            ("sequence", "1"),
            ("", "x"),
            ("team", "a\nb"),
        ] {
            let error = EnrichRun::configure(Some(constants(name, value))).unwrap_err();
            assert!(error.starts_with(&format!("constants.{name}: ")), "{error}");
        }
        assert!(EnrichRun::configure(Some(constants("team", &"x".repeat(2049)))).is_err());
        let labels = EnrichRun {
            labels: BTreeMap::from([("X".to_owned(), "app".to_owned())]),
            ..EnrichRun::default()
        };
        assert!(
            EnrichRun::configure(Some(labels))
                .unwrap_err()
                .starts_with("labels.X: ")
        );
    }

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
        let schema = schemars::schema_for!(super::EnrichRun);
        let text = serde_json::to_string_pretty(&schema).unwrap();
        let stored = include_str!("../config.schema.json");
        assert_eq!(
            stored.trim_end(),
            text,
            "write this into config.schema.json:\n{text}"
        );
    }
}
