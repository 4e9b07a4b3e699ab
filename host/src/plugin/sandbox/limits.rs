//! Bounds of one plugin call, and the ceiling that an operator sets for plugins that are dropped in.

use crate::bounded::Bounded;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Resolution of deadlines: the engine's epoch advances once per tick.
pub(super) const EPOCH_TICK: Duration = Duration::from_millis(10);
/// Upper bound of the threads that run plugins. Each of them runs one call at a time.
pub(crate) const MAX_PLUGIN_THREADS: usize = 16;

/// What one call of a plugin may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Time in milliseconds, functions of the host included. Checked every 10 ms.
    pub time_ms: Bounded<10, 60_000>,
    /// Memory in bytes.
    pub memory_bytes: Bounded<65_536, 1_073_741_824>,
    /// All that it changes, in bytes.
    pub output_bytes: Bounded<0, 1_073_741_824>,
    /// Time to be configured, once per load, in milliseconds.
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

/// The most that the settings of a plugin that is dropped in may ask for: one that asks for more is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LimitCeiling {
    /// Most for `limits.timeMs`: an event waits at most so long for one plugin.
    pub time_ms: Bounded<10, 60_000>,
    /// Most for `limits.memoryBytes`.
    pub memory_bytes: Bounded<65_536, 1_073_741_824>,
    /// Most for `limits.outputBytes`.
    pub output_bytes: Bounded<0, 1_073_741_824>,
    /// Most for `limits.configureMs`: so long one plugin keeps the others from being loaded.
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
    /// Whether all limits are below it.
    ///
    /// # Errors
    ///
    /// The first that is not: its name, what it is, and the most that it may be.
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
    /// All that a call may have: its memory, and what it hands over.
    pub(crate) fn all_bytes(&self) -> usize {
        let all = self
            .memory_bytes
            .get()
            .saturating_add(self.output_bytes.get());
        usize::try_from(all).unwrap_or(usize::MAX)
    }

    /// Ticks until the deadline; the first may come at once, so one more.
    pub(crate) fn ticks(&self) -> u64 {
        self.time_ms
            .get()
            .div_ceil(EPOCH_TICK.as_millis() as u64)
            .saturating_add(1)
    }
}
