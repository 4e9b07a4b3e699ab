//! Loading one plugin, beside everything else.

use super::package::{Fingerprint, Origin};
use super::slot::Key;
use crate::plugin::{LoadError, Plugin, PluginEngine, PluginSpec};
use std::panic::AssertUnwindSafe;

/// A plugin to load.
#[derive(Debug)]
pub struct Job {
    pub(super) key: Key,
    pub(super) fingerprints: Vec<(Origin, Fingerprint)>,
    pub(super) order: i32,
    pub(super) spec: PluginSpec,
    pub(super) engine: PluginEngine,
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
            let plugin = Plugin::load(&self.engine, &self.spec)?;
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

    /// The plugin's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }
}
