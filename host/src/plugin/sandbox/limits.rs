//! Bounds of one plugin call, and the ceiling that an operator sets for plugins that are dropped in.

use crate::bounded::Bounded;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Resolution of deadlines: the engine's epoch advances once per tick.
pub(super) const EPOCH_TICK: Duration = Duration::from_millis(10);
/// Upper bound of the threads that run plugins. Each of them runs one call at a time.
pub(crate) const MAX_PLUGIN_THREADS: usize = 16;

/// Limits of one plugin call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Time of a call in milliseconds, including the functions of the host. Checked every 10 ms.
    pub time_ms: Bounded<10, 60_000>,
    /// Memory of a call in bytes.
    pub memory_bytes: Bounded<65_536, 1_073_741_824>,
    /// Size of all changes by a call, in bytes.
    pub output_bytes: Bounded<0, 1_073_741_824>,
    /// Time for `configure`, once per load, in milliseconds.
    pub configure_ms: Bounded<10, 60_000>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time_ms: Bounded::new(500),
            memory_bytes: Bounded::new(64 * 1024 * 1024),
            output_bytes: Bounded::new(4 * 1024 * 1024),
            configure_ms: Bounded::new(10_000),
        }
    }
}

/// Largest limits that a dropped-in plugin may have. A plugin whose settings exceed one of them is
/// refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LimitCeiling {
    /// Bound of `limits.timeMs`: the longest time that one plugin delays an event.
    pub time_ms: Bounded<10, 60_000>,
    /// Bound of `limits.memoryBytes`.
    pub memory_bytes: Bounded<65_536, 1_073_741_824>,
    /// Bound of `limits.outputBytes`.
    pub output_bytes: Bounded<0, 1_073_741_824>,
    /// Bound of `limits.configureMs`. A slow plugin delays the others: while it is configured, no
    /// other is loaded.
    pub configure_ms: Bounded<10, 60_000>,
}

impl Default for LimitCeiling {
    fn default() -> Self {
        Self {
            time_ms: Bounded::new(2000),
            memory_bytes: Bounded::new(64 * 1024 * 1024),
            output_bytes: Bounded::new(4 * 1024 * 1024),
            configure_ms: Bounded::new(60_000),
        }
    }
}

impl LimitCeiling {
    /// Checks that no limit exceeds this ceiling.
    ///
    /// # Errors
    ///
    /// The first limit that exceeds it: its name, its value, and its bound.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), (&'static str, u64, u64)> {
        for (name, asked, most) in [
            ("timeMs", limits.time_ms.get(), self.time_ms.get()),
            (
                "memoryBytes",
                limits.memory_bytes.get(),
                self.memory_bytes.get(),
            ),
            (
                "outputBytes",
                limits.output_bytes.get(),
                self.output_bytes.get(),
            ),
            (
                "configureMs",
                limits.configure_ms.get(),
                self.configure_ms.get(),
            ),
        ] {
            if asked > most {
                return Err((name, asked, most));
            }
        }
        Ok(())
    }
}

impl Limits {
    /// Returns the bytes that a call may use for its memory and its changes together.
    pub(crate) fn all_bytes(&self) -> usize {
        let all = self
            .memory_bytes
            .get()
            .saturating_add(self.output_bytes.get());
        usize::try_from(all).unwrap_or(usize::MAX)
    }

    /// Returns the number of ticks until the deadline. The first tick may come at once, so one tick
    /// is added.
    pub(crate) fn ticks(&self) -> u64 {
        self.time_ms
            .get()
            .div_ceil(EPOCH_TICK.as_millis() as u64)
            .saturating_add(1)
    }
}
