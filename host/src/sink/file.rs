//! A file: one structured CloudEvent a line. Lines are appended and synced before their events count as delivered. A full
//! file is rotated.

use super::batcher::{BatchLimits, Batcher};
use super::wire::{SettingProblem, SinkContext, Wire};
use super::{Attempt, SinkError};
use crate::bounded::Bounded;
use crate::event::Encoded;
use crate::locked::Locked;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of events in a batch. A batch needs only one sync.
const BATCH_EVENTS: usize = 256;
/// Bytes of events in a batch.
const BATCH_BYTES: usize = 1024 * 1024;

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileConfig {
    /// Path of the file. A missing file is created, also after another program has moved the file
    /// away. Events are appended to an existing file.
    pub path: PathBuf,
    /// When the file is rotated. By default the observer never rotates the file; another program
    /// can do so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Rotation>,
}

impl FileConfig {
    /// Returns settings for a file that is never rotated.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            rotate: None,
        }
    }
}

/// Settings of the rotation: `PATH` is renamed to `PATH.1`, `PATH.1` to `PATH.2`, and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotation {
    /// The file is rotated before it gets larger than this, in bytes. Lines are never split.
    pub max_bytes: Bounded<1024, 1_099_511_627_776>,
    /// Number of rotated files that are kept. The oldest is removed.
    #[serde(default = "default_keep")]
    pub keep: Bounded<1, 1000, u32>,
}

fn default_keep() -> Bounded<1, 1000, u32> {
    Bounded::new(5)
}

/// A file, and the events that wait to be written to it.
#[derive(Debug)]
pub(super) struct File {
    batcher: Batcher,
    lines: Arc<Locked<LineFile>>,
}

impl Wire for File {
    type Config = FileConfig;

    const NAME: &'static str = "file";

    fn problems(config: &FileConfig) -> Vec<SettingProblem> {
        match config.path.as_os_str().is_empty() {
            true => vec![("path".to_owned(), SinkError::EmptyPath)],
            false => Vec::new(),
        }
    }

    /// Opens the file, and creates it if it does not exist.
    async fn open(config: &FileConfig, _: &mut SinkContext<'_>) -> Result<Self, SinkError> {
        let config = config.clone();
        let path = config.path.display().to_string();
        let opening = tokio::task::spawn_blocking(move || LineFile::open(config));
        let opened = opening.await;
        let opened = opened.unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
        let lines = opened.map_err(|source| SinkError::Open { path, source })?;
        Ok(Self {
            batcher: Batcher::new(BatchLimits {
                events: BATCH_EVENTS,
                bytes: BATCH_BYTES,
                // One, so that lines never mix.
                batches: 1,
                linger: Duration::ZERO,
            }),
            lines: Arc::new(Locked::new(lines)),
        })
    }

    fn concurrency(&self) -> usize {
        self.batcher.concurrency()
    }

    async fn send(&self, event: &Encoded) -> Attempt {
        self.batcher.send(event, |events| self.write(events)).await
    }
}

impl File {
    async fn write(&self, events: Vec<Encoded>) -> Attempt {
        let lines = self.lines.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let mut lines = lines.lock();
            let written = lines.write(&events);
            written.map_err(|error| (lines.config.path.display().to_string(), error))
        });
        match writing.await {
            Ok(Ok(())) => Attempt::Delivered,
            // A full disk may get room again.
            Ok(Err((path, error))) => Attempt::retry(format!("failed to write to {path}: {error}")),
            Err(panicked) => Attempt::retry(panicked.to_string()),
        }
    }
}

/// The open file.
#[derive(Debug)]
struct LineFile {
    config: FileConfig,
    file: fs::File,
    /// Whether the file is a regular file. A pipe or terminal is neither synced nor rotated.
    is_regular: bool,
    /// Whether the last line may be incomplete. `None` before the first write: the file is checked
    /// then, because another program may write to it until that time.
    is_torn: Option<bool>,
}

