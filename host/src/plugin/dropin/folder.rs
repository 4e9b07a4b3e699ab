//! A folder as a source of plugins, such as a mounted ConfigMap. It is polled, because a mounted
//! volume changes by a swap of a symbolic link, which not every file system reports.

use super::catalog::SourceChange;
use super::package::{Origin, PackageFiles, is_module, is_package_file, module_stem};
use crate::bounded_file;
use crate::plugin::load::{MAX_FILE_BYTES, SIGNATURE_SUFFIX};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A folder of plugins. It contains
///
/// - `NAME.wasm` (or `.wasm.gz`, `.wasm.zst`, `.wat`) with `NAME.yaml`: the plugin NAME,
/// - a folder NAME with `plugin.wasm` and `plugin.yaml`: the plugin NAME,
/// - `plugin.wasm` and `plugin.yaml` in the folder itself: a plugin of the folder's name.
#[derive(Debug)]
pub struct PluginFolder {
    path: PathBuf,
    /// The state that was reported last; only differences are reported.
    reported: BTreeMap<Origin, Stamp>,
}

/// Real path, size and modification time of every file of a plugin. Files with the same values are
/// not read again.
type Stamp = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// The files of a plugin: maps the name in the package to the path.
type FilePaths = BTreeMap<String, PathBuf>;

/// A folder that file systems make for themselves, and that only root can read. It is no plugin.
const LOST_AND_FOUND: &str = "lost+found";

/// What is in a folder of plugins.
#[derive(Default)]
struct Found {
    plugins: BTreeMap<Origin, FilePaths>,
    /// Folders that exist and cannot be listed, with the reason. Each may contain a plugin that removes
    /// secrets, so none counts as removed.
    unreadable: BTreeMap<Origin, String>,
}

/// The result of a scan.
#[derive(Debug)]
pub struct FolderScan {
    /// Changes since the last scan.
    pub changes: Vec<SourceChange>,
    /// True if everything was reported; false if a file changed while it was read.
    pub complete: bool,
}

impl PluginFolder {
    /// Returns a folder that was not scanned yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            reported: BTreeMap::new(),
        }
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Scans the folder for changes since the last scan.
    ///
    /// # Errors
    ///
    /// The folder cannot be read. Its plugins stay as they are.
    pub fn scan(&mut self) -> io::Result<FolderScan> {
        let Found {
            plugins,
            unreadable,
        } = self.find_plugins()?;
        let exists =
            |origin: &Origin| plugins.contains_key(origin) || unreadable.contains_key(origin);
        let (mut reported, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.reported)
                .into_iter()
                .partition(|(origin, _)| exists(origin));
        let mut changes: Vec<SourceChange> = gone
            .into_keys()
            .map(|origin| SourceChange::Withdrawn { origin })
            .collect();
        let mut complete = true;
        let mut failures: Vec<(Origin, String)> = Vec::new();
        for (origin, paths) in plugins {
            if unreadable.contains_key(&origin) {
                continue;
            }
            let stamp = stamp(&paths);
            if reported.get(&origin) == Some(&stamp) {
                continue;
            }
            match read_files(&paths) {
                Ok(files) if self::stamp(&paths) == stamp => {
                    reported.insert(origin.clone(), stamp);
                    changes.push(SourceChange::Offered { origin, files });
                }
                // The files have changed while they were read: some contents may be old and others
                // new.
                Ok(_) => complete = false,
                Err(reason) => failures.push((origin, reason)),
            }
        }
        for (origin, reason) in failures.into_iter().chain(unreadable) {
            // The plugin exists, so its later removal must be reported. The empty stamp makes the next
            // scan read it again.
            reported.insert(origin.clone(), Stamp::new());
            changes.push(SourceChange::Unreadable { origin, reason });
        }
        self.reported = reported;
        Ok(FolderScan { changes, complete })
    }

    fn find_plugins(&self) -> io::Result<Found> {
        let here = list_folder(&self.path)?;
        let mut all = Found::default();
        let found = &mut all.plugins;
        let mut own = FilePaths::new();
        for (name, path) in &here {
            let stem = module_stem(name);
            let inside = match stem {
                None => list_subfolder(path),
                Some(_) => Ok(None),
            };
            match inside {
                Ok(Some(inside)) => {
                    let is_plugin = |name: &String| is_module(name) || name == "plugin.yaml";
                    if inside.keys().any(is_plugin) {
                        let meant = inside.into_iter().filter(|(name, _)| is_package_file(name));
                        found.entry(self.origin(name)).or_default().extend(meant);
                    }
                    continue;
                }
                Err(_) if name == LOST_AND_FOUND => continue,
                Err(error) => {
                    let reason = format!("{}: {error}", path.display());
                    all.unreadable.insert(self.origin(name), reason);
                    continue;
                }
                Ok(None) => {}
            }
            if name.starts_with("plugin.") && is_package_file(name) {
                own.insert(name.clone(), path.clone());
            } else if let Some(stem) = stem {
                let files = found.entry(self.origin(stem)).or_default();
                files.insert(name.clone(), path.clone());
                let beside = [
                    (format!("{stem}.yaml"), "plugin.yaml".to_owned()),
                    (format!("{stem}.yml"), "plugin.yml".to_owned()),
                    (
                        format!("{name}{SIGNATURE_SUFFIX}"),
                        format!("{name}{SIGNATURE_SUFFIX}"),
                    ),
                ];
                for (name, known_as) in beside {
                    if let Some(path) = here.get(&name) {
                        files.insert(known_as, path.clone());
                    }
                }
            }
        }
        if !own.is_empty() {
            let named = self.path.canonicalize()?;
            found.insert(Origin::Folder(named.display().to_string()), own);
        }
        Ok(all)
    }

    /// Returns the origin of a plugin. It has no file extension, so the plugin stays the same if
    /// its module changes to another form, for example from `.wasm` to `.wat`.
    fn origin(&self, name: &str) -> Origin {
        Origin::Folder(self.path.join(name).display().to_string())
    }
}

/// Lists a folder, without the kubelet's own entries (`..data`).
fn list_folder(folder: &Path) -> io::Result<FilePaths> {
    let mut found = FilePaths::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            found.insert(name, entry.path());
        }
    }
    Ok(found)
}

/// Lists a folder in a folder of plugins. Returns `None` for a file, and for a link to nothing.
fn list_subfolder(path: &Path) -> io::Result<Option<FilePaths>> {
    match list_folder(path) {
        Ok(inside) => Ok(Some(inside)),
        Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::NotFound) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn stamp(paths: &FilePaths) -> Stamp {
    let one = |path: &PathBuf| {
        // The target of a symbolic link is part of the stamp. It changes when a mounted volume
        // changes, even if times and sizes stay the same.
        let place = path.canonicalize().unwrap_or_else(|_| path.clone());
        let metadata = std::fs::metadata(path).ok();
        let size = metadata.as_ref().map_or(0, std::fs::Metadata::len);
        let time = metadata.and_then(|metadata| metadata.modified().ok());
        (place, size, time)
    };
    paths.values().map(one).collect()
}

/// Reads all files. An error names the file and the reason.
fn read_files(paths: &FilePaths) -> Result<PackageFiles, String> {
    let mut read_files = PackageFiles::new();
    for (name, path) in paths {
        // The loader detects and reports a file that is too large.
        let bytes = bounded_file::read(path, MAX_FILE_BYTES);
        let bytes = bytes.map_err(|error| format!("{}: {error}", path.display()))?;
        read_files.insert(name.clone(), bytes);
    }
    Ok(read_files)
}
