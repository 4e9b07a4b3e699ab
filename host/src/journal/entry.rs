//! The entries of the journal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Number of an event in the journal. It grows with each event and is never used twice.
pub type Seq = u64;

/// The run and the namespace that events come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// UID of the TaskRun, whose events are delivered in order.
    pub run: Arc<str>,
    /// Namespace of the run, which has a share of each bounded resource. Empty if the namespace is
    /// unknown.
    pub namespace: Arc<str>,
}

impl From<Arc<str>> for Origin {
    fn from(run: Arc<str>) -> Self {
        let namespace = Arc::default();
        Self { run, namespace }
    }
}

impl From<&str> for Origin {
    fn from(run: &str) -> Self {
        Arc::<str>::from(run).into()
    }
}

impl From<String> for Origin {
    fn from(run: String) -> Self {
        Arc::<str>::from(run).into()
    }
}

/// Longest name of a Kubernetes namespace in bytes.
const MAX_NAMESPACE_BYTES: usize = 63;
/// Bytes at the start of an event that are searched for its namespace.
const MAX_SEARCHED_BYTES: usize = 4096;

/// Finds the namespace in the subject of an event (`NAMESPACE/RUN/STEP`). Needed for journals of
/// the first builds of version 0.1.0, which did not store the namespace in the entry.
///
/// A string value before the subject cannot match by accident, because JSON escapes the quotes in
/// it.
fn namespace_in_subject(body: &[u8]) -> Option<Arc<str>> {
    const SUBJECT: &[u8] = b"\"subject\":\"";
    let body = body.get(..MAX_SEARCHED_BYTES).unwrap_or(body);
    let found = body
        .windows(SUBJECT.len())
        .position(|part| part == SUBJECT)?;
    let subject = body.get(found + SUBJECT.len()..)?;
    let length = subject
        .iter()
        .take(MAX_NAMESPACE_BYTES + 1)
        .position(|byte| *byte == b'/')?;
    let name = std::str::from_utf8(subject.get(..length)?).ok()?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!name.is_empty() && name.bytes().all(is_name)).then(|| name.into())
}

fn is_unknown(namespace: &Arc<str>) -> bool {
    namespace.is_empty()
}

/// An entry. Each version reads the entries of all older versions, so tags and members never change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub(super) enum Entry {
    /// The journal was created. Runs that ended before the horizon are not reported.
    #[serde(rename = "begun")]
    Created { horizon: Timestamp },
    /// The part of the cluster that is watched from now on. A run that is not seen may be outside
    /// this part.
    Scope { scope: String },
    /// The mark and the events of one transition. The bodies of the events follow in the frame.
    Accepted {
        run: Arc<str>,
        /// Namespace of the run. The first builds of version 0.1.0 did not write it.
        #[serde(default, skip_serializing_if = "is_unknown")]
        namespace: Arc<str>,
        /// Names the transition. Absent if the event was only moved to another segment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<String>,
        /// Names the transition without the UID of its Pod. The first builds of version 0.1.0 did not
        /// write it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        at: Timestamp,
        events: Vec<AcceptedEvent>,
    },
    /// A sink has the event, or the event was dropped: nothing is left to do for this sink.
    #[serde(rename = "done")]
    Acknowledged { seq: Seq, sink: String },
    /// The event became a dead letter of a sink.
    #[serde(rename = "dead")]
    DeadLettered {
        seq: Seq,
        sink: String,
        letter: DeadLetter,
    },
    /// No transition of this run will be derived again: its marks are removed.
    Forgotten { run: Arc<str> },
    /// Marks that were moved to another segment.
    Marks { run: Arc<str>, marks: Vec<String> },
}

impl Entry {
    /// Removes the marks. A journal in memory does not need them, because it ends with the process,
    /// and only a restart would read them.
    pub(super) fn without_mark(self) -> Self {
        match self {
            Self::Accepted {
                run,
                namespace,
                at,
                events,
                ..
            } => Self::Accepted {
                run,
                namespace,
                mark: None,
                name: None,
                at,
                events,
            },
            other => other,
        }
    }

    /// Adds the namespace that the first body names, if the entry holds none.
    pub(super) fn with_namespace(mut self, bodies: &[u8]) -> Self {
        if let Self::Accepted { namespace, .. } = &mut self
            && namespace.is_empty()
        {
            *namespace = namespace_in_subject(bodies).unwrap_or_default();
        }
        self
    }

