//! The files of a release, made from programs that are built already. Nothing here depends on the time, the machine or the order in which
//! a folder is read.

use super::arguments::Args;
use super::{bundles, notes, oci};
use crate::archive::{Entry, gzip, sha256, tar};
use crate::image::{last_stage, tree};
use crate::install_yaml;
use crate::krew::{self, Archive};
use crate::run::{Problem, root};
use crate::static_build::Arch;
use std::collections::BTreeMap;
use std::fs;

/// The list of digests.
pub(super) const SUMS: &str = "SHA256SUMS";

/// What was built for a processor.
#[derive(Clone)]
pub(super) struct Platform {
    pub(super) arch: Arch,
    pub(super) program: Vec<u8>,
    /// Licences of everything in the program.
    pub(super) licences: String,
    pub(super) sbom: String,
}

/// A release.
pub(super) struct Release {
    /// Name and content.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Digest of the image.
    pub(super) digest: String,
}

/// Makes all files. `authorities` are the certificates in the image, `plugins` the files of the catalogue with their names.
pub(super) fn make(
    args: &Args,
    platforms: &[Platform],
    authorities: &[u8],
    plugins: &[(String, Vec<u8>)],
) -> Result<Release, Problem> {
    let version = &args.version;
    let mut files: BTreeMap<String, Vec<u8>> = plugins.iter().cloned().collect();
    let mut archives = Vec::new();
    let mut images = Vec::new();
    for platform in platforms {
        let name = format!("step-observer-{version}-linux-{}", platform.arch.name());
        let archive = gzip(&tar(&program(platform)?)?)?;
        archives.push(Archive {
            platform: platform.arch.platform(),
            file: format!("{name}.tar.gz"),
            sha256: sha256(&archive)?,
        });
        files.insert(format!("{name}.tar.gz"), archive);
        files.insert(
            format!("{name}.cdx.json"),
            platform.sbom.clone().into_bytes(),
        );
        let entries = tree::entries(
            platform.program.clone(),
            authorities.to_vec(),
            &platform.licences,
        )?;
        images.push((platform.arch, entries));
    }
    let image = oci::image(&images, &last_stage()?, &args.image.tag)?;
    let digest = image.digest;
    files.insert(format!("step-observer-{version}-image.tar"), image.archive);

    let chart = bundles::chart(version, &args.image, &digest)?;
    files.insert(format!("step-observer-{version}.tgz"), gzip(&tar(&chart)?)?);
    let bundle = bundles::kustomize(version, &args.image, &digest)?;
    let name = format!("step-observer-{version}-kustomize.tar.gz");
    files.insert(name, gzip(&tar(&bundle)?)?);
    let pinned = format!("{}:{}@{digest}", args.image.repository, args.image.tag);
    let text = install_yaml::text(&pinned)?;
    files.insert("install.yaml".to_owned(), text.into_bytes());
    let manifest = krew::of_release(&args.base_url, version, &archives)?;
    files.insert("steps.yaml".to_owned(), manifest.into_bytes());
    let notes = notes(version)?;
    files.insert("release-notes.md".to_owned(), notes.into_bytes());
    files.insert(SUMS.to_owned(), sums(&files)?.into_bytes());
    Ok(Release { files, digest })
}

/// Returns what is in an archive of the program.
fn program(of: &Platform) -> Result<Vec<Entry>, Problem> {
    Ok(vec![
        Entry::file("step-observer", 0o755, of.program.as_slice()),
        Entry::file("LICENSE", 0o644, read("LICENSE")?),
        Entry::file("README.md", 0o644, read("README.md")?),
        Entry::file("third-party.txt", 0o644, of.licences.as_str()),
    ])
}

/// Returns the section of CHANGELOG.md about a version.
pub(super) fn notes(version: &str) -> Result<String, Problem> {
    notes::section(&read("CHANGELOG.md")?, version).ok_or_else(|| {
        Problem(format!(
            "CHANGELOG.md has no section `## [{version}]`, or nothing in it: write what the version changes"
        ))
    })
}

fn read(file: &str) -> Result<String, Problem> {
    let path = root().join(file);
    fs::read_to_string(&path).map_err(|error| Problem(format!("{}: {error}", path.display())))
}

