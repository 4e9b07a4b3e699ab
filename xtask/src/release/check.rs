//! `--check`: makes the release twice, in two folders of different length, and compares all digests.

use super::arguments::Args;
use super::files::{SUMS, differences};
use super::{EPOCH, prepare};
use crate::run::{Problem, output, root, run, step, target_dir};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Folders of the two builds, below the target folder. Nothing in them is shared but the sources of the crates.
const FOLDERS: [&str; 2] = ["a", "a-folder-whose-name-has-another-length"];

/// Makes the release twice from the commit. The first is left in the folder of the release.
pub(super) fn twice(args: &Args, epoch: &str) -> Result<(), Problem> {
    let folder = target_dir().join("release-check");
    let second = folder.join("second");
    let commit = head(root())?;
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
        extract(root(), &commit, &sources)?;
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

/// Returns the name of the commit. It is asked for once: a commit that is made during the builds changes nothing.
fn head(repository: &Path) -> Result<String, Problem> {
    let mut git = Command::new("git");
    let told = output(git.current_dir(repository).args(["rev-parse", "HEAD"]))?;
    Ok(told.trim().to_owned())
}

/// Writes the files of a commit of a repository.
fn extract(repository: &Path, commit: &str, folder: &Path) -> Result<(), Problem> {
    let mut git = Command::new("git")
        .current_dir(repository)
        .args(["archive", "--format=tar", commit])
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
        _ => Err(Problem(format!("`git archive {commit}` failed"))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_is_made_during_the_builds_changes_nothing() {
        let place = std::env::temp_dir().join(format!("release-head-{}", std::process::id()));
        let (repository, sources) = (place.join("repository"), place.join("sources"));
        fs::create_dir_all(&repository).unwrap();
        fs::create_dir_all(&sources).unwrap();
        let git = |args: &[&str]| {
            let mut git = Command::new("git");
            let name = [
                "-c",
                "user.name=tests",
                "-c",
                "user.email=tests@example.com",
            ];
            git.current_dir(&repository).args(name).args(args);
            assert!(output(&mut git).is_ok(), "{args:?}");
        };
        let commit_as = |text: &str| {
            fs::write(repository.join("file"), text).unwrap();
            git(&["add", "file"]);
            git(&["commit", "--quiet", "--message", text]);
        };
        git(&["init", "--quiet"]);
        commit_as("before");
        let commit = head(&repository).ok().unwrap();
        commit_as("after");
        assert!(extract(&repository, &commit, &sources).is_ok());
        let extracted = fs::read_to_string(sources.join("file")).unwrap();
        fs::remove_dir_all(&place).unwrap();
        assert_eq!(extracted, "before");
    }
}
