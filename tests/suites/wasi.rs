//! An empty WASI for guests that import it without need.
use step_observer::plugin::{CallFailure, Outcome, PluginSource, PluginSpec, Wasi};
use step_observer_event_model::contract::VERSIONS;
use step_observer_tests::events::example_event;
use step_observer_tests::plugins::{RELEASE, load, refusal, spec, wat};
use step_observer_tests::wrap;

/// The WASI functions that the guests below import.
const WASI: &str = "
package test:wasi;

package wasi:clocks@0.2.0 { interface monotonic-clock { now: func() -> u64; } }
package wasi:random@0.2.0 {
    interface random { get-random-u64: func() -> u64; get-random-bytes: func(len: u64) -> list<u8>; }
}
package wasi:io@0.2.0 {
    interface streams {
        resource output-stream { check-write: func() -> result<u64, string>; }
    }
}
package wasi:cli@0.2.0 {
    interface environment { get-arguments: func() -> list<string>; }
    interface exit { exit: func(status: result); }
    interface stdout {
        use wasi:io/streams@0.2.0.{output-stream};
        get-stdout: func() -> output-stream;
    }
}

world plugin {
    include step-observer:plugin/plugin@0.1.0;
    import wasi:clocks/monotonic-clock@0.2.0;
    import wasi:random/random@0.2.0;
    import wasi:cli/environment@0.2.0;
    import wasi:cli/exit@0.2.0;
    import wasi:cli/stdout@0.2.0;
}
";

const IMPORTS: &str = r#"
  (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $now (result i64)))
  (import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
  (import "wasi:random/random@0.2.0" "get-random-bytes" (func $bytes (param i64 i32)))
  (import "wasi:cli/environment@0.2.0" "get-arguments" (func $arguments (param i32)))
  (import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))
  (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
  (import "wasi:io/streams@0.2.0" "[method]output-stream.check-write" (func $room (param i32 i32)))
  (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $close (param i32)))
"#;

fn guest(process: &str) -> PluginSpec {
    let module = wat("", process).replacen("(module", &format!("(module {IMPORTS}"), 1);
    let mut module = wat::parse_str(&module).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let (_, contract) = VERSIONS[0];
    resolve.push_str("plugin.wit", contract).unwrap();
    let package = resolve.push_str("wasi.wit", WASI).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding, false).unwrap();
    PluginSpec {
        source: PluginSource::bytes(wrap(&module)),
        ..spec("wasi", "")
    }
    .with_settings(|settings| settings.wasi = Wasi::Denied)
}

fn process(spec: PluginSpec) -> Result<(), String> {
    match load(&[spec]).unwrap().process(example_event()) {
        Outcome::Deliver(_, report) => match report.failures().next() {
            None => Ok(()),
            Some((_, CallFailure::Trap { cause, .. }, _)) => Err(cause.clone()),
            Some((_, failure, _)) => Err(failure.to_string()),
        },
        Outcome::Dropped(report) => Err(report.dropped().unwrap().1.into_owned()),
        Outcome::Blocked { failure, .. } => Err(failure.to_string()),
    }
}

#[test]
fn it_is_refused_without_permission() {
    let spec = guest(&format!("(drop (call $now)) {RELEASE} (call $keep)"))
        .with_settings(|settings| settings.wasi = Wasi::Refused);
    let refused = refusal(&spec);
    assert!(
        refused.contains("it imports `wasi:clocks/monotonic-clock@0.2.0`"),
        "{refused}"
    );
    assert!(refused.contains("or set `wasi: denied`"), "{refused}");
}

#[test]
fn it_gives_nothing() {
    let hostile = format!("{RELEASE} (return (call $text (i32.const 16) (i32.const 7)))");
    let process_of = |wrong: &str| {
        let check = format!("(if {wrong} (then {hostile}))");
        process(guest(&format!(
            "(local $out i32) {check} {RELEASE} (call $keep)"
        )))
    };
    for wrong in [
        "(i64.ne (call $now) (i64.const 0))",
        "(i64.ne (call $random) (i64.const 0))",
        "(i32.ne (block (result i32) (call $arguments (i32.const 4096)) (i32.load (i32.const 4100))) (i32.const 0))",
        "(i32.ne (block (result i32) (call $bytes (i64.const 9) (i32.const 4096)) (i32.load (i32.const 4100))) (i32.const 9))",
        "(i32.ne (block (result i32) (call $bytes (i64.const 9) (i32.const 4096)) (i32.load (i32.load (i32.const 4096)))) (i32.const 0))",
        "(i64.ne (block (result i64)
           (local.set $out (call $stdout)) (call $room (local.get $out) (i32.const 4096)) (call $close (local.get $out))
           (i64.load (i32.const 4104))) (i64.const 4096))",
    ] {
        assert_eq!(process_of(wrong), Ok(()), "{wrong}");
    }
    // Checks that these tests can fail: a wrong value of the clock is detected.
    assert_eq!(
        process_of("(i64.eq (call $now) (i64.const 0))"),
        Err("hostile".to_owned())
    );
}

#[test]
fn a_missing_wasi_function_ends_the_call() {
    let exit = guest("(call $exit (i32.const 0)) (unreachable)");
    assert_eq!(process(exit), Err("it calls exit".to_owned()));
    let flood = guest("(loop $again (drop (call $stdout)) (br $again)) (unreachable)");
    assert_eq!(
        process(flood),
        Err("it opens too many WASI handles".to_owned())
    );
    // Requests very many random bytes. The host must not allocate them: above a bound it returns an
    // empty list.
    let greedy = guest(&format!(
        "(call $bytes (i64.const 4000000000) (i32.const 4096)) {RELEASE} (call $keep)"
    ));
    assert_eq!(process(greedy), Ok(()));
}
