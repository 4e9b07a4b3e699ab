//! The folder of the journal. Each change of the folder and each sync is one [`Step`]. So tests can
//! cut the power between any two steps, and let any step fail.

use super::entry::Seq;
use super::index::Place;
use crate::file_permissions;
use crate::locked::Locked;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Suffix of the file names of segments.
const SEGMENT_SUFFIX: &str = ".journal";

/// Maximum gap in bytes between two bodies that one read fetches. The read includes the gap. Bodies
/// with a larger gap are read separately.
const MAX_READ_GAP: u64 = 4096;

/// One change or one sync.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    MakeFolder(&'a Path),
    /// Syncs a folder, so that the names added to it and removed from it are durable.
    SyncFolder(&'a Path),
    /// Creates a segment, or empties one.
    Create(u64),
    Write {
        segment: u64,
        at: u64,
        bytes: &'a [u8],
    },
    /// Shortens a segment to a length.
    Truncate {
        segment: u64,
        length: u64,
    },
    /// Makes the content and the length of a segment durable.
    Sync(u64),
    Remove(u64),
}

/// Lets tests record a step or let it fail.
pub(super) trait Failpoint: std::fmt::Debug + Send + Sync {
    /// Runs before each step. If it fails, the step is not performed.
    fn before(&self, step: Step<'_>) -> io::Result<()>;
}

/// The folder and its open segments.
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

    /// Creates the folder and those above it that are missing.
    pub(super) fn create_folder(&self) -> io::Result<()> {
        let missing = self.folder.ancestors().take_while(|path| !path.exists());
        let missing: Vec<&Path> = missing.filter(|path| !is_current(path)).collect();
        let mut missing = missing.into_iter().rev();
        missing.try_for_each(|folder| self.perform(Step::MakeFolder(folder)))?;
        file_permissions::restrict_folder(&self.folder);
        Ok(())
    }

    /// Makes the names of the folder and of all folders above it durable. An earlier process may
    /// have created these folders and been killed before it synced their names.
    pub(super) fn sync_folder_name(&self) -> io::Result<()> {
        let device = std::fs::metadata(&self.folder)?.dev();
        // The last ancestor of a relative path is the current folder, which the observer did not
        // create.
        let created = self.folder.ancestors().filter(|path| !is_current(path));
        for folder in created.map(parent) {
            // This folder is on another device. The observer created nothing here or above, because
            // a mount point existed before it started.
            if std::fs::metadata(folder)?.dev() != device {
                break;
            }
            match self.perform(Step::SyncFolder(folder)) {
                // A process that is not allowed to open the folder created nothing in it.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                synced => synced?,
            }
        }
        Ok(())
    }

    /// Syncs the folder of the journal, so that the names of its segment files survive a crash of
    /// the machine.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        self.perform(Step::SyncFolder(&self.folder))
    }

    /// Performs a step. A failed sync is never reported as a full disk: the content of the disk is
    /// unknown after it, and a second sync would succeed without having written.
    pub(super) fn perform(&self, step: Step<'_>) -> io::Result<()> {
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
                let file = Arc::new(self.open_file(segment, &mut options)?);
                self.open.lock().insert(segment, file);
                Ok(())
            }
            Step::Write { segment, at, bytes } => self.file(segment)?.write_all_at(bytes, at),
            Step::Truncate { segment, length } => self.file(segment)?.set_len(length),
            Step::Sync(segment) => self.file(segment)?.sync_data().map_err(io::Error::other),
            Step::Remove(segment) => {
                std::fs::remove_file(self.path(segment))?;
                self.open.lock().remove(&segment);
                Ok(())
            }
        }
    }

    /// Returns the numbers of the segments in the folder, in ascending order.
    pub(super) fn list(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.strip_suffix(SEGMENT_SUFFIX));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(super) fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{segment:012}{SEGMENT_SUFFIX}"))
    }

    /// Opens an existing segment.
    pub(super) fn open(&self, segment: u64) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let file = self.open_file(segment, options.read(true).write(true))?;
        self.open.lock().insert(segment, Arc::new(file));
        Ok(())
    }

    /// Opens a segment, and removes the permissions of other users on it.
    fn open_file(&self, segment: u64, options: &mut OpenOptions) -> io::Result<File> {
        file_permissions::open_restricted(&self.folder, &self.path(segment), options)
    }

    /// Reads a whole segment. Its size is at most slightly more than the bound of a segment plus
    /// one write.
    pub(super) fn read_all(&self, segment: u64) -> io::Result<Vec<u8>> {
        self.read_from(segment, 0)
    }

    /// Reads a segment from an offset to its end.
    pub(super) fn read_from(&self, segment: u64, at: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_up_to(segment, at, usize::MAX, &mut bytes)?;
        Ok(bytes)
    }

    /// Replaces the content of `bytes` with at most `max_bytes` bytes of a segment, read from an
    /// offset on. Returns how many bytes of the segment follow.
    pub(super) fn read_up_to(
        &self,
        segment: u64,
        at: u64,
        max_bytes: usize,
        bytes: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let file = self.file(segment)?;
        let left = file.metadata()?.len().saturating_sub(at);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        bytes.clear();
        bytes.resize(left.min(max_bytes), 0);
        file.read_exact_at(bytes, at)?;
        Ok(left - bytes.len())
    }

    /// Reads a body.
    pub(super) fn read_body(&self, place: Place) -> io::Result<Bytes> {
        let bytes = self.read_range(place.segment, place.offset, place.end())?;
        check_sum(&bytes, place)?;
        Ok(bytes.into())
    }

    /// Reads bodies. Bodies that are near each other share one read. Omits bodies that cannot be
    /// read.
    pub(super) fn read_bodies(&self, places: &[(Seq, Place)]) -> Vec<(Seq, Bytes)> {
        let is_near = |one: &(Seq, Place), next: &(Seq, Place)| {
            let end = one.1.end();
            one.1.segment == next.1.segment && (end..end + MAX_READ_GAP).contains(&next.1.offset)
        };
        let mut bodies = Vec::with_capacity(places.len());
        for near in places.chunk_by(is_near) {
            let [(_, first), ..] = near else { continue };
            let end = near.last().map_or(first.end(), |(_, last)| last.end());
            let Ok(bytes) = self.read_range(first.segment, first.offset, end) else {
                continue;
            };
            for (seq, place) in near {
                let range =
                    (place.offset - first.offset) as usize..(place.end() - first.offset) as usize;
                let body = bytes.get(range).unwrap_or_default();
                if check_sum(body, *place).is_ok() {
                    // A copy: a slice would keep the bytes of all bodies as long as it lives.
                    bodies.push((*seq, Bytes::copy_from_slice(body)));
                }
            }
        }
        bodies
    }

    fn read_range(&self, segment: u64, from: u64, to: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (to - from) as usize];
        self.file(segment)?.read_exact_at(&mut bytes, from)?;
        Ok(bytes)
    }

    fn file(&self, segment: u64) -> io::Result<Arc<File>> {
        let file = self.open.lock().get(&segment).cloned();
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn check_sum(body: &[u8], place: Place) -> io::Result<()> {
    match crc32fast::hash(body) == place.sum {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the journal has changed on the disk",
        )),
    }
}

/// Returns whether a path is the current folder: the last ancestor of a relative path is empty.
fn is_current(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

fn parent(folder: &Path) -> &Path {
    match folder.parent() {
        Some(parent) if is_current(parent) => Path::new("."),
        // The root has no parent and always exists: returns the root itself.
        parent => parent.unwrap_or(folder),
    }
}
