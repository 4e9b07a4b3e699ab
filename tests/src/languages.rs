//! The examples of plugins in other languages, and the plugins that `plugin new --language` makes of them.

use crate::path;
use crate::peer::Missing;
use crate::program::Program;
use crate::receivers::LANGUAGES_REQUIRED;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Returns the path of an example, or of a file in it.
#[must_use]
pub fn example(folder: &str) -> PathBuf {
    path("../guest-sdk/languages").join(folder)
}

/// Runs the program in a folder.
///
/// # Panics
///
/// If it does not start, or does not end in time.
#[must_use]
pub fn step_observer(folder: &Path, args: &[&str]) -> Output {
    let mut program = Program::new();
    program.args(args).current_dir(folder).run().unwrap()
}

/// Writes the plugin `team-filter`, and returns its folder.
///
/// # Panics
///
/// If it is not written.
#[must_use]
pub fn new_plugin(place: &Path, language: &str) -> PathBuf {
    let written = step_observer(
        place,
        &["plugin", "new", "team-filter", "--language", language],
    );
    let errors = String::from_utf8_lossy(&written.stderr);
    assert!(written.status.success(), "{language}: {errors}");
    let shown = String::from_utf8_lossy(&written.stdout).into_owned();
    for command in [
        "cd team-filter\n",
        "./build.sh team-filter.wasm",
        "plugin test team-filter.wasm",
    ] {
        assert!(shown.contains(command), "{language}: {shown}");
    }
    place.join("team-filter")
}

/// Returns whether a script of an example finds its tools.
///
/// # Errors
///
/// They are missing.
pub fn tools(
    language: &str,
    folder: &str,
    tools: Option<&str>,
) -> Result<Option<PathBuf>, Missing> {
    let tools = tools.map(|tools| example(folder).join(tools));
    let are_there = match &tools {
        Some(tools) => tools.exists(),
        None => {
            let wasm_ld = Command::new("wasm-ld").arg("--version").output();
            wasm_ld.is_ok_and(|output| output.status.success())
        }
    };
    match are_there {
        true => Ok(tools),
        false => {
            let peer = format!("the tools of {language} are missing");
            Err(Missing::new(peer, "run `cargo xtask languages`").required_by(LANGUAGES_REQUIRED))
        }
    }
}
