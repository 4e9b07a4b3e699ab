//! Tests that the contract can be extended. A version 0.1.2 that exists only here adds a function
//! to an imported interface. `guest-sdk/wit/README.md` gives the rules.

use super::super::bindings::step_observer::plugin::logging::{Host as _, Level};
use super::Host;
use crate::event;
use crate::plugin::{Chain, Outcome, PluginEngine, PluginSource, PluginSpec, sample_event};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use step_observer_event_model::contract;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

/// The text of version 0.1.2. It adds the function `enabled` to `logging`: with it a plugin can
/// avoid making lines that the host would not write.
fn next_wit() -> String {
    let (version, wit) = contract::NEWEST;
    let log = "    log: func(level: level, message: string);\n";
    assert_eq!(wit.matches(log).count(), 1);
    let enabled = format!("{log}    enabled: func(level: level) -> bool;\n");
    wit.replace(log, &enabled)
        .replacen(&format!("@{version};"), "@0.1.2;", 1)
}

/// Links a host of version 0.1.2: all interfaces of the newest version, and the extended interface. In a release
/// the generated bindings do this, for the version `contract::NEWEST`.
fn add_next_to_linker(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    super::add_to_linker(linker)?;
    let mut logging = linker.instance("step-observer:plugin/logging@0.1.2")?;
    logging.func_wrap(
        "log",
        |mut store: StoreContextMut<'_, Host>, (level, message): (Level, String)| {
            store.data_mut().log(level, message)
        },
    )?;
    logging.func_wrap(
        "enabled",
        |_: StoreContextMut<'_, Host>, (level,): (Level,)| Ok((level == Level::Error,)),
    )
}

/// A plugin for version 0.1.2. It keeps an event if `enabled` returns true for errors and false for
/// debug lines.
const PLUGIN: &str = r#"(module
  (import "step-observer:plugin/logging@0.1.2" "enabled" (func $enabled (param i32) (result i32)))
  (import "step-observer:plugin/logging@0.1.2" "log" (func $log (param i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.2" "[resource-drop]event" (func $release (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "next0.0.1")
  (global $top (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $place i32)
    (local.set $place (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $place) (local.get 3)))
    (local.get $place))
  (func (export "step-observer:plugin/transform@0.1.2#configure") (param i32 i32) (result i32)
    (i32.store (i32.const 1028) (i32.const 16)) (i32.store (i32.const 1032) (i32.const 4))
    (i32.store (i32.const 1036) (i32.const 20)) (i32.store (i32.const 1040) (i32.const 5))
    (i32.const 1024))
  (func (export "step-observer:plugin/transform@0.1.2#process") (param $event i32) (result i32)
    (call $log (i32.const 1) (i32.const 16) (i32.const 4))
    (call $release (local.get $event))
    ;; The verdict: `keep`, or `drop` with the text "next".
    (i32.store (i32.const 2052)
      (i32.or (i32.eqz (call $enabled (i32.const 3))) (call $enabled (i32.const 0))))
    (i32.store (i32.const 2056) (i32.const 16)) (i32.store (i32.const 2060) (i32.const 4))
    (i32.const 2048)))"#;

/// Returns the plugin as its author's tools would make it, with the description of the world for
/// which it was built.
fn plugin() -> PluginSpec {
    let mut module = wat::parse_str(PLUGIN).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("plugin.wit", &next_wit()).unwrap();
    let world = resolve
        .select_world(&[package], Some(contract::WORLD))
        .unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding, false).unwrap();
    PluginSpec::new("next", PluginSource::bytes(module))
}

/// Returns the event after the plugin, or the reason why the plugin dropped it or failed.
fn process(engine: &PluginEngine, spec: PluginSpec, event: Value) -> Value {
    let chain = Chain::load(engine, &[spec]).unwrap_or_else(|error| panic!("{error}"));
    match chain.process(event::from_json(event).unwrap()) {
        Outcome::Deliver(envelope, _) => {
            serde_json::from_slice(&event::structured(&envelope.event).unwrap()).unwrap()
        }
        Outcome::Dropped(report) => json!({"dropped": report.dropped().unwrap().1}),
        Outcome::Blocked { failure, .. } => json!({"error": failure.to_string()}),
    }
}

#[test]
fn a_plugin_calls_a_function_that_a_later_version_has_added() {
    let engine = PluginEngine::with_functions(add_next_to_linker).unwrap();
    let event = sample_event();
    assert_eq!(process(&engine, plugin(), event.clone()), event);
}

#[test]
fn an_older_host_refuses_it_and_names_the_function() {
    let refused = Chain::load(&PluginEngine::new().unwrap(), &[plugin()]).unwrap_err();
    assert!(refused.to_string().contains("`enabled`"), "{refused}");
}

#[test]
fn every_stored_plugin_still_runs_beside_it() {
    let engine = PluginEngine::with_functions(add_next_to_linker).unwrap();
    let read =
        |file: PathBuf| -> Value { serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap() };
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/v0.1");
    let mut cases = 0;
    for plugin in std::fs::read_dir(corpus).unwrap().flatten() {
        let files = ["plugin.wasm", "plugin.wasm.gz"].map(|name| plugin.path().join(name));
        let Some(file) = files.into_iter().find(|file| file.exists()) else {
            continue;
        };
        for case in std::fs::read_dir(plugin.path().join("cases"))
            .unwrap()
            .flatten()
        {
            let case = case.path();
            let mut spec = PluginSpec::new("stored", PluginSource::File(file.clone()));
            if case.join("config.json").exists() {
                spec.settings.config = read(case.join("config.json"));
            }
            let expected = read(case.join("out.json"));
            if expected.get("error").is_some() {
                continue;
            }
            let result = process(&engine, spec, read(case.join("in.json")));
            assert_eq!(result, expected, "{}", case.display());
            cases += 1;
        }
    }
    assert!(cases > 10, "{cases}");
}
