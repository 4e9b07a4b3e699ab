//! The list of dependencies inside the program, in the format of cargo-auditable, so that scanners find known vulnerabilities in a program
//! that comes without its SBOM (<https://github.com/rust-secure-code/cargo-auditable/blob/master/PARSING.md>): JSON, compressed by zlib, in
//! the section `.dep-v0`. cargo-auditable itself is not used, because it takes the list from `cargo metadata`, which adds what only the
//! tests of the workspace use and leaves out the plugins.

use crate::archive::{gzip, json};
use crate::packages::{Graph, Id, PROGRAM};
use crate::run::{Problem, root, run};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Symbol that keeps the section when the linker removes what nothing refers to.
const SYMBOL: &str = "AUDITABLE_VERSION_INFO";

/// Folder of the files, below the root of the repository. The linker gets a relative path, so that its arguments are the same in every
/// folder.
const FOLDER: &str = "target/dependency-list";

/// Writes the list as an object for the linker. Returns the options of rustc that link it.
pub(crate) fn link(graph: &Graph, compiler: &str, target: &str) -> Result<[String; 2], Problem> {
    let folder = root().join(FOLDER);
    fs::create_dir_all(&folder).map_err(|error| problem(&folder, &error))?;
    let list = folder.join(format!("{target}.zlib"));
    fs::write(&list, zlib(document(graph).as_bytes())?).map_err(|error| problem(&list, &error))?;
    let source = folder.join(format!("{target}.s"));
    let text = assembly(&format!("{FOLDER}/{target}.zlib"));
    fs::write(&source, text).map_err(|error| problem(&source, &error))?;
    let object = format!("{FOLDER}/{target}.o");
    let mut compile = Command::new(compiler);
    compile.current_dir(root()).arg("-c").arg(&source);
    run(compile.args(["-o", &object]))?;
    Ok([
        format!("-Clink-arg={object}"),
        format!("-Clink-arg=-Wl,--undefined={SYMBOL}"),
    ])
}

/// Fails if a program does not have its list.
pub(crate) fn check(program: &[u8], target: &str) -> Result<(), Problem> {
    let list = root().join(FOLDER).join(format!("{target}.zlib"));
    let bytes = fs::read(&list).map_err(|error| problem(&list, &error))?;
    match program.windows(bytes.len()).any(|part| part == bytes) {
        true => Ok(()),
        false => Err(Problem(format!(
            "the program for {target} does not have the list of its dependencies ({})",
            list.display()
        ))),
    }
}

/// Returns the source of an object that holds a file. The assemblers of both processors read it.
fn assembly(file: &str) -> String {
    format!(
        ".section .dep-v0,\"a\",%progbits\n.globl {SYMBOL}\n{SYMBOL}:\n.incbin \"{file}\"\n.section .note.GNU-stack,\"\",%progbits\n"
    )
}

fn problem(path: &Path, error: &std::io::Error) -> Problem {
    Problem(format!("{}: {error}", path.display()))
}

/// Writes the list. A package refers to others by their places in it.
fn document(graph: &Graph) -> String {
    let place = |of: &Id| graph.keys().position(|id| id == of);
    let packages = graph.iter().map(|(id, package)| {
        let (name, version) = id;
        let source = match package.is_own {
            true => "local",
            false => "crates.io",
        };
        let mut places: Vec<usize> = package.needs.iter().filter_map(place).collect();
        places.sort_unstable();
        let mut text = format!(
            r#"{{"name":{},"version":{},"source":"{source}""#,
            json(name),
            json(version)
        );
        if !places.is_empty() {
            let places: Vec<String> = places.iter().map(usize::to_string).collect();
            text.push_str(&format!(r#","dependencies":[{}]"#, places.join(",")));
        }
        if name == PROGRAM {
            text.push_str(r#","root":true"#);
        }
        text.push('}');
        text
    });
    let packages: Vec<String> = packages.collect();
    format!(r#"{{"packages":[{}]}}"#, packages.join(","))
}

/// Compresses into the format of zlib (RFC 1950). Its data is that of gzip (RFC 1952), which has a header of 10 bytes and a trailer of 8.
fn zlib(content: &[u8]) -> Result<Vec<u8>, Problem> {
    let gzip = gzip(content)?;
    let data = gzip.get(10..gzip.len().saturating_sub(8));
    let data = data.ok_or_else(|| Problem("gzip printed less than a header".to_owned()))?;
    // Deflate with a window of 32 KiB; compressed as much as possible.
    let mut zlib = vec![0x78, 0xda];
    zlib.extend(data);
    zlib.extend(adler32(content).to_be_bytes());
    Ok(zlib)
}

/// Returns the checksum of RFC 1950.
fn adler32(content: &[u8]) -> u32 {
    const LARGEST_PRIME: u32 = 65_521;
    let (a, b) = content.iter().fold((1, 0), |(a, b): (u32, u32), byte| {
        let a = (a + u32::from(*byte)) % LARGEST_PRIME;
        (a, (a + b) % LARGEST_PRIME)
    });
    (b << 16) | a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::tests::graph;

    #[test]
    fn each_package_names_what_it_needs_by_its_place() {
        assert_eq!(
            document(&graph()),
            concat!(
                r#"{"packages":[{"name":"a","version":"1.0.0","source":"crates.io","dependencies":[1]},"#,
                r#"{"name":"b","version":"2.0.0+x","source":"crates.io"},"#,
                r#"{"name":"c","version":"3.0.0","source":"crates.io"},"#,
                r#"{"name":"core","version":"0.1.0","source":"local","dependencies":[0]},"#,
                r#"{"name":"plugin","version":"0.1.0","source":"local","dependencies":[2]},"#,
                r#"{"name":"step-observer","version":"0.1.0","source":"local","dependencies":[0,1,3],"root":true}]}"#
            )
        );
    }

    #[test]
    fn zlib_has_the_data_of_gzip_and_a_checksum() {
        // RFC 1950 has no example; this is that of the article on Adler-32 in Wikipedia.
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
        let text = document(&graph());
        let zlib = zlib(text.as_bytes()).ok().unwrap();
        // RFC 1950: the first two bytes are a multiple of 31.
        assert_eq!(u16::from_be_bytes([zlib[0], zlib[1]]) % 31, 0);
        assert_eq!(
            zlib[zlib.len() - 4..],
            adler32(text.as_bytes()).to_be_bytes()
        );
    }
}
