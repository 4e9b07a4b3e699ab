//! What is fetched from a registry for one plugin, and how far that is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A module from a registry.
#[derive(Clone, Debug)]
pub struct FetchedModule {
    /// Its file.
    pub module: Arc<[u8]>,
    /// Its minisign signature, if it has one.
    pub signature: Option<Arc<str>>,
}

/// How far the module of one plugin is.
#[derive(Clone, Debug)]
pub(super) enum Fetch {
    /// It waits for an attempt.
    Waiting {
        /// Attempts that failed.
        failures: u32,
        /// Time of the next attempt.
        not_before: Duration,
    },
    /// An attempt is under way.
    Running {
        /// Attempts that failed before it.
        failures: u32,
    },
    /// The module is there, and is not loaded yet.
    Done(FetchedModule),
}

impl Default for Fetch {
    fn default() -> Self {
        Self::Waiting {
            failures: 0,
            not_before: Duration::ZERO,
        }
    }
}

/// All fetches of a catalog.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    /// Registries from which something is being fetched, also for plugins that were changed or removed meanwhile.
    pub(super) registries: BTreeSet<String>,
    /// True if the first chain waits for them no longer.
    pub(super) gave_up: bool,
}
