//! What `redact` finds in native tests.

use crate::RuleSet;
use crate::bindings::step_observer::plugin::events::Redaction;
use regex::Regex;
use serde_json::Value;

/// Patterns one after the other: simpler than the host's scanner, and slower.
pub(super) struct FakeScanner {
    rules: Vec<(String, Regex, String)>,
    pub(super) counts: Vec<Redaction>,
}

impl FakeScanner {
    pub(super) fn new(set: &RuleSet) -> Result<Self, String> {
        let mut rules = Vec::new();
        for value in &set.values {
            let pattern = Regex::new(&regex::escape(value)).map_err(|error| error.to_string())?;
            rules.push((
                "known-value".to_owned(),
                pattern,
                "[redacted:known-value]".to_owned(),
            ));
        }
        for rule in &set.rules {
            let pattern = Regex::new(&rule.pattern)
                .map_err(|error| format!("rule `{}`: {error}", rule.id))?;
            let replacement = rule
                .replacement
                .clone()
                .unwrap_or_else(|| format!("[redacted:{}]", rule.id));
            rules.push((rule.id.clone(), pattern, replacement));
        }
        Ok(Self {
            rules,
            counts: Vec::new(),
        })
    }

    pub(super) fn redact(&mut self, text: &str) -> String {
        let mut hits: Vec<(usize, usize, usize)> = Vec::new();
        for (index, (_, pattern, _)) in self.rules.iter().enumerate() {
            for captures in pattern.captures_iter(text) {
                if let Some(hit) = captures.name("secret").or_else(|| captures.get(0)) {
                    hits.push((hit.start(), hit.end(), index));
                }
            }
        }
        hits.sort_by_key(|(start, end, _)| (*start, std::cmp::Reverse(*end)));
        let (mut redacted, mut done) = (String::new(), 0);
        for (start, end, index) in hits {
            let Some((id, _, replacement)) = self.rules.get(index) else {
                continue;
            };
            if start >= done {
                redacted.push_str(text.get(done..start).unwrap_or_default());
                redacted.push_str(replacement);
                match self.counts.iter_mut().find(|count| count.rule == *id) {
                    Some(count) => count.count += 1,
                    None => self.counts.push(Redaction {
                        rule: id.clone(),
                        count: 1,
                    }),
                }
            }
            done = done.max(end);
        }
        redacted.push_str(text.get(done..).unwrap_or_default());
        redacted
    }

    pub(super) fn redact_json(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.redact(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_json(item)),
            Value::Object(members) => {
                let name = members
                    .get("name")
                    .and_then(Value::as_str)
                    .map(str::to_owned);
                for (key, member) in members {
                    let label = name.as_ref().filter(|_| key == "value").unwrap_or(key);
                    match member {
                        Value::String(text) => {
                            // Would anything under this name be a secret? Then all of the text is.
                            let probe = self.redact(&format!("{label}=Zx9Qm4Tv7Rk2Wp5LdG8h"));
                            let rest = probe.strip_prefix(&format!("{label}=")).unwrap_or(&probe);
                            let named = rest.starts_with("[redacted:")
                                && text.len() >= 4
                                && !text.starts_with('$');
                            *text = if named {
                                rest.to_owned()
                            } else {
                                self.redact(text)
                            };
                        }
                        other => self.redact_json(other),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
