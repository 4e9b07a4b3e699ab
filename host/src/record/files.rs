//! Writes the files of a recording: one watch event per line, and the logs as one JSON object. Both
//! files are complete after every write.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Names of the files.
const EVENTS_FILE: &str = "recording.jsonl";
const LOGS_FILE: &str = "recording.logs.json";
/// End of the file of logs.
const LOGS_END: &str = "\n}\n";

/// Errors of writing a recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The folder contains files.
    #[error("{folder} is not empty: give a folder that is empty or does not exist (--out)")]
    NotEmpty {
        /// Path of the folder.
        folder: String,
    },
    /// A file cannot be written.
    #[error(
        "failed to write {file}: {source}\n  what was written before is whole and can be replayed"
    )]
    Write {
        /// Path of the file.
        file: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The folder cannot be created.
    #[error("failed to create {folder} (--out): {source}")]
    Folder {
        /// Path of the folder.
        folder: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The recording has reached its bound.
    #[error(
        "the recording has reached {max_bytes} bytes (--max-bytes), and ends here: what was written is whole and can be \
         replayed"
    )]
    Full {
        /// The bound, in bytes.
        max_bytes: u64,
    },
}

/// The position of a line in the file of watch events.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventLocation {
    offset: u64,
    length: usize,
}

#[derive(Debug)]
struct RecordingFile {
    path: PathBuf,
    file: File,
    size: u64,
}

/// The files of a recording that is being written.
#[derive(Debug)]
pub(super) struct RecordingFiles {
    events: RecordingFile,
    logs: RecordingFile,
    max_bytes: u64,
}

impl RecordingFiles {
    /// Creates the files, which only this user may read, in a folder that is empty or is created.
    pub(super) fn create(folder: &Path, max_bytes: u64) -> Result<Self, RecordError> {
        let failed = |source| RecordError::Folder {
            folder: folder.display().to_string(),
            source,
        };
        match std::fs::read_dir(folder) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    let folder = folder.display().to_string();
                    return Err(RecordError::NotEmpty { folder });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut builder = DirBuilder::new();
                builder.recursive(true).mode(0o700);
                builder.create(folder).map_err(failed)?;
            }
            Err(error) => return Err(failed(error)),
        }
        let mut files = Self {
            events: RecordingFile::create(folder.join(EVENTS_FILE))?,
            logs: RecordingFile::create(folder.join(LOGS_FILE))?,
            max_bytes,
        };
        files.logs.write_at(0, "{\n}\n")?;
        Ok(files)
    }

    /// Returns the sizes of the watch events and of the logs in bytes.
    pub(super) fn sizes(&self) -> (u64, u64) {
        (self.events.size, self.logs.size)
    }

    pub(super) fn paths(&self) -> (&Path, &Path) {
        (&self.events.path, &self.logs.path)
    }

    /// Appends a watch event.
    pub(super) fn add_event(&mut self, line: &str) -> Result<EventLocation, RecordError> {
        self.check(line.len() + 1)?;
        let at = self.events.size;
        self.events.write_at(at, &format!("{line}\n"))?;
        Ok(EventLocation {
            offset: at,
            length: line.len(),
        })
    }

    /// Reads a watch event that was appended.
    pub(super) fn event(&mut self, line: EventLocation) -> Result<String, RecordError> {
        let mut bytes = vec![0; line.length];
        let file = &mut self.events.file;
        let read = file.seek(SeekFrom::Start(line.offset));
        let read = read.and_then(|_| file.read_exact(&mut bytes));
        read.map_err(|source| self.events.failed(source))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Adds a log; `None` states that there is no log.
    pub(super) fn add_log(&mut self, name: &str, text: Option<&str>) -> Result<(), RecordError> {
        let (name, text) = (serde_json::Value::from(name), serde_json::Value::from(text));
        let end = self.logs.size - LOGS_END.len() as u64;
        let comma = if end > 1 { "," } else { "" };
        let entry = format!("{comma}\n{name}: {text}{LOGS_END}");
        self.check(entry.len())?;
        let written = self.logs.write_at(end, &entry);
        if written.is_err() {
            // Writes the end again, because the failed write may have overwritten it.
            self.logs.write_at(end, LOGS_END).ok();
        }
        written
    }

    /// Waits until both files are on the disk.
    pub(super) fn finish(&self) -> Result<(), RecordError> {
        for part in [&self.events, &self.logs] {
            part.file.sync_all().map_err(|source| part.failed(source))?;
        }
        Ok(())
    }

    fn check(&self, more: usize) -> Result<(), RecordError> {
        let (events, logs) = self.sizes();
        let room = self.max_bytes.saturating_sub(events + logs);
        if u64::try_from(more).is_ok_and(|more| more <= room) {
            Ok(())
        } else {
            Err(RecordError::Full {
                max_bytes: self.max_bytes,
            })
        }
    }
}

