//! Guests that break every rule: the operator's view, the outcome of the event, and the host's
//! survival.
use cloudevents::AttributesReader as _;
use std::sync::Arc;
use step_observer::bounded::Bounded;
use step_observer::plugin::{
    CallFailure, Chain, OnError, Outcome, PluginEngine, PluginSource, PluginSpec,
};
use step_observer_tests::events::example_event;
use step_observer_tests::plugins::{RELEASE, refusal, spec, wat};

/// The misbehaving guests, each with the failure that is reported.
fn corpus() -> Vec<(&'static str, String, String)> {
    let limits = spec("limits", "").settings.limits;
    let abi = |text: &str| CallFailure::Abi(text.to_owned()).to_string();
    let time = || {
        format!(
            "it ran for more than {} ms (limits.timeMs)",
            limits.time_ms.get()
        )
    };
    vec![
        (
            "endless loop",
            wat("", "(loop $again (br $again)) (unreachable)"),
            time(),
        ),
        (
            "loop that calls the host",
            wat(
                "",
                "(loop $again (call $log (i32.const 0) (i32.const 48) (i32.const 5)) (br $again)) (unreachable)",
            ),
            time(),
        ),
        (
            "crash",
            wat("", "(unreachable)"),
            "it crashed: wasm trap: wasm `unreachable` instruction executed".to_owned(),
        ),
        (
            "bad memory access",
            wat("", "(i32.load (i32.const -4))"),
            "it crashed: wasm trap: out of bounds memory access".to_owned(),
        ),
        (
            "stack overflow",
            wat("(func $deep (result i32) (call $deep))", "(call $deep)"),
            "it overflowed its stack, in deep: is a recursion endless?".to_owned(),
        ),
        (
            "memory bomb",
            wat(
                "",
                "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)",
            ),
            CallFailure::Memory(limits.memory_bytes.get()).to_string(),
        ),
        (
            "huge answer",
            wat(
                "",
                &format!(
                    "(drop (memory.grow (i32.const 90))) {RELEASE} (call $text (i32.const 0) (i32.const 5000000))"
                ),
            ),
            CallFailure::Output(limits.output_bytes.get()).to_string(),
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
        let before = example_event();
        let Outcome::Deliver(after, report) = chain.process(before.clone()) else {
            panic!("{name}")
        };
        let failures: Vec<_> = report.failures().collect();
        let [(plugin, failure, on_error)] = failures[..] else {
            panic!("{name}: {report:?}")
        };
        assert_eq!(
            (&*plugin.name, failure.to_string(), on_error),
            (name, expected, OnError::Pass),
            "{name}"
        );
        assert_eq!(after.event.data(), before.event.data(), "{name}");
        assert_eq!(
            after.event.extension("pluginerror").unwrap().to_string(),
            name
        );
        assert!(!failure.to_string().contains("hello"), "{name}: {failure}");
    }
    // The same engine still runs a correct guest.
    let chain = Chain::load(
        &engine,
        &[spec("good", &wat("", &format!("{RELEASE} (call $keep)")))],
    )
    .unwrap();
    let Outcome::Deliver(_, report) = chain.process(example_event()) else {
        panic!()
    };
    assert!(report.failures().next().is_none(), "{report:?}");
}

#[test]
fn on_error_decides_the_fate_of_the_event() {
    let crash = wat("", "(unreachable)");
    let outcome = |on_error| {
        let spec =
            spec("crash", &crash).with_settings(|settings| settings.on_error = Some(on_error));
        chain(&[spec]).process(example_event())
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
    assert_eq!(stripped.event.id(), example_event().event.id());

    let Outcome::Dropped(report) = outcome(OnError::Drop) else {
        panic!()
    };
    let (plugin, reason) = report.dropped().unwrap();
    assert_eq!((&*plugin.name, reason.contains("crashed")), ("crash", true));

    let Outcome::Blocked { envelope: held, .. } = outcome(OnError::Block) else {
        panic!()
    };
    assert_eq!(held.event, example_event().event);
}

#[test]
fn a_redacting_plugin_that_fails_lets_no_text_through() {
    let mut spec = PluginSpec::new(
        "redact",
        PluginSource::File(step_observer_tests::guest("redact-secrets")),
    );
    // The guest's edits exceed this bound, so the guest reports an error.
    spec.settings.limits.output_bytes = Bounded::new(1);
    let Outcome::Deliver(after, report) = chain(&[spec]).process(example_event()) else {
        panic!()
    };
    assert_eq!(
        report.failures().next().unwrap().2,
        OnError::Strip,
        "redacting plugins strip unless told otherwise"
    );
    assert!(!after.event.data().unwrap().to_string().contains("hello1"));
}

/// Returns the redactor with an additional rule.
fn with_rule(pattern: &str, replacement: &str) -> PluginSpec {
    let mut spec = PluginSpec::new(
        "redact",
        PluginSource::File(step_observer_tests::guest("redact-secrets")),
    );
    let rule = serde_json::json!({"id": "own", "pattern": pattern, "replacement": replacement});
    spec.settings.config = serde_json::json!({"rules": [rule]});
    spec
}

#[test]
fn a_rule_cannot_blow_an_event_up() {
    let mut spec = with_rule("[a-z]", &"x".repeat(256));
    spec.settings.limits.output_bytes = Bounded::new(1000);
    let Outcome::Deliver(after, report) = chain(&[spec]).process(example_event()) else {
        panic!()
    };
    assert_eq!(report.failures().count(), 1, "{report:?}");
    assert!(after.event.data().unwrap().to_string().len() < 4000);
    assert!(
        refusal(&with_rule("[a-z]", &"x".repeat(257)))
            .contains("the replacement is longer than 256 bytes")
    );
}

#[test]
fn a_rule_cannot_rewrite_identifiers() {
    let spec = with_rule(
        "e2e-test-step-observed-run|run-uid|unnamed-0|Completed|chan7f5q7",
        "forged",
    );
    let Outcome::Deliver(after, report) = chain(&[spec]).process(example_event()) else {
        panic!()
    };
    assert!(
        report.failures().next().is_none() && report.calls[0].masked.total() > 0,
        "{report:?}"
    );
    let structured = |envelope: &step_observer::step::Envelope| -> serde_json::Value {
        serde_json::from_slice(&step_observer::event::structured(&envelope.event).unwrap()).unwrap()
    };
    let (before, after) = (structured(&example_event()), structured(&after));
    for place in [
        "/data/podRef",
        "/data/taskRun",
        "/data/reason",
        "/data/exitCode",
        "/data/stepState/name",
        "/partitionkey",
        "/id",
    ] {
        assert_eq!(after.pointer(place), before.pointer(place), "{place}");
    }
    // The rule also applies to the subject: plugins can set the subject, so it may hold a secret.
    assert!(
        after["subject"]
            .as_str()
            .unwrap()
            .ends_with("forged/forged")
    );
}

#[test]
fn additions_of_one_plugin_go_when_a_later_one_strips() {
    let mut enrich = PluginSpec::new(
        "enrich",
        PluginSource::File(step_observer_tests::guest("enrich-run")),
    );
    enrich.settings.config = serde_json::json!({"labels": {"team": "team"}});
    let crash = spec("crash", &wat("", "(unreachable)"))
        .with_settings(|settings| settings.on_error = Some(OnError::Strip));
    let Outcome::Deliver(after, _) = chain(&[enrich, crash]).process(example_event()) else {
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
        spec.settings.config = serde_json::json!({"constants": {name: "forged"}});
        let Outcome::Deliver(after, report) = chain(&[spec]).process(example_event()) else {
            panic!()
        };
        let (_, failure, _) = report.failures().next().unwrap();
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
    // Sets 600 attributes with different names, then returns `keep`, although only some were
    // accepted.
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
    let Outcome::Deliver(after, report) = chain(&[spec("flood", &flood)]).process(example_event())
    else {
        panic!()
    };
    assert!(report.failures().next().is_none(), "{report:?}");
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
            matches!(chain.process(example_event()), Outcome::Deliver(..)),
            "{round}"
        );
    }
}
