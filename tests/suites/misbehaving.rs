//! Guests that break every rule: what the operator sees, what becomes of the event, and that the
//! host goes on.

use crate::support::{envelope, load, refusal};
use cloudevents::AttributesReader as _;
use proptest::prelude::*;
use std::sync::Arc;
use step_observer::plugin::{
    Chain, Failure, Limits, OnError, Outcome, PluginEngine, PluginSource, PluginSpec,
};

/// A core module by hand: no bindings, no metadata. `$keep` is where an answer `keep` stands,
/// `$text` makes an answer `drop` of a text.
fn wat(items: &str, process: &str) -> String {
    format!(
        r#"(module
  (import "step-observer:plugin/events@0.1.0" "[method]event.set-attribute"
    (func $set_attribute (param i32 i32 i32 i32 i32 i32 i32)))
  (import "step-observer:plugin/logging@0.1.0" "log" (func $log (param i32 i32 i32)))
  (import "step-observer:plugin/events@0.1.0" "[resource-drop]event" (func $release (param i32)))
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 65536))
  (global $count (mut i32) (i32.const 0))
  (data (i32.const 16) "hostile")
  (data (i32.const 32) "0.0.1")
  (data (i32.const 48) "aaaaa")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $place i32)
    (local.set $place (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
    (global.set $top (i32.add (local.get $place) (local.get 3)))
    (local.get $place))
  (func (export "step-observer:plugin/transform@0.1.0#configure") (param i32 i32) (result i32)
    (i32.store8 (i32.const 1024) (i32.const 0))
    (i32.store (i32.const 1028) (i32.const 16)) (i32.store (i32.const 1032) (i32.const 7))
    (i32.store (i32.const 1036) (i32.const 32)) (i32.store (i32.const 1040) (i32.const 5))
    (i32.store (i32.const 1044) (i32.const 0)) (i32.store (i32.const 1048) (i32.const 0))
    (i32.const 1024))
  (func $keep (result i32)
    (i32.store8 (i32.const 2048) (i32.const 0)) (i32.store8 (i32.const 2052) (i32.const 0))
    (i32.const 2048))
  (func $text (param $at i32) (param $length i32) (result i32)
    (i32.store8 (i32.const 2048) (i32.const 0)) (i32.store8 (i32.const 2052) (i32.const 1))
    (i32.store (i32.const 2056) (local.get $at)) (i32.store (i32.const 2060) (local.get $length))
    (i32.const 2048))
  {items}
  (func (export "step-observer:plugin/transform@0.1.0#process") (param $event i32) (result i32)
    {process}))"#
    )
}

const RELEASE: &str = "(call $release (local.get $event))";

fn spec(name: &str, wat: &str) -> PluginSpec {
    let mut spec = PluginSpec::new(
        name,
        PluginSource::Bytes(name.to_owned(), wat.as_bytes().into()),
    );
    spec.limits = Limits {
        time_ms: 100,
        memory_bytes: 8 * 1024 * 1024,
        configure_ms: 300,
        ..Limits::default()
    };
    spec
}

