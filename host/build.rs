//! Embeds the bundled plugins that `cargo xtask guests` has built. A program that is built without
//! them works, but has no bundled plugins.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo talks to build scripts through the environment"
)]

#[path = "build/guests.rs"]
mod guests;

use guests::{Bundle, Plugin};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let chosen = env::var_os("STEP_OBSERVER_GUESTS").map(PathBuf::from);
    let is_default = chosen.is_none();
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let folder = guests::folder(&manifest, chosen, target);
    println!("cargo::rerun-if-changed=build/guests.rs");
    println!("cargo::rerun-if-env-changed=STEP_OBSERVER_GUESTS");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    if is_default {
        // cargo reports a missing folder as changed at every build, so the folder is created. If
        // that fails, the only effect is a rebuild.
        fs::create_dir_all(&folder).ok();
    }
    println!("cargo::rerun-if-changed={}", folder.display());
    let plugins = plugins(&manifest.join("../plugins"))?;
    let Bundle { embedded, missing } = guests::bundle(entries(&folder), &plugins);
    if !missing.is_empty() {
        println!(
            "cargo::warning=this program is built without the plugins {}: `cargo xtask build` builds them and it, \
             `cargo xtask install` installs it with them",
            missing.join(", ")
        );
    }
    let mut code = String::from("/// Name and module.\nstatic GUESTS: &[(&str, &[u8])] = &[\n");
    for (name, path) in &embedded {
        println!("cargo::rerun-if-changed={}", path.display());
        let path = fs::canonicalize(path)?;
        writeln!(code, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    code.push_str("];\n");
    writeln!(
        code,
        "/// Names of those that are not there.\nstatic MISSING: &[&str] = &{missing:?};"
    )?;
    code.push_str("/// The plugins in the source, by name.\nstatic PLUGINS: &[PluginAbout] = &[\n");
    for Plugin {
        name,
        description,
        needs,
        is_bundled,
    } in &plugins
    {
        writeln!(
            code,
            "    PluginAbout {{ name: {name:?}, description: {description:?}, needs: {needs:?}, is_bundled: {is_bundled} }},"
        )?;
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("bundled.rs"), code)?;
    fs::write(out.join("sdk.rs"), sdk(&manifest.join("../guest-sdk"))?)?;
    Ok(())
}

/// Returns the plugins in the source, sorted by name. A folder without manifest is none.
fn plugins(folder: &Path) -> Result<Vec<Plugin>, Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut plugins = Vec::new();
    for folder in entries(folder) {
        let manifest = folder.join("Cargo.toml");
        if manifest.is_file() {
            println!("cargo::rerun-if-changed={}", manifest.display());
            let plugin = guests::manifest(&fs::read_to_string(&manifest)?)
                .map_err(|why| format!("{}: {why}", manifest.display()))?;
            plugins.push(plugin);
        }
    }
    plugins.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(plugins)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Returns Rust code that embeds the sources of the SDK. `plugin new` copies them into every new
/// plugin.
fn sdk(folder: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let mut code = String::from("/// Path and content.\nstatic SDK: &[(&str, &[u8])] = &[\n");
    for part in ["README.md", "src", "wit", "event-model/src"] {
        println!("cargo::rerun-if-changed={}", folder.join(part).display());
        for file in files(&folder.join(part))? {
            let name = file.strip_prefix(folder)?.to_string_lossy();
            let path = fs::canonicalize(&file)?;
            writeln!(code, "    ({name:?}, include_bytes!({path:?})),")?;
        }
    }
    // Adds the sources of the search for secrets (`host/redact`), which the native tests of plugins
    // use. Its own tests are left out.
    let redact = folder.join("../host/redact");
    println!("cargo::rerun-if-changed={}", redact.join("src").display());
    for file in files(&redact.join("src"))? {
        if file.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        let name = Path::new("redact").join(file.strip_prefix(&redact)?);
        let path = fs::canonicalize(&file)?;
        let name = name.to_string_lossy();
        writeln!(code, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    code.push_str("];\n");
    Ok(code)
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    if folder.is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
