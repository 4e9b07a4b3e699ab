//! Further attacks by guests: floods, modules that are slow to compile, and the effect on other
//! plugins.
use futures::future::{Either, select};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use step_observer::bounded::Bounded;
use step_observer::plugin::{
    CallFailure, Chain, ChainPool, OnError, Outcome, Plugin, PluginEngine, PluginSource,
    PluginSpec, sample_event,
};
use step_observer_tests::events::example_event;
use step_observer_tests::path;
use step_observer_tests::plugins::{RELEASE, importing, load, process, refusal, spec, wat};
use step_observer_tests::program::Program;

/// Returns guests that fail on every event, in different ways.
fn failing() -> Vec<(&'static str, String)> {
    vec![
        ("loop", wat("", "(loop $again (br $again)) (unreachable)")),
        ("crash", wat("", "(unreachable)")),
        (
            "stack",
            wat("(func $deep (result i32) (call $deep))", "(call $deep)"),
        ),
        (
            "answer",
            wat(
                "",
                &format!("{RELEASE} (call $text (i32.const 0) (i32.const 0x7fffffff))"),
            ),
        ),
        (
            "memory",
            wat(
                "",
                "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)",
            ),
        ),
    ]
}

#[test]
fn every_failure_ends_as_on_error_says() {
    let engine = PluginEngine::new().unwrap();
    let before = example_event();
    for (name, module) in failing() {
        for on_error in [OnError::Pass, OnError::Strip, OnError::Drop, OnError::Block] {
            let mut bad = spec(name, &module);
            bad.settings.on_error = Some(on_error);
            bad.settings.limits.time_ms = Bounded::new(100);
            let chain = Chain::load(&engine, &[bad]).unwrap();
            let outcome = chain.process(before.clone());
            let place = format!("{name}, {on_error:?}");
            match (on_error, outcome) {
                (OnError::Pass, Outcome::Deliver(after, _)) => {
                    assert_eq!(after.event.data(), before.event.data(), "{place}");
                }
                (OnError::Strip, Outcome::Deliver(after, report)) => {
                    let data = after.event.data().unwrap().to_string();
                    assert!(!data.contains("hello1"), "{place}: {data}");
                    assert_eq!(report.failures().count(), 1, "{place}");
                }
                (OnError::Drop, Outcome::Dropped(report)) => {
                    let (_, reason) = report.dropped().unwrap();
                    assert!(
                        reason.starts_with("the plugin failed: "),
                        "{place}: {reason}"
                    );
                }
                (OnError::Block, Outcome::Blocked { envelope, .. }) => {
                    assert_eq!(envelope.event, before.event, "{place}");
                }
                (_, other) => panic!("{place}: {other:?}"),
            }
            let counts = chain.plugins()[0].counts();
            assert_eq!(
                (counts.calls, counts.kept, counts.dropped),
                (1, 0, 0),
                "{place}"
            );
        }
    }
}

#[test]
fn a_flood_of_edits_is_bounded() {
    // Sets /aaaaa in the data for ever, and keeps the edits that were accepted.
    let module = importing(
        "set",
        "(param i32 i32 i32 i32 i32 i32 i32)",
        "(data (i32.const 64) \"/aaaaa\") (data (i32.const 80) \"\\\"value\\\"\")",
        &format!(
            "(local $n i32)
             (loop $again
               (i32.store8 (i32.const 65) (i32.add (i32.const 97) (i32.rem_u (local.get $n) (i32.const 26))))
               (call $more (local.get $event) (i32.const 64) (i32.const 6) (i32.const 1) (i32.const 80) (i32.const 7) (i32.const 4096))
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $n) (i32.const 5000))))
             {RELEASE} (call $keep)"
        ),
    );
    let chain = load(&[spec("flood", &module)]).unwrap();
    let Outcome::Deliver(after, report) = chain.process(example_event()) else {
        panic!()
    };
    assert!(report.failures().next().is_none(), "{report:?}");
    let data = after.event.data().unwrap().to_string();
    assert_eq!(data.matches("\"value\"").count(), 26);

    // A list of edits above the bound of a call's output.
    let module = importing(
        "edit-log",
        "(param i32 i32 i32 i32)",
        "",
        "(drop (memory.grow (i32.const 110)))
         (call $more (local.get $event) (i32.const 0) (i32.const 300000) (i32.const 4096)) (unreachable)",
    );
    let mut flood = spec("edits", &module);
    flood.settings.limits.memory_bytes = Bounded::new(16 * 1024 * 1024);
    let expected = CallFailure::Output(flood.settings.limits.output_bytes.get());
    let Outcome::Deliver(_, report) = load(&[flood]).unwrap().process(example_event()) else {
        panic!()
    };
    assert_eq!(report.failures().next().unwrap().1, &expected);
}

