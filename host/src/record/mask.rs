//! Masks objects and logs before they reach a disk.

use super::structure;
use crate::observe::mask_termination_message;
use crate::plugin::RuleSets;
use crate::redact::{RedactionCounts, ScanLimits};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The annotation in which kubectl keeps a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Members of init containers that are removed. They may contain the script of a step in base64, in
/// which no rule finds a secret. No event needs these members.
const INIT_CONTAINER_MEMBERS: [&str; 4] = ["command", "args", "env", "envFrom"];
/// Time limit for masking an object or a log.
const MASK_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes by which a text may grow when it is masked.
const MAX_GROWTH_BYTES: usize = 1024 * 1024;
/// Maximum depth to which `read` searches an object for unreadable parts. Deeper unreadable members
/// are omitted as a whole.
const MAX_DEPTH: usize = 6;

/// Masks with the rules of a plugin. Without rules it masks nothing.
#[derive(Debug)]
pub(super) struct Masker {
    rule_sets: Option<Arc<RuleSets>>,
    counts: RedactionCounts,
    /// Time at which masking the current object or log must be complete.
    deadline: Instant,
}

/// An object that may be recorded.
pub(super) struct Masked {
    pub(super) object: Value,
    /// True if a part of the object could not be read, or the object could not be masked. In the
    /// second case only its structural members are left.
    pub(super) is_incomplete: bool,
}

impl Masker {
    pub(super) fn new(rule_sets: Option<Arc<RuleSets>>) -> Self {
        Self {
            rule_sets,
            counts: RedactionCounts::default(),
            deadline: Instant::now(),
        }
    }

    pub(super) fn masks(&self) -> bool {
        self.rule_sets.is_some()
    }

    /// Returns how often each rule matched.
    pub(super) fn counts(&self) -> &RedactionCounts {
        &self.counts
    }

    /// Masks a log. Returns `None` if the log cannot be masked.
    pub(super) fn log(&mut self, text: &str) -> Option<String> {
        let mut text = text.to_owned();
        let limits = self.begin();
        for (_, set) in self.rule_sets.iter().flat_map(|sets| sets.iter()) {
            let masked = set.redact(&text, &mut self.counts, limits);
            text = masked.ok()?.into_owned();
        }
        Some(text)
    }

    /// Masks a Pod or TaskRun. Names, times, reasons and exit codes stay, also those in termination
    /// messages.
    pub(super) fn object(&mut self, json: &str, kind: &str) -> Masked {
        let (original, is_whole) = read(json, MAX_DEPTH);
        let Some(rule_sets) = self.rule_sets.clone() else {
            return Masked {
                object: original,
                is_incomplete: !is_whole,
            };
        };
        self.begin();
        let mut object = original.clone();
        self.drop_copies(&mut object, kind);
        let mut messages_masked = true;
        self.mask_messages(&rule_sets, &mut object, &mut messages_masked);
        let messages = object.clone();
        let is_masked = messages_masked && self.value(&rule_sets, &mut object).is_some();
        if is_masked {
            self.mask_names(&rule_sets, &mut object);
            restore_messages(&mut object, &messages);
        } else {
            object = Value::Null;
        }
        structure::restore(&mut object, &original, kind);
        Masked {
            object,
            is_incomplete: !(is_masked && is_whole),
        }
    }

    fn begin(&mut self) -> ScanLimits {
        self.deadline = Instant::now() + MASK_TIMEOUT;
        self.limits()
    }

    fn limits(&self) -> ScanLimits {
        ScanLimits {
            growth: MAX_GROWTH_BYTES,
            deadline: self.deadline,
        }
    }

