//! The state of the observer as `GET /status` shows it.

use super::readiness::unready_reasons;
use crate::metrics::{VERSION, resident_bytes};
use crate::plugin::dropin::{PluginStatus, Roster};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads the current state of the observer, without its plugins.
pub type StatusProvider = Arc<dyn Fn() -> StatusSnapshot + Send + Sync>;

/// The state of the observer at one moment, without its plugins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusSnapshot {
    /// The first lists of all watches are complete.
    pub listed: bool,
    /// Whether this observer is the active one of several; absent without `standby`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby: Option<StandbyStatus>,
    /// The last gap; absent before the first lists are complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<GapStatus>,
    /// Each watch; empty while a recording is played.
    pub watches: Vec<WatchStatus>,
    /// Objects that could not be read and were skipped, by resource. A changed object counts again.
    pub unreadable_objects: BTreeMap<String, u64>,
    /// Pods that name a TaskRun which does not name them. No event is sent for them.
    pub unclaimed_pods: u64,
    /// TaskRuns that are tracked.
    pub runs_tracked: u64,
    /// TaskRuns whose scripts are omitted from events, because all TaskRuns together held too much text.
    pub runs_without_texts: u64,
    /// Transitions of steps since the observer started or its configuration changed.
    pub transitions: TransitionStatus,
    /// Events of these transitions, by their outcome before delivery to the sinks.
    pub events: EventStatus,
    /// Events and runs that wait before the journal.
    pub waiting: WaitingStatus,
    /// Logs that were to be read.
    pub log_reads: LogReadStatus,
    /// Changes of the configuration.
    pub configuration: ReloadStatus,
    /// The journal and the sinks.
    pub journal: JournalStatus,
}

/// A time in which runs may have come and gone unseen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GapStatus {
    /// The last moment at which the observer is known to have watched; `null` if it is unknown.
    pub from: Option<Timestamp>,
    /// When the lists that followed were complete.
    pub to: Timestamp,
}

/// An observer among several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StandbyStatus {
    /// Active, or waiting.
    pub state: StandbyRole,
    /// When it became that.
    pub since: Timestamp,
    /// Namespace and name of the Lease.
    pub lease: String,
    /// The name of this observer as a holder of the Lease.
    pub identity: String,
    /// The last known holder; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Changes of the active observer, as the Lease counts them.
    pub transitions: u32,
    /// Seconds for which requests for the Lease have been failing; absent while they work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_seconds: Option<u64>,
    /// The last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl StandbyStatus {
    /// Returns whether the observer waits, so that it has no pipeline.
    pub(super) fn is_waiting(&self) -> bool {
        self.state == StandbyRole::Waiting
    }
}

/// What an observer among several does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StandbyRole {
    /// It holds the Lease, and delivers.
    Active,
    /// It delivers nothing.
    #[default]
    Waiting,
}

/// The state of one watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchStatus {
    /// `pods`, `taskruns` or `configmaps`.
    pub resource: String,
    /// Seconds since the last data.
    pub age_seconds: u64,
    /// Seconds since the watch began to fail; absent while the watch works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_seconds: Option<u64>,
    /// Requests that failed.
    pub failures: u64,
    /// Lists after the first one.
    pub relists: u64,
}

/// Transitions of steps, by phase.
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

/// Events, by their outcome before the sinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventStatus {
    /// Accepted by the journal for at least one sink.
    pub accepted: u64,
    /// Dropped by a plugin.
    pub dropped: u64,
    /// Lost, with an error in the log.
    pub failed: u64,
    /// Above `event.maxBytes`: their data was truncated.
    #[serde(rename = "cut")]
    pub truncated: u64,
    /// Events that exceed `event.maxBytes` even after everything that may be omitted was omitted.
    /// They are sent nevertheless.
    pub oversized: u64,
    /// Events that were not emitted again, because they had been emitted before the observer
    /// started.
    #[serde(rename = "toldBefore")]
    pub emitted_before: u64,
    /// Between the watches and the journal now.
    pub pending: u64,
}

