//! The table of runs: the last runs with their steps, and what changed since the last message. Pure: no
//! clock, no I/O.

use super::run::{Run, RunFacts, RunJson};
use super::step::{MAX_TEXT_BYTES, StepId};
use super::texts::{TextRef, Texts};
use crate::step::{PodSteps, StepRecord};
use std::collections::VecDeque;

/// Bounds of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableLimits {
    pub(super) runs: usize,
    pub(super) steps_per_run: usize,
    pub(super) steps: usize,
    /// Bytes of all runs as JSON.
    pub(super) bytes: usize,
    /// Runs that left the table since the last message.
    pub(super) gone: usize,
    /// Bytes of texts that left the table and still take room; half of all texts, if this is more.
    pub(super) removed_bytes: usize,
}

pub(super) const LIMITS: TableLimits = TableLimits {
    runs: 200,
    steps_per_run: 100,
    steps: 4000,
    bytes: 4 << 20,
    gone: 1024,
    removed_bytes: 16 * 1024,
};

/// The last runs, in the order in which they were first seen. Its memory is one block of runs, one of
/// texts, and one for the steps of each run.
#[derive(Debug)]
pub(super) struct Table {
    limits: TableLimits,
    runs: VecDeque<Run>,
    texts: Texts,
    steps: usize,
    bytes: usize,
    /// UIDs of the runs that left since the last message.
    gone: Vec<TextRef>,
    /// Whether something changed since the last message.
    has_news: bool,
    /// Whether more runs left than are remembered.
    has_lost_news: bool,
}

/// What changed since the last message.
#[derive(Debug)]
pub(super) enum TableChange<'a> {
    /// Nothing.
    None,
    /// The runs with these UIDs left, and these are new or changed.
    Known(Vec<&'a str>, Vec<RunJson<'a>>),
    /// Too much to tell: only a snapshot shows it.
    TooMuch,
}

impl Table {
    pub(super) fn new(limits: TableLimits) -> Self {
        Self {
            limits,
            runs: VecDeque::new(),
            texts: Texts::new(limits.removed_bytes),
            steps: 0,
            bytes: 0,
            gone: Vec::new(),
            has_news: false,
            has_lost_news: false,
        }
    }

    /// Applies a transition, whose event has this id.
    pub(super) fn apply(&mut self, record: &StepRecord, event_id: &str) {
        let facts = RunFacts {
            namespace: &*record.namespace,
            task_run: &*record.task_run,
            pipeline_run: record.pipeline_run.as_deref(),
            pipeline_run_uid: record.pipeline_run_uid.as_deref(),
            pipeline_task: record.pipeline_task.as_deref(),
        };
        let max_steps = self.limits.steps_per_run;
        self.update(&record.transition.run_uid, true, |run, texts| {
            run.update_facts(facts, texts);
            run.apply(&record.transition, event_id, max_steps, texts);
        });
    }

    /// Adds the steps of a pod that wait for their turn.
    pub(super) fn add_pod(&mut self, pod: &PodSteps) {
        let facts = RunFacts {
            namespace: &*pod.namespace,
            task_run: &*pod.task_run,
            pipeline_run: pod.pipeline_run.as_deref(),
            pipeline_run_uid: pod.pipeline_run_uid.as_deref(),
            pipeline_task: pod.pipeline_task.as_deref(),
        };
        let max_steps = self.limits.steps_per_run;
        self.update(&pod.run_uid, true, |run, texts| {
            run.update_facts(facts, texts);
            for (index, container) in (0..).zip(&pod.containers) {
                let id = StepId {
                    pod_uid: Some(&*pod.pod_uid),
                    pod_name: &*pod.pod_name,
                    container: &**container,
                };
                run.add_waiting(id, (pod.attempt, index), max_steps, texts);
            }
        });
    }

    /// Marks a run as deleted from the cluster.
    pub(super) fn mark_deleted(&mut self, run_uid: &str) {
        self.update(run_uid, false, |run, _| run.mark_deleted());
    }

