//! The journal's folder: whatever changes it, and every sync, is one [`Step`], so that tests can cut the
//! power between any two of them and fail any one.

use super::book::Place;
use super::entry::Seq;
use crate::file_permissions;
use crate::locked::Locked;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What names a segment.
const SUFFIX: &str = ".journal";

/// Bytes between two bodies that are read, too, rather than to read twice.
const GAP: u64 = 4096;

/// One change, or one sync.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    MakeFolder(&'a Path),
    /// The names that came to a folder or went from it are on the disk after this.
    SyncFolder(&'a Path),
    /// A new segment, or one that is empty now.
    Create(u64),
    Write {
        segment: u64,
        at: u64,
        bytes: &'a [u8],
    },
    /// Ends a segment at a length.
    Cut {
        segment: u64,
        length: u64,
    },
    /// What was written to a segment is on the disk after this, and its length.
    Sync(u64),
    Remove(u64),
}

/// Where tests fail a step or note it.
pub(super) trait Failpoint: std::fmt::Debug + Send + Sync {
    /// Before each step; where it fails, the step is not taken.
    fn before(&self, step: Step<'_>) -> io::Result<()>;
}

/// The folder and its segments.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    open: Locked<BTreeMap<u64, Arc<File>>>,
    failpoint: Option<Arc<dyn Failpoint>>,
}

impl Files {
    pub(super) fn new(folder: &Path, failpoint: Option<Arc<dyn Failpoint>>) -> Self {
        Self {
            folder: folder.to_owned(),
            open: Locked::default(),
            failpoint,
        }
    }

    /// Makes the folder where it is not there.
    pub(super) fn make(&self) -> io::Result<()> {
        let missing = self.folder.ancestors().take_while(|path| !path.exists());
        let missing: Vec<&Path> = missing.filter(|path| !is_here(path)).collect();
        let mut missing = missing.into_iter().rev();
        missing.try_for_each(|folder| self.take(Step::MakeFolder(folder)))?;
        file_permissions::restrict_folder(&self.folder);
        Ok(())
    }

    /// The folder's own name is on the disk after this, and those of all above it: whoever made them
    /// may have been killed before.
    pub(super) fn sync_name(&self) -> io::Result<()> {
        let device = std::fs::metadata(&self.folder)?.dev();
        for folder in self.folder.ancestors().map(parent) {
            // Where a file system is mounted, nobody has just made a folder for the journal.
            if std::fs::metadata(folder)?.dev() != device {
                break;
            }
            match self.take(Step::SyncFolder(folder)) {
                // Who may not look into it has not made anything there.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced?,
            }
        }
        Ok(())
    }

    /// The names of the segments are on the disk after this.
    pub(super) fn sync_names(&self) -> io::Result<()> {
        self.take(Step::SyncFolder(&self.folder))
    }

    /// Takes a step. A sync that fails is never reported as a full disk: nobody knows what is there,
    /// and a second one would not say.
    pub(super) fn take(&self, step: Step<'_>) -> io::Result<()> {
        if let Some(failpoint) = &self.failpoint {
            failpoint.before(step).map_err(|error| match step {
                Step::Sync(_) | Step::SyncFolder(_) => io::Error::other(error),
                _ => error,
            })?;
        }
        match step {
            Step::MakeFolder(folder) => file_permissions::create_folder(folder),
            Step::SyncFolder(folder) => File::open(folder)?.sync_all().map_err(io::Error::other),
            Step::Create(segment) => {
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(true).truncate(true);
                let file = Arc::new(self.opened(segment, &mut options)?);
                self.with(|files| files.insert(segment, file));
                Ok(())
            }
            Step::Write { segment, at, bytes } => self.file(segment)?.write_all_at(bytes, at),
            Step::Cut { segment, length } => self.file(segment)?.set_len(length),
            Step::Sync(segment) => self.file(segment)?.sync_data().map_err(io::Error::other),
            Step::Remove(segment) => {
                std::fs::remove_file(self.path(segment))?;
                self.with(|files| files.remove(&segment));
                Ok(())
            }
        }
    }

