//! Metrics of all plugins. A plugin is counted under its name: its metrics continue when a new
//! version replaces the old one, and end when the plugin is removed.

use super::status::{PluginEntry, PluginState, Roster};
use crate::metrics::{Registry, Samples};
use crate::plugin::run::PluginMetrics;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// Registers the metrics of all plugins that are in the roster at the time of a scrape.
pub fn register_metrics(registry: &mut Registry, roster: watch::Receiver<Roster>) {
    registry.register_samples(move |samples| {
        let roster = roster.borrow().clone();
        add_samples(samples, &roster)
    });
}

fn add_samples(samples: &mut Samples<'_>, roster: &Roster) -> fmt::Result {
    let generation = roster.chain.as_ref().map_or(0, |chain| chain.generation());
    samples.gauge(
        "plugin_chain_generation",
        "Generation of the chain of plugins; 0 until the plugins are known",
        generation,
    )?;
    let entries = distinct(&roster.entries);
    let states = entries.iter().map(|entry| {
        let labels = [entry.name.as_str(), state_label(entry.state)];
        (labels, 1_u64)
    });
    samples.gauges(
        "plugin_state",
        "1 for the current state of a plugin",
        ["plugin", "state"],
        states,
    )?;
    let counted: Vec<(&str, Arc<PluginMetrics>)> = entries
        .iter()
        .filter_map(|entry| Some((entry.name.as_str(), entry.plugin.as_ref()?.metrics.clone())))
        .collect();
    let verdicts = counted.iter().flat_map(|(plugin, metrics)| {
        let failed = metrics.failures().map(|(_, count)| count).sum();
        [
            ([*plugin, "kept"], metrics.kept.get()),
            ([*plugin, "dropped"], metrics.dropped.get()),
            ([*plugin, "failed"], failed),
        ]
    });
    samples.counters(
        "plugin_events",
        "Events that a plugin was called with, by verdict",
        ["plugin", "verdict"],
        verdicts,
    )?;
    let failures = counted.iter().flat_map(|(plugin, metrics)| {
        let failures = metrics.failures();
        failures.map(|(kind, count)| ([*plugin, kind], count))
    });
    samples.counters(
        "plugin_failures",
        "Events on which a plugin failed, by kind of failure",
        ["plugin", "failure"],
        failures,
    )?;
    let each = counted.iter();
    samples.counters(
        "plugin_seconds",
        "Total duration of the calls of a plugin, in seconds",
        ["plugin"],
        each.map(|(plugin, metrics)| ([*plugin], metrics.duration.sum())),
    )?;
    let each = counted.iter();
    samples.histograms(
        "plugin_duration_seconds",
        "Duration of a call of a plugin, which handles one event, whatever its verdict",
        ["plugin"],
        each.map(|(plugin, metrics)| ([*plugin], &metrics.duration)),
    )
}

/// Returns how often the condition of each plugin could not be evaluated.
pub(crate) fn condition_errors(roster: &Roster) -> impl Iterator<Item = (&str, u64)> {
    let entries = distinct(&roster.entries).into_iter();
    entries.filter_map(|entry| {
        let errors = &entry.plugin.as_ref()?.metrics.condition_errors;
        Some((entry.name.as_str(), errors.get()))
    })
}

/// Returns one entry per name, because a series must not occur twice. Of two entries with the same
/// name, the one with a plugin in the chain is returned.
fn distinct(entries: &[PluginEntry]) -> Vec<&PluginEntry> {
    let mut entries: Vec<&PluginEntry> = entries.iter().collect();
    entries.sort_by_key(|entry| entry.plugin.is_none());
    let mut names = BTreeSet::new();
    entries.retain(|entry| names.insert(entry.name.as_str()));
    entries
}

fn state_label(state: PluginState) -> &'static str {
    match state {
        PluginState::Fetching => "fetching",
        PluginState::Loading => "loading",
        PluginState::Loaded => "loaded",
        PluginState::LastGood => "lastGood",
        PluginState::Rejected => "rejected",
        PluginState::StandIn => "standIn",
    }
}
