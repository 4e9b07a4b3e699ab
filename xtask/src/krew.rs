//! `krew`: the manifest with which krew installs the program as `kubectl steps`
//! (<https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/>). It describes archives that exist already.

use crate::run::{Problem, output};
use std::path::{Path, PathBuf};
use std::process::Command;

const USAGE: &str =
    "cargo xtask krew --base-url URL --version V --archive OS/ARCH=FILE … [--homepage URL]";

/// Operating systems and processors that the program is built for, as krew and Go name them.
const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// The command line of `krew`.
#[derive(Debug, Default)]
struct Args {
    base_url: String,
    version: String,
    homepage: Option<String>,
    archives: Vec<(String, PathBuf)>,
}

/// An archive in the manifest. The program in it is `step-observer`: krew gives it the name of a plugin.
pub(crate) struct Archive {
    /// Such as `linux/amd64`.
    pub(crate) platform: String,
    /// Name of its file.
    pub(crate) file: String,
    pub(crate) sha256: String,
}

/// Returns the manifest of a release.
pub(crate) fn of_release(
    base_url: &str,
    version: &str,
    archives: &[Archive],
) -> Result<String, Problem> {
    let args = Args {
        base_url: base_url.to_owned(),
        version: version.to_owned(),
        ..Args::default()
    };
    manifest(&args, archives).map_err(Problem)
}

/// Prints the manifest.
pub(crate) fn krew(args: &[String]) -> Result<(), Problem> {
    let args = Args::parse(args).map_err(|problem| Problem(format!("{problem}\n\n{USAGE}")))?;
    let mut archives = Vec::new();
    for (platform, path) in &args.archives {
        let file = path.file_name().and_then(|name| name.to_str());
        let file = file.ok_or_else(|| Problem(format!("{} names no file", path.display())))?;
        archives.push(Archive {
            platform: platform.clone(),
            file: file.to_owned(),
            sha256: sha256(path)?,
        });
    }
    print!("{}", manifest(&args, &archives).map_err(Problem)?);
    Ok(())
}

impl Args {
    fn parse(args: &[String]) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut args = args.iter();
        while let Some(option) = args.next() {
            let value = args
                .next()
                .ok_or_else(|| format!("`{option}` needs a value"))?;
            match option.as_str() {
                "--base-url" => parsed.base_url = value.trim_end_matches('/').to_owned(),
                "--version" => parsed.version = value.trim_start_matches('v').to_owned(),
                "--homepage" => parsed.homepage = Some(value.clone()),
                "--archive" => {
                    let (platform, file) = value
                        .split_once('=')
                        .ok_or_else(|| format!("`--archive {value}`: write OS/ARCH=FILE"))?;
                    if !PLATFORMS.contains(&platform) {
                        return Err(format!(
                            "`{platform}`: the program is built for {}",
                            PLATFORMS.join(" and ")
                        ));
                    }
                    parsed.archives.push((platform.to_owned(), file.into()));
                }
                other => return Err(format!("there is no option `{other}`")),
            }
        }
        if !parsed.base_url.starts_with("https://") {
            return Err(
                "--base-url must be an https:// URL, from which krew loads the archives".to_owned(),
            );
        }
        if parsed.archives.is_empty() {
            return Err("give at least one --archive".to_owned());
        }
        Ok(parsed)
    }
}

/// Returns the digest of a file, by the program of coreutils.
fn sha256(file: &Path) -> Result<String, Problem> {
    let told = output(Command::new("sha256sum").arg("--").arg(file))?;
    // A backslash comes first if the name of the file has characters that are escaped.
    let digest = told
        .trim_start_matches('\\')
        .split(' ')
        .next()
        .unwrap_or_default();
    Ok(digest.to_owned())
}

