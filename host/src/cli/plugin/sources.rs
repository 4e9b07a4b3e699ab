//! The files that a plugin is built from, to notice a change.

use crate::cli::outcome::CommandError;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Most files and folders. Someone who names `/` or a home folder gets an error and not a busy program.
const MAX_ENTRIES: usize = 10_000;

/// Folders with what a build makes or loads.
const BUILT: [&str; 4] = ["target", "node_modules", "__pycache__", "dist"];

/// Time and size of each file. A change of a file changes one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sources(BTreeMap<PathBuf, (SystemTime, u64)>);

impl Sources {
    /// Looks at a file with the settings beside it, or at all files of a folder. Not at hidden ones, modules, and what a build makes.
    ///
    /// # Errors
    ///
    /// The source does not exist, cannot be read, or has too many files. A file that disappears meanwhile is no error: editors replace
    /// files.
    pub(super) fn of(source: &Path) -> Result<Self, CommandError> {
        let mut sources = Self::default();
        let problem = |path: &Path, error: std::io::Error| {
            format!("failed to read {}: {error}", path.display())
        };
        if !source.is_dir() {
            std::fs::metadata(source).map_err(|error| problem(source, error))?;
            sources.add(source);
            sources.add(&source.with_file_name("plugin.yaml"));
            return Ok(sources);
        }
        let mut folders = vec![source.to_owned()];
        let mut entries = 0;
        while let Some(folder) = folders.pop() {
            let listed = match std::fs::read_dir(&folder) {
                Ok(listed) => listed,
                Err(error) if error.kind() == ErrorKind::NotFound && folder != source => continue,
                Err(error) => return Err(problem(&folder, error).into()),
            };
            for entry in listed.flatten() {
                entries += 1;
                if entries > MAX_ENTRIES {
                    return Err(format!(
                        "{} has more than {MAX_ENTRIES} files: name the folder of the plugin alone",
                        source.display()
                    )
                    .into());
                }
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                if name.starts_with('.') || name.ends_with(".wasm") {
                    continue;
                }
                // Links to folders are not followed: they can lead back.
                match kind.is_dir() {
                    true if BUILT.contains(&&*name) => {}
                    true => folders.push(entry.path()),
                    false => sources.add(&entry.path()),
                }
            }
        }
        Ok(sources)
    }

    fn add(&mut self, path: &Path) {
        if let Ok(metadata) = std::fs::metadata(path)
            && let Ok(changed) = metadata.modified()
        {
            self.0.insert(path.to_owned(), (changed, metadata.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Sources;
    use std::fs;

    #[test]
    fn a_change_of_a_source_is_noticed_and_what_a_build_makes_is_none() {
        let place = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = place.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
            Sources::of(place.path()).unwrap()
        };
        let first = write("src/lib.rs", "a");
        for built in [
            "target/debug/x",
            "node_modules/a/b.js",
            "filter.wasm",
            ".git/index",
        ] {
            assert_eq!(write(built, "x"), first, "{built}");
        }
        let second = write("cases/a/in.json", "{}");
        assert_ne!(second, first);
        assert_ne!(write("src/lib.rs", "ab"), second);
        fs::remove_file(place.path().join("src/lib.rs")).unwrap();
        assert_ne!(Sources::of(place.path()).unwrap(), second);
    }

    #[test]
    fn a_file_is_watched_with_its_settings() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("filter.wat");
        let missing = Sources::of(&file).unwrap_err().to_string();
        assert!(missing.contains("filter.wat"), "{missing}");
        fs::write(&file, "(module)").unwrap();
        let alone = Sources::of(&file).unwrap();
        fs::write(place.path().join("plugin.yaml"), "match: {}").unwrap();
        assert_ne!(Sources::of(&file).unwrap(), alone);
    }

    #[test]
    fn too_many_files_are_refused_with_a_remedy() {
        let place = tempfile::tempdir().unwrap();
        for file in 0..=super::MAX_ENTRIES {
            fs::write(place.path().join(file.to_string()), "").unwrap();
        }
        let refused = Sources::of(place.path()).unwrap_err().to_string();
        assert!(
            refused.contains("name the folder of the plugin alone"),
            "{refused}"
        );
    }
}
