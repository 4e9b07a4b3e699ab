//! What happens in the cluster: Pods and TaskRuns in, step records out. The only room that knows
//! Kubernetes.

mod cluster;
mod cluster_logs;
mod config_maps;
mod connect;
mod deferred_runs;
mod documents;
mod facts;
mod followed_log;
mod initial_lists;
mod intern;
mod lenient;
mod list;
mod log_capture;
mod managed_fields;
mod metadata;
mod namespace;
mod no_proxy;
mod playback;
mod proxy;
mod raw_events;
mod recorded_logs;
mod recording_reader;
mod relist_backoff;
mod retry;
mod review;
mod slim;
mod snapshot;
mod step_spec;
mod tekton_sink;
mod termination_message;
mod text_budget;
mod tracker;
mod unclaimed_pods;
mod unreadable;
mod watch;
mod watch_event;
mod watch_health;
mod watched_pods;

pub use cluster::{ClusterConfig, watch};
pub use cluster_logs::ClusterLogs;
pub(crate) use cluster_logs::{LOG_OF_REPLACED_POD, LogReadMode};
pub use config_maps::{
    PLUGIN_LABEL, PluginConfigMapChange, PluginEventRecorder, own_namespace, watch_plugins,
};
pub use connect::{cluster_time, connect};
pub use followed_log::FollowedLog;
pub use list::{ListItems, RawObject};
pub use log_capture::LogCapture;
pub use namespace::namespace_name;
pub use playback::{Player, RecordedStreams, play, player};
pub use raw_events::{RawEvent, RawEventHook};
pub use recorded_logs::RecordedLogs;
pub use review::{ReviewError, ReviewOutcome, review};
pub use slim::{SlimPod, SlimTaskRun};
pub use tekton_sink::{TektonSink, watch_tekton_sink};
pub(crate) use termination_message::masked as masked_message;
pub use tracker::{Change, Finding, LogTarget, Tracker};
pub use unclaimed_pods::UnclaimedPod;
pub(crate) use unreadable::LogRateLimit;
pub use watch_health::{WatchHealth, Watches};
pub(crate) use watched_pods::{WatchedPod, WatchedPods};

use jiff::Timestamp;

/// A change and when it was seen.
#[derive(Debug)]
pub struct TimedChange {
    /// By the clock of the recording, or of this machine.
    pub at: Timestamp,
    /// It is happening now: `at` is this machine's time.
    pub is_live: bool,
    /// The change.
    pub change: Change,
}

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as it is read.
    Max,
    /// So many times as fast as it happened.
    Times(f64),
}

/// Why nothing can be observed.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// A file or stream cannot be read.
    #[error("failed to read {name}: {source}")]
    Read {
        /// Its name.
        name: String,
        /// The cause.
        source: std::io::Error,
    },
    /// It is not a recording.
    #[error(
        "{name}, line {line}: this is not a recording: event {event}: {problem}\n  expected watch events or objects as \
         JSON, as `kubectl get pods -w -o json --output-watch-events` gives them"
    )]
    NotARecording {
        /// Its name.
        name: String,
        /// The line, from 1.
        line: usize,
        /// The number of the watch event, from 1.
        event: usize,
        /// What is wrong, without values.
        problem: String,
    },
    /// There is no event in it.
    #[error(
        "{name} holds no watch event of a Pod or TaskRun\n  record some with `step-observer record --out DIR`, or with \
         `kubectl get pods -w -o json --output-watch-events > pods.json` and the same of `taskruns`, at the same time"
    )]
    EmptyRecording {
        /// Its name, or the names of several.
        name: String,
    },
    /// The log file beside a recording is not one.
    #[error(
        "{name} is not a log file: {problem}\n  expected one JSON object: {{\"<pod>-<container>\": \"text\"}}"
    )]
    NotLogs {
        /// Its name.
        name: String,
        /// What is wrong, without values.
        problem: String,
    },
    /// There is no such shard.
    #[error(
        "shard {shard} of {shards}: shards are counted from 0; raise cluster.shards (--shards), or run fewer observers"
    )]
    InvalidShard {
        /// Its number.
        shard: u32,
        /// How many there are.
        shards: u32,
    },
    /// No way to an API server.
    #[error(
        "failed to find an API server: {0}\n  set KUBECONFIG, or run in a cluster with a service account"
    )]
    Config(String),
}

/// What serde says, without the values it quotes: what is observed may hold secrets.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match (text.find('"'), text.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            let (before, after) = (text.get(..first), text.get(last + 1..));
            format!(
                "{}\"…\"{}",
                before.unwrap_or_default(),
                after.unwrap_or_default()
            )
        }
        _ => text,
    }
}

/// The same without the place, which serde counts from the beginning of the part that it was given.
fn without_place(error: &serde_json::Error) -> String {
    let text = without_values(error);
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(without) => without.to_owned(),
        None => text,
    }
}

impl SlimPod {
    /// The change that its deletion is; `None` where it is not a TaskRun's.
    #[must_use]
    pub fn gone(&self) -> Option<Change> {
        Some(Change::PodGone {
            uid: self.metadata.uid.clone()?,
            run_uid: self.owner()?.uid.clone(),
        })
    }
}

impl SlimTaskRun {
    /// The change that its deletion is.
    #[must_use]
    pub fn gone(&self) -> Option<Change> {
        Some(Change::TaskRunGone {
            uid: self.metadata.uid.clone()?,
        })
    }
}
