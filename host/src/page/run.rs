//! The rows of the table: runs with their JSON (`admin/page/README.md`, RUN).

use super::step::{Step, StepId, StepJson, clipped, json_bytes};
use super::texts::{TextRef, Texts};
use serde::Serialize;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use step_observer_core::Transition;

/// Steps beyond the bound that are told apart. Further ones do not count in `stepsLeftOut`.
const MAX_COUNTED_LEFT_OUT: usize = 1000;
/// At least the bytes of a run as JSON without its texts: names of members, times, numbers.
const RUN_FRAME_BYTES: usize = 256;

/// What is known about a run beside its steps. An empty text is unknown.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunFacts<T> {
    pub(super) namespace: T,
    pub(super) task_run: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pipeline_run: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pipeline_run_uid: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pipeline_task: Option<T>,
}

/// A run in the table. Its texts are in the [`Texts`] of the table.
#[derive(Debug)]
pub(super) struct Run {
    uid: TextRef,
    facts: RunFacts<TextRef>,
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

// === impl RunFacts ===

impl RunFacts<TextRef> {
    /// Adds newer facts. What is known is not forgotten: late records lack what was dropped.
    /// Returns whether something changed.
    fn update(&mut self, newer: RunFacts<&str>, texts: &mut Texts) -> bool {
        let mut is_changed = false;
        for (known, newer) in [
            (&mut self.namespace, newer.namespace),
            (&mut self.task_run, newer.task_run),
        ] {
            if !newer.is_empty() {
                is_changed |= texts.replace(known, clipped(newer));
            }
        }
        for (known, newer) in [
            (&mut self.pipeline_run, newer.pipeline_run),
            (&mut self.pipeline_run_uid, newer.pipeline_run_uid),
            (&mut self.pipeline_task, newer.pipeline_task),
        ] {
            if let Some(newer) = newer.filter(|text| !text.is_empty()) {
                is_changed |= texts.replace(known.get_or_insert_default(), clipped(newer));
            }
        }
        is_changed
    }

    fn in_texts<'a>(&self, texts: &'a Texts) -> RunFacts<&'a str> {
        let get = |text| texts.get(text);
        RunFacts {
            namespace: get(self.namespace),
            task_run: get(self.task_run),
            pipeline_run: self.pipeline_run.map(get),
            pipeline_run_uid: self.pipeline_run_uid.map(get),
            pipeline_task: self.pipeline_task.map(get),
        }
    }

    fn refs(&mut self) -> impl Iterator<Item = &mut TextRef> {
        let Self {
            namespace,
            task_run,
            pipeline_run,
            pipeline_run_uid,
            pipeline_task,
        } = self;
        let optional = [pipeline_run, pipeline_run_uid, pipeline_task];
        [namespace, task_run]
            .into_iter()
            .chain(optional.into_iter().flatten())
    }
}

impl RunFacts<&str> {
    /// Returns at least the bytes of the JSON of a run without its steps.
    fn json_bytes(&self, uid: &str) -> usize {
        let optional = [self.pipeline_run, self.pipeline_run_uid, self.pipeline_task];
        let texts = [uid, self.namespace, self.task_run].into_iter();
        let texts = texts.chain(optional.into_iter().flatten());
        RUN_FRAME_BYTES + texts.map(json_bytes).sum::<usize>()
    }
}

// === impl Run ===

impl Run {
    pub(super) fn new(uid: &str, texts: &mut Texts) -> Self {
        Self {
            own_bytes: RunFacts::<&str>::default().json_bytes(uid),
            uid: texts.add(uid),
            facts: RunFacts::default(),
            deleted: false,
            steps: Vec::new(),
            left_out: HashSet::new(),
            step_bytes: 0,
            news: News::Run,
        }
    }

