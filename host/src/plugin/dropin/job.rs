//! Loads one plugin in the background.

use super::package::{self, Fingerprint, Origin};
use super::slot::SlotKey;
use crate::plugin::{
    CallMarker, CrashRecord, LimitCeiling, LoadError, Plugin, PluginEngine, PluginSpec,
};
use std::panic::AssertUnwindSafe;

/// A plugin to load.
#[derive(Debug)]
pub struct LoadJob {
    pub(super) key: SlotKey,
    pub(super) fingerprints: Vec<(Origin, Fingerprint)>,
    pub(super) order: i32,
    pub(super) spec: PluginSpec,
    pub(super) engine: PluginEngine,
    pub(super) ceiling: LimitCeiling,
    pub(super) crashes: Option<CrashRecord>,
}

/// The result of a load.
#[derive(Debug)]
pub struct LoadResult {
    pub(super) key: SlotKey,
    pub(super) fingerprints: Vec<(Origin, Fingerprint)>,
    pub(super) order: i32,
    pub(super) result: Result<Plugin, LoadError>,
}

impl LoadJob {
    /// Loads and tests the plugin. This blocks the thread, for minutes in the worst case.
    #[must_use]
    pub fn run(self) -> LoadResult {
        let load = || {
            let limits = self.ceiling.check(&self.spec.settings.limits);
            limits.map_err(|(name, asked, most)| LoadError::Ceiling { name, asked, most })?;
            let call_marker = self.call_marker()?;
            let plugin = Plugin::load(&self.engine, &self.spec)?.with_call_marker(call_marker);
            plugin.self_test(&self.engine).map(|()| plugin)
        };
        // A plugin that triggers a fault of the host is refused, and the others continue.
        let result = std::panic::catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|_| {
            let problem = "the host panicked while it was loaded; please report this";
            Err(LoadError::Compile(problem.to_owned()))
        });
        LoadResult {
            key: self.key,
            fingerprints: self.fingerprints,
            order: self.order,
            result,
        }
    }

    /// Returns the marker that records the plugin's calls, or `None` if no crash record is kept.
    /// Fails if the plugin is refused after crashes.
    fn call_marker(&self) -> Result<Option<CallMarker>, LoadError> {
        let Some(crashes) = &self.crashes else {
            return Ok(None);
        };
        // The digest covers neither the name nor the place of the plugin, because the same files
        // behave the same everywhere.
        let digest = package::combined_digest(self.fingerprints.iter().map(|(_, files)| files));
        match crashes.deaths_if_refused(digest) {
            Some(deaths) => Err(LoadError::Crashed {
                deaths,
                file: crashes.path().display().to_string(),
            }),
            None => Ok(Some(crashes.call_marker(digest))),
        }
    }

    /// Returns the plugin's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }
}
