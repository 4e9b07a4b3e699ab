//! The journal's files: a folder of segments that are only appended to, and removed from the oldest on.

use super::JournalError;
use super::book::{Book, Place};
use super::frame::{self, Found, PREFACE};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::warn;

/// Size of a segment in bytes: one that has reached it is not appended to any more.
pub(super) const SEGMENT: u64 = 16 * 1024 * 1024;
/// What names a segment.
const SUFFIX: &str = ".journal";
/// Held by the process that uses the folder.
const LOCK: &str = "lock";

/// Files to read bodies from, shared with the writer.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<BTreeMap<u64, Arc<File>>>);

impl Readers {
    pub(super) fn read(&self, place: Place) -> io::Result<Vec<u8>> {
        let file = self.with(|files| files.get(&place.segment).cloned());
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        let mut body = vec![0; place.length as usize];
        file.read_exact_at(&mut body, place.offset)?;
        match crc32fast::hash(&body) == place.sum {
            true => Ok(body),
            false => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the journal has changed on the disk",
            )),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<u64, Arc<File>>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The folder, open for writing.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    /// A segment that has reached this size is not appended to any more.
    enough: u64,
    readers: Arc<Readers>,
    /// Numbers and sizes; the last is written to.
    sizes: BTreeMap<u64, u64>,
    head: Arc<File>,
    /// So much of the head is on the disk.
    synced: u64,
    /// Dropped last: the lock goes with it.
    _lock: File,
}

impl Segments {
    /// Opens a folder, made where it is not there, and reads all that it says into a book.
    pub(super) fn open(folder: &Path, enough: u64, book: &mut Book) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Open {
            folder: folder.to_owned(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let lock = lock(folder)?;
        let readers = Arc::<Readers>::default();
        let mut sizes = BTreeMap::new();
        let numbers = list(folder).map_err(failed)?;
        let last = numbers.last().copied();
        for number in numbers {
            let path = path(folder, number);
            let file = open(&path).map_err(failed)?;
            let size = replay(&path, &file, number, last == Some(number), book)?;
            readers.with(|files| files.insert(number, Arc::new(file)));
            sizes.insert(number, size);
        }
        let newest = last.and_then(|number| readers.with(|files| files.get(&number).cloned()));
        let head = match newest {
            Some(head) => head,
            None => begin(folder, 0, &readers, &mut sizes).map_err(failed)?,
        };
        Ok(Self {
            folder: folder.to_owned(),
            enough,
            readers,
            synced: sizes.last_key_value().map_or(0, |(_, size)| *size),
            sizes,
            head,
            _lock: lock,
        })
    }

    pub(super) fn readers(&self) -> Arc<Readers> {
        self.readers.clone()
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
        let (mut number, mut size) = self.last();
        if size >= self.enough {
            // What it holds must be there before anything in the next one is.
            self.sync().map_err(io::Error::other)?;
            number += 1;
            self.head = begin(&self.folder, number, &self.readers, &mut self.sizes)?;
            size = PREFACE.len() as u64;
            self.synced = size;
        }
        if let Err(error) = self.head.write_all_at(bytes, size) {
            self.head.set_len(size)?;
            return Err(error);
        }
        self.sizes.insert(number, size + bytes.len() as u64);
        Ok((number, size))
    }

    fn last(&self) -> (u64, u64) {
        let last = self.sizes.last_key_value();
        last.map_or((0, 0), |(number, size)| (*number, *size))
    }

    /// What was appended is on the disk after this.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.head.sync_data()?;
        self.synced = self.last().1;
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
    pub(super) fn oldest(&self) -> Option<(u64, Arc<File>)> {
        let (oldest, _) = self.sizes.first_key_value()?;
        if *oldest == self.last().0 {
            return None;
        }
        let file = self.readers.with(|files| files.get(oldest).cloned())?;
        Some((*oldest, file))
    }

    /// Removes a segment whose entries are not needed.
    pub(super) fn remove(&mut self, number: u64) -> io::Result<()> {
        std::fs::remove_file(path(&self.folder, number))?;
        // It must not come back when what came after it does not.
        File::open(&self.folder)?.sync_all()?;
        self.sizes.remove(&number);
        self.readers.with(|files| files.remove(&number));
        Ok(())
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:012}{SUFFIX}"))
}

fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

fn begin(
    folder: &Path,
    number: u64,
    readers: &Readers,
    sizes: &mut BTreeMap<u64, u64>,
) -> io::Result<Arc<File>> {
    let path = path(folder, number);
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all_at(PREFACE, 0)?;
    file.sync_all()?;
    // The name is in the folder only when the folder is on the disk.
    File::open(folder)?.sync_all()?;
    let file = Arc::new(file);
    readers.with(|files| files.insert(number, file.clone()));
    sizes.insert(number, PREFACE.len() as u64);
    Ok(file)
}

fn lock(folder: &Path) -> Result<File, JournalError> {
    let failed = |source| JournalError::Open {
        folder: folder.to_owned(),
        source,
    };
    let mut options = OpenOptions::new();
    let file = options
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK));
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(JournalError::Locked {
            folder: folder.to_owned(),
        }),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Reads a segment into a book. Gives its size. A part of a frame at the end of the last segment is
/// what a crash leaves: it was never acknowledged, and is cut off. Anything else that cannot be read
/// is damage, and nobody may go on as if it had not been there.
fn replay(
    path: &Path,
    file: &File,
    number: u64,
    is_last: bool,
    book: &mut Book,
) -> Result<u64, JournalError> {
    let failed = |source| JournalError::Open {
        folder: path.to_owned(),
        source,
    };
    let damaged = |at: usize, problem: &str| JournalError::Damaged {
        file: path.to_owned(),
        at: at as u64,
        problem: problem.to_owned(),
    };
    let segment = whole(file).map_err(failed)?;
    let torn = segment.len() < PREFACE.len() && PREFACE.starts_with(&segment);
    let never_written = segment.iter().all(|byte| *byte == 0);
    if is_last && (torn || never_written) {
        file.set_len(0).map_err(failed)?;
        file.write_all_at(PREFACE, 0).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        return Ok(PREFACE.len() as u64);
    }
    if !segment.starts_with(PREFACE) {
        return Err(match segment.starts_with(b"step-observer journal ") {
            true => JournalError::Version {
                file: path.to_owned(),
            },
            false => damaged(0, "it does not begin as a segment does"),
        });
    }
    let mut at = PREFACE.len();
    loop {
        match frame::read(&segment, at) {
            Found::Frame(found) => {
                book.apply(found.entry, number, found.bodies as u64);
                at = found.end;
            }
            Found::End => return Ok(at as u64),
            Found::Broken => {
                if !is_last {
                    return Err(damaged(at, "later segments follow"));
                }
                // What was written with one sync reaches the disk in any order. What was written after
                // this place was synced says that it was whole.
                let later = frame::whole_after(&segment, at).find(|(_, synced)| *synced > at);
                if let Some((next, _)) = later {
                    let problem =
                        format!("the entry at byte {next} was written after it was whole");
                    return Err(damaged(at, &problem));
                }
                let bytes = segment.len() - at;
                let file_name = path.display().to_string();
                warn!(
                    file = file_name,
                    at,
                    bytes,
                    "the journal ends with a part of an entry, as after a crash: it is cut off, and \
                     what it would have said is observed again"
                );
                file.set_len(at as u64).map_err(failed)?;
                file.sync_all().map_err(failed)?;
                return Ok(at as u64);
            }
        }
    }
}

/// All of a file: a segment is little larger than [`SEGMENT`] and one write.
pub(super) fn whole(file: &File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
