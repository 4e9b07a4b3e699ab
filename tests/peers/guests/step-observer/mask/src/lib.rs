//! Masks two kinds of secrets in the log. Returns patterns; the host masks the text.

use step_observer_guest::{Event, Plugin, Rule, RuleSet, Scope, Verdict, export_plugin};

struct Mask;

fn rule(id: &str, pattern: &str, keyword: &str) -> Rule {
    Rule {
        id: id.to_owned(),
        pattern: pattern.to_owned(),
        keywords: vec![keyword.to_owned()],
        replacement: Some("[redacted]".to_owned()),
    }
}

impl Plugin for Mask {
    type Config = ();

    fn configure((): ()) -> Result<Self, String> {
        Ok(Self)
    }

    fn rule_sets(&self) -> Vec<RuleSet> {
        vec![RuleSet {
            name: "secrets".to_owned(),
            rules: vec![
                rule("password", r"password=\S+", "password="),
                rule("token", "ghp_[A-Za-z0-9]{36}", "ghp_"),
            ],
            values: Vec::new(),
        }]
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        match event.redact("secrets", Scope::Log) {
            Ok(_) => Ok(Verdict::Keep),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}

export_plugin!(Mask);
