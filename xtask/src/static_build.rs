//! Builds the program as it is shipped: with all sinks and plugins, linked statically, for either processor. The same sources give the same
//! bytes in any folder: no path of the machine is in the program.

use crate::dependency_list;
use crate::guests;
use crate::packages::{self, FEATURES};
use crate::programs::need;
use crate::run::{Problem, cargo, output, root, run, step, target_dir};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Processor that the program is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Arch {
    Amd64,
    Arm64,
}

/// What a processor needs.
struct Needs {
    /// Name in images and in Go.
    name: &'static str,
    /// Name in Rust.
    rust: &'static str,
    /// C compiler of Debian on another processor, and the packages with it and its static C library.
    compiler: &'static str,
    packages: [&'static str; 2],
    /// Runs the program on another processor.
    emulator: &'static str,
}

impl Arch {
    pub(crate) const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    fn needs(self) -> Needs {
        match self {
            Self::Amd64 => Needs {
                name: "amd64",
                rust: "x86_64",
                compiler: "x86_64-linux-gnu-gcc",
                packages: ["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"],
                emulator: "qemu-x86_64-static",
            },
            Self::Arm64 => Needs {
                name: "arm64",
                rust: "aarch64",
                compiler: "aarch64-linux-gnu-gcc",
                packages: ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
                emulator: "qemu-aarch64-static",
            },
        }
    }

    /// Returns the name in images, such as `amd64`.
    pub(crate) fn name(self) -> &'static str {
        self.needs().name
    }

    /// Returns the platform as images and krew name it, such as `linux/amd64`.
    pub(crate) fn platform(self) -> String {
        format!("linux/{}", self.name())
    }

    /// Returns the target triple of Rust.
    pub(crate) fn target(self) -> String {
        format!("{}-unknown-linux-gnu", self.needs().rust)
    }

    fn is_native(self) -> bool {
        self.needs().rust == env::consts::ARCH
    }

    /// Returns the processor of this machine.
    pub(crate) fn native() -> Result<Self, Problem> {
        let found = Self::ALL.into_iter().find(|arch| arch.is_native());
        match found {
            Some(arch) if cfg!(all(target_os = "linux", target_env = "gnu")) => Ok(arch),
            _ => Err(Problem(
                "the static program is built on Linux with glibc, on x86-64 or arm64 (elsewhere: docker build --file \
                 deploy/image/Dockerfile .)"
                    .to_owned(),
            )),
        }
    }

    /// Returns the C compiler, which is also the linker. Installs that of the other processor if it is required.
    pub(crate) fn compiler(self) -> Result<&'static str, Problem> {
        if self.is_native() {
            return Ok("cc");
        }
        let needs = self.needs();
        need(&[needs.compiler], &needs.packages)?;
        Ok(needs.compiler)
    }

    /// Returns a command that runs a program for this processor. Installs the emulator of the other processor if it is required.
    pub(crate) fn runner(self, program: &Path) -> Result<Command, Problem> {
        if self.is_native() {
            return Ok(Command::new(program));
        }
        let emulator = self.needs().emulator;
        need(&[emulator], &["qemu-user-static"])?;
        let mut command = Command::new(emulator);
        command.arg(program);
        Ok(command)
    }
}

/// Replacements of folders of this machine in what a compiler writes: from, to. If several match, compilers take the last.
fn path_maps() -> Vec<(PathBuf, String)> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let mut maps = vec![(root().to_owned(), "/build".to_owned())];
    if !target_dir().starts_with(root()) {
        maps.push((target_dir(), "/build/target".to_owned()));
    }
    maps.extend(home.map(|home| (home, "/cargo".to_owned())));
    maps
}

/// Returns the options for the Rust compiler.
pub(crate) fn rust_maps() -> Vec<OsString> {
    let maps = path_maps().into_iter().chain(standard_library());
    maps.map(|map| map_option("--remap-path-prefix", &map))
        .collect()
}

/// The sources of the standard library have a path of this machine only if they are installed.
fn standard_library() -> Option<(PathBuf, String)> {
    let rustc = || Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let folder = output(rustc().args(["--print", "sysroot"])).ok()?;
    let version = output(rustc().arg("-vV")).ok()?;
    let hash = version
        .lines()
        .find_map(|line| line.strip_prefix("commit-hash: "))?;
    let sources = Path::new(folder.trim()).join("lib/rustlib/src/rust");
    Some((sources, format!("/rustc/{hash}")))
}

