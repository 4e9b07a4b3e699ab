//! The bundled plugins and the catalogue as WebAssembly, with the cases of their native tests.
use serde_json::{Value, json};
use std::collections::BTreeSet;
use step_observer::plugin::{
    Chain, OnError, PluginEngine, PluginSource, PluginSpec, plugins_in_source,
};
use step_observer_tests::plugins::{check_cases, process, read_json};
use step_observer_tests::program::Program;
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
    for plugin in plugins_in_source().iter().map(|about| about.name) {
        let spec = PluginSpec::new(plugin, PluginSource::File(guest(plugin)));
        check_cases(&engine, &spec, &path(&format!("../plugins/{plugin}/cases")));
    }
}

/// The host keeps 192 KiB of a plugin's memory resident. Further pages would take most of the time
/// of a call.
#[test]
fn plugins_begin_with_less_memory_than_the_host_keeps() {
    for about in plugins_in_source() {
        let plugin = about.name;
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
        // One page is left for the heap; but the tables for decimal numbers of `cost` take it, so that its calls are slower.
        let most = if plugin == "cost" { 3 } else { 2 };
        assert!(pages <= most, "{plugin} has {pages} pages");
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
fn no_plugin_of_the_source_is_missing_in_the_list() {
    let folders = std::fs::read_dir(path("../plugins")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().path());
    let folders: BTreeSet<String> = folders
        .filter(|folder| folder.join("Cargo.toml").exists())
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let output = Program::new().args(["plugin", "list", "--json"]).run();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let listed = listed["plugins"].as_array().unwrap();
    let names: Vec<&str> = listed
        .iter()
        .map(|plugin| plugin["name"].as_str().unwrap())
        .collect();
    let unique: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(unique, folders);
    assert_eq!(unique.len(), names.len());
    for plugin in listed {
        let name = plugin["name"].as_str().unwrap();
        let is_bundled = PLUGINS.contains(&name);
        let kind = if is_bundled { "bundled" } else { "catalogue" };
        assert_eq!(plugin["kind"], kind, "{name}");
        assert_eq!(plugin["isMissing"], false, "{name}");
        let file = json!(format!("step-observer-plugin-{name}-0.1.0.wasm"));
        let artifact = if is_bundled { Value::Null } else { file };
        assert_eq!(plugin["artifact"], artifact, "{name}");
        for text in ["description", "needs"] {
            assert!(
                plugin[text].as_str().is_some_and(|text| text.len() > 5),
                "{name}: {text}"
            );
        }
    }
}

/// The catalogue is not in the program, whose size is bounded; its modules load as files.
#[test]
fn plugins_of_the_catalogue_are_files() {
    let engine = PluginEngine::new().unwrap();
    for about in plugins_in_source().iter().filter(|about| !about.is_bundled) {
        let name = about.name;
        let spec = PluginSpec::new(name, PluginSource::Bundled(name.to_owned()));
        assert!(Chain::load(&engine, &[spec]).is_err(), "{name} is bundled");
        assert!(
            std::fs::metadata(guest(name)).unwrap().len() < 300_000,
            "{name} fits a ConfigMap many times"
        );
    }
}

#[test]
fn the_list_as_text_names_each_plugin_once() {
    let output = Program::new().args(["plugin", "list"]).run().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("Bundled plugins 0.1.0, "), "{text}");
    for about in plugins_in_source() {
        let lines = text.lines().filter(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some(about.name)
        });
        assert_eq!(lines.count(), 1, "{}\n{text}", about.name);
        assert!(text.contains(about.description), "{text}");
    }
}

#[test]
fn the_filter_has_the_names_of_a_sinks_match() {
    let schema = |file: &str| -> Value { read_json(&path(file)) };
    let filter = schema("../plugins/filter-events/config.schema.json");
    let conditions = schema("../deploy/schema/plugin.v1.json");
    let conditions = &conditions["$defs"]["EventMatch"]["properties"];
    // A plugin has no CEL; its condition can be in its `match`.
    let members = conditions.as_object().unwrap().iter();
    for (name, condition) in members.filter(|(name, _)| *name != "cel") {
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
