//! Finds a Rust compiler that can build plugins: the one that is there, else with the target that
//! rustup adds, else Debian's.

#![allow(
    clippy::disallowed_methods,
    reason = "it looks for programs where the environment says"
)]

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What plugins are built for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Which compiler builds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The one that builds everything else: it has the target's standard library.
    Ours,
    /// Debian's, which builds the standard library from its source.
    Debian,
}

impl Toolchain {
    /// What is there, else rustup's, else Debian's, else what to do in one sentence.
    /// `STEP_OBSERVER_WASM=debian` skips the first two. `folder` is where cargo will run, as a
    /// toolchain can be chosen per folder; `say` is told what takes time.
    ///
    /// # Errors
    ///
    /// There is none, with the commands that install one.
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

    /// Has a `cargo build` use it, and gives the folder that it builds in: not the usual one, where
    /// artifacts of two compilers would mix.
    pub fn apply(self, build: &mut Command, target_dir: &Path) -> PathBuf {
        build.args(["build", "--target", TARGET]);
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

/// The cargo that runs us, else the one on the path.
#[must_use]
pub fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// What a program prints; `None` where it fails.
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
    // Lists that cannot be renewed may do as they are.
    apt(&["update"]);
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(packages);
    apt(&install) && has_debian()
}
