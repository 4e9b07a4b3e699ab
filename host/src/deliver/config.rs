//! Configuration of retries.

use crate::bounded::Bounded;
use serde::{Deserialize, Serialize};

/// How often and how long the delivery of an event is attempted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Longest wait before the second attempt, in milliseconds. After each further failure, this
    /// bound doubles.
    pub initial_ms: Bounded<1, 3_600_000>,
    /// Longest wait between two attempts, in milliseconds.
    pub max_ms: Bounded<1, 3_600_000>,
    /// Age of an event in milliseconds after which one last attempt is made. If that fails, the
    /// event becomes a dead letter.
    pub give_up_ms: Bounded<0, 2_592_000_000>,
    /// Longest pause in milliseconds for a receiver that asks for one (`Retry-After` of 429 and 503).
    /// Nothing is sent to it meanwhile, and the time does not count for `giveUpMs`. 0 ignores such
    /// requests.
    pub max_pause_ms: Bounded<0, 86_400_000>,
    /// Events that are sent per second at most. The default is as many as the sink takes.
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