/// Writes the manifest. Its values are plain YAML: each is checked to have no character with a meaning there.
fn manifest(args: &Args, archives: &[Archive]) -> Result<String, String> {
    let Args {
        base_url,
        version,
        homepage,
        ..
    } = args;
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if numbers.split('.').count() != 3 || !numbers.split('.').all(is_number) {
        return Err(format!(
            "--version {version}: krew wants three numbers, such as 0.1.0"
        ));
    }
    let mut text = format!(
        "apiVersion: krew.googlecontainertools.github.com/v1alpha2\n\
         kind: Plugin\n\
         metadata:\n\
         \x20 name: steps\n\
         spec:\n\
         \x20 version: v{}\n",
        plain(version)?
    );
    if let Some(homepage) = homepage {
        text.push_str(&format!("  homepage: {}\n", plain(homepage)?));
    }
    text.push_str(
        "  shortDescription: Show the steps of Tekton runs live\n\
         \x20 description: |\n\
         \x20   Shows the steps of Tekton TaskRuns while they start, succeed, fail or are skipped:\n\
         \x20   `kubectl steps tap` prints a line for each, straight from the cluster or from a running\n\
         \x20   step-observer, and `kubectl steps top` shows a running step-observer on the whole terminal.\n\
         \x20   It needs the rights to list and watch pods and taskruns.tekton.dev.\n\
         \x20 platforms:\n",
    );
    for archive in archives {
        let (os, arch) = archive.platform.split_once('/').unwrap_or_default();
        if archive.sha256.len() != 64
            || !archive.sha256.bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Err(format!("no SHA-256 of {}", archive.file));
        }
        text.push_str(&format!(
            "  - selector:\n\
             \x20     matchLabels:\n\
             \x20       os: {os}\n\
             \x20       arch: {arch}\n\
             \x20   uri: {}/{}\n\
             \x20   sha256: {}\n\
             \x20   files:\n\
             \x20   - from: step-observer\n\
             \x20     to: kubectl-steps\n\
             \x20   - from: LICENSE\n\
             \x20     to: .\n\
             \x20   bin: kubectl-steps\n",
            plain(base_url)?,
            plain(&archive.file)?,
            archive.sha256
        ));
    }
    Ok(text)
}

/// Returns a value that YAML reads as the same text.
fn plain(value: &str) -> Result<&str, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:+%=".contains(c);
    match !value.is_empty() && value.chars().all(is_plain) && !value.ends_with(':') {
        true => Ok(value),
        false => Err(format!(
            "`{value}` has characters that a manifest cannot hold"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Args, String> {
        Args::parse(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_manifest_has_what_krew_needs() {
        let folder = std::env::temp_dir().join(format!("krew-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("steps-linux-amd64.tar.gz");
        std::fs::write(&file, "abc").unwrap();
        let archive = format!("linux/amd64={}", file.display());
        let args = parsed(&[
            "--base-url",
            "https://example.com/v0.1.0/",
            "--version",
            "v0.1.0",
            "--archive",
            &archive,
        ])
        .unwrap();
        let archives = [Archive {
            platform: "linux/amd64".to_owned(),
            file: "steps-linux-amd64.tar.gz".to_owned(),
            sha256: sha256(&file).unwrap_or_else(|Problem(problem)| panic!("{problem}")),
        }];
        std::fs::remove_dir_all(&folder).unwrap();
        let text = manifest(&args, &archives).unwrap();
        for line in [
            "apiVersion: krew.googlecontainertools.github.com/v1alpha2",
            "kind: Plugin",
            "  name: steps",
            "  version: v0.1.0",
            "        os: linux",
            "        arch: amd64",
            "    uri: https://example.com/v0.1.0/steps-linux-amd64.tar.gz",
            // Of "abc", FIPS 180-2, appendix B.1.
            "    sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "    - from: step-observer",
            "      to: kubectl-steps",
            "    bin: kubectl-steps",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let short = text
            .lines()
            .find_map(|line| line.strip_prefix("  shortDescription: "))
            .unwrap();
        assert!(
            short.len() <= 50 && !short.ends_with('.'),
            "krew's naming guide"
        );
    }

    #[test]
    fn wrong_arguments_are_refused() {
        let ok = [
            "--base-url",
            "https://example.com",
            "--version",
            "0.1.0",
            "--archive",
            "linux/amd64=a",
        ];
        assert!(parsed(&ok).is_ok());
        for (at, wrong) in [
            (1, "http://example.com"),
            (5, "plan9/amd64=a"),
            (5, "a"),
            (4, "--archives"),
        ] {
            let mut args = ok;
            args[at] = wrong;
            assert!(parsed(&args).is_err(), "{args:?}");
        }
        assert!(parsed(&ok[..4]).is_err() && parsed(&ok[..5]).is_err());
        for version in ["1", "1.2", "1.x.3", "1.2.3\nkind: Other"] {
            let args = Args {
                version: version.to_owned(),
                ..parsed(&ok).unwrap()
            };
            assert!(manifest(&args, &[]).is_err(), "{version}");
        }
        assert!(plain("a: b").is_err() && plain("a#").is_err() && plain("").is_err());
    }
}
