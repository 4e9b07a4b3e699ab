//! Metrics of the known secrets: masked values, failing sources, reads of Secrets, and withheld
//! events.

use crate::metrics::{Counter, Gauge, Registry};

/// Counts values, sources and reads. The counters continue when a configuration is applied.
#[derive(Clone, Debug)]
pub(super) struct KnownSecretsMetrics {
    /// Values from files, folders and variables that are masked.
    pub(super) values: Gauge,
    /// Files and folders that cannot be read now.
    pub(super) failing_sources: Gauge,
    /// Secrets of Pods, by the outcome of reading them.
    reads: [(&'static str, Counter); 6],
    /// Events whose texts were withheld.
    pub(super) withheld: Counter,
}

impl Default for KnownSecretsMetrics {
    fn default() -> Self {
        let outcomes = [
            "read",
            "unchanged",
            "missing",
            "forbidden",
            "failed",
            "over_limit",
        ];
        Self {
            values: Gauge::default(),
            failing_sources: Gauge::default(),
            reads: outcomes.map(|outcome| (outcome, Counter::default())),
            withheld: Counter::default(),
        }
    }
}

impl KnownSecretsMetrics {
    /// Counts an attempt to read a Secret of a Pod, by its outcome.
    pub(super) fn count_read(&self, outcome: &str) {
        let mut reads = self.reads.iter();
        if let Some((_, counter)) = reads.find(|(known, _)| *known == outcome) {
            counter.increment();
        }
    }

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
        registry.register_family(
            "known_secret_reads",
            "Secrets of Pods to be read, by outcome: read, unchanged since they were read, missing, forbidden, failed, or \
             over_limit (too many bytes); values of the last four are not masked",
            "outcome",
            self.reads.iter().map(|(outcome, counter)| (*outcome, counter)),
        );
        registry.register(
            "events_withheld",
            "Events that lost their texts because known secrets could not be masked in them",
            &self.withheld,
        );
    }
}
