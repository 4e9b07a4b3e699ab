//! The segments of a journal: frames are appended to the newest one, and the oldest is removed first.

use super::JournalError;
use super::files::{Failpoint, Files, Step};
use super::frame::{self, ANY_SEGMENT_HEADER, Parsed, SEGMENT_HEADER};
use super::index::JournalIndex;
use crate::file_permissions;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tracing::warn;

/// Size in bytes at which a segment is full: nothing more is appended to it.
pub(super) const SEGMENT_BYTES: u64 = 16 * 1024 * 1024;
/// Name of the lock file. The process that uses the folder holds its lock.
const LOCK_FILE: &str = "lock";

/// The folder, open for writing.
#[derive(Debug)]
pub(super) struct Segments {
    /// Size at which a segment is full: nothing more is appended to it.
    segment_bytes: u64,
    files: Arc<Files>,
    /// Sizes of the segments by number. Frames are appended to the last segment.
    sizes: BTreeMap<u64, u64>,
    /// Bytes of the last segment that are durable.
    synced: u64,
    /// Dropped last, which releases the lock.
    _lock: File,
}

impl Segments {
    /// Opens a folder, creates it if it is missing, and applies all entries to an index.
    pub(super) fn open(
        folder: &Path,
        segment_bytes: u64,
        failpoint: Option<Arc<dyn Failpoint>>,
        index: &mut JournalIndex,
    ) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Open {
            folder: folder.to_owned(),
            source,
        };
        let files = Arc::new(Files::new(folder, failpoint));
        files.create_folder().map_err(failed)?;
        let lock = lock(folder)?;
        let mut sizes = BTreeMap::new();
        let numbers = files.list().map_err(failed)?;
        let last = numbers.last().copied();
        let mut synced = 0;
        for number in numbers {
            files.open(number).map_err(failed)?;
            let extent = replay(&files, number, last == Some(number), index)?;
            sizes.insert(number, extent.size);
            synced = extent.synced;
        }
        let mut segments = Self {
            segment_bytes,
            files,
            synced: sizes.last_key_value().map_or(0, |(_, size)| *size),
            sizes,
            _lock: lock,
        };
        let is_durable = match last {
            Some(last) => segments.rewrite_unsynced(last, synced),
            None => segments.create_first(),
        };
        is_durable.map_err(failed)?;
        Ok(segments)
    }

    /// Makes the content of the last segment durable before anything is appended to it. A killed
    /// process may have left bytes and a file name that are only in the page cache. If its last
    /// sync failed, the system treats those bytes as written, and another sync would write nothing.
    /// Therefore the bytes are written again.
    fn rewrite_unsynced(&self, last: u64, synced: u64) -> io::Result<()> {
        let unsynced = self.files.read_from(last, synced)?;
        self.files.perform(Step::Write {
            segment: last,
            at: synced,
            bytes: &unsynced,
        })?;
        self.files.perform(Step::Sync(last))?;
        self.files.sync_folder()
    }

    fn create_first(&mut self) -> io::Result<()> {
        self.files.sync_folder_name()?;
        self.create(0)
    }

    pub(super) fn files(&self) -> Arc<Files> {
        self.files.clone()
    }

    /// Returns the bytes of all segments.
    fn total(&self) -> u64 {
        self.sizes.values().sum()
    }

    /// Returns whether the segments hold more than twice the live bytes plus the size of two
    /// segments.
    pub(super) fn needs_compaction(&self, live_bytes: u64) -> bool {
        let bound = live_bytes.saturating_mul(2);
        self.total() > bound.saturating_add(2 * self.segment_bytes)
    }

    /// Appends bytes. Returns the segment and the offset of the first byte. On an error, nothing is
    /// appended.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<(u64, u64)> {
        if self.last().1 >= self.segment_bytes {
            // Everything in a segment is durable before the next one exists.
            self.sync()?;
            self.create(self.last().0 + 1)?;
        }
        let (segment, at) = self.last();
        if let Err(error) = self.files.perform(Step::Write { segment, at, bytes }) {
            let truncate = Step::Truncate {
                segment,
                length: at,
            };
            self.files.perform(truncate)?;
            return Err(error);
        }
        self.sizes.insert(segment, at + bytes.len() as u64);
        Ok((segment, at))
    }

    /// Returns number and size of the last segment.
    fn last(&self) -> (u64, u64) {
        let last = self.sizes.last_key_value();
        last.map_or((0, 0), |(number, size)| (*number, *size))
    }

    fn create(&mut self, segment: u64) -> io::Result<()> {
        self.files.perform(Step::Create(segment))?;
        write_header(&self.files, segment)?;
        // The name of a file is durable only after a sync of its folder.
        self.files.sync_folder()?;
        self.synced = SEGMENT_HEADER.len() as u64;
        self.sizes.insert(segment, self.synced);
        Ok(())
    }

    /// Makes everything that was appended durable.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let (segment, size) = self.last();
        if let Err(error) = self.files.perform(Step::Sync(segment)) {
            // Without this, the next start would read bytes that the disk may not have.
            let truncate = Step::Truncate {
                segment,
                length: self.synced,
            };
            self.files.perform(truncate).ok();
            return Err(error);
        }
        self.synced = size;
        Ok(())
    }

    /// Returns the number of durable bytes in the segment to which the next append writes.
    pub(super) fn synced(&self) -> u64 {
        match self.last().1 >= self.segment_bytes {
            true => SEGMENT_HEADER.len() as u64,
            false => self.synced,
        }
    }

    /// Returns the oldest segment, unless frames are still appended to it.
    pub(super) fn oldest(&self) -> Option<u64> {
        let (oldest, _) = self.sizes.first_key_value()?;
        (*oldest != self.last().0).then_some(*oldest)
    }

    /// Removes a segment that holds no live entry.
    pub(super) fn remove(&mut self, segment: u64) -> io::Result<()> {
        self.files.perform(Step::Remove(segment))?;
        // Without this sync, the segment could come back after a crash, although segments removed
        // after it do not.
        self.files.sync_folder()?;
        self.sizes.remove(&segment);
        Ok(())
    }
}

