//! Embeds the bundled plugins that `cargo xtask guests` has built. Without them the program works,
//! only without bundled plugins.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo talks to build scripts through the environment"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let guests = match env::var_os("STEP_OBSERVER_GUESTS") {
        Some(folder) => PathBuf::from(folder),
        None => manifest.join("../target/guests"),
    };
    println!("cargo::rerun-if-env-changed=STEP_OBSERVER_GUESTS");
    println!("cargo::rerun-if-changed={}", guests.display());
    let mut modules: Vec<PathBuf> = fs::read_dir(&guests)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    modules.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "wasm")
    });
    modules.sort();
    let mut code = String::from("/// Name and module.\nstatic GUESTS: &[(&str, &[u8])] = &[\n");
    for path in &modules {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        writeln!(
            code,
            "    ({name:?}, include_bytes!({:?})),",
            fs::canonicalize(path)?
        )?;
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("bundled.rs"), code)?;
    fs::write(out.join("sdk.rs"), sdk(&manifest.join("../guest-sdk"))?)?;
    Ok(())
}

/// The sources of the SDK, which `plugin new` gives to every plugin.
fn sdk(folder: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let mut code = String::from("/// Path and content.\nstatic SDK: &[(&str, &[u8])] = &[\n");
    for part in ["README.md", "src", "wit"] {
        println!("cargo::rerun-if-changed={}", folder.join(part).display());
        for file in files(&folder.join(part))? {
            let name = file.strip_prefix(folder)?.to_string_lossy();
            let path = fs::canonicalize(&file)?;
            writeln!(code, "    ({name:?}, include_bytes!({path:?})),")?;
        }
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
