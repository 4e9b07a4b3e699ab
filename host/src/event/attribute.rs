//! What may be a context attribute (CloudEvents 1.0 §3.1): the guard that cloudevents-sdk lacks.

/// Attributes that identify an event or belong to its encoding.
const CORE: [&str; 10] = [
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

/// Extensions that the observer itself sets.
const OWN: [&str; 6] = [
    "partitionkey",
    "sequence",
    "recordedtime",
    "traceparent",
    "tracestate",
    "pluginerror",
];

/// Longest name that the specification recommends.
const MAX_NAME: usize = 20;

/// Longest value in bytes: receivers put these into HTTP headers.
pub const MAX_VALUE: usize = 2048;

/// Why a name or value is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// It belongs to the observer.
    #[error(
        "`{0}` cannot be changed by a plugin: it identifies the event or belongs to the observer"
    )]
    ReadOnly(String),
    /// Not a valid extension name.
    #[error("`{0}` is not a valid extension name: use 1 to 20 lower-case letters and digits")]
    Name(String),
    /// Not a valid value.
    #[error("the value of `{0}` is not valid: at most 2048 bytes without control characters")]
    Value(String),
}

/// May an extension have this name and value, set by somebody else than the observer?
///
/// # Errors
///
/// The reason why not. The value is never part of it.
pub fn check_extension(name: &str, value: &str) -> Result<(), AttributeError> {
    if CORE.contains(&name) || OWN.contains(&name) {
        return Err(AttributeError::ReadOnly(name.to_owned()));
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(allowed) {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(AttributeError::Name(shown));
    }
    check_value(name, value)
}

/// May an attribute have this value?
///
/// # Errors
///
/// The reason why not. The value is never part of it.
pub fn check_value(name: &str, value: &str) -> Result<(), AttributeError> {
    if value.len() > MAX_VALUE || value.chars().any(is_forbidden) {
        return Err(AttributeError::Value(name.to_owned()));
    }
    Ok(())
}

/// Control characters and Unicode noncharacters (CloudEvents 1.0 §3.1, type String).
fn is_forbidden(c: char) -> bool {
    c.is_control()
        || ('\u{fdd0}'..='\u{fdef}').contains(&c)
        || matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff)
}

/// Is it an extension that the observer set, and nobody else could?
#[must_use]
pub fn is_own_extension(name: &str) -> bool {
    OWN.contains(&name)
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
}
