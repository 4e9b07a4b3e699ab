//! A disk that can lose its power and can fail. It follows each step of the real file system, and
//! tracks what a power cut may leave.

use crate::journal::files::{Failpoint, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// Bytes that a disk writes atomically.
const BLOCK: usize = 512;

/// A fault that occurs from some step on, once or a few times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Sync,
    Write,
    /// The disk is full for this many writes.
    Full(u8),
}

/// The simulated disk. The files themselves are in a temporary folder.
#[derive(Debug)]
pub(super) struct Disk {
    root: tempfile::TempDir,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: fastrand::Rng,
    /// Number of steps that remain until the process is killed.
    life: usize,
    /// Steps until the fault occurs, and the fault.
    fault: Option<(usize, Fault)>,
    /// The process was killed or a fault occurred.
    failed: bool,
    /// Number of requested syncs of segments.
    syncs: usize,
    segments: BTreeMap<u64, Segment>,
    /// Segments whose names are durable. `renamed` lists the names that were added or removed since
    /// the last sync of the folder.
    names: BTreeSet<u64>,
    renamed: Vec<(u64, bool)>,
    /// Folders, and whether their names are durable.
    folders: BTreeMap<PathBuf, bool>,
}

/// A file: what the system shows, and what may be on the disk.
#[derive(Clone, Debug, Default)]
struct Segment {
    shown: Vec<u8>,
    disk: Vec<u8>,
    /// All versions between two syncs.
    between: Vec<Vec<u8>>,
    /// Blocks that were written since the last sync.
    dirty: BTreeSet<usize>,
}

impl Disk {
    pub(super) fn new() -> Arc<Self> {
        Self::with(State {
            random: fastrand::Rng::with_seed(0),
            life: usize::MAX,
            fault: None,
            failed: false,
            syncs: 0,
            segments: BTreeMap::new(),
            names: BTreeSet::new(),
            renamed: Vec::new(),
            folders: BTreeMap::new(),
        })
    }

    fn with(state: State) -> Arc<Self> {
        Arc::new(Self {
            root: in_memory().unwrap(),
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Returns the folder of the journal. Neither it nor its parent exists at first.
    pub(super) fn folder(&self) -> PathBuf {
        self.root.path().join("state/journal")
    }

    /// Sets what happens next: the process is killed after `life` steps, and a fault occurs after a
    /// number of steps.
    pub(super) fn arm(&self, life: usize, fault: Option<(usize, Fault)>, seed: u64) {
        let mut state = self.state();
        state.random = fastrand::Rng::with_seed(seed);
        (state.life, state.fault, state.failed) = (life, fault, false);
    }

    /// Returns whether the process was killed or a fault occurred.
    pub(super) fn failed(&self) -> bool {
        self.state().failed
    }

    /// Returns the number of attempts to sync a segment.
    pub(super) fn syncs(&self) -> usize {
        self.state().syncs
    }

    /// Cuts the power. Returns a disk with the synced bytes and any part of the unsynced bytes.
    pub(super) fn cut_power(&self) -> Arc<Self> {
        let mut state = self.state();
        let State {
            random,
            segments,
            names,
            renamed,
            folders,
            ..
        } = &mut *state;
        // From "nothing unsynced is left" to "everything unsynced is left".
        let odds = [0.0, 0.1, 0.5, 0.9, 1.0][random.usize(0..5)];
        for (segment, there) in renamed.drain(..) {
            match (random.f64() < odds, there) {
                (false, _) => {}
                (true, true) => drop(names.insert(segment)),
                (true, false) => drop(names.remove(&segment)),
            }
        }
        let mut left = BTreeMap::new();
        for segment in names.iter() {
            let file = segments[segment].after_a_cut(random, odds);
            left.insert(*segment, Segment::on_disk(file));
        }
        let mut above = true;
        for sure in folders.values_mut() {
            above &= *sure || random.f64() < odds;
            *sure = above;
        }
        let next = Self::with(State {
            random: random.clone(),
            life: usize::MAX,
            fault: None,
            failed: false,
            syncs: 0,
            names: if above {
                names.clone()
            } else {
                BTreeSet::new()
            },
            segments: if above { left } else { BTreeMap::new() },
            renamed: Vec::new(),
            folders: BTreeMap::new(),
        });
        let (old, new) = (self.root.path(), next.root.path());
        for (folder, _) in folders.iter().filter(|(_, sure)| **sure) {
            let folder = new.join(folder.strip_prefix(old).unwrap());
            std::fs::create_dir(&folder).unwrap();
            next.state().folders.insert(folder, true);
        }
        for (segment, file) in &next.state().segments {
            std::fs::write(path(&next.folder(), *segment), &file.shown).unwrap();
        }
        next
    }
}

/// Creates the folder in memory if possible, because syncs of a real disk would only take time.
fn in_memory() -> io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

fn path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:012}.journal"))
}

impl Failpoint for Disk {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        let mut state = self.state();
        if state.life == 0 {
            state.failed = true;
            return Err(io::Error::other("the process is dead"));
        }
        state.life -= 1;
        state.syncs += usize::from(matches!(step, Step::Sync(_)));
        let fault = match (&mut state.fault, step) {
            (Some((0, fault)), Step::Sync(_) | Step::SyncFolder(_)) if *fault == Fault::Sync => {
                Some(libc_error(5))
            }
            (Some((0, fault)), Step::Write { .. }) if *fault == Fault::Write => Some(libc_error(5)),
            (Some((0, Fault::Full(times))), Step::Write { .. }) if *times > 0 => {
                *times -= 1;
                Some(libc_error(28))
            }
            (Some((after, _)), _) => {
                *after = after.saturating_sub(1);
                None
            }
            (None, _) => None,
        };
        let cut_short = state.life == 0 || fault.is_some();
        if let Step::Write { segment, at, bytes } = step
            && cut_short
        {
            // A part of the bytes is written.
            let length = state.random.usize(0..=bytes.len());
            let file = std::fs::File::options()
                .write(true)
                .open(path(&self.folder(), segment));
            file?.write_all_at(&bytes[..length], at)?;
            state.apply(Step::Write {
                segment,
                at,
                bytes: &bytes[..length],
            });
            state.failed |= state.life == 0 || !matches!(state.fault, Some((0, Fault::Full(_))));
            return Err(fault.unwrap_or_else(|| io::Error::other("killed")));
        }
        if let Some(error) = fault {
            if let Step::Sync(segment) = step {
                state.fail_to_sync(segment);
            }
            state.fault = None;
            state.failed = true;
            return Err(error);
        }
        state.apply(step);
        Ok(())
    }
}

