//! The entries of the history. Its files hold them as lines of JSON, so the names of members must
//! not change.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A stage that an event has reached. Of the event itself, the entry holds only the id, type and
/// subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// `id` of the event, or the key of a sink ([`sink_key`](super::sink_key)). The first member of
    /// a line, by which entries are found.
    pub id: String,
    /// When the event reached the stage.
    pub at: Timestamp,
    /// The stage.
    #[serde(flatten)]
    pub stage: EventStage,
}

/// A stage of an event between its transition and its sinks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum EventStage {
    /// The event passed the plugins, and the journal holds it for `sinks`. `sinks` is empty if a
    /// plugin dropped the event or no sink selects it.
    Accepted {
        /// When its transition was observed.
        observed: Timestamp,
        /// Its `type`.
        #[serde(rename = "type")]
        ty: String,
        /// Its `subject`.
        subject: String,
        /// The result of each plugin.
        plugins: Vec<PluginResult>,
        /// The sinks that receive it.
        sinks: Vec<String>,
        /// Trace context of the event, if traces are exported.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traced: Option<TraceContext>,
    },
    /// A plugin failed for the event. The event waits, because the configuration of the plugin says
    /// `onError: block`.
    Held {
        /// The plugin.
        plugin: String,
        /// How the plugin failed.
        reason: String,
    },
    /// A delivery attempt failed.
    Failed {
        /// The sink.
        sink: String,
        /// Number of the attempt, starting at 1.
        attempt: u32,
        /// The answer of the sink.
        reason: String,
        /// Shortest time until the next attempt, in milliseconds.
        retry_in_ms: u64,
        /// End of the pause that the sink asks for. Absent if the sink asks for none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        paused_until: Option<Timestamp>,
    },
    /// A sink asks for a pause. An entry of the sink ([`sink_key`](super::sink_key)), not of an
    /// event.
    Paused {
        /// The sink.
        sink: String,
        /// End of the pause.
        until: Timestamp,
    },
    /// A sink has it.
    Delivered {
        /// The sink.
        sink: String,
        /// Number of the attempt, starting at 1.
        attempt: u32,
    },
    /// It became a dead letter.
    Dead {
        /// The sink.
        sink: String,
        /// Number of attempts.
        attempts: u32,
        /// Why it was not delivered.
        reason: String,
        /// Dead-letter sink that receives the event. Absent if the sink has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// An operator sent a dead letter again.
    SentAgain {
        /// The sink whose dead letter it was.
        from: String,
        /// The sink that receives it now.
        sink: String,
    },
    /// A dead letter was dropped, by an operator or at the bound of dead letters.
    Discarded {
        /// The sink whose dead letter it was.
        sink: String,
    },
}

/// The place of an event in a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceContext {
    /// Trace and parent span of the event, as a W3C `traceparent`. A parent of zeros means none.
    pub parent: String,
    /// When its first plugin started.
    pub filtered: Timestamp,
}

/// The result of one plugin for an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginResult {
    /// The name of the plugin in the configuration.
    pub plugin: String,
    /// The version that the plugin reports.
    pub version: String,
    /// SHA-256 of the plugin's file. Absent if the file could not be loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The consequence for the event.
    pub verdict: PluginVerdict,
    /// Duration of the call in microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub micros: u64,
    /// Number of texts that it masked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub masked: u64,
    /// Why the plugin dropped the event, or how it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The consequence of a plugin call for the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PluginVerdict {
    /// The plugin kept the event.
    Kept,
    /// The plugin dropped the event, or failed with `onError: drop`.
    Dropped,
    /// The plugin failed, and the event continued without its log and other free text.
    Stripped,
    /// The plugin failed, and the event continued as it was before the call.
    #[serde(rename = "passed by")]
    PassedBy,
}

impl PluginVerdict {
    /// Returns the word that stands for the verdict in JSON, traces and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Dropped => "dropped",
            Self::Stripped => "stripped",
            Self::PassedBy => "passed by",
        }
    }
}

impl std::fmt::Display for PluginVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
