//! Bytes, modules and configurations that are not plugins are refused with a remedy, and never
//! cause a panic.
use proptest::prelude::*;
use step_observer::bounded::Bounded;
use step_observer::plugin::{Chain, PluginEngine, PluginSource, PluginSpec};
use step_observer_tests::plugins::{RELEASE, load, refusal, spec, wat};

#[test]
fn modules_that_cannot_be_plugins_are_refused_with_a_remedy() {
    let good = wat("", &format!("{RELEASE} (call $keep)"));
    for (module, expected) in [
        ("(module)", "does not fit the plugin contract"),
        (r#"(module (import "env" "foo" (func)))"#, "env"),
        ("(component)", "it exports: nothing"),
        (
            r#"(component (instance $i) (export "step-observer:plugin/transform@0.2.0" (instance $i)))"#,
            "step-observer:plugin/transform@0.2.0): is `export_plugin!` missing",
        ),
        (
            r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#,
            "it imports `wasi:cli/environment@0.2.0`: plugins get no WASI",
        ),
        (
            &good.replacen(
                "(import",
                r#"(import "wasi_snapshot_preview1" "sched_yield" (func (result i32))) (import"#,
                1,
            ),
            "it is a module that imports `wasi_snapshot_preview1`: plugins get no WASI",
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
        let mut slow = spec("slow", &module);
        slow.settings.limits.configure_ms = Bounded::new(500);
        let refused = refusal(&slow);
        assert!(
            refused.contains("its configure function failed: it ran for more than 500 ms"),
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
            "unknown variant `…`, expected",
        ),
        (
            "redact-secrets",
            serde_json::json!({"without": ["nope"]}),
            "mask set `secrets`: without[0]: there is no rule of this id; `step-observer redact --rules` lists all",
        ),
        (
            "redact-secrets",
            serde_json::json!({"rules": [{"id": "mine", "pattern": "("}]}),
            "mask set `secrets`: rule `mine`",
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
        // A value of any type may be a secret.
        (
            "redact-secrets",
            serde_json::json!({"values": 9_021_047}),
            "invalid type: integer `…`, expected a sequence",
        ),
        (
            "enrich-run",
            serde_json::json!({"labels": {"a": {"deep": [4711.25, true]}}}),
            "expected a string",
        ),
        (
            "passthrough",
            serde_json::json!({"a": 1}),
            "configuration of passthrough 0.1.0",
        ),
    ] {
        let mut spec = PluginSpec::new(name, PluginSource::File(step_observer_tests::guest(name)));
        spec.settings.config = config;
        let refused = refusal(&spec);
        assert!(
            refused.contains(expected),
            "{refused}\n  expected: {expected}"
        );
        for secret in ["broken", "nope", "hunter22", "9021047", "4711"] {
            assert!(!refused.contains(secret), "{refused}");
        }
    }
}

#[test]
fn an_id_that_is_nearly_right_is_answered_with_similar_ones() {
    let mut spec = PluginSpec::new(
        "redact",
        PluginSource::File(step_observer_tests::guest("redact-secrets")),
    );
    spec.settings.config = serde_json::json!({"without": ["jwt", "url-credential"]});
    let refused = refusal(&spec);
    assert!(
        refused
            .contains("without[1]: there is no rule of this id; similar ones are url-credentials"),
        "{refused}"
    );
}

#[test]
fn a_module_cut_anywhere_is_refused() {
    let whole = wat::parse_str(wat("", &format!("{RELEASE} (call $keep)"))).unwrap();
    let engine = PluginEngine::new().unwrap();
    // A cut between two sections can leave a valid module.
    let is_whole = |bytes: &[u8]| wasmparser::Validator::new().validate_all(bytes).is_ok();
    for end in (0..whole.len()).filter(|end| !is_whole(&whole[..*end])) {
        let spec = PluginSpec::new("cut", PluginSource::bytes(&whole[..end]));
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
        let spec = PluginSpec::new("packed", PluginSource::bytes(packed));
        load(&[spec]).unwrap();
    }
    let bomb = gzip(&vec![0; 65 * 1024 * 1024]);
    let refused = refusal(&PluginSpec::new("bomb", PluginSource::bytes(bomb)));
    assert!(refused.contains("larger than 67108864 bytes"), "{refused}");
    let cut = gzip(&module)[..1000].to_vec();
    let refused = refusal(&PluginSpec::new("cut", PluginSource::bytes(cut)));
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

    /// Loading any bytes is refused without a panic.
    #[test]
    fn any_bytes_are_refused(head in prop_oneof![Just(&b"\0asm\x01\0\0\0"[..]), Just(&b"\0asm\x0d\0\x01\0"[..]), Just(&b"\x1f\x8b"[..]), Just(&b"("[..])], tail in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [head, &tail].concat();
        assert_ne!(refusal(&PluginSpec::new("random", PluginSource::bytes(bytes))), "");
    }
}
