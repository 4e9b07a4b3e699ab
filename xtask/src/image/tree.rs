//! Makes the content of the image as a folder: `root` is its root file system, `data` becomes the
//! home folder of its user.

use super::{notices, problem, remove, write};
use crate::guests;
use crate::run::{Problem, cargo, run, step, target_dir};
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The user, in the form that is usual in images without a base. `USER` in the Dockerfile agrees
/// with it.
const USER: &str = "nonroot:x:65532:65532:nonroot:/var/lib/step-observer:/sbin/nologin\n";
const GROUP: &str = "nonroot:x:65532:\n";

/// Paths of the trusted CA certificates on the supported systems.
const AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// Builds the program, and makes the folder.
pub(super) fn make(folder: &Path) -> Result<(), Problem> {
    let authorities = AUTHORITIES
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
        .ok_or_else(|| {
            Problem(
                "there are no certificates of authorities (Debian: apt-get install ca-certificates)"
                    .to_owned(),
            )
        })?;
    let program = program()?;
    let notices = notices::text()?;
    remove(folder)?;
    let licence = crate::run::root().join("LICENSE");
    let root = folder.join("root");
    for (path, mode) in [
        ("root", 0o755),
        ("data", 0o755),
        ("root/etc/ssl/certs", 0o755),
        ("root/usr/local/bin", 0o755),
        ("root/usr/share/doc/step-observer", 0o755),
        ("root/var/lib", 0o755),
        ("root/tmp", 0o1777),
    ] {
        let path = folder.join(path);
        fs::create_dir_all(&path).map_err(|error| problem(&path, &error))?;
        allow(&path, mode)?;
    }
    for (from, to, mode) in [
        (program.as_path(), "usr/local/bin/step-observer", 0o755),
        (authorities, "etc/ssl/certs/ca-certificates.crt", 0o644),
        (&licence, "usr/share/doc/step-observer/LICENSE", 0o644),
    ] {
        let to = root.join(to);
        fs::copy(from, &to).map_err(|error| problem(from, &error))?;
        allow(&to, mode)?;
    }
    for (to, text) in [
        ("etc/passwd", USER),
        ("etc/group", GROUP),
        // Without this file, glibc asks a name server also for names in /etc/hosts.
        ("etc/nsswitch.conf", "hosts: files dns\n"),
        ("usr/share/doc/step-observer/third-party.txt", &notices),
    ] {
        let to = root.join(to);
        write(&to, text)?;
        allow(&to, 0o644)?;
    }
    Ok(())
}

/// Sets the mode explicitly, so that the umask has no effect.
fn allow(path: &Path, mode: u32) -> Result<(), Problem> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|error| problem(path, &error))
}

/// Builds the program with all sinks and plugins, linked statically.
fn program() -> Result<PathBuf, Problem> {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return Err(Problem(
            "the image is built on Linux with glibc (elsewhere: docker build --file deploy/image/Dockerfile .)"
                .to_owned(),
        ));
    }
    guests::build()?;
    step(
        "building step-observer for the image (optimised; the first time takes 12 minutes on two cores)",
    );
    // With an explicit target, these flags do not apply to build scripts and macros.
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let mut flags = env::var_os("RUSTFLAGS").unwrap_or_default();
    flags.push(" -C target-feature=+crt-static");
    run(cargo()
        .args(["rustc", "--release", "--package", "step-observer"])
        .args(["--bin", "step-observer", "--features", "kafka"])
        .args(["--target", &target, "--"])
        // Stores 50,000 relocations in 20 KB instead of 1.2 MiB (glibc 2.36).
        .arg("-Clink-arg=-Wl,-z,pack-relative-relocs")
        .env("RUSTFLAGS", flags))?;
    Ok(target_dir().join(target).join("release/step-observer"))
}
