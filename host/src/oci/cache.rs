//! Keeps pulled plugins by the digest of their manifest: in a folder, else in memory.
//!
//! A file holds the manifest and the layer, as the registry has them: the length of the manifest as eight bytes in little-endian order,
//! the manifest, the layer. Both digests are compared whenever a file is read, so that only a whole and unchanged file is used.

use super::registry::Contents;
use crate::locked::Locked;
use crate::{bounded_file, file_permissions};
use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use step_observer_oci::{Digest, MAX_MANIFEST_BYTES, Manifest};
use tracing::warn;

/// Suffix of the files, whose names are the digits of the manifest's digest.
const SUFFIX: &str = ".artifact";
/// Suffix of a file that is being written.
const UNFINISHED_SUFFIX: &str = ".new";
/// Bytes of the length before the manifest.
const LENGTH_BYTES: usize = 8;

/// The bounds of a cache.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheLimits {
    /// Most artifacts.
    pub(super) artifacts: usize,
    /// Most bytes of all together.
    pub(super) bytes: u64,
}

/// Bounds of the folder.
const FOLDER_LIMITS: CacheLimits = CacheLimits {
    artifacts: 64,
    bytes: 128 * 1024 * 1024,
};
/// Bounds of the memory: as much as the largest plugin, because the memory of an observer is small.
const MEMORY_LIMITS: CacheLimits = CacheLimits {
    artifacts: 16,
    bytes: 33 * 1024 * 1024,
};

/// Pulled plugins.
#[derive(Debug)]
pub(super) struct Cache {
    folder: Option<PathBuf>,
    /// The bound of a layer in bytes.
    max_bytes: u64,
    limits: CacheLimits,
    state: Locked<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The artifacts that this process has used. Others are removed before them.
    used: HashSet<Digest>,
    /// Artifacts in memory, each with the number of its last use.
    in_memory: HashMap<Digest, (u64, Arc<Contents>)>,
    uses: u64,
}

impl Cache {
    /// Opens the cache in a folder, which is made when it is needed. `max_bytes` is the size of the largest layer.
    pub(super) fn open(folder: Option<PathBuf>, max_bytes: u64) -> Self {
        if let Some(folder) = folder.as_deref().filter(|folder| folder.is_dir()) {
            file_permissions::restrict_folder(folder);
            remove_unfinished(folder);
        }
        Self {
            folder,
            max_bytes,
            limits: FOLDER_LIMITS,
            state: Locked::default(),
        }
    }

    /// Returns an artifact whose manifest has this digest. Reads files, and so blocks the thread.
    pub(super) fn get(&self, digest: Digest) -> Option<Contents> {
        {
            let mut state = self.state.lock();
            state.used.insert(digest);
            state.uses += 1;
            let uses = state.uses;
            if let Some((last_use, contents)) = state.in_memory.get_mut(&digest) {
                *last_use = uses;
                return Some(Contents::clone(contents));
            }
        }
        let path = self.path(digest)?;
        let problem = match self.read(&path, digest) {
            Ok(contents) => {
                // The time of the last use decides which file is removed first.
                let file = OpenOptions::new().append(true).open(&path);
                file.and_then(|file| file.set_modified(now())).ok();
                return Some(contents);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => error,
        };
        let file = path.display().to_string();
        warn!(file, %problem, "a cached plugin is damaged: it is removed, and pulled again");
        std::fs::remove_file(&path).ok();
        None
    }

    /// Keeps an artifact. If the folder cannot be written, keeps it in memory. Writes files, and so blocks the thread.
    pub(super) fn put(&self, digest: Digest, contents: &Contents) {
        self.state.lock().used.insert(digest);
        let Some(folder) = &self.folder else {
            self.put_in_memory(digest, contents);
            return;
        };
        if let Err(error) = self.write(folder, digest, contents) {
            let folder = folder.display().to_string();
            warn!(folder, %error, "a pulled plugin cannot be kept for the next start");
            self.put_in_memory(digest, contents);
        }
    }

    fn put_in_memory(&self, digest: Digest, contents: &Contents) {
        let mut state = self.state.lock();
        state.uses += 1;
        let uses = state.uses;
        let kept = (uses, Arc::new(contents.clone()));
        state.in_memory.insert(digest, kept);
        let found = state.in_memory.iter();
        let found = found.map(|(digest, (last_use, contents))| Kept {
            age: (true, *last_use),
            bytes: size(contents),
            key: *digest,
        });
        for digest in superfluous(found.collect(), MEMORY_LIMITS) {
            state.in_memory.remove(&digest);
        }
    }

    fn path(&self, digest: Digest) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        Some(folder.join(format!("{}{SUFFIX}", digest.hex())))
    }

