//! Removes members of the data that receivers do not need: by phase, by JSON Pointer, or because they are large. The log is a member, too:
//! it becomes empty.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use step_observer_event_model::{field, pointer};
use step_observer_guest::{EditError, Event, EventExt, Phase, Plugin, Verdict, export_plugin};

/// The configuration.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Slim {
    /// All rules are applied to every event.
    rules: Vec<Rule>,
}

/// What is removed from which events.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    /// Phases of the step. An empty list stands for all.
    #[serde(default)]
    phases: Vec<Phase>,
    /// JSON Pointers of members of the data, such as `/step/script`. With `/*` at the end: each member of an object.
    remove: Vec<String>,
    /// Removes a member only if its JSON text, or the log, has more bytes.
    #[serde(default)]
    over_bytes: u64,
}

/// Member with the configured pointers that removed something, for receivers.
const NOTE: &str = "/slimmed";

/// Most pointers of all rules, and most bytes of one. They are repeated in events.
const MAX_POINTERS: usize = 64;
const MAX_POINTER: usize = 256;

/// Most members that all pointers with `/*` remove from one event. The host takes 1024 changes, and the pointers without `/*` need some.
const MAX_MEMBERS: usize = 512;

impl Plugin for Slim {
    type Config = Self;

    fn configure(config: Self) -> Result<Self, String> {
        for (index, rule) in config.rules.iter().enumerate() {
            if rule.remove.is_empty() {
                return Err(format!(
                    "rules[{index}].remove: it is empty: list what is removed"
                ));
            }
            for (position, place) in rule.remove.iter().enumerate() {
                check(place).map_err(|why| format!("rules[{index}].remove[{position}]: {why}"))?;
            }
        }
        let count: usize = config.rules.iter().map(|rule| rule.remove.len()).sum();
        match count {
            0 => Err("rules: it is empty: write a rule, or remove the plugin".to_owned()),
            1..=MAX_POINTERS => Ok(config),
            _ => Err(format!(
                "rules: they list {count} pointers, and {MAX_POINTERS} are allowed"
            )),
        }
    }

    fn process(&self, event: &dyn Event) -> Result<Verdict, String> {
        let phase = event.step().phase;
        let mut removed: Vec<&str> = Vec::new();
        let mut members_left = MAX_MEMBERS;
        for rule in &self.rules {
            if !rule.phases.is_empty() && !rule.phases.contains(&phase) {
                continue;
            }
            for place in &rule.remove {
                if rule.remove(place, event, &mut members_left)?
                    && !removed.contains(&place.as_str())
                {
                    removed.push(place);
                }
            }
        }
        if removed.is_empty() {
            return Ok(Verdict::Keep);
        }
        match event.set(NOTE, &removed) {
            // The limit of changes is reached, by members with very long names: the note is missing.
            Ok(()) | Err(EditError::TooLarge) => Ok(Verdict::Keep),
            Err(error) => Err(error.into()),
        }
    }
}

impl Rule {
    /// Removes what a pointer of the rule points to. Returns whether there was something to remove.
    fn remove(
        &self,
        place: &str,
        event: &dyn Event,
        members_left: &mut usize,
    ) -> Result<bool, String> {
        if place == field::LOG {
            let is_removed = event.log_size() > self.over_bytes;
            if is_removed {
                event.set_log("")?;
            }
            return Ok(is_removed);
        }
        let is_large = |size: usize| u64::try_from(size).is_ok_and(|size| size > self.over_bytes);
        let Some(parent) = place.strip_suffix("/*") else {
            let is_removed = event
                .get_json(place)
                .is_some_and(|json| is_large(json.len()));
            if is_removed {
                event.remove(place)?;
            }
            return Ok(is_removed);
        };
        // The members stay text: an object with many members is not copied into a tree.
        let json = match parent {
            "" => Some(event.data_json()),
            _ => event.get_json(parent),
        };
        let members = json
            .as_deref()
            .map(serde_json::from_str::<BTreeMap<String, &RawValue>>);
        let mut is_removed = false;
        for (name, member) in members.and_then(Result::ok).unwrap_or_default() {
            if !is_large(member.get().len()) {
                continue;
            }
            if *members_left == 0 {
                break;
            }
            match event.remove(&pointer::member(parent, &name)) {
                Ok(()) => {
                    is_removed = true;
                    *members_left -= 1;
                }
                // What identifies the step stays, and so do members with names that are too long for the limit of changes.
                Err(EditError::ReadOnly(_) | EditError::TooLarge | EditError::Invalid(_)) => {}
            }
        }
        Ok(is_removed)
    }
}

