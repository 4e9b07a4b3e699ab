//! Names of namespaces. A name is a part of the paths of the API server, so it is checked when it is
//! read.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Returns the name of a namespace, if it is a label of RFC 1123.
///
/// # Errors
///
/// The text is not such a label. The error states what a name may contain.
pub fn namespace_name(text: &str) -> Result<String, String> {
    let is_alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let is_label = matches!(bytes.len(), 1..=63)
        && bytes
            .iter()
            .all(|byte| is_alphanumeric(byte) || *byte == b'-')
        && bytes.first().is_some_and(is_alphanumeric)
        && bytes.last().is_some_and(is_alphanumeric);
    if is_label {
        Ok(text.to_owned())
    } else {
        Err(
            "a namespace has 1 to 63 of a-z, 0-9 and -, and begins and ends with a letter or digit"
                .to_owned(),
        )
    }
}

/// Reads a list of names. Checks each name while it is read, so that the error of an invalid name
/// states its line.
pub(crate) fn namespace_names<'de, D>(deserializer: D) -> Result<Vec<String>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Name(String);

    impl<'de> Deserialize<'de> for Name {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            namespace_name(&text).map(Self).map_err(D::Error::custom)
        }
    }

    let names = Vec::<Name>::deserialize(deserializer)?;
    Ok(names.into_iter().map(|Name(name)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_a_label_of_rfc_1123() {
        for name in ["a", "0", "team-a", "kube-system", &"x".repeat(63)] {
            assert_eq!(namespace_name(name).as_deref(), Ok(name));
        }
        for name in [
            "",
            "-a",
            "a-",
            "A",
            "a.b",
            "a/b",
            "ä",
            "a b",
            &"x".repeat(64),
        ] {
            assert!(namespace_name(name).is_err(), "{name}");
        }
    }
}
