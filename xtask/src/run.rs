//! Runs other programs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An error, as a text for a person.
pub(crate) struct Problem(pub(crate) String);

/// Prints the name of the next step.
pub(crate) fn step(what: &str) {
    eprintln!("==> {what}");
}

/// Returns the root folder of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// Returns the target folder of cargo.
pub(crate) fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Returns the cargo that runs this program.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root())
        .env("STEP_OBSERVER_GUESTS", crate::guests::folder());
    cargo
}

/// Runs a program. Fails if it cannot start or exits with an error.
pub(crate) fn run(command: &mut Command) -> Result<(), Problem> {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Problem(format!("`{}` ended with {status}", words(command)))),
        Err(error) => Err(Problem(format!("failed to start {name}: {error}"))),
    }
}

/// Runs a program, and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Problem> {
    let told = command
        .output()
        .map_err(|error| Problem(format!("failed to start `{}`: {error}", words(command))))?;
    if !told.status.success() {
        let reason = String::from_utf8_lossy(&told.stderr).into_owned();
        return Err(Problem(format!(
            "`{}` ended with {}: {reason}",
            words(command),
            told.status
        )));
    }
    Ok(String::from_utf8_lossy(&told.stdout).into_owned())
}

fn words(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy()));
    words.join(" ")
}
