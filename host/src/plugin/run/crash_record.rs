//! Records which plugins were running when the process died. While a call of a dropped-in plugin
//! runs, it occupies a slot of a file. The file survives when the process is killed, so no sync is
//! needed and no call waits for a disk. The next start counts the occupied slots. A plugin is not
//! loaded again if the process died twice during its calls.

mod table;

use crate::file_permissions;
use crate::locked::Locked;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use table::{
    HEADER_BYTES, Header, MAX_SUSPECTS, PluginKey, SLOT_BYTES, SLOT_COUNT, SUSPECT_BYTES, Slot,
    Suspects,
};
use tracing::warn;

/// Name of the file in the journal's folder.
const CALLS_FILE: &str = "plugin-calls";
/// Time without another death after which a plugin is no longer suspected.
const SUSPICION_LIFETIME: Duration = Duration::from_secs(600);

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to use {}: {source}", path.display())]
pub struct CrashError {
    /// Its path.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// The file. A clone shares it.
#[derive(Clone, Debug)]
pub struct CrashRecord(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    opened: Instant,
    boot: Header,
    suspects: Locked<Suspects>,
    /// One bit for each slot that is in use.
    occupied: AtomicU32,
    /// True if a write has failed. The warning is logged only once.
    failed: AtomicBool,
}

impl CrashRecord {
    /// Opens or creates the file in a folder. If the previous process died, counts this death for
    /// the plugins whose calls it had recorded. `boot` identifies the boot of the machine. If it
    /// has changed, the machine itself was restarted, and no plugin is blamed.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written.
    pub fn open(folder: &Path, boot: Option<&str>) -> Result<Self, CrashError> {
        let path = folder.join(CALLS_FILE);
        let opened = Self::open_file(folder, &path, boot);
        opened.map_err(|source| CrashError { path, source })
    }

    fn open_file(folder: &Path, path: &Path, boot: Option<&str>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = file_permissions::open_restricted(folder, path, &mut options)?;
        let boot = Header::stopped(boot.unwrap_or_default());
        let mut bytes = vec![0; FILE_BYTES];
        let read = read_at(&file, &mut bytes)?;
        bytes.truncate(read);
        // Ignores an empty file, and a file of another version.
        let mut table = Suspects::default();
        if let Some(before) = Header::parse(&bytes) {
            table = Suspects::parse(
                bytes
                    .get(HEADER_BYTES + SLOT_COUNT * SLOT_BYTES..)
                    .unwrap_or_default(),
            );
            if before.is_running() && before.same_boot(&boot) {
                let slots = bytes.get(HEADER_BYTES..HEADER_BYTES + SLOT_COUNT * SLOT_BYTES);
                let died_in: Vec<Slot> = slots
                    .unwrap_or_default()
                    .chunks_exact(SLOT_BYTES)
                    .filter_map(Slot::parse)
                    .collect();
                table.count_death(&died_in);
            }
        }
        let mut fresh = vec![0; HEADER_BYTES + SLOT_COUNT * SLOT_BYTES];
        if let Some(header) = fresh.get_mut(..HEADER_BYTES) {
            header.copy_from_slice(&boot.bytes());
        }
        fresh.extend(table.bytes());
        file.write_all_at(&fresh, 0)?;
        file.set_len(FILE_BYTES as u64)?;
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            file,
            opened: Instant::now(),
            boot,
            suspects: Locked::new(table),
            occupied: AtomicU32::new(0),
            failed: AtomicBool::new(false),
        })))
    }

    /// Marks the process as running. If the process dies from now on, the next start counts the
    /// death for each plugin with a running call.
    pub fn mark_running(&self) {
        self.0.write(&self.0.boot.running().bytes(), 0);
    }

    /// Marks the process as stopped normally. If the process is killed later, for example after a
    /// timeout, its death is not counted.
    pub fn mark_stopped(&self) {
        self.0.write(&self.0.boot.bytes(), 0);
    }

    /// Returns the marker for calls of a plugin. `digest` covers its module and settings.
    #[must_use]
    pub fn call_marker(&self, digest: [u8; 32]) -> CallMarker {
        let key = PluginKey(digest);
        let deaths = self.0.suspects().deaths(key);
        CallMarker {
            record: self.clone(),
            key,
            suspected: Arc::new(AtomicBool::new(deaths > 0)),
        }
    }

    /// Returns the number of deaths during calls of the plugin if it must not be loaded again, and
    /// `None` if it may be loaded.
    #[must_use]
    pub fn deaths_if_refused(&self, digest: [u8; 32]) -> Option<u32> {
        self.0.suspects().deaths_if_refused(PluginKey(digest))
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

const FILE_BYTES: usize = HEADER_BYTES + SLOT_COUNT * SLOT_BYTES + MAX_SUSPECTS * SUSPECT_BYTES;

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
    fn suspects(&self) -> std::sync::MutexGuard<'_, Suspects> {
        self.suspects.lock()
    }

    /// Writes to the file. If that fails, events continue, but crashes are no longer recorded.
    fn write(&self, bytes: &[u8], at: usize) {
        if let Err(error) = self.file.write_all_at(bytes, at as u64)
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            let file = self.path.display().to_string();
            warn!(file, %error, "calls of plugins cannot be recorded: a plugin that ends the process would not be detected");
        }
    }

    /// Takes a free slot. Returns `None` if all are in use.
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
        let bytes = slot.map_or([0; SLOT_BYTES], Slot::bytes);
        self.write(&bytes, HEADER_BYTES + number as usize * SLOT_BYTES);
    }
}

/// Records the calls of one plugin. A clone shares the state.
#[derive(Clone, Debug)]
pub struct CallMarker {
    record: CrashRecord,
    key: PluginKey,
    /// True if the process has died during a call of this plugin before.
    suspected: Arc<AtomicBool>,
}

/// A plugin call that is marked as running.
#[derive(Debug)]
pub(crate) struct MarkedCall<'a> {
    call_marker: &'a CallMarker,
    slot: Option<u32>,
}

impl CallMarker {
    /// Records a running call until the returned value is dropped.
    pub(crate) fn begin(&self) -> MarkedCall<'_> {
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
        MarkedCall {
            call_marker: self,
            slot,
        }
    }
}

impl Drop for MarkedCall<'_> {
    fn drop(&mut self) {
        let inner = &self.call_marker.record.0;
        if let Some(number) = self.slot {
            inner.write_slot(number, None);
            inner.occupied.fetch_and(!(1 << number), Ordering::Release);
        }
        if self.call_marker.suspected.load(Ordering::Relaxed)
            && inner.opened.elapsed() >= SUSPICION_LIFETIME
        {
            self.call_marker.suspected.store(false, Ordering::Relaxed);
            let mut table = inner.suspects();
            table.clear(self.call_marker.key);
            inner.write(&table.bytes(), HEADER_BYTES + SLOT_COUNT * SLOT_BYTES);
        }
    }
}

#[cfg(test)]
mod tests;
