//! Reads files and folders that hold secrets. Errors name a path, never its content.

use super::secret_value::SecretValue;
use jiff::{SignedDuration, Timestamp};
use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest file in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 256 * 1024;
/// Most files of one folder.
pub(super) const MAX_FILES: usize = 1024;
/// Maximum depth of nested folders. A volume can hold keys in subfolders (`items[].path`).
const MAX_DEPTH: usize = 8;

/// Time within which a file may change again without a new time stamp, because file systems count
/// time in ticks.
const SETTLING_TIME: SignedDuration = SignedDuration::from_secs(2);

/// Identity and times of a file. A file with another stamp may have another content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    path: PathBuf,
    /// Device, inode number, size in bytes, time of the last change of the content, and time of the
    /// last change of the inode. Each time has seconds and nanoseconds.
    numbers: [i128; 7],
}

impl Stamp {
    fn new(path: &Path, metadata: &Metadata) -> Self {
        let (device, inode, size) = (metadata.dev(), metadata.ino(), metadata.size());
        let numbers = [
            i128::from(device),
            i128::from(inode),
            i128::from(size),
            metadata.mtime().into(),
            metadata.mtime_nsec().into(),
            metadata.ctime().into(),
            metadata.ctime_nsec().into(),
        ];
        Self {
            path: path.to_owned(),
            numbers,
        }
    }

    /// Returns whether any further change of the content would change the stamp.
    fn is_settled(&self, now: Timestamp) -> bool {
        let [.., changed, _] = self.numbers;
        let changed = i64::try_from(changed).unwrap_or(i64::MAX);
        let changed = Timestamp::from_second(changed).unwrap_or(Timestamp::MAX);
        now.duration_since(changed) > SETTLING_TIME
    }
}

/// What a file or folder holds.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) stamps: Vec<Stamp>,
    /// The values, each with its name for messages.
    pub(super) values: Vec<(String, SecretValue)>,
    /// False if a file may change without another stamp, so that it must be read again.
    pub(super) is_settled: bool,
}

/// Returns the stamp of a file.
///
/// # Errors
///
/// The file is missing, or is not a regular file.
pub(super) fn stamp_of_file(path: &Path) -> Result<Vec<Stamp>, String> {
    let metadata = fs::metadata(path).map_err(|error| failed(path, &error))?;
    if !metadata.is_file() {
        // Opening a pipe would wait for its writer.
        return Err(format!("{} is not a regular file", path.display()));
    }
    Ok(vec![Stamp::new(path, &metadata)])
}

/// Returns the stamps of all files of a folder.
///
/// # Errors
///
/// The folder cannot be read, or has too many files.
pub(super) fn stamps_of_folder(folder: &Path) -> Result<Vec<Stamp>, String> {
    let mut stamps = Vec::new();
    visit(folder, 0, &mut stamps)?;
    if stamps.len() > MAX_FILES {
        return Err(format!(
            "{} has more than {MAX_FILES} files: name a folder with fewer",
            folder.display()
        ));
    }
    stamps.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(stamps)
}

fn visit(folder: &Path, depth: usize, stamps: &mut Vec<Stamp>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| failed(folder, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| failed(folder, &error))?;
        // A mounted Secret keeps its content in `..data`, and each key is a link into that folder.
        let is_internal = entry.file_name().as_encoded_bytes().starts_with(b"..");
        if is_internal || stamps.len() > MAX_FILES {
            continue;
        }
        let path = entry.path();
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => stamps.push(Stamp::new(&path, &metadata)),
            Ok(metadata) if metadata.is_dir() && depth < MAX_DEPTH => {
                visit(&path, depth + 1, stamps)?;
            }
            Ok(_) => {}
            Err(error) => return Err(failed(&path, &error)),
        }
    }
    Ok(())
}

/// Reads a file.
///
/// # Errors
///
/// The file cannot be read, or is too large.
pub(super) fn read_file(path: &Path, now: Timestamp) -> Result<Content, String> {
    read(stamp_of_file(path)?, now)
}

/// Reads all files of a folder.
///
/// # Errors
///
/// A file cannot be read or is too large, or there are too many files.
pub(super) fn read_folder(folder: &Path, now: Timestamp) -> Result<Content, String> {
    read(stamps_of_folder(folder)?, now)
}

fn read(stamps: Vec<Stamp>, now: Timestamp) -> Result<Content, String> {
    let named = |stamp: &Stamp| {
        let name = format!("file {}", stamp.path.display());
        Ok((name, read_value(&stamp.path)?))
    };
    let values = stamps.iter().map(named).collect::<Result<_, String>>()?;
    Ok(Content {
        is_settled: stamps.iter().all(|stamp| stamp.is_settled(now)),
        stamps,
        values,
    })
}

fn read_value(path: &Path) -> Result<SecretValue, String> {
    let file = File::open(path).map_err(|error| failed(path, &error))?;
    let metadata = file.metadata().map_err(|error| failed(path, &error))?;
    // A buffer that grows would leave copies of its content in memory.
    let capacity = metadata.size().min(MAX_FILE_BYTES) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(capacity).unwrap_or(0)));
    let read = file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    match read.map_err(|error| failed(path, &error))? as u64 {
        size if size > MAX_FILE_BYTES => Err(format!(
            "{} is larger than 256 KiB: a file holds one secret",
            path.display()
        )),
        _ => Ok(SecretValue::new(&bytes)),
    }
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!(
        "failed to read {}: {error}; is it mounted, and may the observer read it?",
        path.display()
    )
}