/// The misbehaving guests, with the failure that an operator sees.
fn corpus() -> Vec<(&'static str, String, Failure)> {
    let limits = spec("limits", "").limits;
    let abi = |text: &str| Failure::Abi(text.to_owned());
    vec![
        (
            "endless loop",
            wat("", "(loop $again (br $again)) (unreachable)"),
            Failure::Time(limits.time_ms),
        ),
        (
            "loop that calls the host",
            wat(
                "",
                "(loop $again (call $log (i32.const 0) (i32.const 48) (i32.const 5)) (br $again)) (unreachable)",
            ),
            Failure::Time(limits.time_ms),
        ),
        (
            "crash",
            wat("", "(unreachable)"),
            Failure::Trap("wasm trap: wasm `unreachable` instruction executed".to_owned()),
        ),
        (
            "bad memory access",
            wat("", "(i32.load (i32.const -4))"),
            Failure::Trap("wasm trap: out of bounds memory access".to_owned()),
        ),
        (
            "stack overflow",
            wat("(func $deep (result i32) (call $deep))", "(call $deep)"),
            Failure::Stack,
        ),
        (
            "memory bomb",
            wat(
                "",
                "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)",
            ),
            Failure::Memory(limits.memory_bytes),
        ),
        (
            "huge answer",
            wat(
                "",
                &format!(
                    "(drop (memory.grow (i32.const 90))) {RELEASE} (call $text (i32.const 0) (i32.const 5000000))"
                ),
            ),
            Failure::Output(limits.output_bytes),
        ),
        (
            "answer outside its memory",
            wat(
                "",
                &format!("{RELEASE} (call $text (i32.const 0) (i32.const 0x7fffffff))"),
            ),
            abi("string pointer/length out of bounds of memory"),
        ),
        (
            "answer that is not UTF-8",
            wat(
                "(data (i32.const 64) \"\\ff\")",
                &format!("{RELEASE} (call $text (i32.const 64) (i32.const 1))"),
            ),
            abi("invalid utf-8 sequence of 1 bytes from index 0"),
        ),
        (
            "answer that is none of the verdicts",
            wat(
                "",
                &format!(
                    "{RELEASE} (drop (call $keep)) (i32.store8 (i32.const 2052) (i32.const 7)) (i32.const 2048)"
                ),
            ),
            abi("unexpected discriminant: 7"),
        ),
        (
            "event that is not given back",
            wat("", "(call $keep)"),
            abi("borrow handles still remain at the end of the call"),
        ),
    ]
}

fn chain(specs: &[PluginSpec]) -> Arc<Chain> {
    Arc::new(Chain::load(&PluginEngine::new().unwrap(), specs).unwrap())
}

#[test]
fn every_failure_is_named_and_the_event_goes_on_as_it_was() {
    let engine = PluginEngine::new().unwrap();
    for (name, wat, expected) in corpus() {
        let chain = Chain::load(&engine, &[spec(name, &wat)]).unwrap();
        let before = envelope();
        let Outcome::Deliver(after, report) = chain.process(before.clone()) else {
            panic!("{name}")
        };
        let [(plugin, failure, on_error)] = &report.failures[..] else {
            panic!("{name}: {report:?}")
        };
        assert_eq!(
            (&**plugin, failure, on_error),
            (name, &expected, &OnError::Pass),
            "{name}"
        );
        assert_eq!(after.event.data(), before.event.data(), "{name}");
        assert_eq!(
            after.event.extension("pluginerror").unwrap().to_string(),
            name
        );
        assert!(!failure.to_string().contains("hello"), "{name}: {failure}");
    }
    // The engine that has seen all of this still runs a good guest.
    let chain = Chain::load(
        &engine,
        &[spec("good", &wat("", &format!("{RELEASE} (call $keep)")))],
    )
    .unwrap();
    let Outcome::Deliver(_, report) = chain.process(envelope()) else {
        panic!()
    };
    assert!(report.failures.is_empty(), "{report:?}");
}

#[test]
fn on_error_decides_what_becomes_of_the_event() {
    let crash = wat("", "(unreachable)");
    let outcome = |on_error| {
        let spec = PluginSpec {
            on_error: Some(on_error),
            ..spec("crash", &crash)
        };
        chain(&[spec]).process(envelope())
    };
    let Outcome::Deliver(passed, _) = outcome(OnError::Pass) else {
        panic!()
    };
    assert!(passed.event.data().unwrap().to_string().contains("hello1"));

    let Outcome::Deliver(stripped, _) = outcome(OnError::Strip) else {
        panic!()
    };
    let data = stripped.event.data().unwrap().to_string();
    for kept in [
        "\"podRef\"",
        "\"exitCode\":0",
        "\"Completed\"",
        "\"step-unnamed-0\"",
        "\"busybox@sha256",
    ] {
        assert!(data.contains(kept), "{kept}: {data}");
    }
    for gone in [
        "hello1",
        "echo",
        "\"log\"",
        "\"args\"",
        "\"command\"",
        "shop",
        "\"message\"",
    ] {
        assert!(!data.contains(gone), "{gone}: {data}");
    }
    assert_eq!(stripped.event.id(), envelope().event.id());

    let Outcome::Dropped { plugin, reason } = outcome(OnError::Drop) else {
        panic!()
    };
    assert_eq!((&*plugin, reason.contains("crashed")), ("crash", true));

    let Outcome::Blocked { envelope: held, .. } = outcome(OnError::Block) else {
        panic!()
    };
    assert_eq!(held.event, envelope().event);
}

