//! The bundled plugins as WebAssembly, on the cases that their native tests run too.

use serde_json::{Value, json};
use step_observer::event;
use step_observer::plugin::{
    Chain, Failure, OnError, Outcome, PluginEngine, PluginSource, PluginSpec,
};
use step_observer::step::{Envelope, EventContext};
use step_observer_tests::{guest, path};

const PLUGINS: [&str; 4] = [
    "passthrough",
    "filter-events",
    "redact-secrets",
    "enrich-run",
];

fn read(file: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn process(chain: &Chain, event: &Value) -> Value {
    let event: cloudevents::Event = serde_json::from_value(event.clone()).unwrap();
    let envelope = Envelope {
        event,
        context: EventContext::default().into(),
    };
    match chain.process(envelope) {
        Outcome::Deliver(envelope, report) => match report.failures.first() {
            Some((_, Failure::Reported(reason), _)) => json!({"error": reason}),
            Some((_, failure, _)) => panic!("{failure}"),
            None => serde_json::from_slice(&event::structured(&envelope.event).unwrap()).unwrap(),
        },
        Outcome::Dropped { reason, .. } => json!({"dropped": reason}),
        Outcome::Blocked { failure, .. } => json!({"error": failure.to_string()}),
    }
}

#[test]
fn every_case_gives_the_same_in_webassembly_as_natively() {
    let engine = PluginEngine::new().unwrap();
    for plugin in PLUGINS {
        let cases = std::fs::read_dir(path(&format!("../plugins/{plugin}/cases"))).unwrap();
        let mut count = 0;
        for case in cases.map(|case| case.unwrap().path()) {
            let mut spec = PluginSpec::new(plugin, PluginSource::File(guest(plugin)));
            let config = case.join("config.json");
            if config.exists() {
                spec.config = read(&config);
            }
            let chain = Chain::load(&engine, &[spec]).unwrap();
            let told = process(&chain, &read(&case.join("in.json")));
            // `UPDATE_CASES=1` writes what is; read the difference before you commit it.
            if std::env::var_os("UPDATE_CASES").is_some() {
                std::fs::write(case.join("out.json"), format!("{told:#}\n")).unwrap();
            }
            let expected = read(&case.join("out.json"));
            assert_eq!(told, expected, "{}\n{told:#}", case.display());
            count += 1;
        }
        assert!(count > 0, "{plugin} has no case");
    }
}

#[test]
fn all_of_them_start_from_a_snapshot_and_say_who_they_are() {
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
fn plugins_run_in_order_and_each_sees_what_the_one_before_left() {
    let engine = PluginEngine::new().unwrap();
    let spec = |name: &str, config: Value| {
        let mut spec = PluginSpec::new(name, PluginSource::File(guest(name)));
        spec.config = config;
        spec
    };
    let event = read(&path(
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
