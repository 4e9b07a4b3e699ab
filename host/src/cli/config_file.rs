//! Notices changes of the configuration file.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

/// Time between two looks at the configuration file.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A configuration file that is polled: a mounted ConfigMap is changed by replacing a symbolic
/// link, which a watch of the file itself does not report.
pub(super) struct ConfigFile {
    path: Option<PathBuf>,
    seen: Option<FileStamp>,
}

/// The metadata that change when a file is written or exchanged: device, inode, modification time in seconds and
/// nanoseconds, size.
type FileStamp = (u64, u64, i64, i64, u64);

impl ConfigFile {
    /// Takes the current stamp of the file. Without a path, no change is ever reported.
    pub(super) async fn open(path: Option<PathBuf>) -> Self {
        let mut file = Self { path, seen: None };
        file.seen = file.stamp().await;
        file
    }

    async fn stamp(&self) -> Option<FileStamp> {
        let metadata = tokio::fs::metadata(self.path.as_ref()?).await.ok()?;
        let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
        Some((
            metadata.dev(),
            metadata.ino(),
            seconds,
            nanoseconds,
            metadata.len(),
        ))
    }

    /// Returns whether the file differs from the last stamp.
    pub(super) async fn has_changed(&self) -> bool {
        self.stamp().await != self.seen
    }

    /// Waits until the file differs from the last stamp, and two checks in a row see the same
    /// stamp, so that its writer has finished. A missing or empty file counts as unchanged.
    pub(super) async fn changed(&mut self) {
        if self.path.is_none() {
            return std::future::pending().await;
        }
        let mut last = self.seen;
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let seen = self.stamp().await.filter(|(.., size)| *size > 0);
            if seen.is_some() && seen == last && seen != self.seen {
                self.seen = seen;
                return;
            }
            last = seen;
        }
    }
}
