//! Metrics of the journal.

use super::Journal;
use crate::metrics::Registry;

impl Journal {
    /// Registers the metrics of the journal. A change of the configuration resets neither the
    /// journal nor its counters.
    pub(crate) fn register_metrics(&self, registry: &mut Registry) {
        registry.register(
            "journal_dropped",
            "Events and dead letters that were dropped at the bound of the journal",
            &self.shared.dropped,
        );
        registry.register(
            "journal_dead_letters_dropped",
            "Dead letters that were dropped because there were too many",
            &self.shared.dead_letters_dropped,
        );
        let journal = self.clone();
        registry.register_samples(move |samples| {
            let (bytes, max_bytes) = journal.bytes();
            let blocked = journal.blocked();
            samples.gauge(
                "journal_bytes",
                "Bytes of the events that wait or are dead letters",
                bytes,
            )?;
            samples.gauge(
                "journal_max_bytes",
                "Bytes at which the journal accepts no more events",
                max_bytes,
            )?;
            samples.gauge(
                "journal_full",
                "1 while the journal is full and accepts no event",
                blocked.is_all,
            )?;
            samples.gauge(
                "journal_waiting_namespaces",
                "Namespaces whose events wait because the namespace has used its share of the journal",
                blocked.namespaces,
            )?;
            samples.gauge(
                "journal_disk_full",
                "1 while the disk of the journal is full",
                journal.is_disk_full(),
            )
        });
    }
}
