//! Collects the licences of all foreign code in the program and its plugins. Each licence text of a
//! crate occurs once, with the crates that it applies to. The licence of the statically linked C
//! library is added. The same crates give the same bytes.

use super::problem;
use crate::packages::{Graph, Package, packages};
use crate::run::Problem;
use crate::static_build::Arch;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Beginnings of the names of licence files, in lower case.
const NAMES: [&str; 6] = [
    "license",
    "licence",
    "unlicense",
    "copying",
    "copyright",
    "notice",
];
/// Endings of files that are no licence texts, although their names begin like one.
const NOT_TEXT: [&str; 6] = [".rs", ".c", ".h", ".py", ".go", ".toml"];

/// A phrase from the text of each licence. If a crate contains no licence text, the phrase finds
/// the text of the same licence in another crate.
const MARKS: [(&str, &str); 3] = [
    (
        "LLVM-exception",
        "LLVM Exceptions to the Apache 2.0 License",
    ),
    (
        "Apache-2.0",
        "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION",
    ),
    ("MIT", "Permission is hereby granted, free of charge"),
];

/// Paths of the C library's notices and licence on the supported systems.
const C_LIBRARY: [[&str; 2]; 2] = [
    [
        "/usr/share/doc/libc6/copyright",
        "/usr/share/licenses/glibc/LICENSES",
    ],
    [
        "/usr/share/common-licenses/LGPL-2.1",
        "/usr/share/licenses/glibc/COPYING.LIB",
    ],
];

const HEAD: &str = "\
step-observer is licensed under Apache-2.0. This file has the licences of what is in the program besides, in its plugins
and in its image.

The Rust standard library (MIT OR Apache-2.0), copyright The Rust Project Contributors, and the crates it is built of.
The GNU C library (LGPL-2.1-or-later), linked statically. The program can be linked again with another: its sources, and how
it is built, are public. Its notices are at the end.
The certificates of authorities in /etc/ssl/certs are those of the system on which the image was built, unchanged: Mozilla's
list (MPL-2.0, https://mozilla.org/MPL/2.0/).
";

/// A crate, as `cargo tree` names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    /// SPDX expression; empty if the manifest only names a file.
    licence: String,
}

impl std::fmt::Display for Crate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// Returns the text of the file of licences.
pub(crate) fn text(arch: Arch) -> Result<String, Problem> {
    let mut texts = BTreeMap::new();
    let crates = crates(arch)?;
    for one in &crates {
        texts.insert(one.clone(), licences(one)?);
    }
    let mut text = written(&texts)?;
    for candidates in C_LIBRARY {
        let found = candidates.iter().map(Path::new).find(|path| path.exists());
        let path = found.ok_or_else(|| {
            Problem(format!(
                "the licence of the C library is in none of {} (Debian: apt-get install libc6 base-files)",
                candidates.join(", ")
            ))
        })?;
        let notices = fs::read(path).map_err(|error| problem(path, &error))?;
        section(&mut text, "The GNU C library", &tidy(&notices));
    }
    Ok(text)
}

/// Returns the crates that are linked into the program and the plugins. Procedural macros run only
/// at compile time, so they are not included.
fn crates(arch: Arch) -> Result<BTreeSet<Crate>, Problem> {
    Ok(foreign(packages(arch)?))
}

/// Returns the packages that are not of this repository.
fn foreign(graph: Graph) -> BTreeSet<Crate> {
    let foreign = graph.into_iter().filter(|(_, package)| !package.is_own);
    let as_crate = |((name, version), package): (_, Package)| Crate {
        name,
        version,
        licence: package.licence,
    };
    foreign.map(as_crate).collect()
}

/// Returns the licence texts that a crate carries.
fn licences(of: &Crate) -> Result<BTreeSet<String>, Problem> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let sources = home.unwrap_or_default().join("registry/src");
    let name = format!("{}-{}", of.name, of.version);
    let folder = entries(&sources)?
        .into_iter()
        .map(|registry| registry.join(&name))
        .find(|folder| folder.is_dir())
        .ok_or_else(|| {
            Problem(format!(
                "the sources of {of} are not in {}",
                sources.display()
            ))
        })?;
    let mut texts = BTreeSet::new();
    read(&folder, &mut texts)?;
    Ok(texts)
}

