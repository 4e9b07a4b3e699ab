//! Masks two kinds of secrets in the log. Takes the event as JSON, and returns it masked.

use extism_pdk::{FnResult, plugin_fn};
use regex::Regex;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Compiled once per instance.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [r"password=\S+", "ghp_[A-Za-z0-9]{36}"]
        .iter()
        .filter_map(|pattern| Regex::new(pattern).ok())
        .collect()
});

#[plugin_fn]
pub fn process(event: Vec<u8>) -> FnResult<Vec<u8>> {
    let mut event: Value = serde_json::from_slice(&event)?;
    if let Some(Value::String(log)) = event.pointer_mut("/data/log") {
        for pattern in PATTERNS.iter() {
            if let Cow::Owned(masked) = pattern.replace_all(log, "[redacted]") {
                *log = masked;
            }
        }
    }
    Ok(serde_json::to_vec(&event)?)
}
