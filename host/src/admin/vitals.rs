//! How the observer stands, as metrics.

use super::sinks::gauge;
use super::status::{VERSION, Vitals};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use std::collections::BTreeMap;
use std::fmt::Error;

impl Collector for Vitals {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut family = encoder.encode_descriptor(
            "build_info",
            "1, with the version as label",
            None,
            MetricType::Gauge,
        )?;
        gauge(1).encode(family.encode_family(&[("version", VERSION)])?)?;
        for (name, help, value) in [
            (
                "runs_tracked",
                "TaskRuns that are followed",
                self.runs_tracked,
            ),
            (
                "events_pending",
                "Events between the watch and the journal",
                self.events.pending,
            ),
            (
                "config_last_reload_successful",
                "1 where the last change of the configuration was taken, or there was none",
                u64::from(self.configuration.last_refusal.is_none()),
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            gauge(value).encode(metric)?;
        }
        self.counters(&mut encoder)?;
        self.watches(&mut encoder)
    }
}

impl Vitals {
    fn counters(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let (transitions, events) = (&self.transitions, &self.events);
        let (logs, reloads) = (&self.log_reads, &self.configuration);
        for (name, help, label, values) in [
            (
                "transitions",
                "Transitions of steps",
                "phase",
                &[
                    ("started", transitions.started),
                    ("succeeded", transitions.succeeded),
                    ("failed", transitions.failed),
                    ("skipped", transitions.skipped),
                ][..],
            ),
            (
                "events",
                "Events, by what became of them before the sinks",
                "outcome",
                &[
                    ("accepted", events.accepted),
                    ("dropped", events.dropped),
                    ("failed", events.failed),
                    ("told_before", events.told_before),
                ],
            ),
            (
                "log_reads",
                "Logs that were to be read",
                "outcome",
                &[
                    ("read", logs.read),
                    ("cut", logs.cut),
                    ("unavailable", logs.unavailable),
                ],
            ),
            (
                "config_reloads",
                "Changes of the configuration",
                "outcome",
                &[("applied", reloads.applied), ("refused", reloads.refused)],
            ),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (value, count) in values {
                ConstCounter::new(*count).encode(family.encode_family(&[(label, *value)])?)?;
            }
        }
        Ok(())
    }

    /// Those of one resource together: their namespaces are not labels.
    fn watches(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut resources: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
        for watch in &self.watches {
            let (age, failures, relists) = resources.entry(&watch.resource).or_default();
            *age = (*age).max(watch.age_seconds);
            *failures += watch.failures;
            *relists += watch.relists;
        }
        type Count = fn(&(u64, u64, u64)) -> u64;
        let series: [(_, _, _, Count); 3] = [
            (
                "watch_age_seconds",
                "Seconds since anything was heard of a watch, of the most silent one of a resource",
                MetricType::Gauge,
                |(age, _, _)| *age,
            ),
            (
                "watch_failures",
                "Lists and watches that failed",
                MetricType::Counter,
                |(_, failures, _)| *failures,
            ),
            (
                "relists",
                "Lists after the first one",
                MetricType::Counter,
                |(_, _, relists)| *relists,
            ),
        ];
        for (name, help, kind, count) in series {
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (resource, counts) in &resources {
                let labels = [("resource", *resource)];
                let metric = family.encode_family(&labels)?;
                match kind {
                    MetricType::Counter => ConstCounter::new(count(counts)).encode(metric)?,
                    _ => gauge(count(counts)).encode(metric)?,
                }
            }
        }
        Ok(())
    }
}
