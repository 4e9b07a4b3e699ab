//! The steps of a run with their JSON (`admin/page/README.md`, STEP).

use super::texts::{TextRef, Texts};
use jiff::Timestamp;
use serde::Serialize;
use step_observer_core::{Kind, Start, Transition, step_name};

/// Longest name, reason or UID in bytes. Kubernetes bounds names at 253; a step can write any reason.
pub(super) const MAX_TEXT_BYTES: usize = 256;
/// Events of a step: its start and its end, each perhaps again with the id of another pod.
const MAX_EVENTS: usize = 4;
/// Longest id of an event that is listed, in bytes. Ids consist of names, UIDs and the type.
const MAX_ID_BYTES: usize = 1024;
/// At least the bytes of a step as JSON without its texts: names of members, times, numbers.
const STEP_FRAME_BYTES: usize = 512;

/// Identity of a step: its pod and its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StepId<T> {
    /// `None` if the pod was never seen.
    pub(super) pod_uid: Option<T>,
    pub(super) pod_name: T,
    pub(super) container: T,
}

/// A step in the table.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) id: StepId<TextRef>,
    attempt: u32,
    index: u32,
    state: StepState,
    start: Option<Start>,
    ended_at: Option<Timestamp>,
    wait_ms: Option<u64>,
    exit_code: Option<i32>,
    reason: Option<TextRef>,
    cause: Option<&'static str>,
    /// The known ones come first.
    events: [Option<StepEvent<TextRef>>; MAX_EVENTS],
    pub(super) is_new: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum StepState {
    Waiting,
    Running,
    Succeeded,
    Failed,
    Skipped,
}

/// An event of a step.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct StepEvent<T> {
    pub(super) id: T,
    phase: &'static str,
}

/// Shortens a text at a character.
pub(super) fn clipped(text: &str) -> &str {
    let end = text.floor_char_boundary(MAX_TEXT_BYTES);
    text.get(..end).unwrap_or_default()
}

/// Returns the most bytes that a text needs in JSON.
pub(super) fn json_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..=0x1f => "\\u0000".len(),
        _ => 1,
    };
    text.bytes().map(escaped).sum::<usize>() + 2
}
// === impl StepId ===

impl<'a> StepId<&'a str> {
    pub(super) fn clipped(self) -> Self {
        Self {
            pod_uid: self.pod_uid.map(clipped),
            pod_name: clipped(self.pod_name),
            container: clipped(self.container),
        }
    }

    pub(super) fn of(transition: &'a Transition) -> Self {
        Self {
            pod_uid: transition.pod_uid.as_deref(),
            pod_name: &transition.pod_name,
            container: &transition.container,
        }
    }

    pub(super) fn add_to(self, texts: &mut Texts) -> StepId<TextRef> {
        StepId {
            pod_uid: self.pod_uid.map(|uid| texts.add(uid)),
            pod_name: texts.add(self.pod_name),
            container: texts.add(self.container),
        }
    }
}

impl StepId<TextRef> {
    pub(super) fn in_texts<'a>(&self, texts: &'a Texts) -> StepId<&'a str> {
        StepId {
            pod_uid: self.pod_uid.map(|uid| texts.get(uid)),
            pod_name: texts.get(self.pod_name),
            container: texts.get(self.container),
        }
    }
}

// === impl Step ===

impl Step {
    pub(super) fn waiting(id: StepId<TextRef>, attempt: u32, index: u32) -> Self {
        Self {
            id,
            attempt,
            index,
            state: StepState::Waiting,
            start: None,
            ended_at: None,
            wait_ms: None,
            exit_code: None,
            reason: None,
            cause: None,
            events: [None; MAX_EVENTS],
            is_new: true,
        }
    }

