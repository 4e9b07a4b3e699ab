//! The file that keeps until when the observer has watched, in the folder of the journal. It is replaced as
//! a whole. Older versions of the program ignore it.

use super::decide::Note;
use crate::file_permissions;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Name of the file in the folder of the journal.
const NOTE_FILE: &str = "watched-until";
/// Name of its next version until it is complete.
const NEW_FILE: &str = "watched-until.new";
/// Longest file that is read. The observer writes less than 200 bytes.
const MAX_NOTE_BYTES: u64 = 4096;

/// Why the file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("failed to {verb} {}: {problem}", path.display())]
pub struct NoteError {
    /// `read` or `write`.
    pub verb: &'static str,
    /// Path of the file.
    pub path: PathBuf,
    /// The cause.
    pub problem: NoteProblem,
}

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum NoteProblem {
    /// The system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is a folder, a link, a pipe or a device.
    #[error("it is not a file")]
    NotAFile,
    /// It is too large.
    #[error("it has more than {MAX_NOTE_BYTES} bytes")]
    TooLarge,
    /// It has another content. The text of the cause quotes the file, so it is not kept.
    #[error("it is not what an observer writes")]
    Malformed,
}

/// Reads the file. Returns `None` if there is none.
///
/// # Errors
///
/// It cannot be read, or is not what an observer writes.
pub fn read(folder: &Path) -> Result<Option<Note>, NoteError> {
    let path = folder.join(NOTE_FILE);
    let note = match read_file(&path) {
        Err(NoteProblem::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        note => note,
    };
    let failed = |problem| NoteError {
        verb: "read",
        path,
        problem,
    };
    note.map(Some).map_err(failed)
}

fn read_file(path: &Path) -> Result<Note, NoteProblem> {
    let mut options = OpenOptions::new();
    // Does not wait for the other end of a pipe.
    options.read(true).custom_flags(libc::O_NONBLOCK);
    // A link may point to a device, whose opening has effects.
    if std::fs::symlink_metadata(path)?.is_symlink() {
        return Err(NoteProblem::NotAFile);
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(NoteProblem::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(MAX_NOTE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_NOTE_BYTES {
        return Err(NoteProblem::TooLarge);
    }
    serde_json::from_slice(&bytes).map_err(|_| NoteProblem::Malformed)
}

/// Replaces the file. After a crash, the file has the old or the new content.
///
/// # Errors
///
/// It cannot be written. Then the old content stays.
pub fn write(folder: &Path, note: &Note) -> Result<(), NoteError> {
    write_file(folder, note).map_err(|problem| NoteError {
        verb: "write",
        path: folder.join(NOTE_FILE),
        problem,
    })
}

fn write_file(folder: &Path, note: &Note) -> Result<(), NoteProblem> {
    let mut text = serde_json::to_vec(note).map_err(io::Error::other)?;
    text.push(b'\n');
    let new = folder.join(NEW_FILE);
    // An earlier process may have been killed while it wrote. The file may belong to another user.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file: File = file_permissions::open_restricted(folder, &new, &mut options)?;
    file.write_all(&text)?;
    // Without it, a power cut may leave an empty file under the name of the old one.
    file.sync_data()?;
    Ok(std::fs::rename(&new, folder.join(NOTE_FILE))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn note() -> Note {
        Note {
            watched_until: "2026-11-22T13:00:00.123456789Z".parse().unwrap(),
            scope: "c0ffee".to_owned(),
        }
    }

    fn problem(folder: &Path) -> String {
        read(folder).unwrap_err().problem.to_string()
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join(NEW_FILE), "half of a").unwrap();
        write(folder.path(), &note()).unwrap();
        write(folder.path(), &note()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(note()));
        assert!(!folder.path().join(NEW_FILE).exists());
        let text = std::fs::read_to_string(folder.path().join(NOTE_FILE)).unwrap();
        let expected =
            "{\"watchedUntil\":\"2026-11-22T13:00:00.123456789Z\",\"scope\":\"c0ffee\"}\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_later_version_may_add_members() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            r#"{"watchedUntil":"2026-11-22T13:00:00.123456789Z","scope":"c0ffee","more":[1]}"#;
        std::fs::write(folder.path().join(NOTE_FILE), text).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(note()));
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NOTE_FILE);
        std::fs::create_dir(&path).unwrap();
        assert_eq!(problem(folder.path()), "it is not a file");
        assert!(write(folder.path(), &note()).is_err());
        std::fs::remove_dir(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        assert_eq!(problem(folder.path()), "it is not a file");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(problem(folder.path()), "it is not a file");
        write(folder.path(), &note()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(note()));
    }

    #[test]
    fn a_gigantic_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join(NOTE_FILE)).unwrap();
        file.set_len(1 << 40).unwrap();
        assert_eq!(problem(folder.path()), "it has more than 4096 bytes");
    }

    proptest! {
        /// No content makes it panic, and what it accepts is a note.
        #[test]
        fn any_content_is_a_note_or_an_error(content in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(NOTE_FILE), &content).unwrap();
            if let Ok(Some(note)) = read(folder.path()) {
                let found: serde_json::Value = serde_json::from_slice(&content).unwrap();
                prop_assert_eq!(found["scope"].as_str(), Some(&*note.scope));
            }
        }

        /// So does a note of which any byte is another one.
        #[test]
        fn a_changed_note_is_a_note_or_an_error(place in 0_usize..66, byte in any::<u8>()) {
            let folder = tempfile::tempdir().unwrap();
            let mut content = serde_json::to_vec(&note()).unwrap();
            content[place] = byte;
            std::fs::write(folder.path().join(NOTE_FILE), &content).unwrap();
            prop_assert!(read(folder.path()).is_ok() || problem(folder.path()).contains("not what"));
        }
    }
}
