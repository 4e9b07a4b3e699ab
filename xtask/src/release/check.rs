//! `--check`: makes the release twice, in two folders of different length, and compares all digests.

use super::arguments::Args;
use super::files::{SUMS, differences};
use super::{EPOCH, prepare};
use crate::run::{Problem, root, run, step, target_dir};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Folders of the two builds, below the target folder. Nothing in them is shared but the sources of the crates.
const FOLDERS: [&str; 2] = ["a", "a-folder-whose-name-has-another-length"];

/// Makes the release twice from the commit. The first is left in the folder of the release.
pub(super) fn twice(args: &Args, epoch: &str) -> Result<(), Problem> {
    let folder = target_dir().join("release-check");
    let second = folder.join("second");
    for (name, out) in FOLDERS.into_iter().zip([&args.out, &second]) {
        let build = folder.join(name);
        remove(&build)?;
        if *out == second {
            remove(&second)?;
            prepare(&second)?;
        }
        let sources = build.join("source");
        prepare(&sources)?;
        step(&format!("building in {}", sources.display()));
        extract(&sources)?;
        let mut build_again = again(args, &sources, out);
        if *out == second {
            // The steps that follow are for the first.
            build_again.stdout(Stdio::null());
        }
        run(build_again.env(EPOCH, epoch))?;
        // Several gigabytes.
        remove(&build)?;
    }
    let [one, other] = [&args.out, &second].map(|folder| read(&folder.join(SUMS)));
    let (one, other) = (one?, other?);
    print!("{one}");
    let differences = differences(&one, &other);
    match differences.is_empty() {
        true => remove(&second),
        false => Err(Problem(format!(
            "two builds differ in {} (compare {} with {})",
            differences.join(", "),
            args.out.display(),
            second.display()
        ))),
    }
}

/// Writes the files of the commit.
fn extract(folder: &Path) -> Result<(), Problem> {
    let mut git = Command::new("git")
        .current_dir(root())
        .args(["archive", "--format=tar", "HEAD"])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| Problem(format!("failed to start git: {error}")))?;
    let mut tar = Command::new("tar");
    tar.arg("-x").current_dir(folder);
    if let Some(archive) = git.stdout.take() {
        tar.stdin(archive);
    }
    run(&mut tar)?;
    match git.wait() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Problem("`git archive HEAD` failed".to_owned())),
    }
}

/// Returns the same command for another folder of sources.
fn again(args: &Args, sources: &Path, out: &Path) -> Command {
    let image = format!("{}:{}", args.image.repository, args.image.tag);
    let mut command = Command::new("cargo");
    command
        .current_dir(sources)
        .args(["xtask", "release", "--version", &args.version])
        .args(["--image", &image, "--base-url", &args.base_url, "--out"])
        .arg(out)
        // Each has its own target folder.
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("STEP_OBSERVER_GUESTS");
    for (arch, file) in &args.programs {
        let program = format!("{}={}", arch.platform(), file.display());
        command.args(["--program", &program]);
    }
    command
}

fn read(file: &Path) -> Result<String, Problem> {
    fs::read_to_string(file).map_err(|error| Problem(format!("{}: {error}", file.display())))
}

fn remove(folder: &Path) -> Result<(), Problem> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Problem(format!("{}: {error}", folder.display())))
        }
        _ => Ok(()),
    }
}
