//! A host in memory, which runs the tests of plugins natively, without a WebAssembly toolchain.

mod fake_event;
mod sets;

use crate::{Plugin, Verdict};
pub use fake_event::FakeEvent;
use serde_json::Value;
pub use sets::Sets;
use std::path::Path;

/// The result of a plugin on an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Processed {
    /// The event with the changes of the plugin.
    Kept(Value),
    /// The plugin dropped the event for this reason.
    Dropped(String),
}

/// Configures a plugin and lets it process one event.
///
/// # Errors
///
/// The text of the error that `configure` or `process` returns.
pub fn process<P: Plugin>(config: &str, event: &Value) -> Result<Processed, String> {
    let config = crate::export::read_config::<P>(&name_and_version(), config)?;
    let plugin = P::configure(config)?;
    let event = FakeEvent::new(event, Sets::of(&plugin)?)?;
    match plugin.process(&event)? {
        Verdict::Keep => event.into_json().map(Processed::Kept),
        Verdict::Drop(reason) => Ok(Processed::Dropped(reason)),
    }
}

/// Returns the name and version of the crate whose tests run, as cargo passes them.
#[expect(
    clippy::disallowed_methods,
    reason = "cargo passes them to tests in the environment"
)]
fn name_and_version() -> String {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let name = variable("CARGO_PKG_NAME");
    format!("{name} {}", variable("CARGO_PKG_VERSION"))
}

/// Checks that a stored `config.schema.json` is the schema of this configuration.
///
/// # Panics
///
/// The stored schema differs. The message contains the correct schema.
#[cfg(feature = "schema")]
#[expect(clippy::panic, reason = "a failing test panics")]
pub fn check_schema<C: schemars::JsonSchema>(stored: &str) {
    let schema = schemars::schema_for!(C);
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    if stored.trim_end() != text {
        panic!("write this into config.schema.json:\n{text}");
    }
}

/// Runs every case in a folder: `NAME/config.json` (optional), `NAME/in.json`, `NAME/out.json`.
/// An `out.json` of `{"dropped": "reason"}` expects that the plugin drops the event.
///
/// # Panics
///
/// A case gives another result than its `out.json`, or the folder holds no case.
#[expect(clippy::panic, reason = "a failing test panics")]
pub fn check_cases<P: Plugin>(folder: impl AsRef<Path>) {
    let folder = folder.as_ref();
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for case in entries.flatten().map(|entry| entry.path()) {
        if !case.is_dir() {
            continue;
        }
        let config =
            std::fs::read_to_string(case.join("config.json")).unwrap_or_else(|_| "null".to_owned());
        let out = match process::<P>(&config, &read(&case.join("in.json"))) {
            Ok(Processed::Kept(event)) => event,
            Ok(Processed::Dropped(reason)) => serde_json::json!({"dropped": reason}),
            Err(reason) => serde_json::json!({"error": reason}),
        };
        let expected = read(&case.join("out.json"));
        assert!(
            out == expected,
            "{}:\n{out:#}\n  instead of\n{expected:#}",
            case.display()
        );
        count += 1;
    }
    assert!(count > 0, "{} holds no case", folder.display());
}

#[expect(clippy::panic, reason = "a failing test panics")]
fn read(path: &Path) -> Value {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