    /// Removes members that only copy other data in an encoded form (a script in base64, an object
    /// as a JSON string), because no rule finds a secret there.
    fn drop_copies(&self, object: &mut Value, kind: &str) {
        let annotations = object.pointer_mut("/metadata/annotations");
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
        if kind != "Pod" {
            return;
        }
        let init_containers = object
            .pointer_mut("/spec/initContainers")
            .and_then(Value::as_array_mut);
        for container in init_containers
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            container.retain(|name, _| !INIT_CONTAINER_MEMBERS.contains(&name.as_str()));
        }
    }

    /// Masks all strings in a value.
    fn value(&mut self, rule_sets: &RuleSets, value: &mut Value) -> Option<()> {
        let limits = self.limits();
        for (_, set) in rule_sets {
            set.redact_json(value, &mut self.counts, limits).ok()?;
        }
        Some(())
    }

    /// Masks the termination messages of containers.
    fn mask_messages(&mut self, rule_sets: &RuleSets, value: &mut Value, is_masked: &mut bool) {
        match value {
            Value::Array(items) => {
                let items = items.iter_mut();
                items.for_each(|item| self.mask_messages(rule_sets, item, is_masked));
            }
            Value::Object(members) => {
                for (name, member) in members {
                    if let Some(message) = message_of(name, member) {
                        match mask_termination_message(message, |value| {
                            self.value(rule_sets, value)
                        }) {
                            Some(masked) => *message = masked,
                            None => *is_masked = false,
                        }
                    }
                    self.mask_messages(rule_sets, member, is_masked);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Masks the names of members, because tenants choose the names of labels, annotations and
    /// results.
    fn mask_names(&mut self, rule_sets: &RuleSets, value: &mut Value) {
        match value {
            Value::Array(items) => {
                let items = items.iter_mut();
                items.for_each(|item| self.mask_names(rule_sets, item));
            }
            Value::Object(members) => {
                let names = members.keys().filter(|name| !is_schema_name(name));
                let names: Vec<String> = names.cloned().collect();
                for name in names {
                    let masked = self.name(rule_sets, &name);
                    if masked.as_deref() != Some(&name)
                        && let Some(member) = members.remove(&name)
                        && let Some(masked) = masked
                    {
                        members.insert(masked, member);
                    }
                }
                let members = members.values_mut();
                members.for_each(|member| self.mask_names(rule_sets, member));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn name(&mut self, rule_sets: &RuleSets, name: &str) -> Option<String> {
        let mut name = name.to_owned();
        for (_, set) in rule_sets {
            let limits = self.limits();
            let masked = set.redact(&name, &mut self.counts, limits);
            name = masked.ok()?.into_owned();
        }
        Some(name)
    }
}

/// Returns whether a name may belong to a schema of Kubernetes or Tekton. Names in these schemas
/// contain only letters.
fn is_schema_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn message_of<'a>(name: &str, member: &'a mut Value) -> Option<&'a mut String> {
    match member.get_mut("message").filter(|_| name == "terminated")? {
        Value::String(message) => Some(message),
        _ => None,
    }
}

/// Restores the termination messages that were masked entry by entry. The masking of all other
/// texts has changed them again: it treats a message as one JSON or plain text, and not as a list
/// of entries.
fn restore_messages(value: &mut Value, masked: &Value) {
    match (value, masked) {
        (Value::Array(items), Value::Array(masked)) => {
            let pairs = items.iter_mut().zip(masked);
            pairs.for_each(|(item, masked)| restore_messages(item, masked));
        }
        (Value::Object(members), Value::Object(masked)) => {
            for (name, member) in members {
                let Some(masked) = masked.get(name) else {
                    continue;
                };
                if let Some(message) = message_of(name, member)
                    && let Some(masked) = masked.get("message").and_then(Value::as_str)
                {
                    masked.clone_into(message);
                }
                restore_messages(member, masked);
            }
        }
        _ => {}
    }
}

/// Parses an object, and returns whether it is complete. Parts that are nested too deep and numbers
/// that cannot be represented are omitted; the observer also treats them as missing.
fn read(json: &str, depth: usize) -> (Value, bool) {
    if let Ok(value) = serde_json::from_str(json) {
        return (value, true);
    }
    let members: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_str(json);
    let Ok(members) = members else {
        return (Value::Null, false);
    };
    let read = |member: &RawValue| match depth {
        0 => Value::Null,
        depth => read(member.get(), depth - 1).0,
    };
    let readable: Map<_, _> = members
        .into_iter()
        .map(|(name, member)| (name, read(member)))
        .collect();
    (Value::Object(readable), false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::RuleSet;
    use crate::redact::{Rule, Scanner};
    use serde_json::json;

    const SECRET: &str = "s3cr3t-value";

    fn masker(pattern: &str) -> Masker {
        let rule = Rule {
            id: "own".to_owned(),
            pattern: pattern.to_owned(),
            ..Rule::default()
        };
        let scanner = Scanner::new(&[rule], &[]).unwrap();
        let set = RuleSet::Declared(scanner);
        Masker::new(Some(Arc::new(vec![("secrets".to_owned(), set)])))
    }

    fn pod() -> Value {
        let message = format!(
            r#"[{{"key":"out","value":"{SECRET}","type":1}},{{"key":"StartedAt","value":"2026-11-22T13:04:17.027Z","type":3}}]"#
        );
        json!({
            "metadata": {
                "name": "a-pod", "uid": "u", "labels": {SECRET: "x", "team": SECRET, "tekton.dev/taskRun": "a"},
                "annotations": {LAST_APPLIED: "{}", "note": SECRET},
            },
            "spec": {
                "initContainers": [{"name": "place-scripts", "args": ["czNjcjN0LXZhbHVl"]}],
                "containers": [{"name": "step-a", "args": ["-wait_file", "/tekton/run/0/out", "--", SECRET],
                                "env": [{"name": "A", "value": SECRET}]}],
            },
            "status": {"phase": "Failed", "containerStatuses": [{"name": "step-a", "state": {"terminated": {
                "exitCode": 3, "reason": "Error", "finishedAt": "2026-11-22T13:04:18Z", "message": message,
            }}}]},
        })
    }

    #[test]
    fn all_free_text_is_masked_and_the_structure_stays() {
        let masked = masker(SECRET).object(&pod().to_string(), "Pod");
        assert!(!masked.is_incomplete);
        let text = masked.object.to_string();
        assert!(
            !text.contains(SECRET) && !text.contains("czNjcjN0"),
            "{text}"
        );
        let object = masked.object;
        assert_eq!(object["metadata"]["labels"]["team"], "[redacted:own]");
        assert_eq!(object["metadata"]["annotations"].get(LAST_APPLIED), None);
        assert_eq!(
            object["spec"]["containers"][0]["args"][1],
            "/tekton/run/0/out"
        );
        let ended = &object["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(
            (&ended["exitCode"], &ended["reason"]),
            (&json!(3), &json!("Error"))
        );
        let message: Value = serde_json::from_str(ended["message"].as_str().unwrap()).unwrap();
        assert_eq!(message[0]["value"], "[redacted:own]");
        assert_eq!(message[1]["value"], "2026-11-22T13:04:17.027Z");
    }

    #[test]
    fn no_rule_changes_names_and_times() {
        let masked = masker("[a-zA-Z0-9-]+")
            .object(&pod().to_string(), "Pod")
            .object;
        assert_eq!(masked["metadata"]["name"], "a-pod");
        assert_eq!(masked["metadata"]["labels"]["tekton.dev/taskRun"], "a");
        assert_eq!(masked["status"]["containerStatuses"][0]["name"], "step-a");
        let ended = &masked["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(ended["finishedAt"], "2026-11-22T13:04:18Z");
        let message: Value = serde_json::from_str(ended["message"].as_str().unwrap()).unwrap();
        assert_eq!(message[1]["key"], "StartedAt");
    }

    #[test]
    fn unmaskable_texts_are_omitted_and_identifiers_stay() {
        let mut masker = masker(SECRET);
        // More matches than one text may contain.
        let many = SECRET.repeat(110_000);
        assert_eq!(masker.log(&many), None);
        let mut object = pod();
        object["spec"]["containers"][0]["env"][0]["value"] = many.into();
        let masked = masker.object(&object.to_string(), "Pod");
        assert!(masked.is_incomplete);
        let text = masked.object.to_string();
        assert!(!text.contains(SECRET) && text.len() < 2000, "{text}");
        assert_eq!(masked.object["spec"]["containers"][0]["name"], "step-a");
        let ended = &masked.object["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(ended["exitCode"], 3);
    }

    #[test]
    fn unreadable_members_are_omitted() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let json = format!(
            r#"{{"metadata": {{"uid": "u", "name": "a"}}, "spec": {{"params": {deep}, "n": 1e999}}, "status": {{"podName": "p"}}}}"#
        );
        let masked = masker(SECRET).object(&json, "TaskRun");
        assert!(masked.is_incomplete);
        assert_eq!(
            masked.object,
            json!({"metadata": {"uid": "u", "name": "a"}, "spec": {"params": null, "n": null}, "status": {"podName": "p"}})
        );
    }
}