#[test]
fn a_redacting_plugin_that_fails_lets_no_text_through() {
    let mut spec = PluginSpec::new(
        "redact",
        PluginSource::File(step_observer_tests::guest("redact-secrets")),
    );
    // Its changes do not fit: it reports an error.
    spec.limits.output_bytes = 1;
    let Outcome::Deliver(after, report) = chain(&[spec]).process(envelope()) else {
        panic!()
    };
    assert_eq!(
        report.failures[0].2,
        OnError::Strip,
        "redacting plugins strip unless told otherwise"
    );
    assert!(!after.event.data().unwrap().to_string().contains("hello1"));
}

/// The redactor with a rule of its own.
fn with_rule(pattern: &str, replacement: &str) -> PluginSpec {
    let mut spec = PluginSpec::new(
        "redact",
        PluginSource::File(step_observer_tests::guest("redact-secrets")),
    );
    let rule = serde_json::json!({"id": "own", "pattern": pattern, "replacement": replacement});
    spec.config = serde_json::json!({"rules": [rule]});
    spec
}

#[test]
fn a_rule_cannot_blow_an_event_up() {
    let mut spec = with_rule("[a-z]", &"x".repeat(256));
    spec.limits.output_bytes = 1000;
    let Outcome::Deliver(after, report) = chain(&[spec]).process(envelope()) else {
        panic!()
    };
    assert_eq!(report.failures.len(), 1, "{report:?}");
    assert!(after.event.data().unwrap().to_string().len() < 4000);
    assert!(
        refusal(&with_rule("[a-z]", &"x".repeat(257)))
            .contains("the replacement is longer than 256 bytes")
    );
}

#[test]
fn a_rule_cannot_rewrite_who_and_what() {
    let spec = with_rule(
        "e2e-test-step-observed-run|run-uid|unnamed-0|Completed|chan7f5q7",
        "forged",
    );
    let Outcome::Deliver(after, report) = chain(&[spec]).process(envelope()) else {
        panic!()
    };
    assert!(
        report.failures.is_empty() && !report.redacted.is_empty(),
        "{report:?}"
    );
    let structured = |envelope: &step_observer::step::Envelope| -> serde_json::Value {
        serde_json::from_slice(&step_observer::event::structured(&envelope.event).unwrap()).unwrap()
    };
    let (before, after) = (structured(&envelope()), structured(&after));
    for place in [
        "/data/podRef",
        "/data/taskRun",
        "/data/reason",
        "/data/exitCode",
        "/data/stepState/name",
        "/subject",
        "/id",
    ] {
        assert_eq!(after.pointer(place), before.pointer(place), "{place}");
    }
}

#[test]
fn what_one_plugin_added_goes_when_a_later_one_strips() {
    let mut enrich = PluginSpec::new(
        "enrich",
        PluginSource::File(step_observer_tests::guest("enrich-run")),
    );
    enrich.config = serde_json::json!({"labels": {"team": "team"}});
    let crash = PluginSpec {
        on_error: Some(OnError::Strip),
        ..spec("crash", &wat("", "(unreachable)"))
    };
    let Outcome::Deliver(after, _) = chain(&[enrich, crash]).process(envelope()) else {
        panic!()
    };
    assert!(after.event.extension("team").is_none());
    assert!(after.event.extension("sequence").is_some());
}

