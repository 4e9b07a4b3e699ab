//! The trait that the author of a plugin implements.

use crate::{Event, Level, RuleSet, Verdict, bindings};
use serde::de::DeserializeOwned;

/// A plugin. Only [`Plugin::configure`] has no default.
pub trait Plugin: Sized + 'static {
    /// The configuration, read from the JSON that the operator wrote; `()` for a plugin without one.
    /// Use `#[serde(deny_unknown_fields)]`, so that a misspelt setting is an error.
    type Config: DeserializeOwned;

    /// Makes the plugin from its configuration. Called once per load: every event starts with the
    /// memory that it leaves, such as a parsed table or a compiled pattern. It may not call the host.
    ///
    /// # Errors
    ///
    /// The mistake in the configuration, in words for the operator. The plugin is then not loaded.
    fn configure(config: Self::Config) -> Result<Self, String>;

    /// Returns the rule sets for [`Event::redact`].
    fn rule_sets(&self) -> Vec<RuleSet> {
        Vec::new()
    }

    /// Reads one event, changes it, and decides whether it goes on.
    ///
    /// # Errors
    ///
    /// Why the plugin could not decide. The operator's setting `onError` then decides.
    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        let _ = event;
        Ok(Verdict::Keep)
    }
}

/// Writes a line to the host's log. Does nothing in native tests.
pub fn log(level: Level, message: &str) {
    if cfg!(target_arch = "wasm32") {
        bindings::step_observer::plugin::logging::log(level, message);
    }
}
