//! The configuration of reading logs.

use crate::bounded::Bounded;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logs of steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LogConfig {
    /// When logs are read.
    pub capture: LogCaptureMode,
    /// Maximum number of bytes of a log that an event carries. Head and tail are kept. Between
    /// them, whole lines are removed, or whole words of a line that has more than 8 KiB.
    /// `event.maxBytes` bounds the log further.
    pub max_bytes: Bounded<256, 10_485_760, usize>,
    /// Maximum number of logs that are read at the same time at the end of steps. The same number
    /// applies separately to logs of Pods that are being deleted. A single namespace can use at
    /// most three quarters of each of these two numbers.
    pub concurrency: Bounded<1, 256, usize>,
    /// Maximum number of logs that are followed at the same time (`capture: follow`). A further log
    /// waits until one of them ends. If the step of the waiting log ends first, the log is read
    /// then.
    pub followers: Bounded<1, 1024, usize>,
    /// Longest time to read one log, in milliseconds. For a log that is followed, it counts from the end of its step.
    pub timeout_ms: Bounded<1, 600_000>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            capture: LogCaptureMode::OnEnd,
            max_bytes: Bounded::new(48 * 1024),
            concurrency: Bounded::new(16),
            followers: Bounded::new(64),
            timeout_ms: Bounded::new(10_000),
        }
    }
}

/// When logs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LogCaptureMode {
    /// When the step ends, and when its Pod is about to be deleted.
    OnEnd,
    /// While the step runs, on one connection per log. This also captures the log of a step that is cancelled, and a log
    /// that is rotated away.
    Follow,
    /// Never.
    Off,
}
