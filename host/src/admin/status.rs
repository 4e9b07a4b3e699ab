//! How the observer stands: what `/status` answers, and what `/readyz` and `/metrics` are made of.

use super::sinks::JournalStatus;
use crate::plugin::dropin::{PluginState, PluginStatus, Roster};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tells how the observer stands at the moment, but for its plugins.
pub type StatusProvider = Arc<dyn Fn() -> StatusSnapshot + Send + Sync>;

/// A watch that was silent for longer than this many seconds does not work: it is begun anew after 290 at most
/// (`cluster.watchTimeoutSeconds`), and the API server sends a bookmark about every minute.
const MAX_WATCH_SILENCE_SECONDS: u64 = 300;
/// A watch that fails for longer than this many seconds is not just being renewed.
const MAX_WATCH_FAILURE_SECONDS: u64 = 30;
/// A plugin that holds an event for longer than this many seconds does not just have a bad moment.
const MAX_HOLD_SECONDS: u64 = 120;

/// How the observer stands, but for its plugins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusSnapshot {
    /// Everything that was there at the start is known.
    pub listed: bool,
    /// Each watch; none where a recording is played.
    pub watches: Vec<WatchStatus>,
    /// Objects that could not be read and were skipped, by their kind; one that is changed counts again.
    pub unreadable_objects: BTreeMap<String, u64>,
    /// Pods that name a TaskRun which does not name them: nothing is sent of them.
    pub unclaimed_pods: u64,
    /// TaskRuns that are followed.
    pub runs_tracked: u64,
    /// TaskRuns of which scripts are left out, because all together held too much.
    pub runs_without_texts: u64,
    /// TransitionStatus of steps since the observer started, or its configuration changed.
    pub transitions: TransitionStatus,
    /// What became of their events before the sinks.
    pub events: EventStatus,
    /// What waits before the journal.
    pub waiting: WaitingStatus,
    /// Logs that were to be read.
    pub log_reads: LogReadStatus,
    /// What became of changes of the configuration.
    pub configuration: ReloadStatus,
    /// What waits for the sinks.
    pub journal: JournalStatus,
}

/// How it stands with a watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchStatus {
    /// `pods`, `taskruns` or `configmaps`.
    pub resource: String,
    /// Seconds since anything was heard of it.
    pub age_seconds: u64,
    /// Seconds since it has failed, where it does not work at the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_seconds: Option<u64>,
    /// Requests that failed.
    pub failures: u64,
    /// Lists after the first one.
    pub relists: u64,
}

/// TransitionStatus of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TransitionStatus {
    /// Steps that started.
    pub started: u64,
    /// Steps that succeeded.
    pub succeeded: u64,
    /// Steps that failed.
    pub failed: u64,
    /// Steps that were skipped.
    pub skipped: u64,
}

/// What became of events before the sinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventStatus {
    /// In the journal, for one sink or more.
    pub accepted: u64,
    /// Dropped by a plugin.
    pub dropped: u64,
    /// Lost, with an error in the log.
    pub failed: u64,
    /// Larger than `event.maxBytes`: parts of their data were left out.
    pub cut: u64,
    /// Larger than that by what cannot be left out, and sent as they are.
    pub oversized: u64,
    /// Known to be told before the observer started.
    pub told_before: u64,
    /// Between the watch and the journal at the moment.
    pub pending: u64,
}

/// What waits before the journal: events that plugins hold, and runs whose namespace has its share of the records
/// that are being prepared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingStatus {
    /// Events that plugins hold (`onError: block`).
    pub held: u64,
    /// How long the oldest of them has been held, in seconds.
    pub held_seconds: u64,
    /// The plugin that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    /// Runs that are set aside: what becomes of them is told when there is room.
    pub runs_set_aside: u64,
    /// Runs that were set aside, gone from the cluster, and given up because there were too many of them.
    pub runs_given_up: u64,
}

/// Logs that were to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogReadStatus {
    /// Whole.
    pub read: u64,
    /// In part: too long, or broken off.
    pub cut: u64,
    /// Not at all.
    pub unavailable: u64,
}

/// What became of changes of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReloadStatus {
    /// Changes that were taken.
    pub applied: u64,
    /// Changes that were refused.
    pub refused: u64,
    /// Why the last change was refused, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<String>,
}

/// What `GET /status` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    version: &'static str,
    pub(super) ready: bool,
    /// What is missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) not_ready: Vec<String>,
    #[serde(flatten)]
    pub(super) snapshot: StatusSnapshot,
    /// Of the chain that events pass now; 0 before there is one.
    pub(super) generation: u64,
    pub(super) plugins: Vec<PluginStatus>,
}

