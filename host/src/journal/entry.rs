//! What the journal says, one entry after the other.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Number of an event in the journal: grows with every event, never used twice.
pub type Seq = u64;

/// Where events come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The run: its events are delivered in their order.
    pub run: Arc<str>,
    /// Its namespace: where there is little room, each has its share. Empty where nobody knows.
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

/// Longest name of a namespace, and so much of an event is searched for it, in bytes.
const LONGEST_NAME: usize = 63;
const SEARCHED: usize = 4096;

/// The namespace in the subject of an event (`NAMESPACE/RUN/STEP`), which is not in what version 0.1.0 wrote of it. In
/// no string before it there can be a quote that is not escaped.
fn namespace_in(body: &[u8]) -> Option<Arc<str>> {
    const SUBJECT: &[u8] = b"\"subject\":\"";
    let body = body.get(..SEARCHED).unwrap_or(body);
    let found = body
        .windows(SUBJECT.len())
        .position(|part| part == SUBJECT)?;
    let subject = body.get(found + SUBJECT.len()..)?;
    let length = subject
        .iter()
        .take(LONGEST_NAME + 1)
        .position(|byte| *byte == b'/')?;
    let name = std::str::from_utf8(subject.get(..length)?).ok()?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!name.is_empty() && name.bytes().all(is_name)).then(|| name.into())
}

fn is_unnamed(namespace: &Arc<str>) -> bool {
    namespace.is_empty()
}

/// One entry. What was written with an older version is read by every later one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub(super) enum Entry {
    /// The journal's first: runs that ended before are history.
    Begun { horizon: Timestamp },
    /// What is watched from now on: what is not seen may be out of it.
    Scope { scope: String },
    /// A transition is told: its mark, and the events that came of it, whose bodies follow.
    Accepted {
        run: Arc<str>,
        /// Of the run. Version 0.1.0 did not write it.
        #[serde(default, skip_serializing_if = "is_unnamed")]
        namespace: Arc<str>,
        /// What is told; not there where an event is only moved to another segment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<String>,
        at: Timestamp,
        events: Vec<Accepted>,
    },
    /// A sink has it, or it is dropped: nothing more to do for this sink.
    Done { seq: Seq, sink: String },
    /// It became a dead letter.
    Dead {
        seq: Seq,
        sink: String,
        letter: Letter,
    },
    /// Nothing of this run will be told again: its marks are not needed.
    Forgotten { run: Arc<str> },
    /// Marks that are moved to another segment.
    Marks { run: Arc<str>, marks: Vec<String> },
}

impl Entry {
    /// Without what only a restart would ask for.
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
                at,
                events,
            },
            other => other,
        }
    }

    /// With the namespace that stands in the first of its bodies, where none was written.
    pub(super) fn with_namespace(mut self, bodies: &[u8]) -> Self {
        if let Self::Accepted { namespace, .. } = &mut self
            && namespace.is_empty()
        {
            *namespace = namespace_in(bodies).unwrap_or_default();
        }
        self
    }

    /// Events of which it speaks.
    pub(super) fn seqs(&self) -> impl Iterator<Item = Seq> {
        let (events, one) = match self {
            Self::Accepted { events, .. } => (&**events, None),
            Self::Done { seq, .. } | Self::Dead { seq, .. } => (&[][..], Some(*seq)),
            Self::Begun { .. }
            | Self::Scope { .. }
            | Self::Forgotten { .. }
            | Self::Marks { .. } => (&[][..], None),
        };
        events.iter().map(|event| event.seq).chain(one)
    }
}

/// An event as the journal knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accepted {
    pub(super) seq: Seq,
    /// Who is to get it.
    pub(super) sinks: Vec<String>,
    /// Length of its body.
    pub(super) bytes: u32,
    /// CRC-32 of its body.
    pub(super) sum: u32,
}

/// Why an event could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// What the sink said, or why no more was tried.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was first tried.
    pub first: Timestamp,
    /// When it was given up.
    pub last: Timestamp,
    /// The sink refused it. Version 0.1.0 did not write this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_an_earlier_version_has_its_namespace() {
        let found = |body: &str| namespace_in(body.as_bytes()).map(|name| name.to_string());
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

    #[test]
    fn entries_are_compatible_with_version_0_1_0_in_both_directions() {
        let old =
            r#"{"is":"accepted","run":"r","mark":"m","at":"1970-01-01T00:00:00Z","events":[]}"#;
        let Entry::Accepted { namespace, .. } = serde_json::from_str(old).unwrap() else {
            panic!("another entry")
        };
        assert_eq!(&*namespace, "");
        let letter = r#"{"reason":"no","attempts":1,"first":"1970-01-01T00:00:00Z","last":"1970-01-01T00:00:00Z"}"#;
        let letter: Letter = serde_json::from_str(letter).unwrap();
        assert!(!letter.refused);
    }
}
