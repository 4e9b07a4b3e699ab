//! How often and how long a delivery is tried.

use crate::bounded::Bounded;
use serde::{Deserialize, Serialize};

/// How often and how long a delivery is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Longest wait before the second try, in milliseconds. It doubles with every failure.
    pub initial_ms: Bounded<1, 3_600_000>,
    /// Longest wait between two tries, in milliseconds.
    pub max_ms: Bounded<1, 3_600_000>,
    /// An event that is older than so many milliseconds is tried once more, and becomes a dead letter
    /// then.
    pub give_up_ms: Bounded<0, 2_592_000_000>,
    /// Longest pause that a receiver gets which asks for one (`Retry-After` of 429 and 503), in milliseconds. Meanwhile
    /// nothing is sent to it, and the time does not count for `giveUpMs`. 0 pauses for nobody.
    pub max_pause_ms: Bounded<0, 86_400_000>,
    /// Most events that are sent in a second. The default is as many as the sink takes.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::bounded::not_null"
    )]
    pub max_per_second: Option<Bounded<1, 1_000_000>>,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            initial_ms: Bounded::new(200),
            max_ms: Bounded::new(30_000),
            give_up_ms: Bounded::new(24 * 60 * 60 * 1000),
            max_pause_ms: Bounded::new(10 * 60 * 1000),
            max_per_second: None,
        }
    }
}
