//! What is linked into the program, as `cargo tree` and Cargo.lock say it.

use crate::guests;
use crate::run::{Problem, cargo, output};
use crate::static_build::Arch;
use std::collections::{BTreeMap, BTreeSet};

/// Sinks in the program as it is shipped, beside those that every build has (cargo features of `host`).
pub(crate) const FEATURES: &str = "kafka";

/// The program, as cargo names it.
pub(crate) const PROGRAM: &str = "step-observer";

/// A package and what it is linked with.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Package {
    /// SPDX expression; empty if the manifest only names a file.
    pub(crate) licence: String,
    /// Packages of this repository are in no registry.
    pub(crate) is_own: bool,
    pub(crate) needs: BTreeSet<Id>,
}

/// Name and version.
pub(crate) type Id = (String, String);

/// All packages of a program.
pub(crate) type Graph = BTreeMap<Id, Package>;

/// Returns what is linked into the program and its plugins, which are in the program.
pub(crate) fn packages(arch: Arch) -> Result<Graph, Problem> {
    let mut program = vec![format!("--features={FEATURES}")];
    program.push(format!("--package={PROGRAM}"));
    program.push(format!("--target={}", arch.target()));
    let plugins = guests::plugins()?.into_iter();
    let plugins = plugins.filter(|plugin| plugin.is_bundled);
    let names: Vec<String> = plugins.map(|plugin| plugin.name).collect();
    let mut plugins: Vec<String> = names
        .iter()
        .map(|plugin| format!("--package={plugin}"))
        .collect();
    plugins.push(format!("--target={}", step_observer_toolchain::TARGET));
    let mut graph = Graph::new();
    for of in [program, plugins] {
        let mut tree = cargo();
        tree.args(["tree", "--locked", "--edges", "normal,no-proc-macro"])
            .args(["--prefix", "depth", "--format", "{p}|{l}"])
            .args(of);
        let tree = output(&mut tree)?;
        read(&tree, &mut graph).map_err(|line| Problem(format!("cargo tree printed {line:?}")))?;
    }
    let plugins: Vec<Id> = graph
        .keys()
        .filter(|(name, _)| names.contains(name))
        .cloned()
        .collect();
    let program = graph.iter_mut().find(|((name, _), _)| name == PROGRAM);
    if let Some((_, program)) = program {
        program.needs.extend(plugins);
    }
    Ok(graph)
}

/// Reads the output of `cargo tree`: `2name v1.2.3 (/folder)|MIT (*)`, in which 2 is the depth, the folder is that of an own package, and
/// the star is that of a package whose subtree was shown before. Returns the first line that is none.
fn read(tree: &str, graph: &mut Graph) -> Result<(), String> {
    let mut above: Vec<Id> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let (depth, id, package) = parsed(line).ok_or_else(|| line.to_owned())?;
        above.truncate(depth);
        if let Some(parent) = above.last() {
            let parent = graph.entry(parent.clone()).or_default();
            parent.needs.insert(id.clone());
        }
        let known = graph.entry(id.clone()).or_default();
        known.licence = package.licence;
        known.is_own = package.is_own;
        above.push(id);
    }
    Ok(())
}

fn parsed(line: &str) -> Option<(usize, Id, Package)> {
    let digits = line.find(|c: char| !c.is_ascii_digit())?;
    let (depth, line) = line.split_at(digits);
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    let licence = licence.trim_end_matches("(*)").trim();
    let package = Package {
        // Old manifests write a slash.
        licence: licence.replace(" / ", "/").replace('/', " OR "),
        is_own: words.next().is_some(),
        needs: BTreeSet::new(),
    };
    let id = (name.to_owned(), version.to_owned());
    Some((depth.parse().ok()?, id, package))
}

/// Returns the checksums in Cargo.lock.
pub(crate) fn checksums(lock: &str) -> BTreeMap<Id, String> {
    let value = |of: &str, name: &str| {
        let line = of.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned())
    };
    let packages = lock.split("[[package]]").skip(1);
    packages
        .filter_map(|package| {
            let id = (value(package, "name")?, value(package, "version")?);
            Some((id, value(package, "checksum")?))
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const TREE: &str = "\
0step-observer v0.1.0 (/source/host)|Apache-2.0
1a v1.0.0|MIT
2b v2.0.0+x|MIT/Apache-2.0
1core v0.1.0 (/source/core)|Apache-2.0
2a v1.0.0|MIT (*)
1b v2.0.0+x|MIT/Apache-2.0

0plugin v0.1.0 (/source/plugin)|Apache-2.0
1c v3.0.0|
";

    pub(crate) const LOCK: &str = "\
version = 4

[[package]]
name = \"a\"
version = \"1.0.0\"
source = \"registry+x\"
checksum = \"aa\"
dependencies = [
 \"b\",
]

[[package]]
name = \"core\"
version = \"0.1.0\"
";

    fn id(name: &str, version: &str) -> Id {
        (name.to_owned(), version.to_owned())
    }

    pub(crate) fn graph() -> Graph {
        let mut graph = Graph::new();
        read(TREE, &mut graph).unwrap();
        graph
    }

    #[test]
    fn a_tree_is_a_graph_with_each_package_once() {
        let graph = graph();
        assert_eq!(graph.len(), 6, "{graph:?}");
        let needs = |of: Id| {
            graph
                .get(&of)
                .unwrap()
                .needs
                .iter()
                .cloned()
                .collect::<Vec<_>>()
        };
        let a = id("a", "1.0.0");
        let b = id("b", "2.0.0+x");
        assert_eq!(
            needs(id(PROGRAM, "0.1.0")),
            [a.clone(), b.clone(), id("core", "0.1.0")]
        );
        assert_eq!(needs(a.clone()), std::slice::from_ref(&b));
        assert_eq!(needs(id("core", "0.1.0")), [a]);
        assert_eq!(graph.get(&b).unwrap().licence, "MIT OR Apache-2.0");
        assert!(read("what is this?\n", &mut Graph::new()).is_err());
    }
}
