//! The `plugin.yaml` beside a module.

use crate::cli::outcome::CommandError;
use std::path::Path;
use step_observer::plugin::dropin::PluginManifest;

/// `plugin.yaml`: its text as written, and its settings.
pub(super) struct Settings {
    pub(super) text: Option<String>,
    pub(super) manifest: PluginManifest,
}

impl Settings {
    /// Reads `plugin.yaml` of a folder. Without the file all settings have their defaults.
    pub(super) fn read(folder: &Path) -> Result<Self, CommandError> {
        let path = folder.join("plugin.yaml");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let manifest = PluginManifest::parse(&path.display().to_string(), &text)?;
                Ok(Self {
                    text: Some(text),
                    manifest,
                })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self {
                text: None,
                manifest: PluginManifest::default(),
            }),
            Err(error) => Err(format!("failed to read {}: {error}", path.display()).into()),
        }
    }
}
