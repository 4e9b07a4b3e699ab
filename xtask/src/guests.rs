//! Builds the plugins, those that are bundled and those of the catalogue, to WebAssembly, with the first compiler that has the target.

use crate::manifests::{self, Plugin};
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
    step("building the plugins (WebAssembly)");
    let plugins: Vec<String> = plugins()?.into_iter().map(|plugin| plugin.name).collect();
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

/// Returns the plugins in the folders below `plugins/`, by name. Each is a crate of the same name.
pub(crate) fn plugins() -> Result<Vec<Plugin>, Problem> {
    let folder = root().join("plugins");
    let entries = fs::read_dir(&folder).map_err(|error| problem(&folder, &error))?;
    let mut plugins = Vec::new();
    for entry in entries.flatten() {
        let file = entry.path().join("Cargo.toml");
        if !file.exists() {
            continue;
        }
        let text = fs::read_to_string(&file).map_err(|error| problem(&file, &error))?;
        let plugin = manifests::manifest(&text)
            .map_err(|why| Problem(format!("{}: {why}", file.display())))?;
        plugins.push(plugin);
    }
    plugins.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(plugins)
}

/// Returns the files of the plugins of the catalogue in a release, with their names there. They must be built.
pub(crate) fn catalogue(version: &str) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let catalogue = plugins()?.into_iter().filter(|plugin| !plugin.is_bundled);
    catalogue
        .map(|Plugin { name, .. }| {
            let file = folder().join(format!("{name}.wasm"));
            let module = fs::read(&file).map_err(|error| problem(&file, &error))?;
            Ok((
                format!("step-observer-plugin-{name}-{version}.wasm"),
                module,
            ))
        })
        .collect()
}
