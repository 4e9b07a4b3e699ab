//! What an author writes.

use crate::{Event, Level, RuleSet, Verdict, bindings};
use serde::de::DeserializeOwned;

/// A plugin. Only [`Plugin::configure`] has no default.
pub trait Plugin: Sized + 'static {
    /// The configuration, read from the JSON that the operator wrote. `()` where there is none.
    /// Use `#[serde(deny_unknown_fields)]`: a typing error should not pass for a setting.
    type Config: DeserializeOwned;

    /// Makes the plugin from its configuration. Called once per load; what it builds (a parsed
    /// table, a compiled pattern) is there for every event at no cost. It may not call the host.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration, for the operator. The plugin is not loaded.
    fn configure(config: Self::Config) -> Result<Self, String>;

    /// Rule sets for [`Event::redact`].
    fn rule_sets(&self) -> Vec<RuleSet> {
        Vec::new()
    }

    /// Looks at one event, changes it, and says what becomes of it.
    ///
    /// # Errors
    ///
    /// Why it could not. What happens to the event then is the operator's choice (`onError`).
    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        let _ = event;
        Ok(Verdict::Keep)
    }
}

/// Writes a line to the host's log. Natively (in tests) it does nothing.
pub fn log(level: Level, message: &str) {
    if cfg!(target_arch = "wasm32") {
        bindings::step_observer::plugin::logging::log(level, message);
    }
}
