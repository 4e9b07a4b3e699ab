//! Embeds the bundled plugins that `cargo xtask guests` has built. Without them the program works,
//! only without bundled plugins.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo talks to build scripts through the environment"
)]

use std::fmt::Write as _;
use std::path::PathBuf;
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
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("bundled.rs"), code)?;
    Ok(())
}
