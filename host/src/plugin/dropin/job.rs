//! Loading one plugin, beside everything else.

use super::package::{self, Fingerprint, Origin};
use super::slot::Key;
use crate::plugin::{
    CrashMark, CrashRecord, LimitCeiling, LoadError, Plugin, PluginEngine, PluginSpec,
};
use std::panic::AssertUnwindSafe;

/// A plugin to load.
#[derive(Debug)]
pub struct Job {
    pub(super) key: Key,
    pub(super) fingerprints: Vec<(Origin, Fingerprint)>,
    pub(super) order: i32,
    pub(super) spec: PluginSpec,
    pub(super) engine: PluginEngine,
    pub(super) ceiling: LimitCeiling,
    pub(super) crashes: Option<CrashRecord>,
}

/// A plugin that was loaded, or not.
#[derive(Debug)]
pub struct Done {
    pub(super) key: Key,
    pub(super) fingerprints: Vec<(Origin, Fingerprint)>,
    pub(super) order: i32,
    pub(super) result: Result<Plugin, LoadError>,
}

impl Job {
    /// Loads and tries the plugin. Takes its time: call it on a thread that may wait.
    #[must_use]
    pub fn run(self) -> Done {
        let load = || {
            let limits = self.ceiling.check(&self.spec.limits);
            limits.map_err(|(name, asked, most)| LoadError::Ceiling { name, asked, most })?;
            let mark = self.mark()?;
            let plugin = Plugin::load(&self.engine, &self.spec)?.marked(mark);
            plugin.self_test(&self.engine).map(|()| plugin)
        };
        // A plugin that finds a mistake of ours is refused, and the others go on.
        let result = std::panic::catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|_| {
            let problem = "the host panicked while it was loaded; please report this";
            Err(LoadError::Compile(problem.to_owned()))
        });
        Done {
            key: self.key,
            fingerprints: self.fingerprints,
            order: self.order,
            result,
        }
    }

    /// What notes its calls.
    fn mark(&self) -> Result<Option<CrashMark>, LoadError> {
        let Some(crashes) = &self.crashes else {
            return Ok(None);
        };
        // Whatever its name and place are: the same files do the same.
        let digest = package::digest_of(self.fingerprints.iter().map(|(_, files)| files));
        match crashes.refuses(digest) {
            Some(deaths) => Err(LoadError::Crashed {
                deaths,
                file: crashes.path().display().to_string(),
            }),
            None => Ok(Some(crashes.mark(digest))),
        }
    }

    /// The plugin's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }
}