#[test]
fn identity_and_reserved_extensions_cannot_be_set() {
    for name in [
        "id",
        "source",
        "type",
        "time",
        "data",
        "data_base64",
        "specversion",
        "sequence",
        "partitionkey",
        "Team",
    ] {
        let mut spec = PluginSpec::new(
            "enrich",
            PluginSource::File(step_observer_tests::guest("enrich-run")),
        );
        spec.config = serde_json::json!({"constants": {name: "forged"}});
        let Outcome::Deliver(after, report) = chain(&[spec]).process(envelope()) else {
            panic!()
        };
        let (_, failure, _) = &report.failures[0];
        assert!(
            failure.to_string().contains(&format!("`{name}`")),
            "{failure}"
        );
        let text = String::from_utf8(
            step_observer::event::structured(&after.event)
                .unwrap()
                .to_vec(),
        )
        .unwrap();
        assert!(!text.contains("forged"), "{text}");
    }
}

#[test]
fn a_flood_of_attributes_is_bounded() {
    // Sets aaaaa, baaaa, … for ever, and keeps what it could.
    let flood = wat(
        "",
        &format!(
            "(local $n i32)
            (loop $again
              (i32.store8 (i32.const 48) (i32.add (i32.const 97) (i32.rem_u (local.get $n) (i32.const 26))))
              (i32.store8 (i32.const 49) (i32.add (i32.const 97) (i32.rem_u (i32.div_u (local.get $n) (i32.const 26)) (i32.const 26))))
              (call $set_attribute (local.get $event) (i32.const 48) (i32.const 5) (i32.const 1) (i32.const 16) (i32.const 7) (i32.const 4096))
              (local.set $n (i32.add (local.get $n) (i32.const 1)))
              (br_if $again (i32.lt_u (local.get $n) (i32.const 600))))
            {RELEASE} (call $keep)"
        ),
    );
    let Outcome::Deliver(after, report) = chain(&[spec("flood", &flood)]).process(envelope())
    else {
        panic!()
    };
    assert!(report.failures.is_empty(), "{report:?}");
    let added = after
        .event
        .iter_extensions()
        .filter(|(name, _)| name.len() == 5)
        .count();
    assert_eq!(added, 64);
}

#[test]
fn nothing_is_carried_from_one_event_to_the_next() {
    let counter = wat(
        "",
        &format!(
            "(global.set $count (i32.add (global.get $count) (i32.const 1)))
            (i32.store (i32.const 128) (i32.add (i32.load (i32.const 128)) (i32.const 1)))
            {RELEASE}
            (if (result i32) (i32.and (i32.eq (global.get $count) (i32.const 1)) (i32.eq (i32.load (i32.const 128)) (i32.const 1)))
              (then (call $keep)) (else (call $text (i32.const 16) (i32.const 7))))"
        ),
    );
    let chain = chain(&[spec("counter", &counter)]);
    assert!(chain.plugins()[0].is_snapshotted());
    for round in 0..5 {
        assert!(
            matches!(chain.process(envelope()), Outcome::Deliver(..)),
            "{round}"
        );
    }
}