fn write_header(files: &Files, segment: u64) -> io::Result<()> {
    files.perform(Step::Write {
        segment,
        at: 0,
        bytes: SEGMENT_HEADER,
    })?;
    files.perform(Step::Sync(segment))
}

fn lock(folder: &Path) -> Result<File, JournalError> {
    let failed = |source| JournalError::Open {
        folder: folder.to_owned(),
        source,
    };
    let file = file_permissions::open_lock(folder, &folder.join(LOCK_FILE)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(JournalError::Locked {
            folder: folder.to_owned(),
        }),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The readable part of a segment, in bytes.
struct Extent {
    size: u64,
    /// Bytes that were durable when its last frame was written.
    synced: u64,
}

/// Applies the entries of a segment to an index.
///
/// A crash may leave a part of a frame at the end of the last segment. Such a frame was never
/// accepted, and is truncated. Anything else that cannot be read is damage, which must not be
/// skipped.
fn replay(
    files: &Files,
    segment: u64,
    is_last: bool,
    index: &mut JournalIndex,
) -> Result<Extent, JournalError> {
    let path = files.path(segment);
    let failed = |source| JournalError::Open {
        folder: path.clone(),
        source,
    };
    let damaged = |at: usize, problem: &str| JournalError::Damaged {
        file: path.clone(),
        at: at as u64,
        problem: problem.to_owned(),
    };
    let bytes = files.read_all(segment).map_err(failed)?;
    // The length of a file may be durable before its content: then it ends with zeros.
    let written = bytes.iter().rposition(|byte| *byte != 0);
    let written = bytes.get(..written.map_or(0, |last| last + 1));
    let has_part_of_header = written
        .is_some_and(|part| part.len() < SEGMENT_HEADER.len() && SEGMENT_HEADER.starts_with(part));
    if is_last && has_part_of_header {
        let emptied = files.perform(Step::Truncate { segment, length: 0 });
        emptied.map_err(failed)?;
        write_header(files, segment).map_err(failed)?;
        let size = SEGMENT_HEADER.len() as u64;
        return Ok(Extent { size, synced: size });
    }
    if !bytes.starts_with(SEGMENT_HEADER) {
        return Err(match bytes.starts_with(ANY_SEGMENT_HEADER) {
            true => JournalError::Version { file: path.clone() },
            false => damaged(0, "the header of a segment is missing"),
        });
    }
    let (mut at, mut synced) = (SEGMENT_HEADER.len(), 0);
    loop {
        match frame::parse(&bytes, at) {
            Parsed::Frame(frame) => {
                let bodies = bytes.get(frame.bodies..frame.end).unwrap_or_default();
                let entry = frame.entry.with_namespace(bodies);
                index.apply(entry, segment, frame.bodies as u64);
                at = frame.end;
                synced = frame.synced as u64;
            }
            Parsed::End => {
                let size = at as u64;
                return Ok(Extent { size, synced });
            }
            Parsed::Invalid => {
                if !is_last {
                    return Err(damaged(at, "later segments follow"));
                }
                // Frames of one sync reach the disk in any order, so a later frame alone is no
                // proof of damage. But if the later frame was written after a sync beyond this
                // offset, the invalid frame was once whole.
                let later = frame::intact_frames_after(&bytes, at).find(|(_, synced)| *synced > at);
                if let Some((next, _)) = later {
                    let problem =
                        format!("the entry at byte {next} was written after it was whole");
                    return Err(damaged(at, &problem));
                }
                warn!(
                    file = path.display().to_string(),
                    at,
                    bytes = bytes.len() - at,
                    "the journal ends with an incomplete entry, as after a crash: truncated; the \
                     observer derives its transition again from the cluster"
                );
                let length = at as u64;
                // Synced by `rewrite_unsynced` when all segments are read.
                let truncated = files.perform(Step::Truncate { segment, length });
                truncated.map_err(failed)?;
                let size = length;
                return Ok(Extent { size, synced });
            }
        }
    }
}
