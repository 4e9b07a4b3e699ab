//! Decides which plugins are embedded, and reads what their manifests say, without I/O, so that it can be tested.

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

/// A plugin in the source, as its `Cargo.toml` describes it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plugin {
    /// Name of the crate, the plugin and its folder.
    pub(crate) name: String,
    /// One line about what it does.
    pub(crate) description: String,
    /// What an event or the configuration must have, so that it works.
    pub(crate) needs: String,
    /// Whether it is embedded. The others are files of the release.
    pub(crate) is_bundled: bool,
}

/// Reads the manifest of a plugin. Reads only `key = "value"` in the tables `package` and `package.metadata.step-observer`: a reader of TOML
/// would be one more crate to compile before everything else.
///
/// # Errors
///
/// A value is missing. The error names it.
pub(crate) fn manifest(text: &str) -> Result<Plugin, String> {
    let mut table = "";
    let (mut package, mut about) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            table = line;
        } else if let Some((key, value)) = line.split_once('=') {
            let value = value
                .trim()
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'));
            match (table, value) {
                ("[package]", Some(value)) => package.push((key.trim(), value)),
                ("[package.metadata.step-observer]", Some(value)) => {
                    about.push((key.trim(), value))
                }
                _ => {}
            }
        }
    }
    let find = |values: &[(&str, &str)], wanted: &str, table: &str| {
        let found = values.iter().find(|(key, _)| *key == wanted);
        let found = found.filter(|(_, value)| !value.is_empty() && !value.contains('\\'));
        found
            .map(|(_, value)| (*value).to_owned())
            .ok_or_else(|| format!("write `{wanted} = \"…\"`, without escapes, under {table}"))
    };
    let about = |wanted| find(&about, wanted, "[package.metadata.step-observer]");
    Ok(Plugin {
        name: find(&package, "name", "[package]")?,
        description: find(&package, "description", "[package]")?,
        needs: about("needs")?,
        is_bundled: match about("kind")?.as_str() {
            "bundled" => true,
            "catalogue" => false,
            other => return Err(format!("kind: `{other}` is not `bundled` or `catalogue`")),
        },
    })
}

/// Returns the modules among `files` that are embedded, and the names of bundled plugins in the source (`plugins`) that have no module. The
/// modules of the catalogue are not embedded. A module that is not in the source is: somebody has put an own plugin there.
pub(crate) fn bundle(files: Vec<PathBuf>, plugins: &[Plugin]) -> Bundle {
    let is_module = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "wasm")
    };
    let named = |path: PathBuf| {
        let name = path.file_stem()?.to_str()?.to_owned();
        Some((name, path))
    };
    let is_in_catalogue = |name: &str| {
        let mut plugins = plugins.iter();
        plugins.any(|plugin| plugin.name == name && !plugin.is_bundled)
    };
    let mut embedded: Vec<_> = files
        .into_iter()
        .filter(is_module)
        .filter_map(named)
        .filter(|(name, _)| !is_in_catalogue(name))
        .collect();
    embedded.sort();
    let is_missing = |plugin: &&Plugin| {
        let mut embedded = embedded.iter();
        plugin.is_bundled && !embedded.any(|(name, _)| *name == plugin.name)
    };
    let missing = plugins.iter().filter(is_missing);
    let mut missing: Vec<_> = missing.map(|plugin| plugin.name.clone()).collect();
    missing.sort();
    Bundle { embedded, missing }
}