    /// Returns the numbers of the events that the entry names.
    pub(super) fn seqs(&self) -> impl Iterator<Item = Seq> {
        let (events, one) = match self {
            Self::Accepted { events, .. } => (&**events, None),
            Self::Acknowledged { seq, .. } | Self::DeadLettered { seq, .. } => {
                (&[][..], Some(*seq))
            }
            Self::Created { .. }
            | Self::Scope { .. }
            | Self::Forgotten { .. }
            | Self::Marks { .. } => (&[][..], None),
        };
        events.iter().map(|event| event.seq).chain(one)
    }
}

/// An event in an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AcceptedEvent {
    pub(super) seq: Seq,
    /// The sinks that receive it.
    pub(super) sinks: Vec<String>,
    /// Length of its body.
    pub(super) bytes: u32,
    /// CRC-32 of its body.
    pub(super) sum: u32,
}

/// Why an event was not delivered to a sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The answer of the sink, or why no further attempt was made.
    pub reason: String,
    /// Number of attempts.
    pub attempts: u32,
    /// Time of the first attempt.
    pub first: Timestamp,
    /// Time of the last attempt.
    pub last: Timestamp,
    /// The sink refused the event. The first builds of version 0.1.0 did not write this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_an_earlier_version_has_its_namespace() {
        let found = |body: &str| namespace_in_subject(body.as_bytes()).map(|name| name.to_string());
        let event =
            r#"{"id":"1","note":"\"subject\":\"forged/a\"","subject":"ci-2/build/test","data":{}}"#;
        assert_eq!(found(event).as_deref(), Some("ci-2"));
        for none in [
            "",
            "{}",
            r#"{"subject":"ci"}"#,
            r#"{"subject":"A/b"}"#,
            r#"{"subject":"/b"}"#,
        ] {
            assert_eq!(found(none), None, "{none}");
        }
        let long = format!(r#"{{"subject":"{}/b"}}"#, "x".repeat(64));
        assert_eq!(found(&long), None);
    }

    /// Version 0.1.0 takes an entry of any other kind for damage, and stops: a new kind needs a new number in the
    /// header of segments (docs/versions.md).
    #[test]
    fn every_kind_of_entry_is_one_of_version_0_1_0() {
        let at = Timestamp::UNIX_EPOCH;
        let letter = DeadLetter {
            reason: "no".into(),
            attempts: 1,
            first: at,
            last: at,
            refused: true,
        };
        let run = || Arc::from("r");
        let entries = [
            Entry::Created { horizon: at },
            Entry::Scope { scope: "s".into() },
            Entry::Accepted {
                run: run(),
                namespace: "ci".into(),
                mark: Some("m".into()),
                name: Some("n".into()),
                at,
                events: vec![],
            },
            Entry::Acknowledged {
                seq: 1,
                sink: "a".into(),
            },
            Entry::DeadLettered {
                seq: 1,
                sink: "a".into(),
                letter,
            },
            Entry::Forgotten { run: run() },
            Entry::Marks {
                run: run(),
                marks: vec![],
            },
        ];
        for entry in entries {
            // Without `_`, so that a new kind does not compile before it is here.
            let of_0_1_0 = match &entry {
                Entry::Created { .. } => "begun",
                Entry::Scope { .. } => "scope",
                Entry::Accepted { .. } => "accepted",
                Entry::Acknowledged { .. } => "done",
                Entry::DeadLettered { .. } => "dead",
                Entry::Forgotten { .. } => "forgotten",
                Entry::Marks { .. } => "marks",
            };
            let json = serde_json::to_value(&entry).unwrap();
            assert_eq!(json["is"], of_0_1_0);
        }
    }

    #[test]
    fn entries_are_compatible_with_version_0_1_0_in_both_directions() {
        let old =
            r#"{"is":"accepted","run":"r","mark":"m","at":"1970-01-01T00:00:00Z","events":[]}"#;
        let Entry::Accepted { namespace, .. } = serde_json::from_str(old).unwrap() else {
            panic!("another entry")
        };
        assert_eq!(&*namespace, "");
        let letter = r#"{"reason":"no","attempts":1,"first":"1970-01-01T00:00:00Z","last":"1970-01-01T00:00:00Z"}"#;
        let letter: DeadLetter = serde_json::from_str(letter).unwrap();
        assert!(!letter.refused);
    }
}