fn read(folder: &Path, texts: &mut BTreeSet<String>) -> Result<(), Problem> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default();
        let name = name.to_string_lossy().to_lowercase();
        if path.is_dir() {
            read(&path, texts)?;
        } else if NAMES.iter().any(|begin| name.starts_with(begin))
            && !NOT_TEXT.iter().any(|end| name.ends_with(end))
        {
            let text = fs::read(&path).map_err(|error| problem(&path, &error))?;
            texts.insert(tidy(&text));
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let entries = fs::read_dir(folder).map_err(|error| problem(folder, &error))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

/// Removes differences between files of the same text: line endings, and empty lines at both ends.
fn tidy(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

/// Writes each crate with its licence, then each text with the crates that it applies to.
fn written(of: &BTreeMap<Crate, BTreeSet<String>>) -> Result<String, Problem> {
    let mut carriers: BTreeMap<&str, BTreeSet<&Crate>> = BTreeMap::new();
    for (one, texts) in of {
        for text in texts {
            carriers.entry(text).or_default().insert(one);
        }
    }
    for one in of
        .iter()
        .filter(|(_, texts)| texts.is_empty())
        .map(|(one, _)| one)
    {
        // Uses the text of another crate. It is the same, because these licences name no holder.
        let mark = MARKS.iter().find(|(id, _)| one.licence.contains(id));
        let text = mark.and_then(|(_, mark)| carriers.keys().find(|text| text.contains(mark)));
        let text = *text.ok_or_else(|| {
            Problem(format!(
                "{one} ({}) carries no licence, and no other crate has its text",
                one.licence
            ))
        })?;
        carriers.entry(text).or_default().insert(one);
    }
    let mut file = HEAD.to_owned();
    file.push('\n');
    for one in of.keys() {
        let licence = match one.licence.as_str() {
            "" => "see its text",
            licence => licence,
        };
        writeln!(file, "{one} ({licence})").ok();
    }
    // Sorted by the first crate of each text.
    let mut texts: Vec<(&BTreeSet<&Crate>, &str)> =
        carriers.iter().map(|(text, of)| (of, *text)).collect();
    texts.sort();
    for (of, text) in texts {
        let names: Vec<String> = of.iter().map(ToString::to_string).collect();
        section(&mut file, &names.join(", "), text);
    }
    Ok(file)
}

fn section(file: &mut String, of: &str, text: &str) {
    write!(file, "\n{}\n{of}\n\n{text}\n", "-".repeat(80)).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::tests::graph;

    fn one(name: &str, licence: &str) -> Crate {
        Crate {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: licence.to_owned(),
        }
    }

    #[test]
    fn the_crates_are_the_packages_but_for_those_of_the_repository() {
        let names: Vec<String> = foreign(graph()).iter().map(Crate::to_string).collect();
        assert_eq!(names, ["a 1.0.0", "b 2.0.0+x", "c 3.0.0"]);
    }

    #[test]
    fn each_text_is_there_once_with_all_that_it_is_for() {
        let apache = format!("Apache License\n{}", MARKS[1].1);
        let of = BTreeMap::from([
            (one("b", "MIT"), BTreeSet::from(["Copyright b".to_owned()])),
            (one("a", "Apache-2.0"), BTreeSet::from([apache.clone()])),
            (one("c", "Apache-2.0"), BTreeSet::from([apache.clone()])),
            // A crate without a text.
            (one("d", "Apache-2.0"), BTreeSet::new()),
        ]);
        let file = written(&of).ok().unwrap();
        assert_eq!(file.matches(&apache).count(), 1);
        assert!(
            file.contains(&format!("a 1.0.0, c 1.0.0, d 1.0.0\n\n{apache}\n")),
            "{file}"
        );
        assert!(file.contains("\nb 1.0.0\n\nCopyright b\n"), "{file}");
        assert!(file.contains("\nd 1.0.0 (Apache-2.0)\n"), "{file}");
        // A crate without a text, whose licence no other crate carries.
        let of = BTreeMap::from([(one("e", "LicenseRef-own"), BTreeSet::new())]);
        assert!(
            written(&of)
                .err()
                .unwrap()
                .0
                .contains("e 1.0.0 (LicenseRef-own)")
        );
    }
}
