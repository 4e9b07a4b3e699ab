//! Metrics of the watches, by resource. The watches of a resource in several namespaces are one series:
//! namespaces are not labels.

use super::watch_health::{WatchHealth, Watches};
use crate::metrics::Registry;
use std::collections::BTreeMap;
use std::time::Duration;

/// The watches of one resource together.
#[derive(Default)]
struct ResourceHealth {
    /// Age of the most silent watch.
    age: Duration,
    failures: u64,
    relists: u64,
}

impl WatchHealth {
    /// Returns the lists after the first one.
    #[must_use]
    pub fn relists(&self) -> u64 {
        self.lists.saturating_sub(1)
    }
}

impl Watches {
    /// Registers the metrics of all watches.
    pub(crate) fn register_metrics(&self, registry: &mut Registry) {
        registry.register_family(
            "unreadable_objects",
            "Objects that could not be read and were skipped; a changed object counts again",
            "resource",
            self.unreadable(),
        );
        let watches = self.clone();
        registry.register_samples(move |samples| {
            let resources = watches.by_resource();
            let each = |value: fn(&ResourceHealth) -> u64| {
                let resources = resources.iter();
                resources.map(move |(resource, health)| ([*resource], value(health)))
            };
            samples.gauges(
                "watch_age_seconds",
                "Seconds since the last data of a watch, of the most silent watch of the resource",
                ["resource"],
                each(|health| health.age.as_secs()),
            )?;
            samples.counters(
                "watch_failures",
                "List and watch requests that failed",
                ["resource"],
                each(|health| health.failures),
            )?;
            samples.counters(
                "relists",
                "Lists after the first one, which a watch needs when the API server no longer has the changes since the \
                 last one",
                ["resource"],
                each(|health| health.relists),
            )
        });
    }

    fn by_resource(&self) -> BTreeMap<&'static str, ResourceHealth> {
        let mut resources: BTreeMap<&'static str, ResourceHealth> = BTreeMap::new();
        for watch in self.health() {
            let resource = resources.entry(watch.resource).or_default();
            resource.age = resource.age.max(watch.age);
            resource.failures += watch.failures;
            resource.relists += watch.relists();
        }
        resources
    }
}