#[test]
fn modules_that_cannot_be_plugins_are_refused_with_a_remedy() {
    let good = wat("", &format!("{RELEASE} (call $keep)"));
    for (module, expected) in [
        ("(module)", "does not fit the plugin contract"),
        (r#"(module (import "env" "foo" (func)))"#, "env"),
        ("(component)", "it exports: nothing"),
        (
            r#"(component (instance $i) (export "step-observer:plugin/transform@0.2.0" (instance $i)))"#,
            "step-observer:plugin/transform@0.2.0); this host speaks version 0.1",
        ),
        (
            r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#,
            "it imports `wasi:cli/environment@0.2.0`, which plugins do not get",
        ),
        ("(module (func", "is not WebAssembly"),
        ("no module at all", "it does not begin with"),
        (
            &good.replace("step-observer:plugin/logging@0.1.0", "wasi:logging/logging"),
            "wasi:logging/logging",
        ),
        (
            &good.replace("@0.1.0#process", "@0.3.0#process"),
            "does not fit the plugin contract",
        ),
        (
            &good.replace("\"cabi_realloc\"", "\"realloc\""),
            "does not fit the plugin contract",
        ),
    ] {
        let refused = refusal(&spec("bad", module));
        assert!(refused.starts_with("plugin `bad`: "), "{refused}");
        assert!(
            refused.contains(expected),
            "{refused}\n  expected: {expected}"
        );
    }
}

#[test]
fn a_plugin_that_never_ends_its_start_or_configure_is_refused() {
    let endless = "(loop $again (br $again))";
    let start = wat(
        &format!("(func $forever {endless}) (start $forever)"),
        "(unreachable)",
    );
    let configure =
        wat("", "(unreachable)").replace("(i32.store8 (i32.const 1024) (i32.const 0))", endless);
    for module in [start, configure] {
        let refused = refusal(&spec("slow", &module));
        assert!(
            refused.contains("its configure function failed: it ran for more than 300 ms"),
            "{refused}"
        );
    }
}

#[test]
fn bad_configuration_is_refused_in_the_plugins_words() {
    for (name, config, expected) in [
        (
            "filter-events",
            serde_json::json!({"type": ["failed"]}),
            "unknown field `type`",
        ),
        (
            "filter-events",
            serde_json::json!({"types": ["broken"]}),
            "unknown variant `broken`",
        ),
        (
            "redact-secrets",
            serde_json::json!({"without": ["nope"]}),
            "there is no rule `nope`",
        ),
        (
            "redact-secrets",
            serde_json::json!({"rules": [{"id": "mine", "pattern": "("}]}),
            "rule set `secrets`: rule `mine`",
        ),
        (
            "redact-secrets",
            serde_json::json!({"values": ["pin"]}),
            "value 0 is shorter than 4 bytes",
        ),
        (
            "redact-secrets",
            serde_json::json!({"values": "hunter22"}),
            "invalid type: string \"…\", expected a sequence",
        ),
        (
            "passthrough",
            serde_json::json!({"a": 1}),
            "configuration of passthrough 0.1.0",
        ),
    ] {
        let mut spec = PluginSpec::new(name, PluginSource::File(step_observer_tests::guest(name)));
        spec.config = config;
        let refused = refusal(&spec);
        assert!(
            refused.contains(expected),
            "{refused}\n  expected: {expected}"
        );
    }
}

#[test]
fn a_module_cut_anywhere_is_refused() {
    let whole = wat::parse_str(wat("", &format!("{RELEASE} (call $keep)"))).unwrap();
    let engine = PluginEngine::new().unwrap();
    // A cut between two sections can leave a module that is whole again.
    let is_whole = |bytes: &[u8]| wasmparser::Validator::new().validate_all(bytes).is_ok();
    for end in (0..whole.len()).filter(|end| !is_whole(&whole[..*end])) {
        let spec = PluginSpec::new(
            "cut",
            PluginSource::Bytes("cut".to_owned(), whole[..end].into()),
        );
        assert!(
            Chain::load(&engine, &[spec]).is_err(),
            "{end} of {} bytes",
            whole.len()
        );
    }
}

#[test]
fn compressed_modules_are_loaded_and_bombs_are_not() {
    let module = std::fs::read(step_observer_tests::guest("passthrough")).unwrap();
    for packed in [gzip(&module), zstd(&module)] {
        let spec = PluginSpec::new(
            "packed",
            PluginSource::Bytes("packed".to_owned(), packed.into()),
        );
        load(&[spec]).unwrap();
    }
    let bomb = gzip(&vec![0; 65 * 1024 * 1024]);
    let refused = refusal(&PluginSpec::new(
        "bomb",
        PluginSource::Bytes("bomb".to_owned(), bomb.into()),
    ));
    assert!(refused.contains("larger than 67108864 bytes"), "{refused}");
    let cut = gzip(&module)[..1000].to_vec();
    let refused = refusal(&PluginSpec::new(
        "cut",
        PluginSource::Bytes("cut".to_owned(), cut.into()),
    ));
    assert!(refused.contains("failed to decompress it"), "{refused}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever bytes are given, loading says no and does not panic.
    #[test]
    fn any_bytes_are_refused(head in prop_oneof![Just(&b"\0asm\x01\0\0\0"[..]), Just(&b"\0asm\x0d\0\x01\0"[..]), Just(&b"\x1f\x8b"[..]), Just(&b"("[..])], tail in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [head, &tail].concat();
        refusal(&PluginSpec::new("random", PluginSource::Bytes("random".to_owned(), bytes.into())));
    }
}
