//! `cargo xtask release`: all files of a release in one folder. `docs/releasing.md` describes them, and the steps that follow. No key is
//! read here: signing is a step of its own.

mod arguments;
mod bundles;
mod check;
mod files;
mod notes;
mod oci;
mod sbom;

use crate::guests;
use crate::image::{self, notices, tree};
use crate::run::{Problem, output, root, run, step};
use crate::static_build::{self, Arch};
use arguments::{Args, USAGE};
use files::{Platform, Release};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Time of the sources, in seconds (<https://reproducible-builds.org/specs/source-date-epoch/>). Compilers write it instead of the present
/// time.
const EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Makes a release.
pub(crate) fn release(args: &[String]) -> Result<(), Problem> {
    let args = Args::parse(args, env!("CARGO_PKG_VERSION"))
        .map_err(|problem| Problem(format!("{problem}\n\n{USAGE}")))?;
    let args = Args {
        out: absolute(&args.out)?,
        programs: args
            .programs
            .iter()
            .map(|(arch, file)| Ok((*arch, absolute(file)?)))
            .collect::<Result<_, Problem>>()?,
        ..args
    };
    // Before anything is built.
    files::notes(&args.version)?;
    if files::notes("Unreleased").is_ok() {
        step(
            "attention: CHANGELOG.md has changes under [Unreleased], and the notes of this release do not have them",
        );
    }
    let epoch = epoch()?;
    prepare(&args.out)?;
    if args.check {
        check::twice(&args, &epoch)?;
        step("both builds have equal digests");
    } else {
        let release = make(&args, &epoch)?;
        write(&args.out, &release)?;
        println!("{}", next_steps(&args, &release.digest));
    }
    Ok(())
}

fn make(args: &Args, epoch: &str) -> Result<Release, Problem> {
    let authorities = tree::authorities()?;
    let mut platforms = Vec::new();
    for arch in Arch::ALL {
        let path = match args.program(arch) {
            Some(path) => path.clone(),
            None => static_build::build(arch, epoch)?,
        };
        smoke_test(arch, &path, &args.version)?;
        step(&format!("what is in the program for {}", arch.platform()));
        let platform = Platform {
            arch,
            program: fs::read(&path)
                .map_err(|error| Problem(format!("{}: {error}", path.display())))?,
            licences: notices::text(arch)?,
            sbom: sbom::text(&args.version, arch)?,
        };
        let bytes = platform.program.len() + platform.licences.len() + authorities.len();
        // Programs of tests, that were built in another way, may be larger.
        if args.program(arch).is_none() {
            image::bounded(bytes)?;
        }
        platforms.push(platform);
    }
    guests::build()?;
    let plugins = guests::catalogue(&args.version)?;
    step("archives, image and manifests");
    files::make(args, &platforms, &authorities, &plugins)
}

/// Returns a path that does not depend on the folder in which cargo runs.
fn absolute(path: &Path) -> Result<PathBuf, Problem> {
    std::path::absolute(path).map_err(|error| Problem(format!("{}: {error}", path.display())))
}

/// Returns the time of the sources: of the environment, else of the commit. A tree with changes is refused, because nobody could build the
/// same from the commit.
fn epoch() -> Result<String, Problem> {
    if let Some(epoch) = env::var_os(EPOCH) {
        let epoch = epoch.to_string_lossy().into_owned();
        let is_number = !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit());
        return match is_number {
            true => Ok(epoch),
            false => Err(Problem(format!(
                "{EPOCH}={epoch:?} is no number of seconds"
            ))),
        };
    }
    let git = |args: &[&str]| output(Command::new("git").current_dir(root()).args(args));
    let time = git(&["log", "-1", "--format=%ct"]).map_err(|Problem(why)| {
        Problem(format!(
            "the time of the sources is not known: set {EPOCH} to its seconds ({why})"
        ))
    })?;
    let changes = git(&["status", "--porcelain"])?;
    match changes.lines().next() {
        None => Ok(time.trim().to_owned()),
        Some(first) => Err(Problem(format!(
            "the sources differ from the commit ({}): commit first, or set {EPOCH} to make a release that is none",
            first.trim()
        ))),
    }
}

/// Makes the folder. Files of another release in it would be taken for files of this one.
fn prepare(folder: &Path) -> Result<(), Problem> {
    let problem = |error: std::io::Error| Problem(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(problem)?;
    match fs::read_dir(folder).map_err(problem)?.next() {
        None => Ok(()),
        Some(_) => Err(Problem(format!(
            "--out {}: the folder is not empty",
            folder.display()
        ))),
    }
}

fn write(folder: &Path, release: &Release) -> Result<(), Problem> {
    for (name, content) in &release.files {
        let path = folder.join(name);
        fs::write(&path, content)
            .map_err(|error| Problem(format!("{}: {error}", path.display())))?;
    }
    Ok(())
}

/// Runs the program, under an emulator if it is for another processor: it starts, checks a configuration, and compiles, loads and runs
/// plugins.
fn smoke_test(arch: Arch, program: &Path, version: &str) -> Result<(), Problem> {
    step(&format!("trying the program for {}", arch.platform()));
    let told = output(arch.runner(program)?.arg("-V"))?;
    let wanted = format!("step-observer {version}");
    if told.trim() != wanted {
        return Err(Problem(format!(
            "{} -V prints {:?} instead of {wanted:?}",
            program.display(),
            told.trim()
        )));
    }
    let config = root().join("deploy/base/config.yaml");
    let config = config.display().to_string();
    let [filter, redact] = ["filter-events", "redact-secrets"].map(|plugin| {
        let cases = root().join("plugins").join(plugin).join("cases");
        (format!("bundled:{plugin}"), cases.display().to_string())
    });
    for args in [
        &["config", "check", &config][..],
        &["plugin", "inspect", &redact.0],
        &["plugin", "test", &filter.0, "--cases", &filter.1],
        &["plugin", "test", &redact.0, "--cases", &redact.1],
    ] {
        run(arch.runner(program)?.args(args).stdout(Stdio::null()))?;
    }
    Ok(())
}

/// Returns what is left to do by whoever has the keys.
fn next_steps(args: &Args, digest: &str) -> String {
    let Args {
        version,
        image,
        base_url,
        out,
        ..
    } = args;
    let (repository, tag, out) = (&image.repository, &image.tag, out.display());
    format!(
        "{out} is complete. What is left, with your keys (docs/releasing.md):\n\n  \
         skopeo copy --all --preserve-digests oci-archive:{out}/step-observer-{version}-image.tar docker://{repository}:{tag}\n  \
         cosign sign --key cosign.key {repository}@{digest}\n  \
         minisign -S -s minisign.key -m {out}/SHA256SUMS\n\n\
         Then upload the files, with SHA256SUMS.minisig, to {base_url}/"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_files_is_refused() {
        let folder = env::temp_dir().join(format!("release-out-{}", std::process::id()));
        assert!(prepare(&folder).is_ok() && prepare(&folder).is_ok());
        fs::write(folder.join("old"), "").unwrap();
        let refused = prepare(&folder).err().unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(refused.0.contains("is not empty"));
    }
}
