//! Archives that depend on nothing but their content: sorted, without times and names of users. gzip and sha256sum are programs, so
//! that xtask needs no crates.

use crate::run::Problem;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Bytes of a block of an archive, and of a header (POSIX.1-1988, ustar).
const BLOCK: usize = 512;

/// The longest name that a header holds without its prefix.
const LONGEST_NAME: usize = 100;

/// A file or a folder in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Path from the root of the archive, without a slash at its ends.
    pub(crate) path: String,
    pub(crate) mode: u32,
    /// Number of user and group.
    pub(crate) owner: u32,
    /// `None` for a folder.
    pub(crate) content: Option<Vec<u8>>,
}

impl Entry {
    pub(crate) fn file(path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        let (path, content) = (path.to_owned(), Some(content.into()));
        Self {
            path,
            mode,
            owner: 0,
            content,
        }
    }

    pub(crate) fn folder(path: &str, mode: u32) -> Self {
        Self {
            path: path.to_owned(),
            mode,
            owner: 0,
            content: None,
        }
    }
}

/// Returns an archive with these entries, sorted by their paths. A folder comes before what is in it.
pub(crate) fn tar(entries: &[Entry]) -> Result<Vec<u8>, Problem> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut archive = Vec::new();
    for entry in sorted {
        archive.extend(header(entry)?);
        let content = entry.content.as_deref().unwrap_or_default();
        archive.extend(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Ok(archive)
}

fn header(entry: &Entry) -> Result<[u8; BLOCK], Problem> {
    let mut name = entry.path.clone();
    if entry.content.is_none() {
        name.push('/');
    }
    let size = entry.content.as_ref().map_or(0, Vec::len);
    // 11 octal digits.
    if name.len() > LONGEST_NAME || size >= 1 << 33 {
        return Err(Problem(format!(
            "{name}: an archive holds names of {LONGEST_NAME} bytes, and files of 8 GiB"
        )));
    }
    let mut header = [0; BLOCK];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, &name);
    put(100, &format!("{:07o}", entry.mode));
    put(108, &format!("{:07o}", entry.owner));
    put(116, &format!("{:07o}", entry.owner));
    put(124, &format!("{size:011o}"));
    // Time of the last change.
    put(136, "00000000000");
    // The sum of all bytes counts its own field as spaces.
    put(148, "        ");
    put(156, if entry.content.is_some() { "0" } else { "5" });
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = header.iter().copied().map(u32::from).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

/// Compresses, without a name and a time.
pub(crate) fn gzip(content: &[u8]) -> Result<Vec<u8>, Problem> {
    through(Command::new("gzip").args(["-9", "-n", "-c"]), content)
}

/// Returns the SHA-256 in hexadecimal digits.
pub(crate) fn sha256(content: &[u8]) -> Result<String, Problem> {
    let told = through(&mut Command::new("sha256sum"), content)?;
    let told = String::from_utf8_lossy(&told).into_owned();
    match told.split(' ').next() {
        Some(digest) if digest.len() == 64 => Ok(digest.to_owned()),
        _ => Err(Problem(format!("sha256sum printed {told:?}"))),
    }
}

/// Passes content through a program.
fn through(program: &mut Command, content: &[u8]) -> Result<Vec<u8>, Problem> {
    let name = program.get_program().to_string_lossy().into_owned();
    let problem = |error: std::io::Error| Problem(format!("{name}: {error}"));
    let program = program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = program.spawn().map_err(problem)?;
    let input = running.stdin.take();
    let (written, output) = std::thread::scope(|scope| {
        // Its own thread: the program prints before it has read everything.
        let writer = scope.spawn(move || match input {
            Some(mut input) => input.write_all(content),
            None => Ok(()),
        });
        let output = running.wait_with_output();
        (writer.join(), output)
    });
    let output = output.map_err(problem)?;
    let is_written = written.is_ok_and(|written| written.is_ok());
    match output.status.success() && is_written {
        true => Ok(output.stdout),
        false => Err(Problem(format!("{name} ended with {}", output.status))),
    }
}

/// Returns a text as a string of JSON, with its quotes.
pub(crate) fn json(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                write!(quoted, "\\u{:04x}", u32::from(c)).ok();
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        vec![
            Entry::file("a/program", 0o755, "x".repeat(600)),
            Entry::folder("a", 0o755),
            Entry {
                owner: 65532,
                ..Entry::file("b", 0o644, "")
            },
        ]
    }

    fn ok<T>(result: Result<T, Problem>) -> T {
        result.unwrap_or_else(|Problem(problem)| panic!("{problem}"))
    }

    #[test]
    fn an_archive_is_what_tar_reads_and_does_not_depend_on_the_order() {
        let archive = ok(tar(&entries()));
        let mut others = entries();
        others.reverse();
        assert_eq!(ok(tar(&others)), archive);
        // The listing has no seconds.
        assert_eq!(archive.get(136..148), Some(&b"00000000000\0"[..]));
        let mut list = Command::new("tar");
        list.args(["--list", "--verbose", "--numeric-owner", "--utc"]);
        let list = String::from_utf8(ok(through(&mut list, &archive))).unwrap();
        let lines: Vec<Vec<&str>> = list
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines,
            [
                ["drwxr-xr-x", "0/0", "0", "1970-01-01", "00:00", "a/"],
                [
                    "-rwxr-xr-x",
                    "0/0",
                    "600",
                    "1970-01-01",
                    "00:00",
                    "a/program"
                ],
                ["-rw-r--r--", "65532/65532", "0", "1970-01-01", "00:00", "b"],
            ]
        );
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        let long = Entry::file(&"x".repeat(101), 0o644, "");
        assert!(tar(&[long]).is_err_and(|Problem(problem)| problem.contains("100 bytes")));
        assert!(tar(&[Entry::file(&"x".repeat(100), 0o644, "")]).is_ok());
    }

    #[test]
    fn compression_and_digests_depend_on_the_content_alone() {
        // More than a pipe holds, and hard to compress.
        let content: Vec<u8> = (0..1_000_000_u32)
            .flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        let compressed = ok(gzip(&content));
        assert_eq!(ok(gzip(&content)), compressed);
        let back = ok(through(Command::new("gzip").arg("-dc"), &compressed));
        assert!(back == content);
        // RFC 1952: no flags, so no name, and no time.
        assert_eq!(compressed[3..8], [0; 5]);
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(ok(sha256(b"abc")), abc);
    }

    #[test]
    fn a_program_that_fails_is_a_problem() {
        assert!(through(&mut Command::new("false"), b"").is_err());
        assert!(through(&mut Command::new("/no-such-program"), b"").is_err());
    }

    #[test]
    fn strings_of_json_are_escaped() {
        assert_eq!(json("a\"\\\n"), r#""a\"\\\u000a""#);
    }
}
