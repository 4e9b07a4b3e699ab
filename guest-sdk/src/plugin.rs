//! The trait that the author of a plugin implements.

use crate::{Event, Level, MaskSet, RuleSet, Verdict, bindings};
use serde::de::DeserializeOwned;

/// A plugin. Only [`Plugin::configure`] has no default.
pub trait Plugin: Sized + 'static {
    /// Type of the plugin's configuration. It is deserialized from the JSON in the operator's
    /// settings. Use `()` for a plugin without configuration.
    ///
    /// Add `#[serde(deny_unknown_fields)]`, so that a misspelt setting is an error.
    type Config: DeserializeOwned;

    /// Makes the plugin from its configuration. Called once per load. Every event starts with the
    /// plugin's memory as it is after this call, for example with a parsed table or a compiled
    /// pattern. This function may not call the host.
    ///
    /// # Errors
    ///
    /// The mistake in the configuration, in words for the operator. The plugin is then not loaded.
    fn configure(config: Self::Config) -> Result<Self, String>;

    /// Returns the mask sets for [`Event::redact`]: selections of the host's catalogue of secrets,
    /// with own rules and known values.
    fn mask_sets(&self) -> Vec<MaskSet> {
        Vec::new()
    }

    /// Returns the rule sets for [`Event::redact`], in the form of the contract 0.1.0. Plugins that
    /// do not have to run in an older host use [`Plugin::mask_sets`].
    fn rule_sets(&self) -> Vec<RuleSet> {
        Vec::new()
    }

    /// Processes one event: may change it, and decides whether it is kept or dropped.
    ///
    /// # Errors
    ///
    /// The reason why the plugin could not decide. The operator's setting `onError` then determines
    /// the consequence for the event.
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
