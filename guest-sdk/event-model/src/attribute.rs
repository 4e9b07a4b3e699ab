//! Rules for context attributes: which ones a plugin may set, and to which values (CloudEvents 1.0
//! §3.1).

use std::fmt;

/// Attributes that identify an event or belong to its encoding.
pub const CORE: [&str; 10] = [
    "id",
    "source",
    "specversion",
    "type",
    "time",
    "datacontenttype",
    "dataschema",
    "data",
    "data_base64",
    "subject",
];

/// Extensions that only the observer sets.
pub const RESERVED: [&str; 6] = [
    "partitionkey",
    "sequence",
    "recordedtime",
    "traceparent",
    "tracestate",
    "pluginerror",
];

/// Longest name that the specification recommends, in characters.
pub const MAX_NAME: usize = 20;

/// Maximum length of a value in bytes. It is limited because receivers copy values to HTTP headers.
pub const MAX_VALUE: usize = 2048;

/// Most characters of a refused name that an error repeats.
const MAX_SHOWN_NAME: usize = 40;

/// Reason why a name or value is refused. The messages never contain the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeError {
    /// The attribute belongs to the observer.
    ReadOnly(String),
    /// Not a valid extension name.
    Name(String),
    /// Not a valid value.
    Value(String),
}

// === impl AttributeError ===

impl fmt::Display for AttributeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly(name) => write!(
                formatter,
                "`{name}` cannot be changed by a plugin: it identifies the event or belongs to the observer"
            ),
            Self::Name(name) => write!(
                formatter,
                "`{name}` is not a valid extension name: use 1 to {MAX_NAME} lower-case letters and digits"
            ),
            Self::Value(name) => write!(
                formatter,
                "the value of `{name}` is not valid: at most {MAX_VALUE} bytes without control characters"
            ),
        }
    }
}

impl std::error::Error for AttributeError {}

/// Checks an extension attribute that a plugin or the configuration adds.
///
/// # Errors
///
/// The extension is reserved, or its name or value is not valid.
pub fn check_extension(name: &str, value: &str) -> Result<(), AttributeError> {
    if CORE.contains(&name) || is_reserved(name) {
        return Err(AttributeError::ReadOnly(name.to_owned()));
    }
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_allowed) {
        let shown = name.chars().filter(|c| !c.is_control());
        return Err(AttributeError::Name(shown.take(MAX_SHOWN_NAME).collect()));
    }
    check_value(name, value)
}

/// Checks the value of an attribute.
///
/// # Errors
///
/// The value is too long, or has characters that no attribute may have.
pub fn check_value(name: &str, value: &str) -> Result<(), AttributeError> {
    if value.len() > MAX_VALUE || value.chars().any(is_forbidden) {
        return Err(AttributeError::Value(name.to_owned()));
    }
    Ok(())
}

/// Checks a change that a plugin requests for an extension or for the subject. `None` removes the
/// attribute. The subject may be removed but must not be empty.
///
/// # Errors
///
/// A plugin may not change the attribute, or its name or value is not valid.
pub fn check_change(name: &str, value: Option<&str>) -> Result<(), AttributeError> {
    match (name, value) {
        ("subject", Some("")) => Err(AttributeError::Value(name.to_owned())),
        ("subject", value) => check_value(name, value.unwrap_or_default()),
        (name, value) => check_extension(name, value.unwrap_or_default()),
    }
}

/// Cuts a masked value to [`MAX_VALUE`] bytes, because a mask may be longer than the masked text.
/// Returns `None` if no attribute, or not this attribute, may have the resulting value.
#[must_use]
pub fn masked_value(name: &str, masked: &str) -> Option<String> {
    let end = masked.floor_char_boundary(MAX_VALUE);
    let value = masked.get(..end)?;
    check_change(name, Some(value)).ok()?;
    Some(value.to_owned())
}

/// Returns whether CloudEvents forbids the character in attributes: control characters and Unicode
/// noncharacters (CloudEvents 1.0 §3.1, type String).
#[must_use]
pub fn is_forbidden(c: char) -> bool {
    c.is_control()
        || ('\u{fdd0}'..='\u{fdef}').contains(&c)
        || matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff)
}

/// Returns whether the extension is reserved: only the observer sets it.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_forge_or_break_an_event_are_refused() {
        for name in [
            "id",
            "data",
            "data_base64",
            "specversion",
            "sequence",
            "partitionkey",
        ] {
            assert!(
                matches!(check_extension(name, "x"), Err(AttributeError::ReadOnly(_))),
                "{name}"
            );
        }
        for name in [
            "",
            "Team",
            "a-b",
            "a_b",
            "é",
            "abcdefghijklmnopqrstu",
            "a\nb",
        ] {
            assert!(
                matches!(check_extension(name, "x"), Err(AttributeError::Name(_))),
                "{name:?}"
            );
        }
        assert_eq!(check_extension("team", "größe"), Ok(()));
    }

    #[test]
    fn values_with_control_characters_are_refused() {
        for value in ["a\r\nx: y", "\u{7f}", "\u{85}", "\u{fffe}", "\u{fdd0}"] {
            assert!(check_extension("team", value).is_err(), "{value:?}");
        }
        assert!(check_extension("team", &"x".repeat(MAX_VALUE + 1)).is_err());
    }

    #[test]
    fn a_masked_value_is_a_valid_one_or_none() {
        let long = masked_value("team", &"ß".repeat(MAX_VALUE));
        assert_eq!(long, Some("ß".repeat(MAX_VALUE / 2)));
        assert_eq!(masked_value("team", ""), Some(String::new()));
        assert_eq!(masked_value("subject", ""), None);
        assert_eq!(masked_value("team", "a\nb"), None);
        assert_eq!(masked_value("id", "x"), None);
    }

    #[test]
    fn the_subject_can_be_set_and_removed_but_not_be_empty() {
        assert_eq!(check_change("subject", Some("ci/build/push")), Ok(()));
        assert_eq!(check_change("subject", None), Ok(()));
        assert!(check_change("subject", Some("")).is_err());
        assert!(check_change("id", None).is_err());
        assert_eq!(check_change("team", Some("")), Ok(()));
    }
}