    fn read(&self, path: &Path, digest: Digest) -> io::Result<Contents> {
        let damaged = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, problem);
        let most = (LENGTH_BYTES as u64)
            .saturating_add(MAX_MANIFEST_BYTES as u64)
            .saturating_add(self.max_bytes);
        // A link could lead to any file of the observer.
        if std::fs::symlink_metadata(path)?.is_symlink() {
            return Err(damaged("it is a symbolic link"));
        }
        let mut bytes = bounded_file::read(path, most)?;
        if bytes.len() as u64 > most {
            return Err(damaged("it is too large"));
        }
        let short = || damaged("it is too short");
        let (length, rest) = bytes
            .split_first_chunk::<LENGTH_BYTES>()
            .ok_or_else(short)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| short())?;
        let manifest = rest.get(..length).ok_or_else(short)?.to_vec();
        if Digest::of(&manifest) != digest {
            return Err(damaged("its manifest has another digest than its name"));
        }
        let read = Manifest::parse(&manifest, self.max_bytes).map_err(io::Error::other)?;
        // Reuses the memory of the file, which may be 32 MiB.
        bytes.drain(..LENGTH_BYTES.saturating_add(length));
        if Digest::of(&bytes) != read.layer.digest {
            return Err(damaged(
                "its layer has another digest than its manifest says",
            ));
        }
        Ok(Contents {
            manifest,
            layer: bytes,
        })
    }

    fn write(&self, folder: &Path, digest: Digest, contents: &Contents) -> io::Result<()> {
        if !folder.is_dir() {
            file_permissions::create_folder(folder)?;
        }
        let name = format!("{}{SUFFIX}", digest.hex());
        let unfinished = folder.join(format!("{name}{UNFINISHED_SUFFIX}"));
        // An earlier process may have been killed while it wrote.
        std::fs::remove_file(&unfinished).ok();
        let written = || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            let mut file = file_permissions::open_restricted(folder, &unfinished, &mut options)?;
            file.write_all(&(contents.manifest.len() as u64).to_le_bytes())?;
            file.write_all(&contents.manifest)?;
            file.write_all(&contents.layer)?;
            file.sync_all()?;
            std::fs::rename(&unfinished, folder.join(&name))?;
            std::fs::File::open(folder)?.sync_all()
        };
        let written = written();
        if written.is_err() {
            std::fs::remove_file(&unfinished).ok();
        }
        self.remove_superfluous(folder)?;
        written
    }

    /// Removes files until the rest is within the bounds: first those that this process has not used, the oldest first.
    fn remove_superfluous(&self, folder: &Path) -> io::Result<()> {
        let used = self.state.lock().used.clone();
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(digits) = name.strip_suffix(SUFFIX) else {
                continue;
            };
            let digest: Option<Digest> = format!("sha256:{digits}").parse().ok();
            let is_used = digest.is_some_and(|digest| used.contains(&digest));
            let metadata = entry.metadata()?;
            found.push(Kept {
                age: (
                    is_used,
                    metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                ),
                bytes: metadata.len(),
                key: entry.path(),
            });
        }
        for path in superfluous(found, self.limits) {
            std::fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// Something that is kept.
struct Kept<A, K> {
    /// The smallest is removed first.
    age: A,
    bytes: u64,
    key: K,
}

/// Returns what is to be removed so that the rest is within the bounds. The newest always stays.
fn superfluous<A: Ord, K>(mut found: Vec<Kept<A, K>>, limits: CacheLimits) -> Vec<K> {
    found.sort_by(|one, other| other.age.cmp(&one.age));
    let (mut count, mut bytes) = (0_usize, 0_u64);
    let mut removed = Vec::new();
    for kept in found {
        let (more, larger) = (count + 1, bytes.saturating_add(kept.bytes));
        if count > 0 && (more > limits.artifacts || larger > limits.bytes) {
            removed.push(kept.key);
            continue;
        }
        (count, bytes) = (more, larger);
    }
    removed
}

fn size(contents: &Contents) -> u64 {
    let bytes = contents.manifest.len().saturating_add(contents.layer.len());
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn now() -> SystemTime {
    crate::clock::now().into()
}

fn remove_unfinished(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        if name.to_string_lossy().ends_with(UNFINISHED_SUFFIX) {
            std::fs::remove_file(entry.path()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn contents(text: &str) -> (Digest, Contents) {
        let layer = text.as_bytes().to_vec();
        let described = serde_json::json!({"mediaType": "application/wasm", "digest": Digest::of(&layer), "size": layer.len()});
        let manifest = serde_json::json!({"layers": [described]});
        let manifest = manifest.to_string().into_bytes();
        (Digest::of(&manifest), Contents { manifest, layer })
    }

    fn open(journal: &Path) -> Cache {
        Cache::open(Some(journal.join("plugins")), 1000)
    }

    fn files(journal: &Path) -> Vec<PathBuf> {
        let found = std::fs::read_dir(journal.join("plugins")).unwrap();
        found.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn an_artifact_is_kept_in_a_private_file_and_found_by_the_next_process() {
        let journal = tempfile::tempdir().unwrap();
        let (digest, artifact) = contents("one");
        let cache = open(journal.path());
        assert_eq!(cache.get(digest), None);
        cache.put(digest, &artifact);
        let next = open(journal.path());
        assert_eq!(next.get(digest), Some(artifact));
        let [file] = files(journal.path()).try_into().unwrap();
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "{mode:o}");
    }

    #[test]
    fn damaged_and_hostile_files_are_removed() {
        let journal = tempfile::tempdir().unwrap();
        let (digest, artifact) = contents("one");
        let cache = open(journal.path());
        cache.put(digest, &artifact);
        let [file] = files(journal.path()).try_into().unwrap();
        let whole = std::fs::read(&file).unwrap();
        let (mut other_manifest, mut other_layer) = (whole.clone(), whole.clone());
        other_manifest[9] ^= 1;
        *other_layer.last_mut().unwrap() ^= 1;
        let hostile = [
            &b""[..],
            &whole[..10],
            &[0xff; 12],
            &other_manifest,
            &other_layer,
            &[0; 300_000],
        ];
        for bytes in hostile {
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(cache.get(digest), None, "{} bytes", bytes.len());
            assert!(!file.exists());
        }
        // A link to a file with the right content.
        let elsewhere = journal.path().join("elsewhere");
        std::fs::write(&elsewhere, whole).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        assert_eq!(cache.get(digest), None);
        assert!(elsewhere.exists() && std::fs::symlink_metadata(&file).is_err());
    }

    #[test]
    fn the_oldest_file_that_is_not_in_use_goes_first() {
        let journal = tempfile::tempdir().unwrap();
        let limits = CacheLimits {
            artifacts: 2,
            bytes: 1000,
        };
        let open = || Cache {
            limits,
            ..open(journal.path())
        };
        let (cache, earlier) = (open(), open());
        let [(old, one), (used, two), (new, three)] = ["one", "two", "three"].map(contents);
        earlier.put(old, &one);
        cache.put(used, &two);
        let age = |digest: Digest, seconds: u64| {
            let file = OpenOptions::new()
                .append(true)
                .open(cache.path(digest).unwrap());
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            file.unwrap().set_modified(time).unwrap();
        };
        // The one in use is older.
        age(old, 200);
        age(used, 100);
        cache.put(new, &three);
        assert_eq!(cache.get(old), None);
        assert_eq!(cache.get(used), Some(two));
        assert_eq!(cache.get(new), Some(three));
    }

    #[test]
    fn the_bounds_hold_and_the_newest_stays() {
        let limits = CacheLimits {
            artifacts: 3,
            bytes: 100,
        };
        let kept = |sizes: &[u64]| -> Vec<usize> {
            let found = sizes.iter().enumerate().map(|(key, bytes)| Kept {
                age: key,
                bytes: *bytes,
                key,
            });
            superfluous(found.collect(), limits)
        };
        assert!(kept(&[10, 10, 10]).is_empty());
        assert_eq!(kept(&[10, 10, 10, 10]), [0]);
        assert_eq!(kept(&[60, 50, 40]), [0]);
        assert_eq!(kept(&[10, 500]), [0]);
        assert!(kept(&[500]).is_empty());
    }

    #[test]
    fn without_a_folder_the_memory_keeps_what_fits() {
        let cache = Cache::open(None, 1000);
        let (digest, artifact) = contents("one");
        cache.put(digest, &artifact);
        assert_eq!(cache.get(digest), Some(artifact));
        for number in 0..MEMORY_LIMITS.artifacts {
            let (digest, artifact) = contents(&format!("more {number}"));
            cache.put(digest, &artifact);
        }
        assert_eq!(cache.get(digest), None);
    }
}
