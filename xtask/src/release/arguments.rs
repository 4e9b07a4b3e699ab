//! The command line of `release`, and what is refused.

use crate::install_yaml;
use crate::placeholders::placeholder;
use crate::static_build::Arch;
use std::path::PathBuf;

pub(super) const USAGE: &str = "\
cargo xtask release --version V --image REGISTRY/NAME:TAG --base-url URL --out DIR [--check] [--program linux/ARCH=FILE …]";

/// The command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Args {
    /// The version of Cargo.toml: without `v`.
    pub(super) version: String,
    pub(super) image: Image,
    /// From where the files of the release can be loaded, without a slash at its end.
    pub(super) base_url: String,
    /// Where the files are written.
    pub(super) out: PathBuf,
    /// Build twice, and compare.
    pub(super) check: bool,
    /// Programs that exist already: they are not built. For a CI that builds on several machines, and for tests.
    pub(super) programs: Vec<(Arch, PathBuf)>,
}

/// Where the image will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// With the registry.
    pub(super) repository: String,
    pub(super) tag: String,
}

// === impl Args ===

impl Args {
    /// Parses the command line. `own` is the version of Cargo.toml.
    pub(super) fn parse(args: &[String], own: &str) -> Result<Self, String> {
        let (mut version, mut image, mut base_url, mut out) = (None, None, None, None);
        let (mut check, mut programs) = (false, Vec::new());
        let mut args = args.iter();
        while let Some(option) = args.next() {
            if option == "--check" {
                check = true;
                continue;
            }
            let known = ["--version", "--image", "--base-url", "--out", "--program"];
            if !known.contains(&option.as_str()) {
                return Err(format!("there is no option `{option}`"));
            }
            let value = args
                .next()
                .ok_or_else(|| format!("`{option}` needs a value"))?;
            match option.as_str() {
                "--version" => version = Some(value.as_str()),
                "--image" => image = Some(value.as_str()),
                "--base-url" => base_url = Some(value.as_str()),
                "--out" => out = Some(value.as_str()),
                _ => programs.push(program(value)?),
            }
        }
        let given = |option: &str, value: Option<&str>| match value {
            Some(value) if !value.trim().is_empty() => Ok(value.to_owned()),
            _ => Err(format!("give {option}")),
        };
        Ok(Self {
            version: checked_version(&given("--version", version)?, own)?,
            image: checked_image(&given("--image", image)?)?,
            base_url: checked_url(&given("--base-url", base_url)?)?,
            out: given("--out", out)?.into(),
            check,
            programs,
        })
    }

    /// Returns the program that was given for a processor.
    pub(super) fn program(&self, arch: Arch) -> Option<&PathBuf> {
        let found = self.programs.iter().find(|(of, _)| *of == arch);
        found.map(|(_, file)| file)
    }
}

// === the rules ===

fn program(value: &str) -> Result<(Arch, PathBuf), String> {
    let wrong = || format!("--program {value}: write linux/amd64=FILE or linux/arm64=FILE");
    let (platform, file) = value.split_once('=').ok_or_else(wrong)?;
    let arch = Arch::ALL
        .into_iter()
        .find(|arch| arch.platform() == platform);
    Ok((arch.ok_or_else(wrong)?, file.into()))
}

/// The version is a word that must agree with Cargo.toml, so that a tag of another version makes no release.
fn checked_version(version: &str, own: &str) -> Result<String, String> {
    match version == own {
        true => Ok(version.to_owned()),
        false => Err(format!(
            "--version {version:?}: Cargo.toml has {own:?}. Change it there first ([workspace.package]), or give that version"
        )),
    }
}

fn checked_image(image: &str) -> Result<Image, String> {
    let wrong = |why: String| format!("--image {image:?}: {why}");
    let checked = install_yaml::checked(image).map_err(wrong)?;
    if checked.contains('@') {
        return Err(wrong(
            "give a tag, no digest: the digest is computed".to_owned(),
        ));
    }
    let (repository, tag) = checked.rsplit_once(':').unwrap_or((checked, ""));
    // Grammar of the distribution specification: a tag has no slash, and names are in small letters.
    if repository.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(wrong("names of images are in small letters".to_owned()));
    }
    Ok(Image {
        repository: repository.to_owned(),
        tag: tag.to_owned(),
    })
}

