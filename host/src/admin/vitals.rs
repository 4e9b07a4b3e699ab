//! How the observer stands, as metrics.

use super::metric::Metric;
use super::status::{StatusSnapshot, VERSION};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use std::collections::BTreeMap;
use std::fmt::Error;

impl Collector for StatusSnapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let encoder = &mut encoder;
        let (transitions, events) = (&self.transitions, &self.events);
        let (logs, reloads) = (&self.log_reads, &self.configuration);
        Metric::gauge("build_info", "1, with the version as label").encode_family(
            encoder,
            "version",
            [(VERSION, 1)],
        )?;
        Metric::gauge("runs_tracked", "TaskRuns that are followed")
            .encode_u64(encoder, self.runs_tracked)?;
        Metric::counter(
            "runs_without_texts",
            "TaskRuns of which scripts are left out of events, because all together held too much",
        )
        .encode_u64(encoder, self.runs_without_texts)?;
        Metric::counter(
            "unclaimed_pods",
            "Pods that name a TaskRun which does not name them; nothing is sent of them",
        )
        .encode_u64(encoder, self.unclaimed_pods)?;
        Metric::counter(
            "unreadable_objects",
            "Objects that could not be read and were skipped; one that is changed counts again",
        )
        .encode_family(
            encoder,
            "resource",
            self.unreadable_objects
                .iter()
                .map(|(kind, count)| (kind.as_str(), *count)),
        )?;
        Metric::gauge("events_pending", "Events between the watch and the journal")
            .encode_u64(encoder, events.pending)?;
        Metric::gauge(
            "config_last_reload_successful",
            "1 where the last change of the configuration was taken, or there was none",
        )
        .encode_u64(encoder, u64::from(reloads.last_refusal.is_none()))?;
        Metric::counter("transitions", "Transitions of steps").encode_family(
            encoder,
            "phase",
            [
                ("started", transitions.started),
                ("succeeded", transitions.succeeded),
                ("failed", transitions.failed),
                ("skipped", transitions.skipped),
            ],
        )?;
        Metric::counter("events", "Events, by what became of them before the sinks")
            .encode_family(
                encoder,
                "outcome",
                [
                    ("accepted", events.accepted),
                    ("dropped", events.dropped),
                    ("failed", events.failed),
                    ("told_before", events.told_before),
                ],
            )?;
        Metric::counter(
            "events_oversized",
            "Events above event.maxBytes, by what became of them: cut, or sent as they are because nothing more can be left out",
        )
        .encode_family(
            encoder,
            "outcome",
            [("cut", events.cut), ("sent", events.oversized)],
        )?;
        let waiting = &self.waiting;
        Metric::gauge("events_held", "Events that plugins hold (onError: block)")
            .encode_u64(encoder, waiting.held)?;
        Metric::gauge(
            "events_held_seconds",
            "How long the oldest event that a plugin holds has been held",
        )
        .encode_u64(encoder, waiting.held_seconds)?;
        Metric::gauge(
            "runs_set_aside",
            "TaskRuns that wait because their namespace has its share of the records that are prepared",
        )
        .encode_u64(encoder, waiting.runs_set_aside)?;
        Metric::counter(
            "runs_given_up",
            "TaskRuns that were set aside, gone from the cluster, and given up",
        )
        .encode_u64(encoder, waiting.runs_given_up)?;
        Metric::counter("log_reads", "Logs that were to be read").encode_family(
            encoder,
            "outcome",
            [
                ("read", logs.read),
                ("cut", logs.cut),
                ("unavailable", logs.unavailable),
            ],
        )?;
        Metric::counter("config_reloads", "Changes of the configuration").encode_family(
            encoder,
            "outcome",
            [("applied", reloads.applied), ("refused", reloads.refused)],
        )?;
        self.watches(encoder)
    }
}

/// What is known of the watches of one resource together: their namespaces are not labels.
#[derive(Default)]
struct Watched {
    age: u64,
    failures: u64,
    relists: u64,
}

impl StatusSnapshot {
    fn watches(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut resources: BTreeMap<&str, Watched> = BTreeMap::new();
        for watch in &self.watches {
            let together = resources.entry(&watch.resource).or_default();
            together.age = together.age.max(watch.age_seconds);
            together.failures += watch.failures;
            together.relists += watch.relists;
        }
        let each = |value: fn(&Watched) -> u64| {
            let named = resources.iter();
            named.map(move |(resource, watched)| (*resource, value(watched)))
        };
        Metric::gauge(
            "watch_age_seconds",
            "Seconds since anything was heard of a watch, of the most silent one of a resource",
        )
        .encode_family(encoder, "resource", each(|watched| watched.age))?;
        Metric::counter("watch_failures", "Lists and watches that failed").encode_family(
            encoder,
            "resource",
            each(|watched| watched.failures),
        )?;
        Metric::counter("relists", "Lists after the first one").encode_family(
            encoder,
            "resource",
            each(|watched| watched.relists),
        )
    }
}
