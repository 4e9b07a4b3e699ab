//! Metrics in OpenMetrics text. Labels are bounded: plugins and words of ours, never names of runs.

use super::connections::Connections;
use super::process::Process;
use super::sinks::Sinks;
use super::status::Status;
use crate::plugin::dropin::{PluginState, PluginStatus};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::collections::HashSet;
use std::fmt::Error;

pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) fn encode(status: &Status, connections: Connections) -> Result<String, Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Process));
    let registry_of_ours = registry.sub_registry_with_prefix("step_observer");
    registry_of_ours.register_collector(Box::new(Sinks(status.snapshot.journal.clone())));
    registry_of_ours.register_collector(Box::new(status.snapshot.clone()));
    registry_of_ours.register_collector(Box::new(connections));
    // Two that want one name are told once, as the one that has it: a series must not stand twice.
    let mut plugins = status.plugins.clone();
    plugins.sort_by_key(|plugin| plugin.counts.is_none());
    let mut names = HashSet::new();
    plugins.retain(|plugin| names.insert(plugin.name.clone()));
    registry_of_ours.register_collector(Box::new(Plugins {
        generation: status.generation,
        plugins,
    }));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Plugins {
    generation: u64,
    plugins: Vec<PluginStatus>,
}

type Labels<'a> = [(&'static str, &'a str); 2];

impl Collector for Plugins {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let generation = ConstGauge::new(i64::try_from(self.generation).unwrap_or(i64::MAX));
        let metric = encoder.encode_descriptor(
            "plugin_chain_generation",
            "How many chains of plugins there have been",
            None,
            MetricType::Gauge,
        )?;
        generation.encode(metric)?;

        let mut states = encoder.encode_descriptor(
            "plugin_state",
            "1 for the state that a plugin is in",
            None,
            MetricType::Gauge,
        )?;
        for plugin in &self.plugins {
            let labels: Labels<'_> = [("plugin", &plugin.name), ("state", word(plugin.state))];
            ConstGauge::new(1_i64).encode(states.encode_family(&labels)?)?;
        }

        let mut events = encoder.encode_descriptor(
            "plugin_events",
            "Events that a plugin was called for, by what it answered",
            None,
            MetricType::Counter,
        )?;
        self.each(|plugin, counts| {
            for (verdict, count) in [("kept", counts.kept), ("dropped", counts.dropped)] {
                count_as(
                    &mut events,
                    [("plugin", plugin), ("verdict", verdict)],
                    count,
                )?;
            }
            let failed = counts.failed.values().sum();
            count_as(
                &mut events,
                [("plugin", plugin), ("verdict", "failed")],
                failed,
            )
        })?;

        let mut failures = encoder.encode_descriptor(
            "plugin_failures",
            "Events that a plugin failed on, by kind of failure",
            None,
            MetricType::Counter,
        )?;
        self.each(|plugin, counts| {
            for (kind, count) in &counts.failed {
                count_as(
                    &mut failures,
                    [("plugin", plugin), ("failure", kind)],
                    *count,
                )?;
            }
            Ok(())
        })?;

        let mut seconds = encoder.encode_descriptor(
            "plugin_seconds",
            "Time in a plugin in seconds",
            None,
            MetricType::Counter,
        )?;
        self.each(|plugin, counts| {
            let labels = [("plugin", plugin)];
            ConstCounter::new(counts.seconds).encode(seconds.encode_family(&labels)?)
        })
    }
}

impl Plugins {
    fn each(
        &self,
        mut tell: impl FnMut(&str, &crate::plugin::PluginCounts) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for plugin in &self.plugins {
            if let Some(counts) = &plugin.counts {
                tell(&plugin.name, counts)?;
            }
        }
        Ok(())
    }
}

fn count_as(family: &mut MetricEncoder<'_>, labels: Labels<'_>, count: u64) -> Result<(), Error> {
    ConstCounter::new(count).encode(family.encode_family(&labels)?)
}

fn word(state: PluginState) -> &'static str {
    match state {
        PluginState::Loading => "loading",
        PluginState::Loaded => "loaded",
        PluginState::LastGood => "lastGood",
        PluginState::Rejected => "rejected",
        PluginState::StandIn => "standIn",
    }
}