#[test]
fn a_flood_of_log_lines_is_cut() {
    let flood = wat(
        "",
        &format!(
            "(local $n i32)
             (loop $again
               (call $log (i32.const 1) (i32.const 48) (i32.const 5))
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $n) (i32.const 1000))))
             {RELEASE} (call $keep)"
        ),
    );
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("flood.wat"), flood).unwrap();
    let run = Program::new()
        .args([
            "replay",
            "--log",
            "step_observer::plugin=info",
            "--plugin",
            "flood.wat",
        ])
        .arg(path("recordings/leaky.jsonl"))
        .current_dir(place.path())
        .run()
        .unwrap();
    let log = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{log}");
    // 13 events of the recording and 4 of the self-test.
    assert_eq!(
        log.matches("plugin says plugin=\"flood\" \"aaaaa\"")
            .count(),
        17 * 32,
        "{log}"
    );
    assert_eq!(log.matches("too many lines").count(), 17);
}

#[test]
fn bombs_for_the_compiler_are_refused_before_it_starts() {
    let keep = format!("{RELEASE} (call $keep)");
    let many = "(func)".repeat(20_001);
    let long = format!(
        "(func (local i32) {})",
        "(local.set 0 (i32.const 1))".repeat(150_000)
    );
    let wide = format!("(func (local {}))", "i32 ".repeat(2001));
    let dense = format!(
        "(func (local {}) {})",
        "i32 ".repeat(2000),
        "(local.set 0 (i32.const 1))".repeat(10_000)
    );
    for (items, expected) in [
        (many, "functions, more than 20000"),
        (long, "bytes in a function, more than 524288"),
        (wide, "2001 locals in a function, more than 2000"),
        (
            dense,
            "bytes times locals in a function, more than 64000000",
        ),
    ] {
        // As a binary: text of this size is refused.
        let module = wat::parse_str(wat(&items, &keep)).unwrap();
        let bomb = PluginSpec {
            source: PluginSource::bytes(module),
            ..spec("bomb", "")
        };
        let refused = refusal(&bomb);
        assert!(
            refused.contains("it is not a reasonable module"),
            "{refused}"
        );
        assert!(
            refused.contains(expected),
            "{refused}\n  expected: {expected}"
        );
    }
}

#[test]
fn a_large_memory_is_kept_as_well() {
    // The memory is larger than a call's output may be. Only the memory limit applies to it.
    let keep = format!("{RELEASE} (call $keep)");
    let large = wat("(data (i32.const 7000000) \"x\")", &keep)
        .replace("(export \"memory\") 2)", "(export \"memory\") 120)");
    let chain = load(&[spec("large", &large)]).unwrap();
    assert!(chain.plugins()[0].is_snapshotted());
    assert!(matches!(
        chain.process(example_event()),
        Outcome::Deliver(..)
    ));
}

