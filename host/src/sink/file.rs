//! A file: one structured CloudEvent a line, appended and synced before an event counts as delivered;
//! moved aside when it is full.

use super::batcher::{BatchLimits, Batcher};
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

/// Where the file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileConfig {
    /// Path of the file. It is made where it does not exist, and appended to where it does; made
    /// anew where somebody moves it away.
    pub path: PathBuf,
    /// When it is moved aside. The default is never: somebody else looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Rotation>,
}

impl FileConfig {
    /// A file that is never moved aside.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            rotate: None,
        }
    }
}

/// When a file is moved aside, to `PATH.1`, and that to `PATH.2`, and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotation {
    /// Before it would get larger than this, in bytes. One line is always whole.
    pub max_bytes: Bounded<1024, 1_099_511_627_776>,
    /// How many are kept beside it. The oldest is removed.
    #[serde(default = "default_keep")]
    pub keep: Bounded<1, 1000, u32>,
}

fn default_keep() -> Bounded<1, 1000, u32> {
    Bounded::new(5)
}

/// A file, and what waits to be written to it.
#[derive(Debug)]
pub struct File {
    batches: Batcher,
    lines: Arc<Locked<Lines>>,
}

impl File {
    pub(super) async fn open(config: &FileConfig) -> Result<Self, SinkError> {
        let config = config.clone();
        let path = config.path.display().to_string();
        let opening = tokio::task::spawn_blocking(move || Lines::open(config));
        let opened = opening
            .await
            .unwrap_or_else(|gone| Err(io::Error::other(gone)));
        let lines = opened.map_err(|source| SinkError::Open { path, source })?;
        Ok(Self {
            batches: Batcher::new(BatchLimits {
                events: 256,
                bytes: 1024 * 1024,
                batches: 1,
                linger: Duration::ZERO,
            }),
            lines: Arc::new(Locked::new(lines)),
        })
    }

    pub(super) fn concurrency(&self) -> usize {
        self.batches.concurrency()
    }

    pub(super) async fn send(&self, event: &Encoded) -> Attempt {
        self.batches.send(event, |events| self.write(events)).await
    }

    async fn write(&self, events: Vec<Encoded>) -> Attempt {
        let lines = self.lines.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let mut lines = lines.lock();
            let written = lines.write(&events);
            written.map_err(|error| (lines.config.path.display().to_string(), error))
        });
        match writing.await {
            Ok(Ok(())) => Attempt::Delivered,
            // A full disk may be emptied.
            Ok(Err((path, error))) => Attempt::retry(format!("failed to write to {path}: {error}")),
            Err(gone) => Attempt::retry(gone.to_string()),
        }
    }
}

/// The open file.
#[derive(Debug)]
struct Lines {
    config: FileConfig,
    file: fs::File,
    /// A pipe or terminal is neither synced nor moved.
    is_regular: bool,
    /// The last line may not be whole. Not known before the first write: until then somebody else may write.
    torn: Option<bool>,
}

impl Lines {
    fn open(config: FileConfig) -> io::Result<Self> {
        let is_new = !config.path.exists();
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).append(true).open(&config.path)?;
        let is_regular = file.metadata()?.is_file();
        if is_new && is_regular {
            // After a power cut a file that its folder does not know is gone.
            fs::File::open(folder_of(&config.path))?.sync_all()?;
        }
        Ok(Self {
            torn: None,
            is_regular,
            file,
            config,
        })
    }

    fn write(&mut self, events: &[Encoded]) -> io::Result<()> {
        self.follow()?;
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
        let torn = self
            .torn
            .replace(true)
            .unwrap_or_else(|| self.is_regular && !ends_in_a_line(&self.config.path));
        if torn {
            // A line was written in part when the disk was full: it must not run into this one.
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(lines)?;
        if self.is_regular {
            self.file.sync_data()?;
        }
        self.torn = Some(false);
        Ok(())
    }

    /// Opens the file again where somebody has moved it away.
    fn follow(&mut self) -> io::Result<()> {
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

    /// For a line, behind those that are still to be written.
    fn has_room(&self, before: usize, line: usize) -> io::Result<bool> {
        let Some(rotation) = self.config.rotate.as_ref().filter(|_| self.is_regular) else {
            return Ok(true);
        };
        let before = self.file.metadata()?.len() + before as u64;
        Ok(before == 0 || before + line as u64 <= rotation.max_bytes.get())
    }

    fn rotate(&mut self) -> io::Result<()> {
        if !fs::exists(&self.config.path)? {
            // Somebody has moved it away meanwhile: what is kept stays as it is.
            return self.follow();
        }
        let keep = self
            .config
            .rotate
            .as_ref()
            .map_or(1, |rotation| rotation.keep.get());
        let aside = |number: u32| {
            let mut name = self.config.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..keep).rev() {
            match fs::rename(aside(number), aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(&self.config.path, aside(1))?;
        self.follow()
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Does the file end with a line? Otherwise whoever wrote it was killed, or its disk was full.
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
            .map(|number| Encoded::stored(text(number).into()))
            .collect()
    }

    fn lines(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        text.lines().map(str::to_owned).collect()
    }

    fn open(path: &Path, rotate: Option<Rotation>) -> Lines {
        let path = path.to_owned();
        Lines::open(FileConfig { path, rotate }).unwrap()
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
        // As when it is moved after the writer has looked.
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
