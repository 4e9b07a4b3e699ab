//! Tests upgrade and downgrade with the program of an older commit.

use crate::run::{Problem, cargo, output, root, run, step, target_dir};
use std::path::{Path, PathBuf};
use std::process::Command;

const HELP: &str = "\
cargo xtask upgrade-check [--from REV] [--program FILE]

Builds the program of another commit, and lets it and the program of this tree take turns at one journal: upgrade and
downgrade, while events come, with SIGKILL in the middle.

  --from REV      the commit; the default is that of version 0.1.0
  --program FILE  a program that is already built, instead
";

/// The last commit of version 0.1.0.
const FIRST_VERSION: &str = "960c0fa";

/// What to compare with.
#[derive(Debug, PartialEq, Eq)]
enum Older {
    Commit(String),
    Program(PathBuf),
}

pub(crate) fn upgrade_check(args: &[String]) -> Result<(), Problem> {
    let older = match parse(args)? {
        Older::Commit(commit) => build_older(&commit)?,
        Older::Program(program) => program,
    };
    let older = older
        .canonicalize()
        .map_err(|error| Problem(format!("{}: {error}", older.display())))?;
    run(Command::new(&older).arg("--version"))?;
    crate::build()?;
    step("letting both programs take turns at one journal");
    run(cargo()
        .args(["test", "--quiet", "--workspace", "--test", "all", "--"])
        .args(["older_program::", "--ignored"])
        .env("STEP_OBSERVER_OLD_PROGRAM", older))
}

fn parse(args: &[String]) -> Result<Older, Problem> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        [] => Ok(Older::Commit(FIRST_VERSION.to_owned())),
        ["--from", commit] => Ok(Older::Commit(commit.to_owned())),
        ["--program", file] => Ok(Older::Program(file.into())),
        _ => Err(Problem(HELP.to_owned())),
    }
}

/// Builds the program of a commit in a worktree below the target folder, with a target folder of its own. Both are kept, so
/// that the next call is short. The program has no bundled plugins: the suite uses none.
fn build_older(commit: &str) -> Result<PathBuf, Problem> {
    let named = format!("{commit}^{{commit}}");
    let hash = output(git().args(["rev-parse", "--verify", "--quiet", &named]))
        .map_err(|_| Problem(format!("there is no commit `{commit}` in this repository")))?;
    let folder = target_dir().join("upgrade-check").join(hash.trim());
    let source = folder.join("source");
    if !source.join("Cargo.toml").is_file() {
        step(&format!("checking out {commit}"));
        // A worktree whose folder was deleted is still registered.
        run(git().args(["worktree", "prune"]))?;
        let add = ["worktree", "add", "--quiet", "--detach"];
        run(git().args(add).arg(&source).arg(hash.trim()))?;
    }
    step(&format!(
        "building the program of {commit} (the first time compiles its dependencies: 10 minutes on two cores)"
    ));
    run(&mut build_in(&source, &folder.join("target")))?;
    Ok(folder.join("target/debug/step-observer"))
}

fn build_in(source: &Path, target: &Path) -> Command {
    let mut build = cargo();
    build
        .current_dir(source)
        .args(["build", "--locked", "--package", "step-observer"])
        .env("CARGO_TARGET_DIR", target)
        // These are the plugins of this tree.
        .env_remove("STEP_OBSERVER_GUESTS");
    build
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.current_dir(root());
    git
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Older> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        parse(&words).ok()
    }

    #[test]
    fn one_of_a_commit_and_a_program_is_named() {
        assert_eq!(parsed(""), Some(Older::Commit(FIRST_VERSION.to_owned())));
        assert_eq!(
            parsed("--from v0.1.0"),
            Some(Older::Commit("v0.1.0".to_owned()))
        );
        assert_eq!(parsed("--program x/y"), Some(Older::Program("x/y".into())));
        for wrong in ["--from", "--from a --program b", "a", "--help"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_older_program_is_built_without_the_plugins_of_this_tree() {
        let build = build_in(Path::new("/source"), Path::new("/target"));
        let variables: Vec<_> = build.get_envs().collect();
        assert!(variables.contains(&("STEP_OBSERVER_GUESTS".as_ref(), None)));
        assert!(variables.contains(&("CARGO_TARGET_DIR".as_ref(), Some("/target".as_ref()))));
        assert_eq!(build.get_current_dir(), Some(Path::new("/source")));
    }
}
