//! A file: one structured CloudEvent a line, appended.

use super::{Attempt, SinkError};
use crate::event::Encoded;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
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

impl File {
    pub(super) async fn open(config: &FileConfig) -> Result<Self, SinkError> {
        let mut options = tokio::fs::OpenOptions::new();
        options.create(true).append(true);
        match options.open(&config.path).await {
            Ok(file) => Ok(Self {
                path: config.path.clone(),
                file: Mutex::new(file),
                torn: AtomicBool::new(false),
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
