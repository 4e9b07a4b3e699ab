//! Decides which plugins are embedded, without I/O, so that it can be tested.

use std::path::{Path, PathBuf};

/// Returns the folder of the modules: `guests` (from `STEP_OBSERVER_GUESTS`) if given, else the
/// folder `guests` in cargo's target folder. That is `target` (from `CARGO_TARGET_DIR`) if given,
/// else `target` in the workspace. `manifest` is the folder of this crate.
pub(crate) fn folder(manifest: &Path, guests: Option<PathBuf>, target: Option<PathBuf>) -> PathBuf {
    let root = manifest.parent().unwrap_or(manifest);
    let target = target.unwrap_or_else(|| PathBuf::from("target"));
    guests.unwrap_or_else(|| root.join(target).join("guests"))
}

/// The embedded plugins, and the missing ones.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// Names and files of the modules, sorted by name.
    pub(crate) embedded: Vec<(String, PathBuf)>,
    /// Names of plugins without module.
    pub(crate) missing: Vec<String>,
}

/// Returns the modules among `files`, and the names in `plugins` (those in the source) that have no
/// module.
pub(crate) fn bundle(files: Vec<PathBuf>, plugins: &[String]) -> Bundle {
    let is_module = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "wasm")
    };
    let named = |path: PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        Some((name, path))
    };
    let mut embedded: Vec<_> = files
        .into_iter()
        .filter(is_module)
        .filter_map(named)
        .collect();
    embedded.sort();
    let is_missing = |plugin: &&String| !embedded.iter().any(|(name, _)| name == *plugin);
    let mut missing: Vec<_> = plugins.iter().filter(is_missing).cloned().collect();
    missing.sort();
    Bundle { embedded, missing }
}
