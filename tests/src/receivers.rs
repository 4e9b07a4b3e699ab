//! Real receivers, which `cargo xtask receivers` installs.

use std::path::PathBuf;

/// What is installed at a path. `None` where it is not: `cargo xtask test` has said why. In CI all must be
/// there.
#[must_use]
pub fn prepared(below: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os("STEP_OBSERVER_GUESTS") {
        Some(guests) => PathBuf::from(guests).join("../receivers"),
        None => crate::path("../target/receivers"),
    };
    let there = folder.join(below);
    let required =
        std::env::var_os("STEP_OBSERVER_LANGUAGES").is_some_and(|value| value == "required");
    assert!(
        !required || there.exists(),
        "{} is not there: run `cargo xtask receivers`",
        there.display()
    );
    there.exists().then_some(there)
}

/// A program of theirs.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    prepared(&format!("venv/bin/{name}"))
}