/// Returns the digests, in the form that `sha256sum --check` reads.
fn sums(files: &BTreeMap<String, Vec<u8>>) -> Result<String, Problem> {
    let mut text = String::new();
    for (name, content) in files {
        text.push_str(&format!("{}  {name}\n", sha256(content)?));
    }
    Ok(text)
}

/// Returns the names of the files whose digests differ, or that only one of two lists has.
pub(super) fn differences(one: &str, other: &str) -> Vec<String> {
    let parsed = |text: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.split_once("  "));
        lines
            .map(|(digest, name)| (name.to_owned(), digest.to_owned()))
            .collect()
    };
    let (one, other) = (parsed(one), parsed(other));
    let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| one.get(*name) != other.get(*name));
    names.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::arguments::Image;
    use std::process::Command;

    fn ok<T>(result: Result<T, Problem>) -> T {
        result.unwrap_or_else(|Problem(problem)| panic!("{problem}"))
    }

    /// A version that CHANGELOG.md has.
    const VERSION: &str = "0.1.0";

    fn args() -> Args {
        Args {
            version: VERSION.to_owned(),
            image: Image {
                repository: "registry.local/ci/x".to_owned(),
                tag: "0.1.0".to_owned(),
            },
            base_url: "https://dl.local/v0.1.0".to_owned(),
            out: "dist".into(),
            check: false,
            programs: Vec::new(),
        }
    }

    fn platforms() -> Vec<Platform> {
        Arch::ALL
            .map(|arch| Platform {
                arch,
                program: format!("#!/bin/sh\necho {}\n", arch.name()).into_bytes(),
                licences: "licences\n".to_owned(),
                sbom: "{}\n".to_owned(),
            })
            .into()
    }

    fn plugins() -> Vec<(String, Vec<u8>)> {
        let name = "step-observer-plugin-owner-0.1.0.wasm".to_owned();
        vec![(name, b"\0asm".to_vec())]
    }

    fn release(platforms: &[Platform]) -> Release {
        ok(make(&args(), platforms, b"certificates", &plugins()))
    }

    fn text(release: &Release, file: &str) -> String {
        String::from_utf8(release.files.get(file).expect(file).clone()).unwrap()
    }

    #[test]
    fn the_same_programs_make_the_same_files() {
        let (one, other) = (release(&platforms()), release(&platforms()));
        let names: Vec<&str> = one.files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "SHA256SUMS",
                "install.yaml",
                "release-notes.md",
                "step-observer-0.1.0-image.tar",
                "step-observer-0.1.0-kustomize.tar.gz",
                "step-observer-0.1.0-linux-amd64.cdx.json",
                "step-observer-0.1.0-linux-amd64.tar.gz",
                "step-observer-0.1.0-linux-arm64.cdx.json",
                "step-observer-0.1.0-linux-arm64.tar.gz",
                "step-observer-0.1.0.tgz",
                "step-observer-plugin-owner-0.1.0.wasm",
                "steps.yaml",
            ]
        );
        for (name, content) in &one.files {
            assert!(other.files.get(name) == Some(content), "{name}");
        }
        // Nothing of the folder where it was made.
        let folder = root().display().to_string();
        for name in ["install.yaml", "steps.yaml", "release-notes.md", SUMS] {
            assert!(!text(&one, name).contains(&folder), "{name}");
        }
    }

    #[test]
    fn a_changed_byte_changes_the_digests_of_all_files_that_depend_on_it() {
        let before = text(&release(&platforms()), SUMS);
        let changed = |change: fn(&mut Platform)| {
            let mut platforms = platforms();
            change(platforms.first_mut().unwrap());
            differences(&before, &text(&release(&platforms), SUMS))
        };
        // All that name the digest of the image, or that of the archive.
        let of_program = [
            "install.yaml",
            "step-observer-0.1.0-image.tar",
            "step-observer-0.1.0-kustomize.tar.gz",
            "step-observer-0.1.0-linux-amd64.tar.gz",
            "step-observer-0.1.0.tgz",
            "steps.yaml",
        ];
        assert_eq!(changed(|platform| platform.program.push(b' ')), of_program);
        assert_eq!(changed(|platform| platform.licences.push(' ')), of_program);
        assert_eq!(
            changed(|platform| platform.sbom.push(' ')),
            ["step-observer-0.1.0-linux-amd64.cdx.json"]
        );
        let other = ok(make(
            &args(),
            &platforms(),
            b"other certificates",
            &plugins(),
        ));
        assert!(differences(&before, &text(&other, SUMS)).contains(&"install.yaml".to_owned()));
    }

    #[test]
    fn manifests_name_the_image_by_its_digest() {
        let release = release(&platforms());
        let image = format!("image: \"registry.local/ci/x:0.1.0@{}\"\n", release.digest);
        assert!(text(&release, "install.yaml").contains(&image));
        let manifest = text(&release, "steps.yaml");
        for platform in ["amd64", "arm64"] {
            let name = format!("step-observer-0.1.0-linux-{platform}.tar.gz");
            let digest = ok(sha256(release.files.get(&name).unwrap()));
            let lines = format!("uri: https://dl.local/v0.1.0/{name}\n    sha256: {digest}\n");
            assert!(manifest.contains(&lines), "{manifest}");
        }
    }

    /// Other programs read what was made: tar, sha256sum.
    #[test]
    fn the_files_are_what_other_programs_read() {
        let folder = std::env::temp_dir().join(format!("release-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let release = release(&platforms());
        for (name, content) in &release.files {
            fs::write(folder.join(name), content).unwrap();
        }
        let run = |program: &str, args: &[&str]| {
            let output = Command::new(program)
                .args(args)
                .current_dir(&folder)
                .output()
                .unwrap();
            assert!(output.status.success(), "{args:?}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        run("sha256sum", &["--check", "--strict", SUMS]);
        let archive = "step-observer-0.1.0-linux-arm64.tar.gz";
        let names = run("tar", &["-tzf", archive]);
        assert_eq!(
            names,
            "LICENSE\nREADME.md\nstep-observer\nthird-party.txt\n"
        );
        let program = run("tar", &["-xzOf", archive, "step-observer"]);
        assert_eq!(program, "#!/bin/sh\necho arm64\n");
        // Every blob is under its digest, and every digest that is named is there.
        let image = "step-observer-0.1.0-image.tar";
        let blobs = run("tar", &["-tf", image]);
        let blobs: Vec<&str> = blobs
            .lines()
            .filter_map(|path| path.strip_prefix("blobs/sha256/"))
            .filter(|digest| !digest.is_empty())
            .collect();
        // For each processor a layer, a configuration and a manifest; and the index.
        assert_eq!(blobs.len(), 7);
        assert!(blobs.contains(&release.digest.strip_prefix("sha256:").unwrap()));
        run("tar", &["-xf", image]);
        let mut named = 0;
        for digest in &blobs {
            let path = format!("blobs/sha256/{digest}");
            let blob = fs::read(folder.join(&path)).unwrap();
            assert_eq!(&ok(sha256(&blob)), digest);
            let Ok(blob) = String::from_utf8(blob) else {
                continue; // A layer.
            };
            for part in blob.split("\"digest\":\"sha256:").skip(1) {
                let (digest, rest) = part.split_once('"').unwrap();
                assert!(blobs.contains(&digest), "{part}");
                let size = fs::metadata(folder.join("blobs/sha256").join(digest));
                let size = format!(",\"size\":{}", size.unwrap().len());
                assert!(rest.starts_with(&size), "{part}");
                named += 1;
            }
            // A configuration has the digest of its layer as it was before it was compressed.
            if let Some((_, part)) = blob.split_once("\"diff_ids\":[\"sha256:") {
                let unpacked = blobs.iter().any(|blob| {
                    let file = format!("blobs/sha256/{blob}");
                    let unzip =
                        format!("! gzip -t {file} 2> /dev/null || gzip -dc {file} | sha256sum");
                    run("sh", &["-c", &unzip]).starts_with(&part[..64])
                });
                assert!(unpacked, "{part}");
                named += 1;
            }
        }
        // For each processor a layer, its content, a configuration and a manifest.
        assert_eq!(named, 8);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn lists_of_digests_differ_in_changed_and_missing_files() {
        let one = "aa  a\nbb  b\ncc  c\n";
        assert_eq!(differences(one, one), Vec::<String>::new());
        assert_eq!(differences(one, "aa  a\nbx  b\ndd  d\n"), ["b", "c", "d"]);
    }

    #[test]
    fn a_version_without_a_section_in_the_changelog_is_refused() {
        assert!(notes(VERSION).is_ok());
        let refused = notes("0.1.999").err().unwrap();
        assert!(refused.0.contains("no section `## [0.1.999]`"));
    }
}