impl RecordingFile {
    fn create(path: PathBuf) -> Result<Self, RecordError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        match options.open(&path) {
            Ok(file) => Ok(Self {
                path,
                file,
                size: 0,
            }),
            Err(source) => Err(RecordError::Write {
                file: path.display().to_string(),
                source,
            }),
        }
    }

    fn failed(&self, source: io::Error) -> RecordError {
        RecordError::Write {
            file: self.path.display().to_string(),
            source,
        }
    }

    /// Writes a text at an offset; the file ends after the text. If the write fails, the file is
    /// truncated at the offset.
    fn write_at(&mut self, offset: u64, text: &str) -> Result<(), RecordError> {
        let written = self.file.seek(SeekFrom::Start(offset));
        let written = written.and_then(|_| self.file.write_all(text.as_bytes()));
        match written {
            Ok(()) => {
                self.size = offset + text.len() as u64;
                Ok(())
            }
            Err(source) => {
                self.file.set_len(offset).ok();
                self.size = offset;
                Err(self.failed(source))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;

    fn logs(files: &RecordingFiles) -> BTreeMap<String, Option<String>> {
        serde_json::from_slice(&std::fs::read(files.paths().1).unwrap()).unwrap()
    }

    #[test]
    fn the_files_are_whole_after_every_write_and_only_the_owner_may_read_them() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("a/b");
        let mut files = RecordingFiles::create(&folder, 1000).unwrap();
        assert!(logs(&files).is_empty());
        for number in 0..3 {
            files
                .add_log(&format!("log \"{number}\""), Some("x\n"))
                .unwrap();
            assert_eq!(logs(&files).len(), number + 1);
        }
        files.add_log("none", None).unwrap();
        assert_eq!(logs(&files)["none"], None);
        let first = files.add_event("{\"first\": 1}").unwrap();
        files.add_event("{}").unwrap();
        assert_eq!(files.event(first).unwrap(), "{\"first\": 1}");
        files.add_event("{\"third\": 3}").unwrap();
        let text = std::fs::read_to_string(files.paths().0).unwrap();
        assert_eq!(text, "{\"first\": 1}\n{}\n{\"third\": 3}\n");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode(files.paths().0), mode(files.paths().1)),
            (0o600, 0o600)
        );
        assert_eq!(mode(&folder), 0o700);
    }

    #[test]
    fn a_bound_and_a_folder_that_is_used_are_errors() {
        let place = tempfile::tempdir().unwrap();
        let mut files = RecordingFiles::create(place.path(), 50).unwrap();
        files.add_event(&"x".repeat(30)).unwrap();
        let full = files.add_log("a", Some(&"y".repeat(30))).unwrap_err();
        assert!(full.to_string().contains("--max-bytes"), "{full}");
        assert!(logs(&files).is_empty());
        let again = RecordingFiles::create(place.path(), 50).unwrap_err();
        assert!(again.to_string().contains("is not empty"), "{again}");
    }
}
