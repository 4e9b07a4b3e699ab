//! Reads the results of tests from the log of a step: counts as extensions, and with the failing tests and an excerpt as the member
//! `testSummary` of the data. It reads texts that tenants write, so every step is bounded, and no text makes it fail. Everything that it
//! copies is from the log as earlier plugins left it: behind `redact-secrets`, it is masked.

mod build_tools;
mod findings;
mod go;
mod javascript;
mod junit;
mod lines;
mod numbers;
mod python;
mod rust;
mod summary;
mod tap;

use serde::Deserialize;
use serde_json::json;
use step_observer_guest::{Event, EventExt, Plugin, Verdict, export_plugin};
use summary::{Bounds, Summary, summarize};

/// The configuration.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TestSummary {
    /// Most names of failing tests, at most 100.
    #[cfg_attr(test, schemars(range(max = 100)))]
    max_failing: usize,
    /// Most bytes of the excerpt, at most 16384. 0 leaves it out.
    #[cfg_attr(test, schemars(range(max = 16384)))]
    excerpt_bytes: usize,
}

/// Upper bounds of the settings. An event has 64 KiB by default, and the log and the other members need most of it.
const MAX_FAILING: usize = 100;
const MAX_EXCERPT: usize = 16 * 1024;

/// Member of the data with the result.
const MEMBER: &str = "/testSummary";

impl Default for TestSummary {
    fn default() -> Self {
        Self {
            max_failing: 10,
            excerpt_bytes: 2048,
        }
    }
}

impl Plugin for TestSummary {
    type Config = Option<Self>;

    fn configure(config: Self::Config) -> Result<Self, String> {
        let config = config.unwrap_or_default();
        for (setting, value, most) in [
            ("maxFailing", config.max_failing, MAX_FAILING),
            ("excerptBytes", config.excerpt_bytes, MAX_EXCERPT),
        ] {
            if value > most {
                return Err(format!("{setting}: it is {value}, and {most} is allowed"));
            }
        }
        Ok(config)
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        let bounds = Bounds {
            failing: self.max_failing,
            excerpt: self.excerpt_bytes,
        };
        let Some(summary) = summarize(&event.log(), bounds) else {
            return Ok(Verdict::Keep);
        };
        let Summary {
            tools,
            counts,
            failing,
            excerpt,
        } = summary;
        let tools = tools.join(",");
        let text = |number: Option<u64>| number.map(|number| number.to_string());
        for (attribute, value) in [
            ("testtools", Some(tools.clone())),
            ("testspassed", text(counts.passed)),
            ("testsfailed", text(Some(counts.failed))),
            ("testsskipped", text(counts.skipped)),
            ("testsmillis", text(counts.millis)),
        ] {
            if let Some(value) = value {
                event.set_attribute(attribute, Some(&value))?;
            }
        }
        let mut member = json!({
            "tools": tools.split(',').collect::<Vec<_>>(),
            "failed": counts.failed,
            // A log that lost its beginning or end may have lost counts, too.
            "isComplete": !event.get::<bool>("/logInfo/truncated").unwrap_or(false),
        });
        if let Some(members) = member.as_object_mut() {
            for (name, number) in [
                ("passed", counts.passed),
                ("skipped", counts.skipped),
                ("durationMillis", counts.millis),
            ] {
                members.extend(number.map(|number| (name.to_owned(), number.into())));
            }
            if !failing.is_empty() {
                members.insert("failing".to_owned(), failing.into());
            }
            if !excerpt.is_empty() {
                members.insert("excerpt".to_owned(), excerpt.into());
            }
        }
        event.set(MEMBER, &member)?;
        Ok(Verdict::Keep)
    }
}

export_plugin!(TestSummary, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests;
