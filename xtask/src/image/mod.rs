//! Builds the container image: the static program, CA certificates and a user. All files are made
//! in `target/image`; no service and no base image is needed.

mod check;
pub(crate) mod notices;
pub(crate) mod tree;

pub(crate) use check::bounded;

use crate::programs::need;
use crate::run::{Problem, root, run, step, target_dir};
use crate::static_build::Arch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Prints the licences that the image contains.
pub(crate) fn notices(args: &[String]) -> Result<(), Problem> {
    if let Some(arg) = args.first() {
        return Err(Problem(format!("`notices` has no argument `{arg}`")));
    }
    print!("{}", notices::text(Arch::native()?)?);
    Ok(())
}

/// Options of `cargo xtask image`.
struct Options {
    tag: String,
    /// Destination of the image, in the notation of buildah.
    output: String,
    /// Folder for the content of the image, if only the content is made and no image.
    tree: Option<PathBuf>,
    check: bool,
}

/// Builds the image, and checks it with `--check`.
pub(crate) fn image(args: &[String]) -> Result<(), Problem> {
    let options = options(args)?;
    if let Some(folder) = &options.tree {
        return tree::make(folder);
    }
    need(&["buildah"], &["buildah"])?;
    tree::make(&folder().join("tree"))?;
    step("building the image");
    // Removes earlier images, so that no layer of them is reused.
    remove(&folder().join("storage"))?;
    let recipe = folder().join("Containerfile");
    write(&recipe, &last_stage()?)?;
    let mut build = buildah();
    build
        .args(["build", "--isolation", "chroot", "--timestamp", "0"])
        .arg(format!("--build-context=build={}", folder().display()))
        .args(["--quiet", "--tag", &options.tag, "--file"])
        .args([&recipe, &folder().join("tree/data")]);
    run(&mut build)?;
    push(&options)?;
    match options.check {
        true => check::check(&options.tag),
        false => Ok(()),
    }
}

fn options(args: &[String]) -> Result<Options, Problem> {
    let mut options = Options {
        tag: format!("step-observer:{}", env!("CARGO_PKG_VERSION")),
        output: format!("oci:{}", folder().join("oci").display()),
        tree: None,
        check: false,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || {
            let value = args.next().cloned();
            value.ok_or_else(|| Problem(format!("{arg} needs a value")))
        };
        match arg.as_str() {
            "--tag" => options.tag = value()?,
            "--output" => options.output = value()?,
            "--tree" => options.tree = Some(value()?.into()),
            "--check" => options.check = true,
            other => return Err(Problem(format!("`image` has no argument `{other}`"))),
        }
    }
    let known = ["oci:", "docker-archive:"];
    if known.iter().any(|kind| options.output.starts_with(kind)) {
        return Ok(options);
    }
    Err(Problem(
        "--output: write oci:DIR or docker-archive:FILE".to_owned(),
    ))
}

/// Returns the folder of all files of the image build.
fn folder() -> PathBuf {
    target_dir().join("image")
}

/// Returns a command for buildah whose storage is below `target`.
fn buildah() -> Command {
    let mut buildah = Command::new("buildah");
    buildah
        .args(["--storage-driver", "vfs", "--root"])
        .arg(folder().join("storage"))
        .arg("--runroot")
        .arg(folder().join("run"));
    buildah
}

/// Returns the last stage of the Dockerfile. The tree that xtask made replaces the stage `build`
/// (`--build-context`).
pub(crate) fn last_stage() -> Result<String, Problem> {
    let file = root().join("deploy/image/Dockerfile");
    let text = read(&file)?;
    let (_, stage) = text
        .rsplit_once("\nFROM ")
        .ok_or_else(|| Problem(format!("{} has no stages", file.display())))?;
    Ok(format!("FROM {stage}"))
}

fn push(options: &Options) -> Result<(), Problem> {
    let Options { tag, output, .. } = options;
    // buildah does not overwrite an archive, and would keep old files in a folder.
    let (kind, path) = output.split_once(':').unwrap_or_default();
    match kind {
        "oci" => remove(Path::new(path))?,
        _ => drop(fs::remove_file(path)),
    }
    let digest = folder().join("digest");
    run(buildah()
        .args(["push", "--quiet", "--digestfile"])
        .arg(&digest)
        .args([tag, &format!("{output}:{tag}")]))?;
    eprintln!("    {output} ({tag}, {})", read(&digest)?);
    Ok(())
}

fn read(path: &Path) -> Result<String, Problem> {
    fs::read_to_string(path).map_err(|error| problem(path, &error))
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), Problem> {
    fs::write(path, text).map_err(|error| problem(path, &error))
}

fn remove(folder: &Path) -> Result<(), Problem> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(problem(folder, &error)),
        _ => Ok(()),
    }
}

fn problem(path: &Path, error: &std::io::Error) -> Problem {
    Problem(format!("{}: {error}", path.display()))
}
