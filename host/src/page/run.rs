//! The rows of the table: runs and their steps, with their JSON (`admin/page/README.md`, RUN and STEP).

use jiff::Timestamp;
use serde::Serialize;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use step_observer_core::{Kind, Start, Transition, step_name};

/// Longest name, reason or UID in bytes. Kubernetes bounds names at 253; a step can write any reason.
pub(super) const MAX_TEXT_BYTES: usize = 256;
/// Events of a step: its start and its end, each perhaps again with the id of another pod.
const MAX_EVENTS: usize = 4;
/// Longest id of an event that is listed, in bytes. Ids consist of names, UIDs and the type.
const MAX_ID_BYTES: usize = 1024;
/// Steps beyond the bound that are told apart. Further ones do not count in `stepsLeftOut`.
const MAX_COUNTED_LEFT_OUT: usize = 1000;
/// At least the bytes of a run or a step as JSON without its texts: names of members, times, numbers.
const RUN_FRAME_BYTES: usize = 256;
const STEP_FRAME_BYTES: usize = 512;

/// What is known about a run beside its steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunFacts {
    pub(super) namespace: Arc<str>,
    pub(super) task_run: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pipeline_run: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pipeline_run_uid: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pipeline_task: Option<Arc<str>>,
}

/// A run in the table.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) uid: Arc<str>,
    pub(super) facts: RunFacts,
    deleted: bool,
    steps: Vec<Step>,
    left_out: HashSet<u64>,
    /// See [`Run::json_bytes`]: of the run without its steps, and of all its steps.
    own_bytes: usize,
    step_bytes: usize,
    /// What changed since the last message: nothing, steps only, or the run itself.
    news: News,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    None,
    Steps,
    Run,
}

/// Identity of a step: its pod and its container.
#[derive(Clone, Debug)]
pub(super) struct StepId {
    /// `None` if the pod was never seen.
    pub(super) pod_uid: Option<Arc<str>>,
    pub(super) pod_name: Arc<str>,
    pub(super) container: Arc<str>,
}

/// A step in the table.
#[derive(Debug)]
struct Step {
    id: StepId,
    attempt: u32,
    index: u32,
    state: StepState,
    start: Option<Start>,
    ended_at: Option<Timestamp>,
    wait_ms: Option<u64>,
    exit_code: Option<i32>,
    reason: Option<Arc<str>>,
    cause: Option<&'static str>,
    events: Vec<StepEvent>,
    is_new: bool,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct StepEvent {
    id: Arc<str>,
    phase: &'static str,
}

/// Shortens a text at a character.
pub(super) fn clipped(text: &Arc<str>) -> Arc<str> {
    match text.len() <= MAX_TEXT_BYTES {
        true => text.clone(),
        false => {
            let end = text.floor_char_boundary(MAX_TEXT_BYTES);
            text.get(..end).unwrap_or_default().into()
        }
    }
}

/// Returns the most bytes that a text needs in JSON.
fn json_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..=0x1f => "\\u0000".len(),
        _ => 1,
    };
    text.bytes().map(escaped).sum::<usize>() + 2
}

// === impl RunFacts ===

impl RunFacts {
    /// Adds newer facts. What is known is not forgotten: late records lack what was dropped.
    /// Returns whether something changed.
    fn update(&mut self, newer: Self) -> bool {
        let before = self.clone();
        let Self {
            namespace,
            task_run,
            pipeline_run,
            pipeline_run_uid,
            pipeline_task,
        } = newer;
        for (known, newer) in [
            (&mut self.namespace, namespace),
            (&mut self.task_run, task_run),
        ] {
            if !newer.is_empty() {
                *known = clipped(&newer);
            }
        }
        for (known, newer) in [
            (&mut self.pipeline_run, pipeline_run),
            (&mut self.pipeline_run_uid, pipeline_run_uid),
            (&mut self.pipeline_task, pipeline_task),
        ] {
            if let Some(newer) = newer.filter(|text| !text.is_empty()) {
                *known = Some(clipped(&newer));
            }
        }
        *self != before
    }

    /// Returns at least the bytes of the JSON of a run without its steps.
    fn json_bytes(&self, uid: &str) -> usize {
        let Self {
            namespace,
            task_run,
            pipeline_run,
            pipeline_run_uid,
            pipeline_task,
        } = self;
        let optional = [pipeline_run, pipeline_run_uid, pipeline_task];
        let optional = optional.into_iter().flatten();
        let texts = [namespace, task_run].into_iter().chain(optional);
        let texts: usize = texts.map(|text| json_bytes(text)).sum();
        RUN_FRAME_BYTES + json_bytes(uid) + texts
    }
}

// === impl Run ===

impl Run {
    pub(super) fn new(uid: Arc<str>) -> Self {
        let facts = RunFacts::default();
        Self {
            own_bytes: facts.json_bytes(&uid),
            uid,
            facts,
            deleted: false,
            steps: Vec::new(),
            left_out: HashSet::new(),
            step_bytes: 0,
            news: News::Run,
        }
    }

    pub(super) fn step_count(&self) -> usize {
        self.steps.len()
    }

    /// Returns at least the bytes that the JSON of the run has.
    pub(super) fn json_bytes(&self) -> usize {
        self.own_bytes + self.step_bytes
    }

    pub(super) fn update_facts(&mut self, newer: RunFacts) {
        if self.facts.update(newer) {
            self.own_bytes = self.facts.json_bytes(&self.uid);
            self.news = News::Run;
        }
    }

    pub(super) fn mark_deleted(&mut self) {
        if !std::mem::replace(&mut self.deleted, true) {
            self.news = News::Run;
        }
    }

