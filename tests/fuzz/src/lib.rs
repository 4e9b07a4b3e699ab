//! Code that the fuzz targets share: one engine, the life of a plugin in the host, and the
//! definition of a finding.

pub mod plan;

use serde_json::Value;
use std::backtrace::Backtrace;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use step_observer::bounded::Bounded;
use step_observer::event;
use step_observer::plugin::{
    Chain, Inspection, Limits, LoadError, Outcome, Plugin, PluginEngine, PluginSource, PluginSpec,
    sample_event,
};

/// One engine for all inputs. An engine starts slowly, and its clock of deadlines has a thread.
pub static ENGINE: LazyLock<PluginEngine> =
    LazyLock::new(|| PluginEngine::new().expect("an engine"));

static LAST_PANIC: Mutex<Option<(String, Backtrace)>> = Mutex::new(None);

/// Replaces libFuzzer's panic hook, which would end the process at every panic. The host catches
/// panics of wit-component and wizer; these are not findings.
pub fn init() {
    panic::set_hook(Box::new(|info| {
        // Keeps the backtrace without formatting it: symbol names are slow to resolve, and most
        // panics are caught.
        let panic = (info.to_string(), Backtrace::force_capture());
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
    }));
    LazyLock::force(&ENGINE);
}

/// Runs a target. A panic that the target does not catch is a finding.
pub fn guard(body: impl FnOnce()) {
    if panic::catch_unwind(AssertUnwindSafe(body)).is_err() {
        eprintln!("{}", last_panic());
        std::process::abort();
    }
}

fn last_panic() -> String {
    let last = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner);
    let panic = last
        .as_ref()
        .map(|(text, trace)| format!("{text}\n{trace}"));
    panic.unwrap_or_default()
}

/// Settings of a plugin with tight limits, so that endless loops end soon.
#[must_use]
pub fn spec(name: &str, module: &[u8]) -> PluginSpec {
    let mut spec = PluginSpec::new(name, PluginSource::bytes(module));
    spec.settings.limits = Limits {
        time_ms: Bounded::new(50),
        configure_ms: Bounded::new(50),
        memory_bytes: Bounded::new(8 * 1024 * 1024),
        ..Limits::default()
    };
    spec
}

/// Inspects, loads, tests and runs a plugin. Prints the results if `SHOW` is set in the
/// environment.
pub fn whole_way(module: &[u8]) {
    let inspected = Inspection::parse(module);
    let plugin = match Plugin::load(&ENGINE, &spec("fuzzed", module)) {
        Ok(plugin) => plugin,
        Err(error) => {
            show(|| error.to_string());
            return is_refusal(&error);
        }
    };
    assert!(inspected.is_ok(), "it loads, but: {inspected:?}");
    // A plugin may fail its test.
    let tested = plugin.self_test(&ENGINE);
    show(|| format!("loaded; self-test: {tested:?}"));
    process(&Chain::new(&ENGINE, vec![Arc::new(plugin)], 1));
}

/// Prints a text if `SHOW` is set in the environment.
pub fn show(text: impl FnOnce() -> String) {
    static SHOW: LazyLock<bool> = LazyLock::new(|| std::env::var_os("SHOW").is_some());
    if *SHOW {
        eprintln!("{}", text());
    }
}

/// Panics if the error reports a panic of the compiler's thread. The host survives such a panic and
/// returns it with this text; for the fuzzer it is a finding.
fn is_refusal(error: &LoadError) {
    if let LoadError::Compile(text) = error
        && text.contains("please report this")
    {
        let last = last_panic();
        panic!("{text}: {last}");
    }
}

/// Members of an event, as JSON, that no plugin can change.
const PROTECTED: [&str; 11] = [
    "/id",
    "/source",
    "/type",
    "/time",
    "/sequence",
    "/data/podRef",
    "/data/taskRun",
    "/data/stepIndex",
    "/data/attempt",
    "/data/exitCode",
    "/data/stepState/name",
];

/// Passes an event through a chain, and checks that its protected members are unchanged.
pub fn process(chain: &Chain) {
    let before = sample_event();
    let envelope = event::from_json(before.clone()).expect("the sample is an event");
    let outcome = chain.process(envelope);
    show(|| format!("{outcome:?}"));
    let Outcome::Deliver(envelope, _) = outcome else {
        return;
    };
    let text = event::structured(&envelope.event).expect("what is delivered can be written");
    let after: Value = serde_json::from_slice(&text).expect("what is written is JSON");
    for place in PROTECTED {
        assert_eq!(after.pointer(place), before.pointer(place), "{place}");
    }
    event::from_json(after).expect("what is written can be read");
}