/// Events and runs that wait before the journal: events that plugins hold, and deferred runs, whose
/// namespace has used its share of the records in preparation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingStatus {
    /// Events that plugins hold (`onError: block`).
    pub held: u64,
    /// Seconds since a plugin began to hold the oldest held event.
    pub held_seconds: u64,
    /// The plugin that holds the oldest held event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    /// Runs that are deferred: their transitions are emitted when there is room.
    #[serde(rename = "runsSetAside")]
    pub runs_deferred: u64,
    /// Deferred runs that were deleted from the cluster and then given up, because there were too many.
    pub runs_given_up: u64,
}

/// Logs that were to be read, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogReadStatus {
    /// Read in full.
    pub read: u64,
    /// Too long, or interrupted.
    #[serde(rename = "cut")]
    pub truncated: u64,
    /// Not read at all.
    pub unavailable: u64,
}

/// Changes of the configuration, by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReloadStatus {
    /// Changes that were applied.
    pub applied: u64,
    /// Changes that were refused.
    pub refused: u64,
    /// Why the last change was refused; absent if it was applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<String>,
}

/// The state of the journal. `GET /sinks` shows only this part of the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalStatus {
    /// Bytes of the events that wait or are dead letters.
    pub bytes: u64,
    /// Bytes at which the journal accepts no more events.
    pub max_bytes: u64,
    /// Events wait for room, and no event is accepted.
    pub full: bool,
    /// Namespaces whose events wait because the namespace has used its share of the journal.
    pub waiting_namespaces: u64,
    /// Events and dead letters that were dropped at a bound of the journal since the observer
    /// started.
    pub dropped: u64,
    /// Dead letters among them.
    pub dead_letters_dropped: u64,
    /// The disk of the journal is full.
    pub disk_full: bool,
    /// History entries that were dropped since the observer started, because they came too fast.
    #[serde(rename = "historyLeftOut")]
    pub history_dropped: u64,
    /// Each sink.
    pub sinks: Vec<SinkStatus>,
}

/// The state of one sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// Events that the sink acknowledged since the observer started or its configuration changed.
    pub delivered: u64,
    /// Attempts that failed since the observer started or its configuration changed.
    pub failed_attempts: u64,
    /// Events that wait for it.
    pub waiting: u64,
    /// Age of the oldest waiting event in seconds.
    pub oldest_seconds: u64,
    /// End of the pause that the receiver asked for. Nothing is sent before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
    /// Its dead letters.
    pub dead_letters: u64,
    /// Events that the sink did not acknowledge in time. They are still retried, because there are
    /// too many dead letters.
    pub held: u64,
}

/// The answer of `GET /status`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    version: &'static str,
    pub(super) ready: bool,
    /// The reasons why the observer is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) not_ready: Vec<String>,
    /// Resident memory of the process in bytes, as `/metrics` shows it. Absent if the system does not give it.
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_bytes: Option<u64>,
    #[serde(flatten)]
    pub(super) snapshot: StatusSnapshot,
    /// Generation of the current chain of plugins; 0 until the plugins are known.
    pub(super) generation: u64,
    pub(super) plugins: Vec<PluginStatus>,
}

impl Status {
    pub(super) fn new(roster: &Roster, snapshot: StatusSnapshot) -> Self {
        let plugins: Vec<PluginStatus> =
            roster.entries.iter().map(|entry| entry.status()).collect();
        let not_ready = unready_reasons(&snapshot, roster.chain.is_some(), &plugins);
        Self {
            version: VERSION,
            ready: not_ready.is_empty(),
            not_ready,
            resident_bytes: resident_bytes(),
            snapshot,
            generation: roster.chain.as_ref().map_or(0, |chain| chain.generation()),
            plugins,
        }
    }
}
