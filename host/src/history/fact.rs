//! What can happen to an event.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that happened to an event. No text of the event but what names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// `id` of the event. The first member of a line.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum What {
    /// It passed the plugins, and is in the journal for these sinks; for none where a plugin dropped it
    /// or nobody wants it.
    Accepted {
        /// When its transition was observed.
        observed: Timestamp,
        /// Its `type`.
        #[serde(rename = "type")]
        ty: String,
        /// Its `subject`.
        subject: String,
        /// What the plugins made of it.
        plugins: Vec<Verdict>,
        /// Who is to get it.
        sinks: Vec<String>,
        /// Its place in a trace, where there are traces.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traced: Option<Traced>,
    },
    /// A plugin failed on it, and says that it must wait.
    Held {
        /// The plugin.
        plugin: String,
        /// How it failed.
        reason: String,
    },
    /// An attempt failed.
    Failed {
        /// The sink.
        sink: String,
        /// Which attempt, the first is 1.
        attempt: u32,
        /// What the sink said.
        reason: String,
        /// When it is tried again at the earliest, in milliseconds.
        retry_in_ms: u64,
        /// Until when the sink asks for a pause, if it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        paused_until: Option<Timestamp>,
    },
    /// A sink asks for a pause: a fact of the sink ([`of_sink`](super::of_sink)), not of an event.
    Paused {
        /// The sink.
        sink: String,
        /// When the pause is over.
        until: Timestamp,
    },
    /// A sink has it.
    Delivered {
        /// The sink.
        sink: String,
        /// At which attempt.
        attempt: u32,
    },
    /// It became a dead letter.
    Dead {
        /// The sink.
        sink: String,
        /// After how many attempts.
        attempts: u32,
        /// Why.
        reason: String,
        /// The dead-letter sink that is to get it, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// An operator sent a dead letter again.
    SentAgain {
        /// The sink whose dead letter it was.
        from: String,
        /// The sink that is to get it.
        sink: String,
    },
    /// A dead letter was dropped: by an operator, or because there were too many.
    Discarded {
        /// The sink whose dead letter it was.
        sink: String,
    },
}

/// The place of an event in a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traced {
    /// The trace and the span that it belongs to, as a W3C `traceparent`; the span is zero where there is none.
    pub parent: String,
    /// When its way through the plugins began.
    pub filtered: Timestamp,
}

/// What a plugin made of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The operator's name for the plugin.
    pub plugin: String,
    /// The version that it says it has.
    pub version: String,
    /// SHA-256 of its file; nothing where it could not be loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// `kept`, `dropped`, or what was done because it failed.
    pub verdict: String,
    /// How long it took, in microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub micros: u64,
    /// Texts that it masked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub masked: u64,
    /// Why it was dropped, or how it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
