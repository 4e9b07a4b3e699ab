//! Builds the bundled plugins to WebAssembly, with the first compiler that has the target.

use crate::run::{Problem, cargo, root, run, step, target_dir};
use crate::static_build::rust_maps;
use std::fs;
use std::path::{Path, PathBuf};
use step_observer_toolchain::{TARGET, Toolchain};

/// Returns the folder of the built plugins.
pub(crate) fn folder() -> PathBuf {
    target_dir().join("guests")
}

/// Builds all plugins and copies them to [`folder`].
pub(crate) fn build() -> Result<(), Problem> {
    step("building the bundled plugins (WebAssembly)");
    let plugins = plugins()?;
    let mut build = cargo();
    let toolchain = Toolchain::find(root(), step).map_err(Problem)?;
    let built = toolchain.apply(&mut build, &target_dir());
    // No folder of this machine is in a plugin, so that its digest is the same everywhere.
    let maps: Vec<String> = rust_maps()
        .iter()
        .map(|map| format!("'{}'", map.to_string_lossy()))
        .collect();
    let maps = maps.join(", ");
    build.arg("--config");
    build.arg(format!("target.{TARGET}.rustflags=[{maps}]"));
    build.args(["--profile", "guest", "--lib"]);
    for plugin in &plugins {
        build.args(["--package", plugin]);
    }
    run(&mut build)?;
    let modules = built.join(TARGET).join("guest");
    fs::create_dir_all(folder()).map_err(|error| problem(&folder(), &error))?;
    for plugin in plugins {
        let from = modules.join(format!("{}.wasm", plugin.replace('-', "_")));
        let to = folder().join(format!("{plugin}.wasm"));
        let module = fs::read(&from).map_err(|error| problem(&from, &error))?;
        // Copies only changed files: the program embeds them, and is rebuilt if they change.
        if fs::read(&to).ok().as_ref() != Some(&module) {
            fs::write(&to, &module).map_err(|error| problem(&to, &error))?;
        }
        eprintln!("    {plugin}.wasm: {} bytes", module.len());
    }
    Ok(())
}

fn problem(path: &Path, error: &std::io::Error) -> Problem {
    Problem(format!("{}: {error}", path.display()))
}

/// Returns the folders below `plugins/`. Each is a crate of the same name.
pub(crate) fn plugins() -> Result<Vec<String>, Problem> {
    let folder = root().join("plugins");
    let entries = fs::read_dir(&folder).map_err(|error| problem(&folder, &error))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}
