//! Masks secrets in the log and in every string of the data. The plugin only supplies the rules
//! that describe secrets; the host searches and replaces, so the log need not be copied into the
//! plugin.

mod rules;

use serde::Deserialize;
use step_observer_guest::{Event, Plugin, Rule, RuleSet, Scope, Verdict, export_plugin};

/// The configuration. Everything is optional.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Bundled rules to leave out, by id.
    without: Vec<String>,
    /// Own rules.
    rules: Vec<OwnRule>,
    /// Secrets themselves, found in their usual encodings too.
    values: Vec<String>,
    /// Masks only the log and leaves script, arguments, environment and results as they are.
    log_only: bool,
}

/// An own rule.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OwnRule {
    id: String,
    /// Regular expression. If it has a group called `secret`, only that group is masked.
    pattern: String,
    /// Words; every match contains at least one of them. They make the search fast.
    #[serde(default)]
    keywords: Vec<String>,
    replacement: Option<String>,
}

/// The redactor.
#[derive(Debug)]
pub struct RedactSecrets {
    rules: Vec<Rule>,
    values: Vec<String>,
    scope: Scope,
}

/// The one rule set.
const SECRETS: &str = "secrets";

impl Plugin for RedactSecrets {
    type Config = Option<Config>;

    fn configure(config: Self::Config) -> Result<Self, String> {
        let Config {
            without,
            rules: own,
            values,
            log_only,
        } = config.unwrap_or_default();
        let mut rules = rules::bundled();
        let is_unknown = |id: &String| !rules.iter().any(|rule| rule.id == *id);
        if let Some(index) = without.iter().position(is_unknown) {
            let unknown = without.get(index).map_or("", String::as_str);
            // Several patterns may share an id, so each id is listed once. Rules that `without`
            // already names are omitted.
            let mut known: Vec<&str> = Vec::new();
            for Rule { id, .. } in &rules {
                if !known.contains(&id.as_str()) && !without.contains(id) {
                    known.push(id);
                }
            }
            return Err(format!(
                "without[{index}]: there is no rule `{unknown}`; there are: {}",
                known.join(", ")
            ));
        }
        rules.retain(|rule| !without.contains(&rule.id));
        rules.extend(own.into_iter().map(
            |OwnRule {
                 id,
                 pattern,
                 keywords,
                 replacement,
             }| Rule {
                id,
                pattern,
                keywords,
                replacement,
            },
        ));
        let scope = if log_only {
            Scope::Log
        } else {
            Scope::Everything
        };
        Ok(Self {
            rules,
            values,
            scope,
        })
    }

    fn rule_sets(&self) -> Vec<RuleSet> {
        vec![RuleSet {
            name: SECRETS.to_owned(),
            rules: self.rules.clone(),
            values: self.values.clone(),
        }]
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        event.redact(SECRETS, self.scope)?;
        Ok(Verdict::Keep)
    }
}

export_plugin!(RedactSecrets, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests {
    #[test]
    fn cases() {
        step_observer_guest::testing::check_cases::<super::RedactSecrets>("cases");
    }

    #[test]
    fn the_schema_is_that_of_the_configuration() {
        let schema = schemars::schema_for!(super::Config);
        let text = serde_json::to_string_pretty(&schema).unwrap();
        let stored = include_str!("../config.schema.json");
        assert_eq!(
            stored.trim_end(),
            text,
            "write this into config.schema.json:\n{text}"
        );
    }
}