    /// The numbers of the segments that are there.
    pub(super) fn list(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(super) fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:012}{SUFFIX}"))
    }

    /// Opens a segment that is there.
    pub(super) fn open(&self, segment: u64) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = self.opened(segment, options.read(true).write(true))?;
        self.with(|files| files.insert(segment, Arc::new(file)));
        Ok(())
    }

    /// Opens a segment, which nobody else may read.
    fn opened(&self, segment: u64, options: &mut OpenOptions) -> io::Result<File> {
        file_permissions::open_restricted(&self.folder, &self.path(segment), options)
    }

    /// All of a segment: little more than one is large, and one write.
    pub(super) fn whole(&self, segment: u64) -> io::Result<Vec<u8>> {
        self.rest(segment, 0)
    }

    /// A segment from a place on.
    pub(super) fn rest(&self, segment: u64, at: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.part(segment, at, usize::MAX, &mut bytes)?;
        Ok(bytes)
    }

    /// So much of a segment from a place on, or what is left of it, instead of what is in `bytes`.
    /// Gives how much is left behind it.
    pub(super) fn part(
        &self,
        segment: u64,
        at: u64,
        most: usize,
        bytes: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let file = self.file(segment)?;
        let left = file.metadata()?.len().saturating_sub(at);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        bytes.clear();
        bytes.resize(left.min(most), 0);
        file.read_exact_at(bytes, at)?;
        Ok(left - bytes.len())
    }

    /// A body.
    pub(super) fn read(&self, place: Place) -> io::Result<Bytes> {
        let bytes = self.bytes(place.segment, place.offset, place.end())?;
        is_whole(&bytes, place)?;
        Ok(bytes.into())
    }

    /// Bodies, those that lie near each other at once. What cannot be read is left out.
    pub(super) fn read_together(&self, places: &[(Seq, Place)]) -> Vec<(Seq, Bytes)> {
        let is_near = |one: &(Seq, Place), next: &(Seq, Place)| {
            let end = one.1.end();
            one.1.segment == next.1.segment && (end..end + GAP).contains(&next.1.offset)
        };
        let mut bodies = Vec::with_capacity(places.len());
        for near in places.chunk_by(is_near) {
            let [(_, first), ..] = near else { continue };
            let end = near.last().map_or(first.end(), |(_, last)| last.end());
            let Ok(bytes) = self.bytes(first.segment, first.offset, end) else {
                continue;
            };
            for (seq, place) in near {
                let range =
                    (place.offset - first.offset) as usize..(place.end() - first.offset) as usize;
                let body = bytes.get(range).unwrap_or_default();
                if is_whole(body, *place).is_ok() {
                    // Not a part of them: it would keep all of them for as long as it is kept.
                    bodies.push((*seq, Bytes::copy_from_slice(body)));
                }
            }
        }
        bodies
    }

    fn bytes(&self, segment: u64, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (to - from) as usize];
        self.file(segment)?.read_exact_at(&mut bytes, from)?;
        Ok(bytes)
    }

    fn file(&self, segment: u64) -> io::Result<Arc<File>> {
        let file = self.with(|files| files.get(&segment).cloned());
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<u64, Arc<File>>) -> T) -> T {
        work(&mut self.open.lock())
    }
}

fn is_whole(body: &[u8], place: Place) -> io::Result<()> {
    match crc32fast::hash(body) == place.sum {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the journal has changed on the disk",
        )),
    }
}

/// A relative path ends in an empty one, which is the folder that the program is in.
fn is_here(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

fn parent(folder: &Path) -> &Path {
    match folder.parent() {
        Some(parent) if is_here(parent) => Path::new("."),
        // The root has none, and is always there.
        parent => parent.unwrap_or(folder),
    }
}
