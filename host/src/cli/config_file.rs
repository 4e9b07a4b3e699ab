//! Notices changes of the configuration file.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::warn;

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
        let path = self.path.clone()?;
        let stamp = tokio::task::spawn_blocking(move || stamp(&path));
        stamp.await.ok()?
    }

    /// Reports the file once more, changed or not.
    pub(super) fn look_again(&mut self) {
        self.seen = None;
    }

    /// Returns whether the file differs from the last stamp.
    pub(super) async fn has_changed(&self) -> bool {
        self.stamp().await != self.seen
    }

    /// Waits until the file differs from the last stamp, and two checks in a row see the same
    /// stamp, so that its writer has finished. A missing or empty file counts as unchanged.
    pub(super) async fn changed(&mut self) {
        let Some(path) = self.path.clone() else {
            return std::future::pending().await;
        };
        let (changed, found) = oneshot::channel();
        let change = Change {
            seen: self.seen,
            last: self.seen,
        };
        // Uses a thread of its own, which wakes once for each look at the file. A timer and the
        // file thread of the runtime would wake six times.
        let thread = std::thread::Builder::new().name("config-file".to_owned());
        if let Err(error) = thread.spawn(move || poll(&path, change, changed)) {
            warn!(%error, "changes of the configuration file are not noticed");
        }
        match found.await {
            Ok(stamp) => self.seen = Some(stamp),
            Err(_) => std::future::pending().await,
        }
    }
}

/// Looks at the file until it has changed, or the receiver of the change is dropped.
fn poll(path: &Path, mut change: Change, changed: oneshot::Sender<FileStamp>) {
    while !changed.is_closed() {
        std::thread::sleep(POLL_INTERVAL);
        if let Some(stamp) = change.look(stamp(path)) {
            changed.send(stamp).ok();
            return;
        }
    }
}

fn stamp(path: &Path) -> Option<FileStamp> {
    let metadata = std::fs::metadata(path).ok()?;
    let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
    Some((
        metadata.dev(),
        metadata.ino(),
        seconds,
        nanoseconds,
        metadata.len(),
    ))
}

/// The state of a wait for a change of a file.
struct Change {
    /// The stamp that the file has before its change.
    seen: Option<FileStamp>,
    /// The stamp of the last look. `None` for a missing or empty file.
    last: Option<FileStamp>,
}

impl Change {
    /// Takes the stamp that the latest check found. Returns this stamp if the file has changed and
    /// its writer has finished.
    fn look(&mut self, stamp: Option<FileStamp>) -> Option<FileStamp> {
        let stamp = stamp.filter(|(.., size)| *size > 0);
        let before = std::mem::replace(&mut self.last, stamp);
        stamp.filter(|_| stamp == before && stamp != self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seconds: i64, size: u64) -> Option<FileStamp> {
        Some((1, 2, seconds, 0, size))
    }

    #[test]
    fn a_change_is_reported_when_two_looks_in_a_row_see_it() {
        let first = stamp(1, 10);
        let mut change = Change {
            seen: first,
            last: first,
        };
        let unfinished = [
            first,
            stamp(2, 5),
            stamp(3, 9),
            None,
            stamp(4, 0),
            stamp(4, 0),
        ];
        for look in unfinished {
            assert_eq!(change.look(look), None, "{look:?}");
        }
        assert_eq!(change.look(stamp(5, 20)), None);
        assert_eq!(change.look(stamp(5, 20)), stamp(5, 20));
    }

    #[test]
    fn a_change_that_was_undone_is_not_reported() {
        let first = stamp(1, 10);
        let mut change = Change {
            seen: first,
            last: first,
        };
        for look in [stamp(2, 5), first, first] {
            assert_eq!(change.look(look), None);
        }
    }
}
