//! Builds the bundled plugins to WebAssembly, with whatever compiler can.

use crate::run::{Problem, cargo, output, root, run, step, target_dir};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TARGET: &str = "wasm32-unknown-unknown";

/// Where they are put.
pub(crate) fn folder() -> PathBuf {
    target_dir().join("guests")
}

/// Which compiler builds them.
enum Toolchain {
    /// The one that builds everything else: it has the target's standard library.
    Ours,
    /// Debian's, which builds the standard library from its source.
    Debian,
}

/// Builds all plugins and copies them to [`folder`].
pub(crate) fn build() -> Result<(), Problem> {
    step("building the bundled plugins (WebAssembly)");
    let plugins = plugins()?;
    let mut build = cargo();
    let built = match toolchain()? {
        Toolchain::Ours => target_dir(),
        Toolchain::Debian => {
            let folder = target_dir().join("guests-debian");
            build
                .env("RUSTC", "/usr/bin/rustc")
                .env("RUSTC_BOOTSTRAP", "1")
                .env(
                    "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER",
                    "/usr/bin/wasm-ld",
                )
                .env("CARGO_TARGET_DIR", &folder);
            folder
        }
    };
    let debian = built != target_dir();
    build.args(["build", "--profile", "guest", "--target", TARGET, "--lib"]);
    if debian {
        build.args(["-Zbuild-std=std,panic_abort", "--ignore-rust-version"]);
    }
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
        // Only what has changed: the program embeds these files and is built anew with them.
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

/// The folders below `plugins/`: each is a crate of its name.
fn plugins() -> Result<Vec<String>, Problem> {
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

/// What is there, else rustup's, else Debian's, else one sentence. `STEP_OBSERVER_WASM=debian` skips
/// the first two.
fn toolchain() -> Result<Toolchain, Problem> {
    let debian_only =
        env::var_os("STEP_OBSERVER_WASM").is_some_and(|value| value == *OsStr::new("debian"));
    if !debian_only {
        if has_standard_library() {
            return Ok(Toolchain::Ours);
        }
        step(&format!("rustup target add {TARGET}"));
        let added = Command::new("rustup")
            .args(["target", "add", TARGET])
            .status();
        if added.is_ok_and(|status| status.success()) && has_standard_library() {
            return Ok(Toolchain::Ours);
        }
    }
    if has_debian() || (can_install() && install_debian()) {
        return Ok(Toolchain::Debian);
    }
    Err(Problem(format!(
        "there is no Rust compiler for WebAssembly: run `rustup target add {TARGET}`, or on Debian \
         `apt-get install rustc-web rust-web-src lld` as root, and try again"
    )))
}

fn has_standard_library() -> bool {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let folder =
        output(
            rustc
                .current_dir(root())
                .args(["--print", "target-libdir", "--target", TARGET]),
        );
    folder.is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

fn has_debian() -> bool {
    let source =
        output(Command::new("/usr/bin/rustc").args(["--print", "sysroot"])).is_ok_and(|root| {
            Path::new(root.trim())
                .join("lib/rustlib/src/rust/library/std")
                .is_dir()
        });
    source && Path::new("/usr/bin/wasm-ld").exists()
}

fn can_install() -> bool {
    let root = output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    root && Path::new("/etc/debian_version").exists()
}

fn install_debian() -> bool {
    step("apt-get install rustc-web rust-web-src lld");
    let apt = |args: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive")
            .args(args)
            .stdout(Stdio::null())
            .stdin(Stdio::null());
        run(&mut apt).is_ok()
    };
    apt(&["update"]);
    apt(&[
        "install",
        "--yes",
        "--no-install-recommends",
        "rustc-web",
        "rust-web-src",
        "lld",
    ]) && has_debian()
}