fn libc_error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl State {
    fn apply(&mut self, step: Step<'_>) {
        match step {
            Step::MakeFolder(folder) => drop(self.folders.insert(folder.to_owned(), false)),
            Step::SyncFolder(folder) => {
                for (name, sure) in &mut self.folders {
                    *sure |= name.parent() == Some(folder);
                }
                if folder.ends_with("state/journal") {
                    for (segment, there) in self.renamed.drain(..) {
                        match there {
                            true => self.names.insert(segment),
                            false => self.names.remove(&segment),
                        };
                    }
                }
            }
            Step::Create(segment) => {
                self.segments.entry(segment).or_default().change(|shown| {
                    shown.clear();
                    0..0
                });
                self.renamed.push((segment, true));
            }
            Step::Write { segment, at, bytes } => {
                let at = usize::try_from(at).unwrap();
                self.file(segment).change(|shown| {
                    let end = at + bytes.len();
                    shown.resize(shown.len().max(end), 0);
                    shown[at..end].copy_from_slice(bytes);
                    at..end
                });
            }
            Step::Truncate { segment, length } => {
                let length = usize::try_from(length).unwrap();
                self.file(segment).change(|shown| {
                    shown.resize(length, 0);
                    // The rest of the last block is zeros now.
                    length..length.next_multiple_of(BLOCK)
                });
            }
            Step::Sync(segment) => self.file(segment).sync(),
            Step::Remove(segment) => self.renamed.push((segment, false)),
        }
    }

    /// Simulates a failed sync: the system then treats the bytes as written, although the disk does
    /// not have them.
    fn fail_to_sync(&mut self, segment: u64) {
        let left = self.segments[&segment].after_a_cut(&mut self.random, 0.5);
        let file = self.file(segment);
        file.disk = left;
        file.between.clear();
        file.dirty.clear();
    }

    fn file(&mut self, segment: u64) -> &mut Segment {
        self.segments.get_mut(&segment).unwrap()
    }
}

impl Segment {
    fn on_disk(bytes: Vec<u8>) -> Self {
        Self {
            shown: bytes.clone(),
            disk: bytes,
            ..Self::default()
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Vec<u8>) -> std::ops::Range<usize>) {
        self.between.push(self.shown.clone());
        let changed = change(&mut self.shown);
        self.dirty
            .extend(changed.start / BLOCK..changed.end.div_ceil(BLOCK));
    }

    fn sync(&mut self) {
        let mut disk = std::mem::take(&mut self.disk);
        disk.resize(self.shown.len(), 0);
        for block in std::mem::take(&mut self.dirty) {
            part(&mut disk, block).copy_from_slice(part(&mut self.shown, block));
        }
        self.disk = disk;
        self.between.clear();
    }

    /// Returns a random mixture of the file's versions since the last sync, as a power cut may
    /// leave it.
    fn after_a_cut(&self, random: &mut fastrand::Rng, odds: f64) -> Vec<u8> {
        let mut versions: Vec<Vec<u8>> = self.between.clone();
        versions.push(self.shown.clone());
        let any = |random: &mut fastrand::Rng| match random.f64() < odds {
            true if odds >= 1.0 || random.bool() => versions.last().cloned().unwrap(),
            true => versions[random.usize(0..versions.len())].clone(),
            false => self.disk.clone(),
        };
        let mut length = any(random).len();
        if odds < 1.0 && random.u8(0..4) == 0 && length > self.disk.len() {
            // The file grew by blocks.
            length = random.usize(self.disk.len()..=length) / BLOCK * BLOCK;
            length = length.max(self.disk.len());
        }
        let mut left = self.disk.clone();
        left.resize(length, 0);
        for block in &self.dirty {
            let mut from = any(random);
            from.resize(length.max(from.len()), 0);
            let from = part(&mut from, *block).to_vec();
            let to = part(&mut left, *block);
            let shared = to.len().min(from.len());
            to[..shared].copy_from_slice(&from[..shared]);
        }
        left
    }
}

/// Returns a block of a file; shorter at the end of the file.
fn part(bytes: &mut [u8], block: usize) -> &mut [u8] {
    let from = (block * BLOCK).min(bytes.len());
    let to = (block * BLOCK + BLOCK).min(bytes.len());
    &mut bytes[from..to]
}