    /// Adds a step that waits for its turn, unless it is known.
    pub(super) fn add_waiting(&mut self, id: StepId, attempt: u32, index: u32, max_steps: usize) {
        if self.position(&id).is_none() {
            self.add(id, attempt, index, max_steps);
        }
    }

    /// Applies a transition, whose event has this id.
    pub(super) fn apply(&mut self, transition: &Transition, event_id: String, max_steps: usize) {
        let id = StepId {
            pod_uid: transition.pod_uid.as_ref().map(clipped),
            pod_name: clipped(&transition.pod_name),
            container: clipped(&transition.container),
        };
        let known = self.position(&id);
        let position =
            known.or_else(|| self.add(id, transition.attempt, transition.index, max_steps));
        let step = position.and_then(|position| self.steps.get_mut(position));
        if let Some(step) = step {
            let before = step.json_bytes();
            step.apply(transition, event_id);
            self.step_bytes = self.step_bytes.saturating_sub(before) + step.json_bytes();
            self.news = self.news.max(News::Steps);
        }
    }

    /// Returns the position of a step. A transition that was derived without its pod finds the step
    /// by the name of the pod.
    fn position(&self, id: &StepId) -> Option<usize> {
        self.steps.iter().rposition(|step| {
            let same_pod = match &id.pod_uid {
                Some(_) => step.id.pod_uid == id.pod_uid,
                None => step.id.pod_name == id.pod_name,
            };
            same_pod && step.id.container == id.container
        })
    }

    /// Adds a step, if there is room. Returns its position.
    fn add(&mut self, id: StepId, attempt: u32, index: u32, max_steps: usize) -> Option<usize> {
        if self.steps.len() >= max_steps {
            let mut hasher = DefaultHasher::new();
            (&id.pod_uid, &id.pod_name, &id.container).hash(&mut hasher);
            if self.left_out.len() < MAX_COUNTED_LEFT_OUT && self.left_out.insert(hasher.finish()) {
                self.news = News::Run;
            }
            return None;
        }
        let step = Step::waiting(id, attempt, index);
        self.step_bytes += step.json_bytes();
        self.steps.push(step);
        self.news = self.news.max(News::Steps);
        Some(self.steps.len() - 1)
    }

    /// Returns whether an event of the run has this id.
    pub(super) fn has_event(&self, id: &str) -> bool {
        let mut events = self.steps.iter().flat_map(|step| &step.events);
        events.any(|event| &*event.id == id)
    }

    pub(super) fn has_news(&self) -> bool {
        self.news != News::None
    }

    /// Forgets what changed.
    pub(super) fn mark_sent(&mut self) {
        if std::mem::replace(&mut self.news, News::None) != News::None {
            for step in &mut self.steps {
                step.is_new = false;
            }
        }
    }

    /// Returns the JSON of the whole run.
    pub(super) fn whole(&self) -> RunJson<'_> {
        RunJson {
            uid: &self.uid,
            facts: Some(&self.facts),
            deleted: Some(self.deleted),
            steps_left_out: Some(self.left_out.len()),
            steps: self.steps.iter().map(Step::json).collect(),
        }
    }

    /// Returns the JSON of what changed since the last message.
    pub(super) fn changed(&self) -> RunJson<'_> {
        let of_run = self.news == News::Run;
        let steps = self.steps.iter().filter(|step| step.is_new);
        RunJson {
            uid: &self.uid,
            facts: of_run.then_some(&self.facts),
            deleted: of_run.then_some(self.deleted),
            steps_left_out: of_run.then_some(self.left_out.len()),
            steps: steps.map(Step::json).collect(),
        }
    }
}

// === impl Step ===

impl Step {
    fn waiting(id: StepId, attempt: u32, index: u32) -> Self {
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
            events: Vec::new(),
            is_new: true,
        }
    }

    fn apply(&mut self, transition: &Transition, event_id: String) {
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
            self.reason = Some(clipped(&outcome.reason));
            self.cause = transition.kind.cause().map(|cause| cause.as_str());
        }
        let is_known = self.events.iter().any(|event| *event.id == *event_id);
        if !is_known && self.events.len() < MAX_EVENTS && event_id.len() <= MAX_ID_BYTES {
            self.events.push(StepEvent {
                id: event_id.into(),
                phase: transition.kind.as_str(),
            });
        }
        self.is_new = true;
    }

    fn json_bytes(&self) -> usize {
        let events = self.events.iter().map(|event| json_bytes(&event.id));
        let StepId {
            pod_uid,
            pod_name,
            container,
        } = &self.id;
        let pod = pod_uid.as_ref().unwrap_or(pod_name);
        // The container stands in the key and in the name.
        STEP_FRAME_BYTES
            + json_bytes(pod)
            + 2 * json_bytes(container)
            + self.reason.as_ref().map_or(0, |reason| json_bytes(reason))
            + events.sum::<usize>()
    }

    fn json(&self) -> StepJson<'_> {
        let StepId {
            pod_uid,
            pod_name,
            container,
        } = &self.id;
        // A name and a UID could be equal only if somebody chose the name so; the prefix keeps them
        // apart.
        let key = match pod_uid {
            Some(uid) => [uid, "/", &**container].concat(),
            None => ["name ", pod_name, "/", container].concat(),
        };
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
            reason: self.reason.as_deref(),
            cause: self.cause,
            events: &self.events,
        }
    }
}

/// JSON of a run, or of what changed in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunJson<'a> {
    uid: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    facts: Option<&'a RunFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps_left_out: Option<usize>,
    steps: Vec<StepJson<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StepJson<'a> {
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
    events: &'a [StepEvent],
}
