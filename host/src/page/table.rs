//! The table of runs: the last runs with their steps, and what changed since the last message. Pure: no
//! clock, no I/O.

use super::run::{MAX_TEXT_BYTES, Run, RunFacts, RunJson, StepId, clipped};
use crate::step::{PodSteps, StepRecord};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

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
}

pub(super) const LIMITS: TableLimits = TableLimits {
    runs: 200,
    steps_per_run: 100,
    steps: 4000,
    bytes: 4 << 20,
    gone: 1024,
};

/// The last runs, in the order in which they were first seen.
#[derive(Debug)]
pub(super) struct Table {
    limits: TableLimits,
    order: VecDeque<Arc<str>>,
    runs: HashMap<Arc<str>, Run>,
    steps: usize,
    bytes: usize,
    /// Runs that left since the last message.
    gone: Vec<Arc<str>>,
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
    /// These runs left, and these are new or changed.
    Known(&'a [Arc<str>], Vec<RunJson<'a>>),
    /// Too much to tell: only a snapshot shows it.
    TooMuch,
}

impl Table {
    pub(super) fn new(limits: TableLimits) -> Self {
        Self {
            limits,
            order: VecDeque::new(),
            runs: HashMap::new(),
            steps: 0,
            bytes: 0,
            gone: Vec::new(),
            has_news: false,
            has_lost_news: false,
        }
    }

    /// Applies a transition, whose event has this id.
    pub(super) fn apply(&mut self, record: &StepRecord, event_id: String) {
        let facts = RunFacts {
            namespace: record.namespace.clone(),
            task_run: record.task_run.clone(),
            pipeline_run: record.pipeline_run.clone(),
            pipeline_run_uid: record.pipeline_run_uid.clone(),
            pipeline_task: record.pipeline_task.clone(),
        };
        let max_steps = self.limits.steps_per_run;
        self.update(&record.transition.run_uid, true, |run| {
            run.update_facts(facts);
            run.apply(&record.transition, event_id, max_steps);
        });
    }

    /// Adds the steps of a pod that wait for their turn.
    pub(super) fn add_pod(&mut self, pod: &PodSteps) {
        let facts = RunFacts {
            namespace: pod.namespace.clone(),
            task_run: pod.task_run.clone(),
            pipeline_run: pod.pipeline_run.clone(),
            pipeline_run_uid: pod.pipeline_run_uid.clone(),
            pipeline_task: pod.pipeline_task.clone(),
        };
        let max_steps = self.limits.steps_per_run;
        self.update(&pod.run_uid, true, |run| {
            run.update_facts(facts);
            for (index, container) in (0..).zip(&pod.containers) {
                let id = StepId {
                    pod_uid: Some(clipped(&pod.pod_uid)),
                    pod_name: clipped(&pod.pod_name),
                    container: clipped(container),
                };
                run.add_waiting(id, pod.attempt, index, max_steps);
            }
        });
    }

    /// Marks a run as deleted from the cluster.
    pub(super) fn mark_deleted(&mut self, run_uid: &Arc<str>) {
        self.update(run_uid, false, Run::mark_deleted);
    }

    /// Updates a run, which is added if `may_add`, and keeps the bounds.
    fn update(&mut self, uid: &Arc<str>, may_add: bool, update: impl FnOnce(&mut Run)) {
        // A UID is 36 bytes long. A longer one cannot be shortened: it is the key.
        if uid.len() > MAX_TEXT_BYTES || !(may_add || self.runs.contains_key(uid)) {
            return;
        }
        let run = self.runs.entry(uid.clone()).or_insert_with(|| {
            self.order.push_back(uid.clone());
            let run = Run::new(uid.clone());
            self.bytes += run.json_bytes();
            run
        });
        let (steps, bytes) = (run.step_count(), run.json_bytes());
        update(run);
        self.steps = self.steps.saturating_sub(steps) + run.step_count();
        self.bytes = self.bytes.saturating_sub(bytes) + run.json_bytes();
        self.has_news |= run.has_news();
        while self.order.len() > self.limits.runs
            || self.steps > self.limits.steps
            || self.bytes > self.limits.bytes
        {
            self.remove_first();
        }
    }

    fn remove_first(&mut self) {
        let Some(uid) = self.order.pop_front() else {
            return;
        };
        if let Some(run) = self.runs.remove(&uid) {
            self.steps = self.steps.saturating_sub(run.step_count());
            self.bytes = self.bytes.saturating_sub(run.json_bytes());
        }
        self.has_news = true;
        match self.gone.len() < self.limits.gone {
            true => self.gone.push(uid),
            false => self.has_lost_news = true,
        }
    }

    /// Returns whether an event of a run in the table has this id.
    pub(super) fn has_event(&self, id: &str) -> bool {
        self.runs.values().any(|run| run.has_event(id))
    }

    pub(super) fn has_news(&self) -> bool {
        self.has_news
    }

    /// Returns all runs.
    pub(super) fn snapshot(&self) -> Vec<RunJson<'_>> {
        self.in_order().map(Run::whole).collect()
    }

    /// Returns what changed since [`Table::mark_sent`].
    pub(super) fn change(&self) -> TableChange<'_> {
        match (self.has_news, self.has_lost_news) {
            (false, _) => TableChange::None,
            (true, true) => TableChange::TooMuch,
            (true, false) => {
                let changed = self.in_order().filter(|run| run.has_news());
                TableChange::Known(&self.gone, changed.map(Run::changed).collect())
            }
        }
    }

    /// Forgets what changed: a message contains it.
    pub(super) fn mark_sent(&mut self) {
        self.gone.clear();
        (self.has_news, self.has_lost_news) = (false, false);
        for run in self.runs.values_mut() {
            run.mark_sent();
        }
    }

    fn in_order(&self) -> impl Iterator<Item = &Run> {
        self.order.iter().filter_map(|uid| self.runs.get(uid))
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (
            self.runs.len(),
            self.runs.values().map(Run::step_count).sum(),
        )
    }
}