    /// Returns all its texts.
    pub(super) fn refs(&mut self) -> impl Iterator<Item = &mut TextRef> {
        let StepId {
            pod_uid,
            pod_name,
            container,
        } = &mut self.id;
        let events = self.events.iter_mut().flatten().map(|event| &mut event.id);
        [pod_name, container]
            .into_iter()
            .chain(pod_uid)
            .chain(&mut self.reason)
            .chain(events)
    }

    pub(super) fn events(&self) -> impl Iterator<Item = &StepEvent<TextRef>> {
        self.events.iter().flatten()
    }

    pub(super) fn apply(&mut self, transition: &Transition, event_id: &str, texts: &mut Texts) {
        self.attempt = transition.attempt;
        self.index = transition.index;
        self.start = transition.start.or(self.start);
        if let (Some(from), Some(start)) = (transition.waits_from, self.start) {
            let waited = start.at.duration_since(from).as_millis();
            self.wait_ms = Some(u64::try_from(waited).unwrap_or(0));
        }
        let ended = match &transition.kind {
            Kind::Started => None,
            Kind::Succeeded(_) => Some(StepState::Succeeded),
            Kind::Failed(_) => Some(StepState::Failed),
            Kind::Skipped(..) => Some(StepState::Skipped),
        };
        match ended {
            // An end is final, so a late start changes no state.
            None if self.state == StepState::Waiting => self.state = StepState::Running,
            None => {}
            Some(state) => {
                self.state = state;
                self.ended_at = Some(transition.at);
            }
        }
        if let Some(outcome) = transition.kind.outcome() {
            self.exit_code = outcome.exit_code;
            let reason = self.reason.get_or_insert_default();
            texts.replace(reason, clipped(&outcome.reason));
            self.cause = transition.kind.cause().map(|cause| cause.as_str());
        }
        let is_known = self.events().any(|event| texts.get(event.id) == event_id);
        let room = self.events.iter_mut().find(|event| event.is_none());
        if let Some(room) = room.filter(|_| !is_known && event_id.len() <= MAX_ID_BYTES) {
            *room = Some(StepEvent {
                id: texts.add(event_id),
                phase: transition.kind.as_str(),
            });
        }
        self.is_new = true;
    }

    pub(super) fn json_bytes(&self, texts: &Texts) -> usize {
        let events = self.events();
        let events = events.map(|event| json_bytes(texts.get(event.id)));
        let StepId {
            pod_uid,
            pod_name,
            container,
        } = self.id.in_texts(texts);
        let reason = self.reason.map(|reason| json_bytes(texts.get(reason)));
        // The container stands in the key and in the name.
        STEP_FRAME_BYTES
            + json_bytes(pod_uid.unwrap_or(pod_name))
            + 2 * json_bytes(container)
            + reason.unwrap_or(0)
            + events.sum::<usize>()
    }

    pub(super) fn json<'a>(&self, texts: &'a Texts) -> StepJson<'a> {
        let StepId {
            pod_uid,
            pod_name,
            container,
        } = self.id.in_texts(texts);
        // A name and a UID could be equal only if somebody chose the name so; the prefix keeps them
        // apart.
        let key = match pod_uid {
            Some(uid) => [uid, "/", container].concat(),
            None => ["name ", pod_name, "/", container].concat(),
        };
        let events = self.events().map(|event| StepEvent {
            id: texts.get(event.id),
            phase: event.phase,
        });
        StepJson {
            key,
            attempt: self.attempt,
            index: self.index,
            name: step_name(container),
            state: self.state,
            started_at: self.start.map(|start| start.at),
            started_at_source: self.start.map(|start| start.source.as_str()),
            ended_at: self.ended_at,
            wait_ms: self.wait_ms,
            exit_code: self.exit_code,
            reason: self.reason.map(|reason| texts.get(reason)),
            cause: self.cause,
            events: events.collect(),
        }
    }
}
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StepJson<'a> {
    key: String,
    attempt: u32,
    index: u32,
    name: &'a str,
    state: StepState,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at_source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    events: Vec<StepEvent<&'a str>>,
}