    /// Updates a run, which is added if `may_add`, and keeps the bounds.
    fn update(&mut self, uid: &str, may_add: bool, update: impl FnOnce(&mut Run, &mut Texts)) {
        let texts = &mut self.texts;
        // Most updates are of the newest runs.
        let known = self.runs.iter().rposition(|run| run.uid(texts) == uid);
        // A UID is 36 bytes long. A longer one cannot be shortened: it is the key.
        if uid.len() > MAX_TEXT_BYTES || !(may_add || known.is_some()) {
            return;
        }
        let position = known.unwrap_or_else(|| {
            let run = Run::new(uid, texts);
            self.bytes += run.json_bytes();
            self.runs.push_back(run);
            self.runs.len() - 1
        });
        let Some(run) = self.runs.get_mut(position) else {
            return;
        };
        let (steps, bytes) = (run.step_count(), run.json_bytes());
        update(run, texts);
        self.steps = self.steps.saturating_sub(steps) + run.step_count();
        self.bytes = self.bytes.saturating_sub(bytes) + run.json_bytes();
        self.has_news |= run.has_news();
        while self.runs.len() > self.limits.runs
            || self.steps > self.limits.steps
            || self.bytes > self.limits.bytes
        {
            self.remove_first();
        }
        if self.texts.wants_move() {
            let of_runs = self.runs.iter_mut().flat_map(Run::refs);
            self.texts.keep(of_runs.chain(&mut self.gone));
        }
    }

    fn remove_first(&mut self) {
        let Some(mut run) = self.runs.pop_front() else {
            return;
        };
        self.steps = self.steps.saturating_sub(run.step_count());
        self.bytes = self.bytes.saturating_sub(run.json_bytes());
        self.has_news = true;
        if self.gone.len() >= self.limits.gone {
            // Nobody gets the others: the next message is a snapshot.
            self.forget_gone();
            self.has_lost_news = true;
        }
        let uid = run.uid_ref();
        for text in run.refs().filter(|text| **text != uid) {
            self.texts.remove(*text);
        }
        match self.has_lost_news {
            true => self.texts.remove(uid),
            false => self.gone.push(uid),
        }
    }

    pub(super) fn has_news(&self) -> bool {
        self.has_news
    }

    /// Returns whether an event of a run in the table has this id.
    pub(super) fn has_event(&self, id: &str) -> bool {
        self.runs.iter().any(|run| run.has_event(id, &self.texts))
    }

    /// Returns all runs.
    pub(super) fn snapshot(&self) -> Vec<RunJson<'_>> {
        let runs = self.runs.iter();
        runs.map(|run| run.whole(&self.texts)).collect()
    }

    /// Returns what changed since [`Table::mark_sent`].
    pub(super) fn change(&self) -> TableChange<'_> {
        match (self.has_news, self.has_lost_news) {
            (false, _) => TableChange::None,
            (true, true) => TableChange::TooMuch,
            (true, false) => {
                let gone = self.gone.iter().map(|uid| self.texts.get(*uid));
                let changed = self.runs.iter().filter(|run| run.has_news());
                let changed = changed.map(|run| run.changed(&self.texts));
                TableChange::Known(gone.collect(), changed.collect())
            }
        }
    }

    /// Forgets what changed: a message contains it.
    pub(super) fn mark_sent(&mut self) {
        self.forget_gone();
        (self.has_news, self.has_lost_news) = (false, false);
        self.runs.iter_mut().for_each(Run::mark_sent);
    }

    fn forget_gone(&mut self) {
        for uid in std::mem::take(&mut self.gone) {
            self.texts.remove(uid);
        }
    }

    /// Returns the bytes of all its blocks, used or not.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let runs = self.runs.capacity() * size_of::<Run>();
        let steps = self.runs.iter().map(Run::step_memory);
        let gone = self.gone.capacity() * size_of::<TextRef>();
        runs + steps.sum::<usize>() + gone + self.texts.memory()
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.runs.len(), self.runs.iter().map(Run::step_count).sum())
    }
}