/// Returns an option with a map: `OPTION=FROM=TO`.
fn map_option(option: &str, (from, to): &(PathBuf, String)) -> OsString {
    let mut text = OsString::from(format!("{option}="));
    text.push(from);
    text.push(format!("={to}"));
    text
}

/// Joins options for `CARGO_ENCODED_RUSTFLAGS`, which separates them by a character that no path has.
fn encoded(options: &[OsString]) -> OsString {
    options.join(OsStr::new("\u{1f}"))
}

/// Builds the program with its plugins. Returns its path. `epoch` is the time of the sources, for compilers that write a time.
pub(crate) fn build(arch: Arch, epoch: &str) -> Result<PathBuf, Problem> {
    Arch::native()?;
    let compiler = arch.compiler()?;
    guests::build()?;
    step(&format!(
        "building step-observer for {} (optimised; the first time takes 12 minutes on two cores)",
        arch.platform()
    ));
    let target = arch.target();
    add_target(&target)?;
    // With an explicit target, these flags do not apply to build scripts and macros.
    let own = env::var_os("RUSTFLAGS").unwrap_or_default();
    let own = own.to_string_lossy();
    let mut flags: Vec<OsString> = own.split_whitespace().map(OsString::from).collect();
    flags.push("-Ctarget-feature=+crt-static".into());
    flags.extend(rust_maps());
    let list = dependency_list::link(&packages::packages(arch)?, compiler, &target)?;
    let c_flags: Vec<OsString> = path_maps()
        .iter()
        .map(|map| map_option("-ffile-prefix-map", map))
        .collect();
    let mut build = cargo();
    build
        .args(["rustc", "--release", "--locked"])
        .args(["--package", "step-observer", "--bin", "step-observer"])
        .args(["--features", FEATURES, "--target", &target, "--"])
        .args(list)
        .env("CARGO_ENCODED_RUSTFLAGS", encoded(&flags))
        .env("SOURCE_DATE_EPOCH", epoch)
        .env("CFLAGS", c_flags.join(OsStr::new(" ")));
    if arch == Arch::Amd64 {
        // Stores 50,000 relocations in 20 KB instead of 1.2 MiB (glibc 2.36). The linker of Debian 12 knows it for x86 alone.
        build.arg("-Clink-arg=-Wl,-z,pack-relative-relocs");
    }
    if !arch.is_native() {
        let variable = target.replace('-', "_");
        let linker = format!("CARGO_TARGET_{}_LINKER", variable.to_uppercase());
        build
            .env(linker, compiler)
            .env(format!("CC_{variable}"), compiler);
    }
    run(&mut build)?;
    let program = target_dir().join(&target).join("release/step-observer");
    let bytes =
        fs::read(&program).map_err(|error| Problem(format!("{}: {error}", program.display())))?;
    dependency_list::check(&bytes, &target)?;
    Ok(program)
}

/// Adds the standard library for a target if it is missing.
fn add_target(target: &str) -> Result<(), Problem> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let asked = rustc
        .current_dir(root())
        .args(["--print", "target-libdir", "--target", target]);
    if output(asked).is_ok_and(|folder| Path::new(folder.trim()).is_dir()) {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    run(rustup.current_dir(root()).args(["target", "add", target]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_processor_has_its_names() {
        let names = Arch::ALL.map(|arch| (arch.platform(), arch.target()));
        let text = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
        assert_eq!(
            names,
            [
                text(("linux/amd64", "x86_64-unknown-linux-gnu")),
                text(("linux/arm64", "aarch64-unknown-linux-gnu")),
            ]
        );
    }

    #[test]
    fn folders_of_the_machine_are_replaced() {
        let maps = path_maps();
        let (first, rest) = maps.split_first().unwrap();
        assert_eq!(first, &(root().to_owned(), "/build".to_owned()));
        assert!(rest.iter().any(|(_, to)| to == "/cargo"));
        assert_eq!(
            map_option("--remap-path-prefix", &("/a b".into(), "/c".to_owned())),
            "--remap-path-prefix=/a b=/c"
        );
        assert_eq!(encoded(&["a b".into(), "c".into()]), "a b\u{1f}c");
    }
}
