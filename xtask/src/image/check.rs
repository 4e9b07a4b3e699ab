//! Checks the content of the image, and runs the program in it.

use super::{buildah, problem};
use crate::run::{Problem, cargo, output, root, run, step};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Upper bound of the size of all files together.
const MOST_BYTES: usize = 48 * 1024 * 1024;

/// Checks the image that was just built.
pub(super) fn check(tag: &str) -> Result<(), Problem> {
    if !fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0) {
        return Err(Problem(
            "only root can mount the image and enter it: sudo, or buildah unshare".to_owned(),
        ));
    }
    step("checking the image");
    let config = "{{.OCIv1.Config.User}} {{.OCIv1.Config.Entrypoint}} {{.OCIv1.Config.Cmd}}";
    expect(
        "user, entry point and command",
        &output(buildah().args(["inspect", "--type", "image", "--format", config, tag]))?,
        "65532:65532 [/usr/local/bin/step-observer] [run]",
    )?;
    let container = output(buildah().args(["from", "--pull-never", tag]))?;
    let container = container.trim();
    let done = in_container(container);
    run(buildah()
        .args(["rm", container])
        .stdout(std::process::Stdio::null()))?;
    done
}

fn in_container(container: &str) -> Result<(), Problem> {
    let mounted = output(buildah().args(["mount", container]))?;
    let mounted = Path::new(mounted.trim());
    let bytes = size(mounted)?;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mebibytes = bytes as f64 / 1024.0 / 1024.0;
    eprintln!("    {mebibytes:.1} MiB in all files");
    bounded(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    for (path, owner, mode) in [
        ("tmp", 0, 0o1777),
        ("var/lib", 0, 0o755),
        ("var/lib/step-observer", 65532, 0o755),
        ("usr/local/bin/step-observer", 0, 0o755),
    ] {
        let path = mounted.join(path);
        let found = fs::metadata(&path).map_err(|error| problem(&path, &error))?;
        expect(
            &path.display().to_string(),
            &format!("{} {:o}", found.uid(), found.mode() & 0o7777),
            &format!("{owner} {mode:o}"),
        )?;
    }
    step("running it with buildah");
    // The image's own user, and one that OpenShift would choose.
    for user in ["65532:65532", "1000660000:0"] {
        let version = output(buildah().args([
            "run",
            "--isolation",
            "chroot",
            "--user",
            user,
            container,
            "--",
            "/usr/local/bin/step-observer",
            "-V",
        ]))?;
        let wanted = concat!("step-observer ", env!("CARGO_PKG_VERSION"));
        expect(&format!("-V as {user}"), &version, wanted)?;
    }
    step("running it as an unknown user, with a root file system that is read only");
    // Runs the suite `image`, which brings receivers, certificates and recordings.
    run(cargo()
        .current_dir(root())
        .args(["test", "--workspace", "--test", "all", "--"])
        .args(["--ignored", "image::"])
        .env("STEP_OBSERVER_IMAGE_ROOT", mounted))
}

/// Refuses an image that is too large.
pub(crate) fn bounded(bytes: usize) -> Result<(), Problem> {
    match bytes <= MOST_BYTES {
        true => Ok(()),
        false => Err(Problem(format!(
            "the image has {bytes} bytes, and may have {MOST_BYTES}"
        ))),
    }
}

/// Compares a found value with the expected one.
fn expect(what: &str, found: &str, wanted: &str) -> Result<(), Problem> {
    match found.trim() == wanted {
        true => Ok(()),
        false => Err(Problem(format!(
            "{what}: `{}` instead of `{wanted}`",
            found.trim()
        ))),
    }
}

/// Returns the size of all files below a folder.
fn size(folder: &Path) -> Result<u64, Problem> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).map_err(|error| problem(folder, &error))? {
        let path = entry.map_err(|error| problem(folder, &error))?.path();
        let found = fs::symlink_metadata(&path).map_err(|error| problem(&path, &error))?;
        bytes += match found.is_dir() {
            true => size(&path)?,
            false => found.len(),
        };
    }
    Ok(bytes)
}
