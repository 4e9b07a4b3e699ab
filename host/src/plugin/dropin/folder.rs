//! A folder as a source of plugins, such as a mounted ConfigMap: looked at again and again, because a
//! mounted volume is changed by swapping a symbolic link, and not every file system tells.

use super::catalog::Change;
use super::package::{Files, Origin, is_meant, is_module, module_stem};
use crate::plugin::load::MAX_FILE;
use crate::plugin::spec::SIGNATURE;
use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

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

/// Place, size and time of every file: what is the same here is not read again.
type Stamp = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// The files of a plugin: the name that the package knows, and where it is.
type Places = BTreeMap<String, PathBuf>;

/// What a look has found.
#[derive(Debug)]
pub struct Look {
    /// What is not as it was at the last look.
    pub changes: Vec<Change>,
    /// Everything that is there was told. Where something changed while it was read, it was not.
    pub complete: bool,
}

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
    pub fn look(&mut self) -> io::Result<Look> {
        let found = self.plugins()?;
        let (gone, mut told): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.told)
            .into_iter()
            .partition(|(origin, _)| !found.contains_key(origin));
        let mut changes: Vec<Change> = gone
            .into_keys()
            .map(|origin| Change::Withdrawn { origin })
            .collect();
        let mut complete = true;
        for (origin, places) in found {
            let stamp = stamp(&places);
            if told.get(&origin) == Some(&stamp) {
                continue;
            }
            match contents(&places) {
                Ok(files) if self::stamp(&places) == stamp => {
                    told.insert(origin.clone(), stamp);
                    changes.push(Change::Offered { origin, files });
                }
                // Half of it may be old and half of it new.
                Ok(_) => complete = false,
                Err(reason) => {
                    // Known to be there, and read again at the next look.
                    told.insert(origin.clone(), Stamp::new());
                    changes.push(Change::Unreadable { origin, reason });
                }
            }
        }
        self.told = told;
        Ok(Look { changes, complete })
    }

    fn plugins(&self) -> io::Result<BTreeMap<Origin, Places>> {
        let here = entries(&self.path)?;
        let mut found: BTreeMap<Origin, Places> = BTreeMap::new();
        let mut own = Places::new();
        for (name, path) in &here {
            let stem = module_stem(name);
            if stem.is_none() && path.is_dir() {
                // What cannot be read tells so when its files are.
                let inside = entries(path).unwrap_or_default();
                if inside
                    .keys()
                    .any(|name| is_module(name) || name == "plugin.yaml")
                {
                    let meant = inside.into_iter().filter(|(name, _)| is_meant(name));
                    found.entry(self.origin(name)).or_default().extend(meant);
                }
            } else if name.starts_with("plugin.") && is_meant(name) {
                own.insert(name.clone(), path.clone());
            } else if let Some(stem) = stem {
                let files = found.entry(self.origin(stem)).or_default();
                files.insert(name.clone(), path.clone());
                let beside = [
                    (format!("{stem}.yaml"), "plugin.yaml".to_owned()),
                    (format!("{stem}.yml"), "plugin.yml".to_owned()),
                    (format!("{name}{SIGNATURE}"), format!("{name}{SIGNATURE}")),
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
        Ok(found)
    }

    /// By its name: a module that becomes another file is the same plugin.
    fn origin(&self, name: &str) -> Origin {
        Origin::Folder(self.path.join(name).display().to_string())
    }
}

/// What is in a folder, without what the kubelet keeps there for itself (`..data`).
fn entries(folder: &Path) -> io::Result<Places> {
    let mut found = Places::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            found.insert(name, entry.path());
        }
    }
    Ok(found)
}

fn stamp(places: &Places) -> Stamp {
    let one = |path: &PathBuf| {
        // Where a link leads changes when a mounted volume does, though times and sizes may not.
        let place = path.canonicalize().unwrap_or_else(|_| path.clone());
        let metadata = std::fs::metadata(path).ok();
        let size = metadata.as_ref().map_or(0, std::fs::Metadata::len);
        let time = metadata.and_then(|metadata| metadata.modified().ok());
        (place, size, time)
    };
    places.values().map(one).collect()
}

/// All files, or which one cannot be read and why.
fn contents(places: &Places) -> Result<Files, String> {
    let mut contents = Files::new();
    for (name, path) in places {
        let read = || {
            // A pipe or a device would keep whoever reads it.
            if !std::fs::metadata(path)?.is_file() {
                return Err(io::Error::other("it is no regular file"));
            }
            let mut bytes = Vec::new();
            // One more than it may have: whoever loads it says that it is too large.
            std::fs::File::open(path)?
                .take(MAX_FILE + 1)
                .read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| format!("{}: {error}", path.display()))?;
        contents.insert(name.clone(), bytes);
    }
    Ok(contents)
}