#[test]
fn bombs_of_rules_are_refused() {
    let with_rules = |pattern: &str, count: usize| {
        let source = PluginSource::File(step_observer_tests::guest("redact-secrets"));
        let rule = |number| json!({"id": format!("rule-{number}"), "pattern": pattern});
        let rules: Vec<Value> = (0..count).map(rule).collect();
        PluginSpec::new("rules", source)
            .with_settings(|settings| settings.config = json!({"rules": rules}))
    };
    let refused = refusal(&with_rules(r"\pL{20}x", 60));
    assert!(refused.contains("large patterns, and at most"), "{refused}");
    let refused = refusal(&with_rules("x", 1025));
    assert!(
        refused.contains("more than 16 sets, 1024 rules"),
        "{refused}"
    );
}

#[test]
fn nothing_that_a_missing_plugin_might_mask_is_logged() {
    let says = importing(
        "log",
        "(param i32 i32)",
        "",
        &format!(
            "(call $more (local.get $event) (i32.const 4096))
             (call $log (i32.const 1) (i32.load (i32.const 4096)) (i32.load (i32.const 4100)))
             {RELEASE} (call $keep)"
        ),
    );
    let log_of = |redactor: &[u8]| {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a-says.wat"), &says).unwrap();
        std::fs::write(place.path().join("b-redact.wasm"), redactor).unwrap();
        let run = Program::new()
            .args([
                "replay",
                "--log",
                "info",
                "--to",
                "file:/dev/null",
                "--plugin-dir",
            ])
            .arg(place.path())
            .arg(path("recordings/leaky.jsonl"))
            .run()
            .unwrap();
        String::from_utf8(run.stderr).unwrap()
    };
    let redactor = std::fs::read(step_observer_tests::guest("redact-secrets")).unwrap();
    let masked = log_of(&redactor);
    assert!(
        masked.contains("[redacted:github-personal-access-token]"),
        "{masked}"
    );
    let withheld = log_of(b"broken");
    assert!(
        withheld.contains("omitted: a plugin that may mask it is not loaded"),
        "{withheld}"
    );
    for log in [masked, withheld] {
        assert!(!log.contains("ghp_0123456789"), "{log}");
    }
}

#[test]
fn a_plugin_that_reports_an_error_passes_its_self_test_and_one_that_crashes_does_not() {
    let engine = PluginEngine::new().unwrap();
    let tested = |module: &str| {
        let plugin = Plugin::load(&engine, &spec("tested", module)).unwrap();
        plugin.self_test(&engine).map_err(|error| error.to_string())
    };
    // `err("hostile")` instead of a verdict.
    let reports = wat(
        "",
        &format!(
            "{RELEASE} (drop (call $keep)) (i32.store8 (i32.const 2048) (i32.const 1))
             (i32.store (i32.const 2052) (i32.const 16)) (i32.store (i32.const 2056) (i32.const 7)) (i32.const 2048)"
        ),
    );
    assert_eq!(tested(&reports), Ok(()));
    for (name, module) in failing() {
        let refused = tested(&module).unwrap_err();
        assert!(
            refused.starts_with("it fails its self-test"),
            "{name}: {refused}"
        );
    }
}

#[tokio::test]
async fn neighbours_do_not_wait_for_a_plugin_that_hangs() {
    let engine = PluginEngine::new().unwrap();
    let mut hangs = spec("hangs", &failing()[0].1);
    hangs.settings.limits.time_ms = Bounded::new(10_000);
    let hanging = Arc::new(Chain::load(&engine, &[hangs]).unwrap());
    let keep = spec("good", &wat("", &format!("{RELEASE} (call $keep)")));
    let good = Arc::new(Chain::load(&engine, &[keep]).unwrap());
    let pool = ChainPool::new(ChainPool::THREADS).unwrap();
    let stuck = (1..ChainPool::THREADS).map(|_| pool.process(hanging.clone(), example_event()));
    let stuck = futures::future::select_all(stuck.map(Box::pin));
    let neighbours = async {
        for _ in 0..100 {
            let outcome = pool.process(good.clone(), example_event()).await.unwrap();
            assert!(matches!(outcome, Outcome::Deliver(..)));
        }
    };
    // The hanging calls came first, and use all threads but one. The other plugin's calls must
    // finish nevertheless.
    match select(stuck, Box::pin(neighbours)).await {
        Either::Right(((), _)) => {}
        Either::Left(_) => panic!("the neighbours waited"),
    }
}

