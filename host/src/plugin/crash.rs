//! Which plugins were running when the process died. Each call of a plugin that was dropped in occupies a slot of a
//! file while it runs; what is written to a file is there after the process was killed, so nothing is synced and
//! nobody waits for a disk. The next start counts the slots that are occupied, and a plugin during whose calls the
//! process died twice is not loaded again.

mod table;

use crate::file_permissions;
use crate::locked::Locked;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use table::{ENTRY, HEADER, Header, Key, SLOT, SLOTS, Slot, TABLE, Table};
use tracing::warn;

/// The file, in the folder of the journal.
const FILE: &str = "plugin-calls";
/// After so long without a death, what a plugin is suspected of is forgotten.
const HEALTHY: Duration = Duration::from_secs(600);

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to use {}: {source}", path.display())]
pub struct CrashError {
    /// Its path.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// The file. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CrashRecord(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    opened: Instant,
    boot: Header,
    table: Locked<Table>,
    /// A bit for each slot that is in use.
    occupied: AtomicU32,
    /// Writing failed: said once.
    failed: AtomicBool,
}

impl CrashRecord {
    /// Opens the file in a folder, or makes it, and counts what the process before has left in it. `boot` names the
    /// time since the machine has started: a machine that went down is no plugin's fault.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written.
    pub fn open(folder: &Path, boot: Option<&str>) -> Result<Self, CrashError> {
        let path = folder.join(FILE);
        let opened = Self::open_file(&path, boot);
        let opened = opened.map_err(|source| CrashError {
            path: path.clone(),
            source,
        })?;
        file_permissions::restrict_file(folder, &path);
        Ok(opened)
    }

    fn open_file(path: &Path, boot: Option<&str>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o660).open(path)?;
        let boot = Header::stopped(boot.unwrap_or_default());
        let mut bytes = vec![0; SIZE];
        let read = read_at(&file, &mut bytes)?;
        bytes.truncate(read);
        // One of another version, or none at all, says nothing.
        let mut table = Table::default();
        if let Some(before) = Header::parse(&bytes) {
            table = Table::parse(bytes.get(HEADER + SLOTS * SLOT..).unwrap_or_default());
            if before.is_running() && before.same_boot(&boot) {
                let slots = bytes.get(HEADER..HEADER + SLOTS * SLOT);
                let died_in: Vec<Slot> = slots
                    .unwrap_or_default()
                    .chunks_exact(SLOT)
                    .filter_map(Slot::parse)
                    .collect();
                table.count_death(&died_in);
            }
        }
        let mut fresh = vec![0; HEADER + SLOTS * SLOT];
        if let Some(header) = fresh.get_mut(..HEADER) {
            header.copy_from_slice(&boot.bytes());
        }
        fresh.extend(table.bytes());
        file.write_all_at(&fresh, 0)?;
        file.set_len(SIZE as u64)?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            file,
            opened: Instant::now(),
            boot,
            table: Locked::new(table),
            occupied: AtomicU32::new(0),
            failed: AtomicBool::new(false),
        })))
    }

    /// From now on a death counts.
    pub fn runs(&self) {
        self.0.write(&self.0.boot.running().bytes(), 0);
    }

    /// The process ends in order: what happens from now on, such as being killed for taking too long, does not count.
    pub fn stops(&self) {
        self.0.write(&self.0.boot.bytes(), 0);
    }

    /// Counts calls of the plugin with this digest, of its module and settings.
    #[must_use]
    pub fn mark(&self, digest: [u8; 32]) -> CrashMark {
        let key = Key(digest);
        let deaths = self.0.table().deaths(key);
        CrashMark {
            record: self.clone(),
            key,
            suspected: Arc::new(AtomicBool::new(deaths > 0)),
        }
    }

    /// How often the process died during its calls, where that is too often to load it again.
    #[must_use]
    pub fn refuses(&self, digest: [u8; 32]) -> Option<u32> {
        self.0.table().refuses(Key(digest))
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

const SIZE: usize = HEADER + SLOTS * SLOT + TABLE * ENTRY;

fn read_at(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

impl Inner {
    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// Where it fails, events go on: only a crash would not be counted.
    fn write(&self, bytes: &[u8], at: usize) {
        if let Err(error) = self.file.write_all_at(bytes, at as u64)
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            let file = self.path.display().to_string();
            warn!(file, %error, "calls of plugins cannot be noted: one that ends the process would not be found out");
        }
    }

    /// Takes a slot; none while all are in use.
    fn occupy(&self) -> Option<u32> {
        let mut occupied = self.occupied.load(Ordering::Relaxed);
        loop {
            let free = (!occupied).trailing_zeros();
            let bit = 1_u32.checked_shl(free)?;
            match self.occupied.compare_exchange_weak(
                occupied,
                occupied | bit,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(free),
                Err(now) => occupied = now,
            }
        }
    }

    fn write_slot(&self, number: u32, slot: Option<&Slot>) {
        let bytes = slot.map_or([0; SLOT], Slot::bytes);
        self.write(&bytes, HEADER + number as usize * SLOT);
    }
}

/// Notes the calls of one plugin. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CrashMark {
    record: CrashRecord,
    key: Key,
    /// The process has died during its calls before.
    suspected: Arc<AtomicBool>,
}

/// A call that runs.
#[derive(Debug)]
pub(super) struct Running<'a> {
    mark: &'a CrashMark,
    slot: Option<u32>,
}

impl CrashMark {
    /// Notes that a call runs, until what is given back is dropped.
    pub(super) fn begin(&self) -> Running<'_> {
        let inner = &self.record.0;
        let slot = inner.occupy();
        if let Some(number) = slot {
            let began = inner.opened.elapsed().as_micros();
            let slot = Slot {
                key: self.key,
                began: u64::try_from(began).unwrap_or(u64::MAX),
            };
            inner.write_slot(number, Some(&slot));
        }
        Running { mark: self, slot }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let inner = &self.mark.record.0;
        if let Some(number) = self.slot {
            inner.write_slot(number, None);
            inner.occupied.fetch_and(!(1 << number), Ordering::Release);
        }
        if self.mark.suspected.load(Ordering::Relaxed) && inner.opened.elapsed() >= HEALTHY {
            self.mark.suspected.store(false, Ordering::Relaxed);
            let mut table = inner.table();
            table.clear(self.mark.key);
            inner.write(&table.bytes(), HEADER + SLOTS * SLOT);
        }
    }
}

#[cfg(test)]
mod tests;
