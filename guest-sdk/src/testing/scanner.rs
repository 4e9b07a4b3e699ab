//! Finds the places that `redact` masks in native tests.

use crate::RuleSet;
use crate::bindings::step_observer::plugin::events::Redaction;
use regex::Regex;
use serde_json::Value;

/// Sample that stands for any secret. It is long, has letters and digits, and is not a word.
const PROBE: &str = "Zx9Qm4Tv7Rk2Wp5LdG8h";
/// Shortest value that the host takes.
const MIN_VALUE: usize = 4;

struct FakeRule {
    id: String,
    pattern: Regex,
    /// Keywords in lower case. The pattern runs only near a keyword; without keywords it runs over
    /// the whole text.
    keywords: Vec<String>,
    replacement: String,
}

/// Scanner that runs the patterns one after the other. It is simpler and slower than the host's
/// scanner.
pub(super) struct FakeScanner {
    rules: Vec<FakeRule>,
    pub(super) counts: Vec<Redaction>,
}

impl FakeScanner {
    pub(super) fn new(set: &RuleSet) -> Result<Self, String> {
        let mut rules = Vec::new();
        for (index, value) in set.values.iter().enumerate() {
            if value.len() < MIN_VALUE {
                return Err(format!("value {index} is shorter than {MIN_VALUE} bytes"));
            }
            rules.push(FakeRule {
                id: "known-value".to_owned(),
                pattern: Regex::new(&regex::escape(value)).map_err(|error| error.to_string())?,
                keywords: Vec::new(),
                replacement: "[redacted:known-value]".to_owned(),
            });
        }
        for rule in &set.rules {
            let refuse = |why: String| format!("rule `{}`: {why}", rule.id);
            let pattern = Regex::new(&rule.pattern).map_err(|error| refuse(error.to_string()))?;
            if pattern.is_match("") {
                return Err(refuse("the pattern matches the empty text".to_owned()));
            }
            let own = rule.replacement.clone();
            rules.push(FakeRule {
                id: rule.id.clone(),
                pattern,
                keywords: rule
                    .keywords
                    .iter()
                    .map(|word| word.to_lowercase())
                    .collect(),
                replacement: own.unwrap_or_else(|| format!("[redacted:{}]", rule.id)),
            });
        }
        Ok(Self {
            rules,
            counts: Vec::new(),
        })
    }

    pub(super) fn redact(&mut self, text: &str) -> String {
        let mut hits: Vec<(usize, usize, usize)> = Vec::new();
        let lower = text.to_lowercase();
        for (index, rule) in self.rules.iter().enumerate() {
            let runs =
                rule.keywords.is_empty() || rule.keywords.iter().any(|word| lower.contains(word));
            if !runs {
                continue;
            }
            for captures in rule.pattern.captures_iter(text) {
                if let Some(hit) = captures.name("secret").or_else(|| captures.get(0)) {
                    hits.push((hit.start(), hit.end(), index));
                }
            }
        }
        hits.sort_by_key(|(start, end, _)| (*start, std::cmp::Reverse(*end)));
        let (mut redacted, mut done) = (String::new(), 0);
        for (start, end, index) in hits {
            let Some(FakeRule {
                id, replacement, ..
            }) = self.rules.get(index)
            else {
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
                            // Checks with a sample secret whether a rule masks any value under this
                            // name. If so, the whole text is masked.
                            let before = self.counts.clone();
                            let probe = self.redact(&format!("{label}={PROBE}"));
                            let masked = probe.strip_prefix(&format!("{label}="));
                            let masked = masked.filter(|rest| {
                                *rest != PROBE
                                    && !rest.contains(PROBE)
                                    && text.len() >= MIN_VALUE
                                    && !text.starts_with('$')
                            });
                            *text = if let Some(rest) = masked {
                                rest.to_owned()
                            } else {
                                self.counts = before;
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
