//! The bundled plugins as WebAssembly, with the cases of their native tests.
use serde_json::{Value, json};
use step_observer::plugin::{Chain, OnError, PluginEngine, PluginSource, PluginSpec};
use step_observer_tests::plugins::{check_cases, process, read_json};
use step_observer_tests::{guest, path};

const PLUGINS: [&str; 4] = [
    "passthrough",
    "filter-events",
    "redact-secrets",
    "enrich-run",
];

#[test]
fn every_case_gives_the_same_in_webassembly_as_natively() {
    let engine = PluginEngine::new().unwrap();
    for plugin in PLUGINS {
        let spec = PluginSpec::new(plugin, PluginSource::File(guest(plugin)));
        check_cases(&engine, &spec, &path(&format!("../plugins/{plugin}/cases")));
    }
}

/// The host keeps 192 KiB of a plugin's memory resident. Further pages would take most of the time
/// of a call.
#[test]
fn bundled_plugins_begin_with_less_memory_than_the_host_keeps() {
    for plugin in PLUGINS {
        let module = std::fs::read(guest(plugin)).unwrap();
        let payloads = wasmparser::Parser::new(0).parse_all(&module);
        let memories = payloads.filter_map(|payload| match payload.unwrap() {
            wasmparser::Payload::MemorySection(memories) => Some(memories),
            _ => None,
        });
        let pages: u64 = memories
            .flatten()
            .map(|memory| memory.unwrap().initial)
            .sum();
        // One page is left for the heap.
        assert!(pages <= 2, "{plugin} has {pages} pages");
    }
}

#[test]
fn all_bundled_plugins_start_from_a_snapshot_and_report_their_name() {
    let engine = PluginEngine::new().unwrap();
    for plugin in PLUGINS {
        let spec = PluginSpec::new(plugin, PluginSource::Bundled(plugin.to_owned()));
        let chain = Chain::load(&engine, &[spec]).unwrap();
        let [loaded] = chain.plugins() else { panic!() };
        assert!(loaded.is_snapshotted(), "{plugin}");
        assert_eq!(loaded.identity(), (plugin, "0.1.0"));
        let redacts = plugin == "redact-secrets";
        assert_eq!(
            loaded.on_error(),
            if redacts {
                OnError::Strip
            } else {
                OnError::Pass
            }
        );
        assert!(
            std::fs::metadata(guest(plugin)).unwrap().len() < 200_000,
            "{plugin} fits a ConfigMap many times"
        );
    }
}

#[test]
fn the_filter_has_the_names_of_a_sinks_match() {
    let schema = |file: &str| -> Value { read_json(&path(file)) };
    let filter = schema("../plugins/filter-events/config.schema.json");
    let conditions = schema("../deploy/schema/plugin.v1.json");
    let conditions = &conditions["$defs"]["EventMatch"]["properties"];
    for (name, condition) in conditions.as_object().unwrap() {
        let setting = &filter["properties"][name];
        for member in ["type", "description", "items", "additionalProperties"] {
            assert_eq!(setting[member], condition[member], "{name}.{member}");
        }
    }
}

#[test]
fn plugins_run_in_order_on_the_event_of_the_one_before() {
    let engine = PluginEngine::new().unwrap();
    let spec = |name: &str, config: Value| {
        let mut spec = PluginSpec::new(name, PluginSource::File(guest(name)));
        spec.settings.config = config;
        spec
    };
    let event = read_json(&path(
        "../plugins/redact-secrets/cases/log-and-script/in.json",
    ));
    let enrich = spec("enrich-run", json!({"labels": {"team": "team"}}));
    let redact = spec("redact-secrets", json!(null));
    let filter = spec("filter-events", json!({"namespaces": ["elsewhere"]}));
    let told = process(
        &Chain::load(&engine, &[enrich.clone(), redact.clone()]).unwrap(),
        &event,
    );
    assert_eq!(told["team"], "shop");
    assert!(told["data"]["log"].as_str().unwrap().contains("[redacted:"));
    let told = process(
        &Chain::load(&engine, &[enrich, filter, redact]).unwrap(),
        &event,
    );
    assert_eq!(told, json!({"dropped": "filtered"}));
}