impl LineFile {
    fn open(config: FileConfig) -> io::Result<Self> {
        let is_new = !config.path.exists();
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).append(true).open(&config.path)?;
        let is_regular = file.metadata()?.is_file();
        if is_new && is_regular {
            // Syncs the folder, too; otherwise a power cut can remove the new file.
            fs::File::open(folder_of(&config.path))?.sync_all()?;
        }
        Ok(Self {
            is_torn: None,
            is_regular,
            file,
            config,
        })
    }

    fn write(&mut self, events: &[Encoded]) -> io::Result<()> {
        self.reopen_if_moved()?;
        let mut lines = Vec::new();
        for event in events {
            if !self.has_room(lines.len(), event.size() + 1)? {
                self.append(&std::mem::take(&mut lines))?;
                self.rotate()?;
            }
            lines.extend_from_slice(&event.structured());
            lines.push(b'\n');
        }
        self.append(&lines)
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let is_torn = self
            .is_torn
            .replace(true)
            .unwrap_or_else(|| self.is_regular && !ends_in_a_line(&self.config.path));
        if is_torn {
            // Ends an incomplete line (from a failed write or a killed writer), so that the next
            // event begins on a new line.
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(lines)?;
        if self.is_regular {
            self.file.sync_data()?;
        }
        self.is_torn = Some(false);
        Ok(())
    }

    /// Opens the file again if another program has moved it away.
    fn reopen_if_moved(&mut self) -> io::Result<()> {
        let is_there = match fs::metadata(&self.config.path) {
            Ok(there) => {
                let ours = self.file.metadata()?;
                (there.dev(), there.ino()) == (ours.dev(), ours.ino())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if self.is_regular && !is_there {
            *self = Self::open(self.config.clone())?;
        }
        Ok(())
    }

    /// Returns whether a line of `line` bytes still fits into the file, after the `queued` bytes
    /// that are not yet written.
    fn has_room(&self, queued: usize, line: usize) -> io::Result<bool> {
        let Some(rotation) = self.config.rotate.as_ref().filter(|_| self.is_regular) else {
            return Ok(true);
        };
        let before = self.file.metadata()?.len() + queued as u64;
        Ok(before == 0 || before + line as u64 <= rotation.max_bytes.get())
    }

    fn rotate(&mut self) -> io::Result<()> {
        if !fs::exists(&self.config.path)? {
            // Another program has moved the file away since the last check: nothing is rotated.
            return self.reopen_if_moved();
        }
        let rotation = self.config.rotate.as_ref();
        let keep = rotation.map_or(1, |rotation| rotation.keep.get());
        let rotated = |number: u32| {
            let mut name = self.config.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..keep).rev() {
            match fs::rename(rotated(number), rotated(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(&self.config.path, rotated(1))?;
        self.reopen_if_moved()
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Returns whether the last line of a file is complete. An incomplete line is left by a writer that
/// was killed or by a full disk.
fn ends_in_a_line(path: &Path) -> bool {
    let last = || {
        let mut file = fs::File::open(path).ok()?;
        file.seek(SeekFrom::End(-1)).ok()?;
        let mut last = [0];
        file.read_exact(&mut last).ok()?;
        Some(last)
    };
    last().is_none_or(|last| last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(numbers: std::ops::Range<u32>) -> Vec<Encoded> {
        let text = |number| format!("{{\"n\":{number:04}}}");
        numbers
            .map(|number| Encoded::from_structured(text(number).into()))
            .collect()
    }

    fn lines(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        text.lines().map(str::to_owned).collect()
    }

    fn open(path: &Path, rotate: Option<Rotation>) -> LineFile {
        let path = path.to_owned();
        LineFile::open(FileConfig { path, rotate }).unwrap()
    }

    #[test]
    fn a_full_file_is_moved_aside_and_some_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let rotation = Rotation {
            // Three lines of eleven bytes.
            max_bytes: Bounded::unchecked(35),
            keep: Bounded::new(2),
        };
        let mut file = open(&path, Some(rotation));
        for piece in [0..4, 4..5, 5..11] {
            file.write(&events(piece)).unwrap();
        }
        assert_eq!(lines(&path).len(), 2);
        let aside = |number| folder.path().join(format!("events.{number}"));
        assert_eq!(
            lines(&aside(1)),
            ["{\"n\":0006}", "{\"n\":0007}", "{\"n\":0008}"]
        );
        assert_eq!(lines(&aside(2)).first().unwrap(), "{\"n\":0003}");
        assert!(!aside(3).exists(), "the oldest is gone");
    }

    #[test]
    fn a_file_that_is_moved_away_is_created_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("events"), folder.path().join("moved"));
        let mut file = open(&path, None);
        file.write(&events(0..1)).unwrap();
        fs::rename(&path, &moved).unwrap();
        file.write(&events(1..2)).unwrap();
        assert_eq!(lines(&moved), ["{\"n\":0000}"]);
        assert_eq!(lines(&path), ["{\"n\":0001}"]);
    }

    #[test]
    fn kept_files_stay_if_the_full_file_is_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("events"), folder.path().join("moved"));
        let rotation = Rotation {
            max_bytes: Bounded::unchecked(22),
            keep: Bounded::new(3),
        };
        let mut file = open(&path, Some(rotation));
        file.write(&events(0..4)).unwrap();
        fs::rename(&path, &moved).unwrap();
        // Rotates after the file was moved, as if the move happened between the check in `write`
        // and the rotation.
        file.rotate().unwrap();
        file.write(&events(4..5)).unwrap();
        assert_eq!(lines(&moved), ["{\"n\":0002}", "{\"n\":0003}"]);
        assert_eq!(lines(&path), ["{\"n\":0004}"]);
        let kept = folder.path().join("events.1");
        assert_eq!(lines(&kept), ["{\"n\":0000}", "{\"n\":0001}"]);
        assert!(!folder.path().join("events.2").exists());
    }

    #[test]
    fn a_torn_line_does_not_run_into_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        fs::write(&path, "{\"n\":").unwrap();
        open(&path, None).write(&events(1..2)).unwrap();
        assert_eq!(lines(&path), ["{\"n\":", "{\"n\":0001}"]);
    }
}
