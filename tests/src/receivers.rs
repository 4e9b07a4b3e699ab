//! Real receivers, which `cargo xtask receivers` installs.

use std::path::PathBuf;

/// A program of theirs. `None` where they are not installed; in CI they must be.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os("STEP_OBSERVER_GUESTS") {
        Some(guests) => PathBuf::from(guests).join("../receivers"),
        None => crate::path("../target/receivers"),
    };
    let program = folder.join("venv/bin").join(name);
    let required =
        std::env::var_os("STEP_OBSERVER_LANGUAGES").is_some_and(|value| value == "required");
    assert!(
        !required || program.exists(),
        "{} is not there: run `cargo xtask receivers`",
        program.display()
    );
    program.exists().then_some(program)
}