/// The version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Status {
    pub(super) fn new(roster: &Roster, snapshot: StatusSnapshot) -> Self {
        let plugins: Vec<PluginStatus> =
            roster.entries.iter().map(|entry| entry.status()).collect();
        let not_ready = unready_reasons(&snapshot, roster.chain.is_some(), &plugins);
        Self {
            version: VERSION,
            ready: not_ready.is_empty(),
            not_ready,
            snapshot,
            generation: roster.chain.as_ref().map_or(0, |chain| chain.generation()),
            plugins,
        }
    }
}

/// What keeps it from being ready: from seeing, filtering and keeping every event that comes.
fn unready_reasons(
    snapshot: &StatusSnapshot,
    has_chain: bool,
    plugins: &[PluginStatus],
) -> Vec<String> {
    let mut missing = Vec::new();
    if !has_chain {
        missing.push("the plugins are not known yet".to_owned());
    }
    for plugin in plugins {
        if plugin.state == PluginState::StandIn {
            let name = &plugin.name;
            missing.push(format!("plugin `{name}` could not be loaded; see /plugins"));
        }
    }
    if !snapshot.listed {
        missing.push("the first lists are not complete".to_owned());
    }
    for watch in &snapshot.watches {
        let resource = &watch.resource;
        match watch.failing_seconds {
            Some(seconds) if seconds > MAX_WATCH_FAILURE_SECONDS => {
                missing.push(format!(
                    "the watch of {resource} fails since {seconds} s; see the log"
                ));
            }
            // No watch waits for events: runs whose events wait are set aside.
            Some(_) | None if watch.age_seconds > MAX_WATCH_SILENCE_SECONDS => {
                let seconds = watch.age_seconds;
                missing.push(format!(
                    "the watch of {resource} is silent since {seconds} s"
                ));
            }
            Some(_) | None => {}
        }
    }
    if let Some(plugin) = &snapshot.waiting.held_by
        && snapshot.waiting.held_seconds > MAX_HOLD_SECONDS
    {
        let (held, seconds) = (snapshot.waiting.held, snapshot.waiting.held_seconds);
        missing.push(format!(
            "{held} events are held (onError: block), the oldest for {seconds} s by plugin `{plugin}`; see the log"
        ));
    }
    if snapshot.journal.disk_full {
        missing.push("the journal's disk is full".to_owned());
    }
    if snapshot.journal.full {
        missing.push("the journal is full: nothing is accepted; see /sinks".to_owned());
    }
    for sink in snapshot.journal.sinks.iter().filter(|sink| sink.held > 0) {
        missing.push(format!(
            "there are too many dead letters: {} events of sink `{}` wait",
            sink.held, sink.name
        ));
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::SinkStatus;

    fn well() -> StatusSnapshot {
        StatusSnapshot {
            listed: true,
            watches: vec![
                watch(60, None),
                watch(MAX_WATCH_SILENCE_SECONDS, Some(MAX_WATCH_FAILURE_SECONDS)),
            ],
            ..StatusSnapshot::default()
        }
    }

    fn watch(age_seconds: u64, failing_seconds: Option<u64>) -> WatchStatus {
        WatchStatus {
            resource: "pods".to_owned(),
            age_seconds,
            failing_seconds,
            ..WatchStatus::default()
        }
    }

    #[test]
    fn it_is_ready_when_nothing_is_missing() {
        assert!(unready_reasons(&well(), true, &[]).is_empty());
    }

    #[test]
    fn everything_that_is_missing_is_reported() {
        let mut unlisted = well();
        unlisted.listed = false;
        let mut silent = well();
        silent
            .watches
            .push(watch(MAX_WATCH_SILENCE_SECONDS + 1, None));
        let mut failing = well();
        failing
            .watches
            .push(watch(1, Some(MAX_WATCH_FAILURE_SECONDS + 1)));
        let mut holding = well();
        holding.waiting = WaitingStatus {
            held: 1,
            held_seconds: MAX_HOLD_SECONDS + 1,
            held_by: Some("enrich".to_owned()),
            ..WaitingStatus::default()
        };
        let mut full = well();
        full.journal.disk_full = true;
        let mut waiting = well();
        waiting.journal.full = true;
        let mut held = well();
        held.journal.sinks.push(SinkStatus {
            name: "broker".to_owned(),
            held: 2,
            ..SinkStatus::default()
        });
        for (snapshot, word) in [
            (unlisted, "lists"),
            (silent, "silent"),
            (failing, "fails"),
            (holding, "`enrich`"),
            (full, "full"),
            (waiting, "nothing is accepted"),
            (held, "2 events of sink `broker`"),
        ] {
            let told = unready_reasons(&snapshot, true, &[]);
            assert!(told.len() == 1 && told[0].contains(word), "{told:?}");
        }
        assert!(unready_reasons(&well(), false, &[])[0].contains("plugins"));
    }
}
