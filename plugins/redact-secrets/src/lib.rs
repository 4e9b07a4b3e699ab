//! Masks secrets in the log and in every string of the data. The plugin only selects rules of the
//! host's catalogue and adds its own rules. The host searches and replaces, so the log need not be
//! copied into the plugin.

use serde::Deserialize;
use std::fmt;
use step_observer_guest::{
    Event, FullRule, MaskSet, Plugin, Replacement, Scope, Verdict, export_plugin,
};

/// The configuration. Everything is optional.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Rules of the catalogue to leave out, by id. `step-observer redact --rules` lists them.
    without: Vec<String>,
    /// The only rules of the catalogue to use, by id. An empty list uses none.
    only: Option<Vec<String>>,
    /// Own rules.
    rules: Vec<FullRule>,
    /// Known secret values. They are also found in their usual encodings.
    values: Vec<String>,
    /// Masks only the log and leaves script, arguments, environment and results as they are.
    log_only: bool,
    /// Text in the place of a secret.
    replacement: Replacement,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It holds secrets.
        f.debug_struct("Config").finish_non_exhaustive()
    }
}

/// The redactor.
#[derive(Debug)]
pub struct RedactSecrets {
    masks: MaskSet,
    scope: Scope,
}

/// Name of the only mask set.
const SECRETS: &str = "secrets";

impl Plugin for RedactSecrets {
    type Config = Option<Config>;

    fn configure(config: Self::Config) -> Result<Self, String> {
        let Config {
            without,
            only,
            rules,
            values,
            log_only,
            replacement,
        } = config.unwrap_or_default();
        let masks = MaskSet {
            without,
            only,
            rules,
            values,
            replacement,
            ..MaskSet::new(SECRETS)
        };
        let scope = if log_only {
            Scope::Log
        } else {
            Scope::Everything
        };
        Ok(Self { masks, scope })
    }

    fn mask_sets(&self) -> Vec<MaskSet> {
        vec![self.masks.clone()]
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        event.redact(SECRETS, self.scope)?;
        Ok(Verdict::Keep)
    }
}

export_plugin!(RedactSecrets, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests;
