//! A file: one structured CloudEvent a line, appended.

use super::{Attempt, SinkError};
use crate::event::Encoded;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

/// Where the file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileConfig {
    /// Path of the file. It is made where it does not exist, and appended to where it does.
    pub path: PathBuf,
}

/// An open file.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    file: Mutex<tokio::fs::File>,
    /// The last line may not be whole.
    torn: AtomicBool,
}

/// Does the file end in the middle of a line? Whoever wrote it was killed, or its disk was full.
fn ends_in_a_line(path: &Path) -> bool {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let last = || {
        let mut file = std::fs::File::open(path).ok()?;
        // A pipe has no end.
        file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        file.seek(SeekFrom::End(-1)).ok()?;
        let mut last = [0];
        file.read_exact(&mut last).ok()?;
        Some(last)
    };
    last().is_some_and(|last| last != [b'\n'])
}

impl File {
    pub(super) async fn open(config: &FileConfig) -> Result<Self, SinkError> {
        let mut options = tokio::fs::OpenOptions::new();
        options.create(true).append(true);
        match options.open(&config.path).await {
            Ok(file) => Ok(Self {
                torn: AtomicBool::new(ends_in_a_line(&config.path)),
                path: config.path.clone(),
                file: Mutex::new(file),
            }),
            Err(source) => Err(SinkError::Open {
                path: config.path.display().to_string(),
                source,
            }),
        }
    }

    pub(super) async fn send(&self, event: &Encoded) -> Attempt {
        let mut line = event.structured().to_vec();
        line.push(b'\n');
        let mut file = self.file.lock().await;
        if self.torn.load(Ordering::Relaxed) {
            // A line was written in part when the disk was full: it must not run into this one.
            line.insert(0, b'\n');
        }
        let written = async {
            file.write_all(&line).await?;
            file.flush().await
        };
        let written = written.await;
        self.torn.store(written.is_err(), Ordering::Relaxed);
        match written {
            Ok(()) => Attempt::Delivered,
            // A full disk may be emptied.
            Err(error) => Attempt::Retry {
                reason: format!("failed to write to {}: {error}", self.path.display()),
                after: None,
            },
        }
    }
}
