//! The list of what is in the program: CycloneDX 1.6 as JSON (<https://cyclonedx.org/docs/1.6/json/>). The crates are those that
//! `cargo tree` finds for the program with its features, because `cargo metadata` adds what only the tests of the workspace use. It has
//! no time and no random number: the same sources give the same bytes.

use crate::archive::json;
use crate::packages::{Graph, Id, PROGRAM, Package, checksums, packages};
use crate::run::{Problem, output, root};
use crate::static_build::Arch;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A library that is not a crate.
#[derive(Debug, PartialEq, Eq)]
struct Library {
    name: &'static str,
    version: String,
    licence: &'static str,
    /// Names by which vulnerabilities are listed (CPE 2.3).
    cpe: String,
}

/// Returns the list for a processor.
pub(super) fn text(version: &str, arch: Arch) -> Result<String, Problem> {
    let lock = root().join("Cargo.lock");
    let lock = fs::read_to_string(&lock)
        .map_err(|error| Problem(format!("{}: {error}", lock.display())))?;
    let libraries = [c_library(arch)?, rust_library()?];
    Ok(document(
        version,
        arch,
        &packages(arch)?,
        &checksums(&lock),
        &libraries,
    ))
}

/// Returns the C library that is linked statically: its archive says its version.
fn c_library(arch: Arch) -> Result<Library, Problem> {
    let mut compiler = Command::new(arch.compiler()?);
    let path = output(compiler.arg("-print-file-name=libc.a"))?;
    let path = Path::new(path.trim());
    let archive =
        fs::read(path).map_err(|error| Problem(format!("{}: {error}", path.display())))?;
    let version = glibc_version(&archive)
        .ok_or_else(|| Problem(format!("{} has no version of glibc", path.display())))?;
    let upstream = version.split('-').next().unwrap_or_default();
    Ok(Library {
        name: "glibc",
        cpe: format!("cpe:2.3:a:gnu:glibc:{upstream}:*:*:*:*:*:*:*"),
        version,
        licence: "LGPL-2.1-or-later",
    })
}

/// Finds `GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.`
fn glibc_version(archive: &[u8]) -> Option<String> {
    const START: &[u8] = b"GNU C Library (";
    let at = archive
        .windows(START.len())
        .position(|text| text == START)?;
    let text: Vec<u8> = archive[at + START.len()..]
        .iter()
        .copied()
        .take(200)
        .collect();
    let text = String::from_utf8_lossy(&text).into_owned();
    let (build, rest) = text.split_once(')')?;
    let build = build.rsplit(' ').next()?;
    // Builds of no distribution are named GNU libc.
    if build.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(build.to_owned());
    }
    let release = rest.split_once("version ")?.1;
    let release = release.split(['\n', '\0', ' ']).next()?;
    Some(release.trim_end_matches('.').to_owned())
}

fn rust_library() -> Result<Library, Problem> {
    let told = output(Command::new("rustc").arg("-vV").current_dir(root()))?;
    let release = told.lines().find_map(|line| line.strip_prefix("release: "));
    let version = release.ok_or_else(|| Problem(format!("rustc -vV printed {told:?}")))?;
    Ok(Library {
        name: "rust-std",
        version: version.to_owned(),
        licence: "MIT OR Apache-2.0",
        cpe: format!("cpe:2.3:a:rust-lang:rust:{version}:*:*:*:*:*:*:*"),
    })
}

