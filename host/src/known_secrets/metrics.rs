//! Counts what is known, and what cannot be read.

use crate::metrics::{Counter, Gauge, Registry};

/// Counts values, sources and reads. The counters continue when a configuration is applied.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownSecretsMetrics {
    /// Values from files, folders and variables that are masked.
    pub(super) values: Gauge,
    /// Files and folders that cannot be read now.
    pub(super) failing_sources: Gauge,
    /// Events whose texts were withheld.
    pub(super) withheld: Counter,
}

impl KnownSecretsMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "known_secret_values",
            "Values from files, folders and environment variables that are masked, old values included",
            &self.values,
        );
        registry.register(
            "known_secret_sources_failing",
            "Files and folders with known secrets that cannot be read; their last values stay masked",
            &self.failing_sources,
        );
        registry.register(
            "events_withheld",
            "Events that lost their texts because known secrets could not be masked in them",
            &self.withheld,
        );
    }
}
