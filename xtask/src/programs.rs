//! Finds programs that are not part of this repository. With `STEP_OBSERVER_LANGUAGES=required`, as
//! in CI, missing programs are installed, and must be found then.

use crate::run::{Problem, run, step};
use std::env;
use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Returns true if every program is required.
pub(crate) fn required() -> bool {
    env::var_os("STEP_OBSERVER_LANGUAGES").is_some_and(|value| value == *OsStr::new("required"))
}

/// Finds programs. Installs the Debian packages that contain them if they are required.
pub(crate) fn need(programs: &[&str], packages: &[&str]) -> Result<(), Problem> {
    let missing = |program: &&&str| !is_there(program);
    if programs.iter().any(|program| missing(&program)) && required() {
        install(packages);
    }
    match programs.iter().find(missing) {
        None => Ok(()),
        Some(program) => Err(Problem(format!(
            "{program} is not there (Debian: apt-get install {})",
            packages.join(" ")
        ))),
    }
}

fn is_there(program: &str) -> bool {
    let mut asked = Command::new(program);
    asked
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

fn install(packages: &[&str]) {
    step(&format!("apt-get install {}", packages.join(" ")));
    let apt = |args: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive")
            .args(args)
            .stdout(Stdio::null())
            .stdin(Stdio::null());
        // The next search shows whether the installation succeeded.
        run(&mut apt).ok();
    };
    apt(&["update"]);
    let mut args = vec!["install", "--yes", "--no-install-recommends"];
    args.extend(packages);
    apt(&args);
}
