//! Plugins for suites.

use serde_json::{Value, json};
use step_observer::bounded::Bounded;
use step_observer::event;
use step_observer::plugin::{
    CallFailure, Chain, ChainError, Limits, LoadError, Outcome, PluginEngine, PluginSource,
    PluginSpec,
};

/// Loads a chain with a new engine.
pub fn load(specs: &[PluginSpec]) -> Result<Chain, ChainError> {
    Chain::load(&PluginEngine::new().unwrap(), specs)
}

/// Returns the error of a plugin that must not load.
#[must_use]
pub fn refusal(spec: &PluginSpec) -> String {
    match load(std::slice::from_ref(spec)) {
        Ok(_) => panic!("{} was loaded", spec.name),
        Err(error) => error.to_string(),
    }
}

/// Returns a plugin as a core module in WAT, without bindings and metadata. `items` are further
/// items of the module, `process` is the body of its function `process`. The body answers `(call
/// $keep)` to keep the event, or `(call $text (…) (…))` to drop it. The arguments of `$text` are
/// address and length of the reason.
#[must_use]
pub fn wat(items: &str, process: &str) -> String {
    module(items, "", process)
}

/// Like [`wat()`], with instructions for `configure`. The configuration is at `$config` and has
/// `$config_length` bytes.
fn module(items: &str, on_configure: &str, process: &str) -> String {
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
  (func (export "step-observer:plugin/transform@0.1.0#configure")
    (param $config i32) (param $config_length i32) (result i32)
    {on_configure}
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

/// Returns a guest with one more import.
#[must_use]
pub fn importing(function: &str, signature: &str, items: &str, process: &str) -> String {
    let import = format!(
        "(import \"step-observer:plugin/events@0.1.0\" \"[method]event.{function}\" (func $more {signature}))"
    );
    // Imports stand first in a module.
    wat(items, process).replacen("(module", &format!("(module {import}"), 1)
}

/// The instruction that every call needs: it releases the event.
pub const RELEASE: &str = "(call $release (local.get $event))";

/// Returns a plugin with tight limits.
#[must_use]
pub fn spec(name: &str, wat: &str) -> PluginSpec {
    let mut spec = PluginSpec::new(name, PluginSource::bytes(wat.as_bytes()));
    spec.settings.limits = Limits {
        time_ms: Bounded::new(500),
        memory_bytes: Bounded::new(8 * 1024 * 1024),
        // A loose limit: on a loaded machine, loading even a small module takes seconds.
        configure_ms: Bounded::new(60_000),
        ..Limits::default()
    };
    spec
}

/// Returns a plugin of 700 bytes that writes its configuration, a JSON string, into an extension.
#[must_use]
pub fn stamp(attribute: &str) -> String {
    let length = attribute.len();
    let process = format!(
        "(call $set_attribute (local.get $event) (i32.const 64) (i32.const {length})
           (i32.const 1) (i32.add (global.get $at) (i32.const 1)) (i32.sub (global.get $length) (i32.const 2))
           (i32.const 3072))
         {RELEASE} (call $keep)"
    );
    let items = format!(
        "(global $at (mut i32) (i32.const 0)) (global $length (mut i32) (i32.const 0))
         (data (i32.const 64) \"{attribute}\")"
    );
    let on_configure = "(global.set $at (local.get $config))
           (global.set $length (local.get $config_length))";
    module(&items, on_configure, &process)
}

/// How a plugin of [`quoting`] ends its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotingEnd {
    /// With an error whose message is the whole log of the step.
    Error,
    /// By dropping the event, with the whole log of the step as the reason.
    Drop,
    /// With a trap, if the log is long. The samples of the self-test have short logs.
    Trap,
}

/// Returns a plugin that writes each line of the step's log to its own log, and then fails or drops the
/// event.
#[must_use]
pub fn quoting(end: QuotingEnd) -> String {
    let log = "(i32.load (i32.const 4096)) (i32.load (i32.const 4100))";
    let end = match end {
        QuotingEnd::Error => "(i32.store8 (i32.const 2048) (i32.const 1))
             (i32.store (i32.const 2052) (i32.load (i32.const 4096)))
             (i32.store (i32.const 2056) (i32.load (i32.const 4100)))
             (i32.const 2048)"
            .to_owned(),
        QuotingEnd::Drop => format!("(call $text {log})"),
        QuotingEnd::Trap => {
            "(if (i32.gt_u (i32.load (i32.const 4100)) (i32.const 500)) (then (unreachable)))
             (call $keep)"
                .to_owned()
        }
    };
    let process = format!(
        "(local $at i32) (local $line i32) (local $end i32)
         (call $read_log (local.get $event) (i32.const 4096))
         (local.set $at (i32.load (i32.const 4096)))
         (local.set $line (local.get $at))
         (local.set $end (i32.add (local.get $at) (i32.load (i32.const 4100))))
         (block $done (loop $next
           (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
           (if (i32.eq (i32.load8_u (local.get $at)) (i32.const 10)) (then
             (call $log (i32.const 2) (local.get $line) (i32.sub (local.get $at) (local.get $line)))
             (local.set $line (i32.add (local.get $at) (i32.const 1)))))
           (local.set $at (i32.add (local.get $at) (i32.const 1)))
           (br $next)))
         {RELEASE} {end}"
    );
    let import = "(module (import \"step-observer:plugin/events@0.1.0\" \"[method]event.log\"
      (func $read_log (param i32 i32)))";
    wat("", &process).replacen("(module", import, 1).replacen(
        "(memory (export \"memory\") 2)",
        "(memory (export \"memory\") 64)",
        1,
    )
}

/// Reads a file of JSON.
#[must_use]
pub fn read_json(file: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Passes an event through a chain. Returns the result in the form of `out.json` of a case.
#[must_use]
pub fn process(chain: &Chain, event: &Value) -> Value {
    let envelope = event::from_json(event.clone()).unwrap();
    match chain.process(envelope) {
        Outcome::Deliver(envelope, report) => match report.failures().next() {
            Some((_, CallFailure::Reported(reason), _)) => json!({"error": reason}),
            Some((_, failure, _)) => panic!("{failure}"),
            None => serde_json::from_slice(&event::structured(&envelope.event).unwrap()).unwrap(),
        },
        Outcome::Dropped(report) => json!({"dropped": report.dropped().unwrap().1}),
        Outcome::Blocked { failure, .. } => json!({"error": failure.to_string()}),
    }
}

/// Runs all cases of a folder with a plugin.
pub fn check_cases(engine: &PluginEngine, spec: &PluginSpec, folder: &std::path::Path) {
    let mut count = 0;
    for case in std::fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        let mut spec = spec.clone();
        let config = case.join("config.json");
        if config.exists() {
            spec.settings.config = read_json(&config);
        }
        let result = match Chain::load(engine, &[spec]) {
            Ok(chain) => process(&chain, &read_json(&case.join("in.json"))),
            Err(ChainError {
                source: LoadError::Configure(refusals),
                ..
            }) => json!({"error": refusals.first}),
            Err(error) => panic!("{}: {error}", case.display()),
        };
        // With `UPDATE_CASES=1`, the results overwrite `out.json`: review the differences before
        // you commit them.
        let is_bundled = folder.starts_with(crate::path("../plugins"));
        if is_bundled && std::env::var_os("UPDATE_CASES").is_some() {
            std::fs::write(case.join("out.json"), format!("{result:#}\n")).unwrap();
        }
        let expected = read_json(&case.join("out.json"));
        assert_eq!(result, expected, "{}\n{result:#}", case.display());
        count += 1;
    }
    assert!(count > 0, "{}", folder.display());
}