#[test]
fn a_plugin_gets_only_the_events_that_it_asks_for() {
    let mut picky = spec(
        "picky",
        &wat(
            "",
            &format!("{RELEASE} (call $text (i32.const 16) (i32.const 7))"),
        ),
    );
    let conditions = json!({"phases": ["failed"], "namespaces": ["leaky"]});
    picky.settings.select = serde_json::from_value(conditions).unwrap();
    let chain = load(&[picky]).unwrap();
    let mut event = sample_event();
    assert_eq!(process(&chain, &event), json!({"dropped": "hostile"}));
    event["type"] = "dev.tekton.event.plugin.step.succeeded.v1".into();
    let told = process(&chain, &event);
    assert_eq!(told["id"], event["id"]);
    assert_eq!(chain.plugins()[0].counts().calls, 1);
}

/// Raises the time limits: the tests check what the plugin observes, not its duration on a busy
/// machine.
fn patient(mut spec: PluginSpec) -> PluginSpec {
    spec.settings.limits.time_ms = Bounded::new(60_000);
    spec.settings.limits.configure_ms = Bounded::new(60_000);
    spec
}

/// Drops an event if any byte of its memory differs from the state after `configure`; otherwise
/// fills the memory with the event. Does not check the start of the allocator's area, which holds
/// the configuration, `null`.
fn spy() -> PluginSpec {
    let module = importing(
        "log",
        "(param i32 i32)",
        "",
        &format!(
            "(local $at i32) (local.set $at (i32.const 65544))
             (loop $look
               (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
                 (then {RELEASE} (return (call $text (i32.const 16) (i32.const 7)))))
               (local.set $at (i32.add (local.get $at) (i32.const 8)))
               (br_if $look (i32.lt_u (local.get $at) (i32.const 262144))))
             (if (i32.ne (global.get $count) (i32.const 0))
               (then {RELEASE} (return (call $text (i32.const 16) (i32.const 7)))))
             (if (i32.ne (memory.size) (i32.const 4))
               (then {RELEASE} (return (call $text (i32.const 16) (i32.const 7)))))
             (call $more (local.get $event) (i32.const 4096))
             (global.set $count (i32.const 1))
             (drop (memory.grow (i32.const 1)))
             (i32.store (i32.const 300000) (i32.const 1))
             {RELEASE} (call $keep)"
        ),
    );
    let module = module.replace("(export \"memory\") 2)", "(export \"memory\") 4)");
    spec("spy", &module).with_settings(|settings| settings.config = Value::Null)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// No call finds a byte of another event, for any contents and any number of concurrent events,
    /// although pooled memory is reused all the time.
    #[test]
    fn no_byte_of_an_event_is_there_for_the_next(
        logs in proptest::collection::vec("\\PC{0,2000}", 1..12),
        threads in 1_usize..4,
    ) {
        thread_local! {
            static CHAIN: Arc<Chain> = Arc::new(load(&[patient(spy())]).unwrap());
        }
        let chain = CHAIN.with(Clone::clone);
        let told: Vec<Value> = std::thread::scope(|scope| {
            let run = || {
                let logs = logs.iter().map(|log| {
                    let mut event = sample_event();
                    event["data"]["log"] = log.as_str().into();
                    process(&chain, &event)
                });
                logs.collect::<Vec<_>>()
            };
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        for event in told {
            prop_assert_eq!(event.get("dropped"), None);
            prop_assert!(event.get("pluginerror").is_none());
        }
    }
}

/// Shows that the test can fail: in a reused instance, the spy finds the previous event.
#[test]
fn the_spy_finds_a_leak() {
    let found = spy();
    // Its configuration lies where it looks.
    let loud = found.with_settings(|settings| settings.config = json!("x".repeat(64)));
    let chain = load(&[loud]).unwrap();
    assert_eq!(
        process(&chain, &sample_event()),
        json!({"dropped": "hostile"})
    );
}