/// Checks a pointer of the configuration.
fn check(place: &str) -> Result<(), String> {
    if place.len() > MAX_POINTER {
        return Err(format!("it has more than {MAX_POINTER} bytes"));
    }
    pointer::check(place)?;
    if place == field::LOG || place.ends_with("/*") {
        return Ok(());
    }
    match field::forbids_set(place) {
        Some(field) => Err(format!(
            "no plugin can remove `{}`, because receivers rely on it",
            field.pointer
        )),
        None => Ok(()),
    }
}

export_plugin!(Slim, config_schema = "../config.schema.json");

#[cfg(test)]
mod tests {
    use super::Slim;
    use serde_json::{Map, Value, json};
    use step_observer_guest::testing::{Processed, process};

    fn slimmed(config: &Value, data: &Value) -> Value {
        let event = json!({"type": "dev.tekton.event.plugin.step.failed.v1", "data": data});
        match process::<Slim>(&config.to_string(), &event) {
            Ok(Processed::Kept(event)) => event["data"].clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_identifies_the_step_stays_and_very_many_members_are_no_error() {
        let many = (0..3000).map(|index| (format!("m{index}"), "x".into()));
        let mut data: Map<String, Value> = many.collect();
        data.insert("taskRun".to_owned(), json!({"uid": "u"}));
        let config = json!({"rules": [{"remove": ["/*", "/labels/*"]}]});
        let result = slimmed(&config, &data.into());
        assert_eq!(result["taskRun"], json!({"uid": "u"}));
        let count = result.as_object().unwrap().len();
        // Those that stay, `taskRun` and the note.
        assert_eq!(count, 3000 - super::MAX_MEMBERS + 2);
    }

    #[test]
    fn members_with_odd_names_and_types_are_removed_or_kept() {
        let config = json!({"rules": [{"remove": ["/step/*", "/labels/a~1b", "/log", "/none/x"], "overBytes": 4}]});
        for (data, expected) in [
            (
                json!({"step": {"a/b~c": "12345", "": "12345", "s": "12"}}),
                json!({"step": {"s": "12"}, "slimmed": ["/step/*"]}),
            ),
            (json!({"step": ["12345"]}), json!({"step": ["12345"]})),
            (
                json!({"step": null, "labels": "12345"}),
                json!({"step": null, "labels": "12345"}),
            ),
            (
                json!({"labels": {"a/b": "12345"}}),
                json!({"labels": {}, "slimmed": ["/labels/a~1b"]}),
            ),
            (
                json!({"log": "12345"}),
                json!({"log": "", "slimmed": ["/log"]}),
            ),
            (json!({"log": "1234"}), json!({"log": "1234"})),
        ] {
            assert_eq!(slimmed(&config, &data), expected, "{data}");
        }
    }

    #[test]
    fn a_wrong_configuration_is_refused_with_its_place() {
        let many: Vec<String> = (0..65).map(|index| format!("/m{index}")).collect();
        for (config, expected) in [
            (json!(null), "it needs one"),
            (json!({"rules": []}), "rules: it is empty"),
            (
                json!({"rules": [{"remove": []}]}),
                "rules[0].remove: it is empty",
            ),
            (
                json!({"rules": [{"remove": ["/a", "step"]}]}),
                "rules[0].remove[1]: not a JSON pointer",
            ),
            (
                json!({"rules": [{"remove": ["/taskRun/uid"]}]}),
                "rules[0].remove[0]: no plugin can remove `/taskRun`",
            ),
            (
                json!({"rules": [{"remove": ["/stepState"]}]}),
                "no plugin can remove `/stepState/name`",
            ),
            (
                json!({"rules": [{"remove": [format!("/{}", "x".repeat(256))]}]}),
                "more than 256 bytes",
            ),
            (
                json!({"rules": [{"remove": many}]}),
                "rules: they list 65 pointers",
            ),
            (
                json!({"rules": [{"remove": ["/a"], "phase": []}]}),
                "unknown field `phase`",
            ),
        ] {
            let refused = process::<Slim>(&config.to_string(), &json!({})).unwrap_err();
            assert!(refused.contains(expected), "{config}: {refused}");
        }
    }

    #[test]
    fn cases() {
        step_observer_guest::testing::check_cases::<Slim>("cases");
    }

    #[test]
    fn the_schema_is_that_of_the_configuration() {
        step_observer_guest::testing::check_schema::<Slim>(include_str!("../config.schema.json"));
    }
}
