//! The segments of a journal: only appended to, and removed from the oldest on.

use super::JournalError;
use super::book::Book;
use super::files::{Failpoint, Files, Step};
use super::frame::{self, Found, PREFACE};
use crate::file_permissions;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tracing::warn;

/// Size of a segment in bytes: one that has reached it is not appended to any more.
pub(super) const SEGMENT: u64 = 16 * 1024 * 1024;
/// Held by the process that uses the folder.
const LOCK: &str = "lock";

/// The folder, open for writing.
#[derive(Debug)]
pub(super) struct Segments {
    /// A segment that has reached this size is not appended to any more.
    enough: u64,
    files: Arc<Files>,
    /// Numbers and sizes; the last is written to.
    sizes: BTreeMap<u64, u64>,
    /// So much of the last is on the disk.
    synced: u64,
    /// Dropped last: the lock goes with it.
    _lock: File,
}

impl Segments {
    /// Opens a folder, made where it is not there, and reads all that it says into a book.
    pub(super) fn open(
        folder: &Path,
        enough: u64,
        failpoint: Option<Arc<dyn Failpoint>>,
        book: &mut Book,
    ) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Open {
            folder: folder.to_owned(),
            source,
        };
        let files = Arc::new(Files::new(folder, failpoint));
        files.make().map_err(failed)?;
        let lock = lock(folder)?;
        let mut sizes = BTreeMap::new();
        let numbers = files.list().map_err(failed)?;
        let last = numbers.last().copied();
        let mut sure = 0;
        for number in numbers {
            files.open(number).map_err(failed)?;
            let extent = replay(&files, number, last == Some(number), book)?;
            sizes.insert(number, extent.size);
            sure = extent.sure;
        }
        let mut segments = Self {
            enough,
            files,
            synced: sizes.last_key_value().map_or(0, |(_, size)| *size),
            sizes,
            _lock: lock,
        };
        let settled = match last {
            Some(last) => segments.settle(last, sure),
            None => segments.begin_first(),
        };
        settled.map_err(failed)?;
        Ok(segments)
    }

    /// One that was killed may have left what only the system knows yet, the name of its last segment
    /// included. What is built on that must not outlive it. Where its last sync had failed, the system takes
    /// for written what is not, and another sync alone would write nothing: so it is written again.
    fn settle(&self, last: u64, sure: u64) -> io::Result<()> {
        let unsure = self.files.rest(last, sure)?;
        self.files.take(Step::Write {
            segment: last,
            at: sure,
            bytes: &unsure,
        })?;
        self.files.take(Step::Sync(last))?;
        self.files.sync_names()
    }

    fn begin_first(&mut self) -> io::Result<()> {
        self.files.sync_name()?;
        self.begin(0)
    }

    pub(super) fn files(&self) -> Arc<Files> {
        self.files.clone()
    }

    /// Bytes of all files.
    fn total(&self) -> u64 {
        self.sizes.values().sum()
    }

    /// Is so much in the files that some of it should be moved, where so much is still needed?
    pub(super) fn wants_cleaning(&self, needed: u64) -> bool {
        self.total() > needed.saturating_mul(2).saturating_add(2 * self.enough)
    }

    /// Appends. Gives segment and offset of the first byte. Where it fails nothing is appended.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<(u64, u64)> {
        if self.last().1 >= self.enough {
            // What it holds must be there before anything in the next one is.
            self.sync()?;
            self.begin(self.last().0 + 1)?;
        }
        let (segment, at) = self.last();
        if let Err(error) = self.files.take(Step::Write { segment, at, bytes }) {
            let cut = Step::Cut {
                segment,
                length: at,
            };
            self.files.take(cut)?;
            return Err(error);
        }
        self.sizes.insert(segment, at + bytes.len() as u64);
        Ok((segment, at))
    }

    fn last(&self) -> (u64, u64) {
        let last = self.sizes.last_key_value();
        last.map_or((0, 0), |(number, size)| (*number, *size))
    }

    fn begin(&mut self, segment: u64) -> io::Result<()> {
        self.files.take(Step::Create(segment))?;
        write_preface(&self.files, segment)?;
        // The name is in the folder only when the folder is on the disk.
        self.files.sync_names()?;
        self.synced = PREFACE.len() as u64;
        self.sizes.insert(segment, self.synced);
        Ok(())
    }

    /// What was appended is on the disk after this.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let (segment, size) = self.last();
        if let Err(error) = self.files.take(Step::Sync(segment)) {
            // The system would go on to show what the disk may not have, and the next start believe it.
            let cut = Step::Cut {
                segment,
                length: self.synced,
            };
            self.files.take(cut).ok();
            return Err(error);
        }
        self.synced = size;
        Ok(())
    }

    /// So much of the segment that is written to next is on the disk.
    pub(super) fn synced(&self) -> u64 {
        match self.last().1 >= self.enough {
            true => PREFACE.len() as u64,
            false => self.synced,
        }
    }

    /// The oldest segment that is not written to any more.
    pub(super) fn oldest(&self) -> Option<u64> {
        let (oldest, _) = self.sizes.first_key_value()?;
        (*oldest != self.last().0).then_some(*oldest)
    }

    /// Removes a segment whose entries are not needed.
    pub(super) fn remove(&mut self, segment: u64) -> io::Result<()> {
        self.files.take(Step::Remove(segment))?;
        // It must not come back when what came after it does not.
        self.files.sync_names()?;
        self.sizes.remove(&segment);
        Ok(())
    }
}