    pub(super) fn uid<'a>(&self, texts: &'a Texts) -> &'a str {
        texts.get(self.uid)
    }

    /// Returns its UID, which is the first of [`Run::refs`].
    pub(super) fn uid_ref(&self) -> TextRef {
        self.uid
    }

    /// Returns all its texts.
    pub(super) fn refs(&mut self) -> impl Iterator<Item = &mut TextRef> {
        let steps = self.steps.iter_mut().flat_map(Step::refs);
        std::iter::once(&mut self.uid)
            .chain(self.facts.refs())
            .chain(steps)
    }

    pub(super) fn step_count(&self) -> usize {
        self.steps.len()
    }

    #[cfg(test)]
    pub(super) fn step_memory(&self) -> usize {
        self.steps.capacity() * size_of::<Step>()
    }

    /// Returns at least the bytes that the JSON of the run has.
    pub(super) fn json_bytes(&self) -> usize {
        self.own_bytes + self.step_bytes
    }

    pub(super) fn update_facts(&mut self, newer: RunFacts<&str>, texts: &mut Texts) {
        if self.facts.update(newer, texts) {
            self.own_bytes = self.facts.in_texts(texts).json_bytes(self.uid(texts));
            self.news = News::Run;
        }
    }

    pub(super) fn mark_deleted(&mut self) {
        if !std::mem::replace(&mut self.deleted, true) {
            self.news = News::Run;
        }
    }

    /// Adds a step that waits for its turn, unless it is known.
    pub(super) fn add_waiting(
        &mut self,
        id: StepId<&str>,
        (attempt, index): (u32, u32),
        max_steps: usize,
        texts: &mut Texts,
    ) {
        let id = id.clipped();
        if self.position(&id, texts).is_none() {
            self.add(id, (attempt, index), max_steps, texts);
        }
    }

    /// Applies a transition, whose event has this id.
    pub(super) fn apply(
        &mut self,
        transition: &Transition,
        event_id: &str,
        max_steps: usize,
        texts: &mut Texts,
    ) {
        let id = StepId::of(transition).clipped();
        let place = (transition.attempt, transition.index);
        let known = self.position(&id, texts);
        let position = known.or_else(|| self.add(id, place, max_steps, texts));
        let step = position.and_then(|position| self.steps.get_mut(position));
        if let Some(step) = step {
            let before = step.json_bytes(texts);
            step.apply(transition, event_id, texts);
            self.step_bytes = self.step_bytes.saturating_sub(before) + step.json_bytes(texts);
            self.news = self.news.max(News::Steps);
        }
    }

    /// Returns the position of a step. A transition that was derived without its pod finds the step
    /// by the name of the pod.
    fn position(&self, id: &StepId<&str>, texts: &Texts) -> Option<usize> {
        self.steps.iter().rposition(|step| {
            let known = step.id.in_texts(texts);
            let same_pod = match &id.pod_uid {
                Some(_) => known.pod_uid == id.pod_uid,
                None => known.pod_name == id.pod_name,
            };
            same_pod && known.container == id.container
        })
    }

    /// Adds a step, if there is room. Returns its position.
    fn add(
        &mut self,
        id: StepId<&str>,
        (attempt, index): (u32, u32),
        max_steps: usize,
        texts: &mut Texts,
    ) -> Option<usize> {
        if self.steps.len() >= max_steps {
            let mut hasher = DefaultHasher::new();
            (&id.pod_uid, &id.pod_name, &id.container).hash(&mut hasher);
            if self.left_out.len() < MAX_COUNTED_LEFT_OUT && self.left_out.insert(hasher.finish()) {
                self.news = News::Run;
            }
            return None;
        }
        let step = Step::waiting(id.add_to(texts), attempt, index);
        self.step_bytes += step.json_bytes(texts);
        // Most runs have few steps.
        self.steps.reserve_exact(1);
        self.steps.push(step);
        self.news = self.news.max(News::Steps);
        Some(self.steps.len() - 1)
    }

    /// Returns whether an event of the run has this id.
    pub(super) fn has_event(&self, id: &str, texts: &Texts) -> bool {
        let mut events = self.steps.iter().flat_map(Step::events);
        events.any(|event| texts.get(event.id) == id)
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
    pub(super) fn whole<'a>(&self, texts: &'a Texts) -> RunJson<'a> {
        RunJson {
            uid: self.uid(texts),
            facts: Some(self.facts.in_texts(texts)),
            deleted: Some(self.deleted),
            steps_left_out: Some(self.left_out.len()),
            steps: self.steps.iter().map(|step| step.json(texts)).collect(),
        }
    }

    /// Returns the JSON of what changed since the last message.
    pub(super) fn changed<'a>(&self, texts: &'a Texts) -> RunJson<'a> {
        let of_run = self.news == News::Run;
        let steps = self.steps.iter().filter(|step| step.is_new);
        RunJson {
            uid: self.uid(texts),
            facts: of_run.then_some(self.facts.in_texts(texts)),
            deleted: of_run.then_some(self.deleted),
            steps_left_out: of_run.then_some(self.left_out.len()),
            steps: steps.map(|step| step.json(texts)).collect(),
        }
    }
}

/// JSON of a run, or of what changed in it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunJson<'a> {
    uid: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    facts: Option<RunFacts<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps_left_out: Option<usize>,
    steps: Vec<StepJson<'a>>,
}
