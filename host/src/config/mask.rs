//! Masks a configuration, so that it can be shown without its secrets.

use super::{Config, SinkConfig};
use crate::http::MASK;
use crate::plugin::{PluginConfig, PluginFrom};
use serde_json::Value;

impl Config {
    /// Replaces values that may be secrets with `***`: values of headers, paths and queries of
    /// URLs, the rules, values and key of `redact-secrets`, and the whole configuration of plugins
    /// from files and registries, because its meaning is unknown.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mut masked = self.clone();
        masked.plugins.iter_mut().for_each(mask_plugin);
        masked.sinks.iter_mut().for_each(mask_sink);
        if let Some(traces) = &mut masked.traces {
            traces.otlp = traces.otlp.masked();
        }
        masked
    }
}

fn mask_sink(sink: &mut SinkConfig) {
    sink.plugins.iter_mut().for_each(mask_plugin);
    sink.to.mask();
    if let Some(dead_letters) = &mut sink.dead_letter_sink {
        dead_letters.to.mask();
    }
}

/// Members of the configuration of `redact-secrets` that hold no secret. Values, patterns of rules and
/// the key of the replacement may be secrets.
const NOT_SECRET: [&str; 3] = ["without", "only", "logOnly"];

fn mask_plugin(plugin: &mut PluginConfig) {
    match &plugin.from {
        PluginFrom::Bundled(name) if name == "redact-secrets" => {
            if let Some(members) = plugin.config.as_object_mut() {
                let secret = |name: &str| !NOT_SECRET.contains(&name);
                let members = members.iter_mut().filter(|(name, _)| secret(name));
                members.for_each(|(_, value)| mask_values(value));
            }
        }
        // The configuration of bundled plugins is no secret: it goes into events, or names rules
        // and fields.
        PluginFrom::Bundled(_) => {}
        PluginFrom::File(_) | PluginFrom::Oci(_) => mask_values(&mut plugin.config),
    }
}

fn mask_values(value: &mut Value) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(_) | Value::String(_) => *value = MASK.into(),
        Value::Array(items) => items.iter_mut().for_each(mask_values),
        Value::Object(members) => members.values_mut().for_each(mask_values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn possible_secrets_are_masked_and_all_else_stays() {
        let text = "
plugins:
- {name: redact, from: {bundled: redact-secrets}, config: {without: [user-flag], values: [hunter2, 90210],
    rules: [{id: one, pattern: hunter2}], replacement: {token: hunter2}}, configFrom: [{path: /values/-, fromFile: /keys/value}]}
- {name: own, from: {file: /plugins/own.wasm}, config: {token: hunter2, deep: [{pin: 90210}], flag: true}}
traces: {otlp: 'https://collector.example/hunter2?key=hunter2'}
sinks:
- name: hook
  to: {http: {url: 'https://hooks.example:8443/services/hunter2?sig=hunter2#hunter2', headers: [{name: X-Key, value: hunter2}, {name: B, fromEnv: TOKEN}]}}
  plugins:
  - {name: late, from: {file: late.wasm}, config: hunter2}
  deadLetterSink: {to: {http: {url: 'https://dead.example/hunter2'}}}
- {name: bus, to: {nats: {servers: ['nats://nats.example:4222/hunter2'], subject: a.b}}}
- {name: plain, to: {http: {url: 'http://broker.example'}}}
";
        let config = Config::parse("config.yaml", text).unwrap();
        let shown = config.masked().to_yaml().unwrap();
        assert!(
            !shown.contains("hunter2") && !shown.contains("90210"),
            "{shown}"
        );
        for kept in [
            "user-flag",
            "fromFile: /keys/value",
            "flag: true",
            "https://hooks.example:8443/***",
            "https://dead.example/***",
            "https://collector.example/***",
            "nats://nats.example:4222/***",
            "url: http://broker.example/\n",
            "name: X-Key",
            "fromEnv: TOKEN",
        ] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        let plain = Config::default();
        assert_eq!(plain.masked(), plain);
    }
}
