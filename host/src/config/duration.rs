//! Lengths of time in a configuration.

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A length of time as text, such as `90s`, `10m` or `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", rename = "Span")]
pub struct ConfigDuration(pub SignedDuration);

/// Longest duration. A longer one could overflow a time stamp.
const MAX_CONFIG_DURATION: SignedDuration = SignedDuration::from_hours(24 * 365 * 1000);

impl TryFrom<String> for ConfigDuration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed: Result<SignedDuration, _> = text.parse();
        match parsed {
            Ok(span) if span.is_negative() => Err(format!("`{text}` is negative")),
            Ok(span) if span > MAX_CONFIG_DURATION => {
                Err(format!("`{text}` is more than 1000 years"))
            }
            Ok(span) => Ok(Self(span)),
            Err(_) => Err(format!(
                "`{text}` is not a length of time; write it like 90s, 10m or 1h"
            )),
        }
    }
}

impl From<ConfigDuration> for String {
    fn from(span: ConfigDuration) -> Self {
        format!("{:#}", span.0)
    }
}
