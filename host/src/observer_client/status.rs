//! Message `status`: the state of the observer, of its plugins and its sinks. Every member may be absent.

use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The state of an observer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObserverStatus {
    /// Its version.
    pub version: String,
    /// Whether it is ready.
    pub ready: bool,
    /// Why it is not ready.
    pub not_ready: Vec<String>,
    /// Its clock.
    pub now: Option<Timestamp>,
    /// Its resident memory in bytes.
    pub resident_bytes: Option<u64>,
    /// TaskRuns that it tracks.
    pub runs_tracked: u64,
    /// Events and runs that wait before the journal.
    pub waiting: WaitingView,
    /// Its plugins.
    pub plugins: Vec<PluginView>,
    /// Its journal and its sinks.
    pub journal: JournalView,
}

/// Events and runs that wait before the journal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WaitingView {
    /// Events that plugins hold.
    pub held: u64,
    /// Runs that are deferred.
    pub runs_set_aside: u64,
}

/// A plugin.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginView {
    /// The operator's name for it.
    pub name: String,
    /// Its state, such as `loaded`.
    pub state: String,
    /// Why its last version is refused.
    pub refused: Option<RefusalView>,
    /// Its counters.
    pub counts: Option<CountsView>,
}

/// Why a plugin is refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RefusalView {
    /// Reason and remedy.
    pub reason: String,
}

/// Counters of a plugin.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CountsView {
    /// Calls, each with one event.
    pub calls: u64,
    /// Events that it dropped.
    pub dropped: u64,
    /// Failures by kind.
    pub failed: BTreeMap<String, u64>,
    /// Duration of all calls in seconds.
    pub seconds: f64,
}

/// The journal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JournalView {
    /// Bytes of events in it.
    pub bytes: u64,
    /// Its bound.
    pub max_bytes: u64,
    /// It accepts no event.
    pub full: bool,
    /// Its disk is full.
    pub disk_full: bool,
    /// The sinks.
    pub sinks: Vec<SinkView>,
}

/// A sink.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SinkView {
    /// Its name.
    pub name: String,
    /// Events that it acknowledged.
    pub delivered: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Events that wait for it.
    pub waiting: u64,
    /// Age of the oldest waiting event in seconds.
    pub oldest_seconds: u64,
    /// End of the pause that the receiver asked for.
    pub paused_until: Option<Timestamp>,
    /// Its dead letters.
    pub dead_letters: u64,
    /// Events that were not acknowledged in time and find no room among the dead letters.
    pub held: u64,
}