/// Writes the document.
fn document(
    version: &str,
    arch: Arch,
    graph: &Graph,
    checksums: &BTreeMap<Id, String>,
    libraries: &[Library],
) -> String {
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    let mut main = String::new();
    for (id, package) in graph {
        let is_program = id.0 == PROGRAM;
        let mut needs: Vec<String> = package
            .needs
            .iter()
            .map(|id| json(&reference(id, graph)))
            .collect();
        let component = component(id, package, graph, checksums);
        if is_program {
            needs.extend(libraries.iter().map(|of| json(&of.reference())));
            main = component;
        } else {
            components.push(component);
        }
        dependencies.push(format!(
            r#"{{"ref":{},"dependsOn":[{}]}}"#,
            json(&reference(id, graph)),
            needs.join(",")
        ));
    }
    for library in libraries {
        components.push(library.component());
        dependencies.push(format!(r#"{{"ref":{}}}"#, json(&library.reference())));
    }
    format!(
        "{{\n\"$schema\":\"http://cyclonedx.org/schema/bom-1.6.schema.json\",\n\"bomFormat\":\"CycloneDX\",\n\"specVersion\":\"1.6\",\n\
         \"version\":1,\n\"metadata\":{{\"component\":{main},\"properties\":[{{\"name\":\"target\",\"value\":{}}},{{\"name\":\"version\",\"value\":{}}}]}},\n\
         \"components\":[\n{}\n],\n\"dependencies\":[\n{}\n]\n}}\n",
        json(&arch.target()),
        json(version),
        components.join(",\n"),
        dependencies.join(",\n")
    )
}

/// Returns the name of a package within the document: its package URL if it is in the registry.
fn reference(id: &Id, graph: &Graph) -> String {
    let (name, version) = id;
    match graph.get(id).is_some_and(|package| package.is_own) {
        true => format!("{name}@{version}"),
        // `+` is the only character of a version with a meaning in a URL.
        false => format!("pkg:cargo/{name}@{}", version.replace('+', "%2B")),
    }
}

fn component(
    id: &Id,
    package: &Package,
    graph: &Graph,
    checksums: &BTreeMap<Id, String>,
) -> String {
    let kind = match id.0 == PROGRAM {
        true => "application",
        false => "library",
    };
    let reference = json(&reference(id, graph));
    let mut text = format!(
        r#"{{"type":"{kind}","bom-ref":{reference},"name":{},"version":{}"#,
        json(&id.0),
        json(&id.1)
    );
    if let Some(checksum) = checksums.get(id) {
        text.push_str(&format!(
            r#","hashes":[{{"alg":"SHA-256","content":{}}}]"#,
            json(checksum)
        ));
    }
    if !package.licence.is_empty() {
        text.push_str(&licences(&package.licence));
    }
    if !package.is_own {
        text.push_str(&format!(r#","purl":{reference}"#));
    }
    text.push('}');
    text
}

fn licences(expression: &str) -> String {
    format!(r#","licenses":[{{"expression":{}}}]"#, json(expression))
}

// === impl Library ===

impl Library {
    fn reference(&self) -> String {
        let version = self.version.replace('+', "%2B");
        format!("pkg:generic/{}@{version}", self.name)
    }

    fn component(&self) -> String {
        format!(
            r#"{{"type":"library","bom-ref":{0},"name":{1},"version":{2}{3},"cpe":{4},"purl":{0}}}"#,
            json(&self.reference()),
            json(self.name),
            json(&self.version),
            licences(self.licence),
            json(&self.cpe)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::tests::{LOCK, graph};

    #[test]
    fn the_document_has_each_crate_with_its_checksum_and_what_it_needs() {
        let library = Library {
            name: "glibc",
            version: "2.36-9+deb12u14".to_owned(),
            licence: "LGPL-2.1-or-later",
            cpe: "cpe:2.3:a:gnu:glibc:2.36:*:*:*:*:*:*:*".to_owned(),
        };
        let made = || {
            let libraries = std::slice::from_ref(&library);
            document("0.1.0", Arch::Arm64, &graph(), &checksums(LOCK), libraries)
        };
        let text = made();
        assert_eq!(made(), text);
        for line in [
            "\"specVersion\":\"1.6\",",
            r#"{"type":"library","bom-ref":"pkg:cargo/a@1.0.0","name":"a","version":"1.0.0","hashes":[{"alg":"SHA-256","content":"aa"}],"licenses":[{"expression":"MIT"}],"purl":"pkg:cargo/a@1.0.0"},"#,
            r#"{"type":"library","bom-ref":"pkg:cargo/c@3.0.0","name":"c","version":"3.0.0","purl":"pkg:cargo/c@3.0.0"},"#,
            r#"{"type":"library","bom-ref":"core@0.1.0","name":"core","version":"0.1.0","licenses":[{"expression":"Apache-2.0"}]},"#,
            r#"{"ref":"pkg:cargo/a@1.0.0","dependsOn":["pkg:cargo/b@2.0.0%2Bx"]},"#,
            r#"{"ref":"step-observer@0.1.0","dependsOn":["pkg:cargo/a@1.0.0","pkg:cargo/b@2.0.0%2Bx","core@0.1.0","pkg:generic/glibc@2.36-9%2Bdeb12u14"]},"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains("/source"), "a folder of the machine");
        assert_ne!(
            document("0.1.0", Arch::Amd64, &graph(), &checksums(LOCK), &[library]),
            text
        );
    }

    #[test]
    fn the_version_of_the_c_library_is_in_its_archive() {
        for (text, version) in [
            (
                "x\0GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\nC",
                Some("2.36-9+deb12u14"),
            ),
            (
                "GNU C Library (GNU libc) stable release version 2.41.\n",
                Some("2.41"),
            ),
            ("GNU C Library (", None),
            ("", None),
        ] {
            let found = glibc_version(text.as_bytes());
            assert_eq!(found.as_deref(), version, "{text}");
        }
    }
}
