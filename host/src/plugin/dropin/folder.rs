//! A folder as a source of plugins, such as a mounted ConfigMap: looked at again and again, because a
//! mounted volume is changed by swapping a symbolic link, and not every file system tells.

use super::catalog::Change;
use super::package::{Files, Origin, is_module};
use crate::plugin::load::MAX_FILE;
use crate::plugin::spec::SIGNATURE;
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// A folder of plugins. In it lie
///
/// - `NAME.wasm` (or `.wasm.gz`, `.wasm.zst`, `.wat`) with `NAME.yaml`: the plugin NAME,
/// - a folder NAME with `plugin.wasm` and `plugin.yaml`: the plugin NAME,
/// - `plugin.wasm` and `plugin.yaml` in the folder itself: a plugin of the folder's name.
#[derive(Debug)]
pub struct PluginFolder {
    path: PathBuf,
    /// What was told, so that only differences are.
    told: BTreeMap<Origin, Stamp>,
}

/// Size, time and place of every file: what is the same here is not read again.
type Stamp = Vec<(PathBuf, u64, Option<std::time::SystemTime>)>;

impl PluginFolder {
    /// A folder that nobody has looked at.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            told: BTreeMap::new(),
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the folder: what has changed since the last time.
    ///
    /// # Errors
    ///
    /// The folder cannot be read; what was there before is taken to be there still.
    pub fn look(&mut self) -> io::Result<Vec<Change>> {
        let found = self.plugins()?;
        let mut changes: Vec<Change> = self
            .told
            .keys()
            .filter(|origin| !found.contains_key(*origin))
            .map(|origin| Change::Withdrawn {
                origin: origin.clone(),
            })
            .collect();
        self.told.retain(|origin, _| found.contains_key(origin));
        for (origin, files) in found {
            let stamp = stamp(&files);
            if self.told.get(&origin) == Some(&stamp) {
                continue;
            }
            // A file that vanishes while it is read is seen as it is next time.
            let Some(files) = contents(&files)? else {
                continue;
            };
            changes.push(Change::Offered {
                origin: origin.clone(),
                files,
            });
            self.told.insert(origin, stamp);
        }
        Ok(changes)
    }

    /// Files of each plugin: the name that the package knows, and where it is.
    fn plugins(&self) -> io::Result<BTreeMap<Origin, BTreeMap<String, PathBuf>>> {
        let here = entries(&self.path)?;
        let mut found = BTreeMap::new();
        let mut own = BTreeMap::new();
        for (name, path) in &here {
            let module = is_module(name);
            let stem = name.split('.').next().unwrap_or_default();
            if path.is_dir() {
                let files: BTreeMap<_, _> = entries(path)?
                    .into_iter()
                    .filter(|(_, path)| path.is_file())
                    .collect();
                if files
                    .keys()
                    .any(|name| is_module(name) || name == "plugin.yaml")
                {
                    found.insert(origin(path), files);
                }
            } else if stem == "plugin" {
                own.insert(name.clone(), path.clone());
            } else if module {
                let mut files = BTreeMap::from([(name.clone(), path.clone())]);
                let beside = [
                    (format!("{stem}.yaml"), "plugin.yaml".to_owned()),
                    (format!("{name}{SIGNATURE}"), format!("{name}{SIGNATURE}")),
                ];
                for (name, known_as) in beside {
                    if let Some(path) = here.get(&name) {
                        files.insert(known_as, path.clone());
                    }
                }
                found.insert(origin(path), files);
            }
        }
        if !own.is_empty() {
            let named = self.path.canonicalize()?;
            found.insert(origin(&named), own);
        }
        Ok(found)
    }
}

fn origin(path: &Path) -> Origin {
    Origin::Folder(path.display().to_string())
}

/// What is in a folder, without what the kubelet keeps there for itself (`..data`).
fn entries(folder: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        // A pipe or a device would keep whoever reads it.
        if !name.starts_with('.') && (path.is_file() || path.is_dir()) {
            found.insert(name, path);
        }
    }
    Ok(found)
}

fn stamp(files: &BTreeMap<String, PathBuf>) -> Stamp {
    let one = |path: &PathBuf| {
        // Where a link leads changes when a mounted volume does, though times and sizes may not.
        let place = path.canonicalize().unwrap_or_else(|_| path.clone());
        let metadata = std::fs::metadata(path).ok();
        let size = metadata.as_ref().map_or(0, std::fs::Metadata::len);
        let time = metadata.and_then(|metadata| metadata.modified().ok());
        (place, size, time)
    };
    files.values().map(one).collect()
}

fn contents(files: &BTreeMap<String, PathBuf>) -> io::Result<Option<Files>> {
    let mut contents = Files::new();
    for (name, path) in files {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path)
            // One more than it may have: whoever loads it says that it is too large.
            .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => drop(contents.insert(name.clone(), bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(contents))
}
