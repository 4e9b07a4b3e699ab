//! How often and how long a delivery is tried.

use serde::{Deserialize, Serialize};

/// How often and how long a delivery is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Longest wait before the second try, in milliseconds. It doubles with every failure.
    #[schemars(range(min = 1, max = 3600000))]
    #[serde(deserialize_with = "crate::bounded::between::<1, 3600000, _, _>")]
    pub initial_ms: u64,
    /// Longest wait between two tries, in milliseconds.
    #[schemars(range(min = 1, max = 3600000))]
    #[serde(deserialize_with = "crate::bounded::between::<1, 3600000, _, _>")]
    pub max_ms: u64,
    /// An event that is older than so many milliseconds is tried once more, and becomes a dead letter
    /// then.
    #[schemars(range(max = 2592000000_u64))]
    #[serde(deserialize_with = "crate::bounded::between::<0, 2592000000, _, _>")]
    pub give_up_ms: u64,
    /// Longest pause that a receiver gets which asks for one (`Retry-After` of 429 and 503), in milliseconds. Meanwhile
    /// nothing is sent to it, and the time does not count for `giveUpMs`. 0 pauses for nobody.
    #[schemars(range(max = 86400000))]
    #[serde(deserialize_with = "crate::bounded::between::<0, 86400000, _, _>")]
    pub max_pause_ms: u64,
    /// Most events that are sent in a second. The default is as many as the sink takes.
    #[schemars(range(min = 1, max = 1000000))]
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::optional::<1, 1000000, _>"
    )]
    pub max_per_second: Option<u64>,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            initial_ms: 200,
            max_ms: 30_000,
            give_up_ms: 24 * 60 * 60 * 1000,
            max_pause_ms: 10 * 60 * 1000,
            max_per_second: None,
        }
    }
}
