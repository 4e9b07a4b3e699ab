//! Finds a Rust compiler that can build plugins. This is the installed compiler if it has the
//! target or rustup can add the target; otherwise it is Debian's compiler.

#![allow(
    clippy::disallowed_methods,
    reason = "it looks for programs where the environment says"
)]

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Target triple of plugins.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Stack of a plugin in bytes: enough for the deepest JSON that serde_json reads, and half as much
/// again. Rust's default is 1 MiB before the data, so the pages that a plugin uses would be far
/// apart. The host could not keep these pages for the next event, and each event would cause page
/// faults.
pub const STACK_BYTES: u32 = 96 * 1024;

/// Compiler for plugins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The compiler that also builds the host, with the standard library of the WebAssembly target.
    Ours,
    /// Debian's compiler, which builds the standard library from its source.
    Debian,
}

impl Toolchain {
    /// Returns the installed compiler if it has the target or rustup can add the target. Otherwise
    /// returns Debian's compiler, which is installed if it is missing. `STEP_OBSERVER_WASM=debian`
    /// selects Debian's compiler at once. `folder` is the folder in which cargo will run, because a
    /// toolchain can be chosen per folder. `say` reports slow steps.
    ///
    /// # Errors
    ///
    /// There is no compiler. The text has the commands that install one.
    pub fn find(folder: &Path, say: impl Fn(&str)) -> Result<Self, String> {
        let debian_only =
            env::var_os("STEP_OBSERVER_WASM").is_some_and(|value| value == *OsStr::new("debian"));
        if !debian_only {
            if has_standard_library(folder) {
                return Ok(Self::Ours);
            }
            say(&format!("rustup target add {TARGET}"));
            let added = Command::new("rustup")
                .args(["target", "add", TARGET])
                .current_dir(folder)
                .stdout(Stdio::null())
                .status();
            if added.is_ok_and(|status| status.success()) && has_standard_library(folder) {
                return Ok(Self::Ours);
            }
        }
        if has_debian() || (can_install() && install_debian(&say)) {
            say("Debian's compiler builds it, and its standard library first (a minute or two)");
            return Ok(Self::Debian);
        }
        Err(format!(
            "there is no Rust compiler for WebAssembly: run `rustup target add {TARGET}`, or on Debian \
             `apt-get install rustc-web rust-web-src lld` as root, and try again"
        ))
    }

    /// Makes a `cargo build` use this compiler. Returns the target folder; Debian's compiler has
    /// its own, because artifacts of two compilers must not mix.
    pub fn apply(self, build: &mut Command, target_dir: &Path) -> PathBuf {
        build.args(["build", "--target", TARGET, "--config"]);
        build.arg(format!(
            "target.{TARGET}.rustflags=['-Clink-arg=-zstack-size={STACK_BYTES}']"
        ));
        match self {
            Self::Ours => target_dir.to_owned(),
            Self::Debian => {
                let folder = target_dir.join("guests-debian");
                build
                    .args(["-Zbuild-std=std,panic_abort", "--ignore-rust-version"])
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env(
                        "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER",
                        "/usr/bin/wasm-ld",
                    )
                    .env("CARGO_TARGET_DIR", &folder);
                folder
            }
        }
    }
}

/// Returns the cargo that runs this program, otherwise the cargo on the path.
#[must_use]
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Returns the output of a program; `None` if it fails.
fn output(command: &mut Command) -> Option<String> {
    let told = command.stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    told.status.success().then_some(text)
}

fn has_standard_library(folder: &Path) -> bool {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let rustc = rustc
        .current_dir(folder)
        .args(["--print", "target-libdir", "--target", TARGET]);
    output(rustc).is_some_and(|libraries| Path::new(libraries.trim()).is_dir())
}

fn has_debian() -> bool {
    let root = output(Command::new("/usr/bin/rustc").args(["--print", "sysroot"]));
    let source = root.is_some_and(|root| {
        Path::new(root.trim())
            .join("lib/rustlib/src/rust/library/std")
            .is_dir()
    });
    source && Path::new("/usr/bin/wasm-ld").exists()
}

fn can_install() -> bool {
    let root = output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    root && Path::new("/etc/debian_version").exists()
}

fn install_debian(say: &impl Fn(&str)) -> bool {
    let packages = ["rustc-web", "rust-web-src", "lld"];
    say(&format!("apt-get install {}", packages.join(" ")));
    let apt = |args: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive")
            .args(args)
            .stdout(Stdio::null())
            .stdin(Stdio::null());
        apt.status().is_ok_and(|status| status.success())
    };
    // If the package lists cannot be updated, the present ones are used.
    apt(&["update"]);
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(packages);
    apt(&install) && has_debian()
}