fn write_preface(files: &Files, segment: u64) -> io::Result<()> {
    let preface = Step::Write {
        segment,
        at: 0,
        bytes: PREFACE,
    };
    files.take(preface)?;
    files.take(Step::Sync(segment))
}

fn lock(folder: &Path) -> Result<File, JournalError> {
    let failed = |source| JournalError::Open {
        folder: folder.to_owned(),
        source,
    };
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let file = file_permissions::open_restricted(folder, &folder.join(LOCK), &mut options)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(JournalError::Locked {
            folder: folder.to_owned(),
        }),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// How far a segment goes, in bytes.
struct Extent {
    size: u64,
    /// So much of it was on the disk when the last of its frames was written.
    sure: u64,
}

/// Reads a segment into a book. A part of a frame at the end of the last segment is
/// what a crash leaves: it was never acknowledged, and is cut off. Anything else that cannot be read
/// is damage, and nobody may go on as if it had not been there.
fn replay(
    files: &Files,
    segment: u64,
    is_last: bool,
    book: &mut Book,
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
    let bytes = files.whole(segment).map_err(failed)?;
    // Its length may have reached the disk before what is in it.
    let written = bytes.iter().rposition(|byte| *byte != 0);
    let written = bytes.get(..written.map_or(0, |last| last + 1));
    let torn = written.is_some_and(|part| part.len() < PREFACE.len() && PREFACE.starts_with(part));
    if is_last && torn {
        let emptied = files.take(Step::Cut { segment, length: 0 });
        emptied.map_err(failed)?;
        write_preface(files, segment).map_err(failed)?;
        let size = PREFACE.len() as u64;
        return Ok(Extent { size, sure: size });
    }
    if !bytes.starts_with(PREFACE) {
        return Err(match bytes.starts_with(b"step-observer journal ") {
            true => JournalError::Version { file: path.clone() },
            false => damaged(0, "it does not begin as a segment does"),
        });
    }
    let (mut at, mut sure) = (PREFACE.len(), 0);
    loop {
        match frame::read(&bytes, at) {
            Found::Frame(found) => {
                let bodies = bytes.get(found.bodies..found.end).unwrap_or_default();
                let entry = found.entry.with_namespace(bodies);
                book.apply(entry, segment, found.bodies as u64);
                at = found.end;
                sure = found.synced as u64;
            }
            Found::End => {
                let size = at as u64;
                return Ok(Extent { size, sure });
            }
            Found::Broken => {
                if !is_last {
                    return Err(damaged(at, "later segments follow"));
                }
                // What was written with one sync reaches the disk in any order. What was written after
                // this place was synced says that it was whole.
                let later = frame::whole_after(&bytes, at).find(|(_, synced)| *synced > at);
                if let Some((next, _)) = later {
                    let problem =
                        format!("the entry at byte {next} was written after it was whole");
                    return Err(damaged(at, &problem));
                }
                let file = path.display().to_string();
                warn!(
                    file,
                    at,
                    bytes = bytes.len() - at,
                    "the journal ends with a part of an entry, as after a crash: it is cut off, and \
                     what it would have said is observed again"
                );
                let length = at as u64;
                // Synced when all is read.
                let cut = files.take(Step::Cut { segment, length });
                cut.map_err(failed)?;
                return Ok(Extent { size: length, sure });
            }
        }
    }
}