fn checked_url(url: &str) -> Result<String, String> {
    let wrong = |why: &str| Err(format!("--base-url {url:?}: {why}"));
    let Some(rest) = url.strip_prefix("https://") else {
        return wrong("it must begin with https://, because krew loads programs from there");
    };
    let url = url.trim_end_matches('/');
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-~/:%+".contains(c);
    if let Some(other) = rest.chars().find(|c| !allowed(*c)) {
        return wrong(&format!("{other:?} cannot be in it"));
    }
    if let Some(word) = placeholder(url) {
        return wrong(&format!("`{word}` stands for a real name: put yours there"));
    }
    match rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        true => Ok(url.to_owned()),
        false => wrong("it names no host"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [&str; 8] = [
        "--version",
        "1.2.3",
        "--image",
        "registry.local/ci/x:1.2.3",
        "--base-url",
        "https://dl.local/v1.2.3/",
        "--out",
        "dist",
    ];

    fn parsed(args: &[&str]) -> Result<Args, String> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        Args::parse(&args, "1.2.3")
    }

    #[test]
    fn a_complete_command_line_is_understood() {
        let more = ["--check", "--program", "linux/arm64=/x/program"];
        let args = parsed(&[&GOOD[..], &more].concat()).unwrap();
        let image = Image {
            repository: "registry.local/ci/x".to_owned(),
            tag: "1.2.3".to_owned(),
        };
        assert_eq!(args.image, image);
        assert_eq!(args.base_url, "https://dl.local/v1.2.3");
        assert_eq!(args.program(Arch::Arm64), Some(&"/x/program".into()));
        assert_eq!(args.program(Arch::Amd64), None);
        assert!(args.check && !parsed(&GOOD).unwrap().check);
    }

    #[test]
    fn what_is_missing_or_stands_for_another_name_is_refused_with_the_reason() {
        for (at, value, why) in [
            (1, "", "give --version"),
            (1, "1.2.4", "Cargo.toml has \"1.2.3\""),
            (1, "v1.2.3", "Cargo.toml has \"1.2.3\""),
            (3, "", "give --image"),
            (3, "x:1.2.3", "registry"),
            (3, "registry.local/x", "tag"),
            (3, "registry.local/x@sha256:ab", "the digest is computed"),
            (3, "registry.local/x:1@sha256:ab", "the digest is computed"),
            (3, "registry.local/Org/x:1", "small letters"),
            (3, "REGISTRY/x:1.2.3", "`REGISTRY` stands for a real name"),
            (3, "<registry>/x:1", "'<' cannot be"),
            (3, "registry.example.com/x:1", "`example` stands for"),
            (3, "registry.local/todo/x:1", "`todo` stands for"),
            (5, " ", "give --base-url"),
            (5, "http://dl.local", "https://"),
            (5, "https://", "names no host"),
            (5, "https:///x", "names no host"),
            (5, "https://example.com/v1", "`example` stands for"),
            (5, "https://dl.local/TODO", "`todo` stands for"),
            (5, "https://<host>/v1", "'<' cannot be"),
            (5, "https://dl.local/a b", "' ' cannot be"),
            (5, "https://dl.local/a\n", "'\\n' cannot be"),
            (7, "", "give --out"),
            (6, "--folder", "no option `--folder`"),
        ] {
            let mut args = GOOD;
            args[at] = value;
            let refused = parsed(&args).expect_err(value);
            assert!(refused.contains(why), "{value:?}: {refused}");
        }
        for missing in [0, 2, 4, 6] {
            let mut args = GOOD.to_vec();
            args.drain(missing..missing + 2);
            assert_eq!(parsed(&args), Err(format!("give {}", GOOD[missing])));
        }
        assert!(parsed(&GOOD[..7]).is_err_and(|why| why.contains("needs a value")));
        for program in ["linux/riscv64=x", "linux/arm64"] {
            assert!(parsed(&[&GOOD[..], &["--program", program]].concat()).is_err());
        }
    }
}
