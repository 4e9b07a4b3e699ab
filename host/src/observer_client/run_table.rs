//! The table of runs as the client knows it, and the transitions that it derives from the messages. Pure.

use super::messages::{RunUpdate, Step, StepEventRef, StepState};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Longest text that is kept, in bytes; the observer sends at most 256 of names and reasons.
const MAX_TEXT_BYTES: usize = 256;
/// Longest key of a step and id of an event that is kept, in bytes. Longer ones are ignored with what they name.
const MAX_ID_BYTES: usize = 1024;
/// Events that are kept of a step.
const MAX_EVENTS: usize = 4;

/// Bounds of a table. At each, the run that was seen first leaves, except at `steps_of_run`: further steps are ignored.
#[derive(Clone, Copy, Debug)]
pub struct TableLimits {
    /// Runs.
    pub runs: usize,
    /// Steps of one run.
    pub steps_of_run: usize,
    /// Steps of all runs.
    pub steps: usize,
}

impl TableLimits {
    /// The bounds of the observer's own table.
    pub const OF_PAGE: Self = Self {
        runs: 200,
        steps_of_run: 100,
        steps: 4_000,
    };
    /// Bounds for a client that remembers what it has shown: runs that left the observer's table may come again.
    pub const OF_MEMORY: Self = Self {
        runs: 400,
        steps_of_run: 100,
        steps: 8_000,
    };
}

/// The names of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// UID of the TaskRun.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub task_run: String,
    /// Name of its PipelineRun.
    pub pipeline_run: Option<String>,
    /// UID of its PipelineRun.
    pub pipeline_run_uid: Option<String>,
    /// Name of the task in the pipeline.
    pub pipeline_task: Option<String>,
    /// The TaskRun is gone from the cluster.
    pub deleted: bool,
    /// Steps beyond the bound of the observer.
    pub steps_left_out: u64,
    /// Its steps, in the order in which they are shown: by attempt, then as they became known.
    pub steps: Vec<Step>,
}

/// Phase that a step has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StepPhase {
    /// Its command runs.
    Started,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// It was skipped.
    Skipped,
}

/// A transition of a step that the table did not contain before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTransition {
    /// The run, without its steps.
    pub run: Arc<Run>,
    /// The step, as it is now.
    pub step: Step,
    /// The phase that it reached.
    pub phase: StepPhase,
    /// `id` of the event, if the observer lists it.
    pub event: Option<String>,
}

/// A table of runs, in the order in which they were first seen.
#[derive(Debug)]
pub struct RunTable {
    runs: VecDeque<Run>,
    limits: TableLimits,
}

// === impl StepPhase ===

impl StepPhase {
    const ALL: [Self; 4] = [Self::Started, Self::Succeeded, Self::Failed, Self::Skipped];

    /// Returns the word for the phase.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

// === impl StepTransition ===

impl StepTransition {
    /// Returns when it happened, if known.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        match self.phase {
            StepPhase::Started => self.step.started_at,
            StepPhase::Succeeded | StepPhase::Failed | StepPhase::Skipped => self.step.ended_at,
        }
    }
}

// === impl Step ===

impl Step {
    /// Returns the time between its start and its end, or `now` while it runs.
    #[must_use]
    pub fn duration(&self, now: Option<Timestamp>) -> Option<Duration> {
        let end = match self.state {
            StepState::Running => now,
            _ => self.ended_at,
        };
        let span = end?.duration_since(self.started_at?);
        // A clock that differs must not give a negative duration.
        Some(Duration::try_from(span).unwrap_or_default())
    }

    fn has_reached(&self, phase: StepPhase) -> bool {
        let by_state = match phase {
            StepPhase::Started => self.state == StepState::Running,
            StepPhase::Succeeded => self.state == StepState::Succeeded,
            StepPhase::Failed => self.state == StepState::Failed,
            StepPhase::Skipped => self.state == StepState::Skipped,
        };
        by_state || self.event_of(phase).is_some()
    }

    fn event_of(&self, phase: StepPhase) -> Option<&StepEventRef> {
        let mut events = self.events.iter().rev();
        events.find(|event| event.phase == phase.as_str())
    }

    /// Truncates its texts, and leaves out events beyond the bounds.
    fn bounded(self) -> Self {
        let events = self.events.into_iter();
        let events = events.filter(|event| event.id.len() <= MAX_ID_BYTES);
        let events = events.map(|event| StepEventRef {
            phase: clipped(event.phase),
            ..event
        });
        Self {
            name: clipped(self.name),
            reason: self.reason.map(clipped),
            cause: self.cause.map(clipped),
            events: events.take(MAX_EVENTS).collect(),
            ..self
        }
    }
}

// === impl Run ===

impl Run {
    fn update_names(&mut self, update: &mut RunUpdate) {
        let required = [
            (&mut self.namespace, update.namespace.take()),
            (&mut self.task_run, update.task_run.take()),
        ];
        for (known, newer) in required {
            if let Some(newer) = newer {
                *known = clipped(newer);
            }
        }
        let optional = [
            (&mut self.pipeline_run, update.pipeline_run.take()),
            (&mut self.pipeline_run_uid, update.pipeline_run_uid.take()),
            (&mut self.pipeline_task, update.pipeline_task.take()),
        ];
        for (known, newer) in optional {
            *known = newer.map(clipped).or_else(|| known.take());
        }
        self.deleted = update.deleted.unwrap_or(self.deleted);
        self.steps_left_out = update.steps_left_out.unwrap_or(self.steps_left_out);
    }

    fn without_steps(&self) -> Arc<Self> {
        Arc::new(Self {
            uid: self.uid.clone(),
            namespace: self.namespace.clone(),
            task_run: self.task_run.clone(),
            pipeline_run: self.pipeline_run.clone(),
            pipeline_run_uid: self.pipeline_run_uid.clone(),
            pipeline_task: self.pipeline_task.clone(),
            deleted: self.deleted,
            steps_left_out: self.steps_left_out,
            steps: Vec::new(),
        })
    }

    /// Replaces or adds a step. Returns the phases that it has reached since.
    fn apply(&mut self, update: Step, max_steps: usize) -> Vec<(Step, StepPhase)> {
        let newer = update.bounded();
        let known = self.steps.iter().position(|step| step.key == newer.key);
        let before = match known {
            Some(position) => {
                let step = self.steps.get_mut(position);
                step.map(|step| std::mem::replace(step, newer.clone()))
            }
            None if self.steps.len() >= max_steps => return Vec::new(),
            None => {
                // After the steps of its attempt that are known.
                let after = self
                    .steps
                    .partition_point(|step| step.attempt <= newer.attempt);
                self.steps.insert(after, newer.clone());
                None
            }
        };
        let was = |phase| before.as_ref().is_some_and(|step| step.has_reached(phase));
        let reached = StepPhase::ALL.into_iter();
        let reached = reached.filter(|phase| newer.has_reached(*phase) && !was(*phase));
        // The start of a step whose end is known is over: it was only forgotten as an event.
        let ended = before.as_ref().is_some_and(|step| step.state.is_end());
        let reached = reached.filter(|phase| *phase != StepPhase::Started || !ended);
        reached.map(|phase| (newer.clone(), phase)).collect()
    }
}

// === impl RunTable ===

impl RunTable {
    /// Returns an empty table.
    #[must_use]
    pub fn new(limits: TableLimits) -> Self {
        Self {
            runs: VecDeque::new(),
            limits,
        }
    }

    /// Returns the runs, oldest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.iter()
    }

    /// Forgets all runs.
    pub fn clear(&mut self) {
        self.runs.clear();
    }

    /// Removes runs that left the observer's table.
    pub fn remove(&mut self, uids: &[String]) {
        if !uids.is_empty() {
            self.runs.retain(|run| !uids.contains(&run.uid));
        }
    }

    /// Adds runs, or what changed in them. Returns the transitions that are new, in the order of their times; those
    /// without a time keep their place.
    pub fn merge(&mut self, updates: Vec<RunUpdate>) -> Vec<StepTransition> {
        let mut transitions = Vec::new();
        for mut update in updates {
            if update.uid.is_empty() || update.uid.len() > MAX_TEXT_BYTES {
                continue;
            }
            let mut steps = std::mem::take(&mut update.steps);
            // Inside one message, the index decides on the order of new steps.
            steps.sort_by_key(|step| (step.attempt, step.index));
            let max_steps = self.limits.steps_of_run;
            let Some(run) = self.run(&update.uid) else {
                continue;
            };
            run.update_names(&mut update);
            let mut names = None;
            for step in steps {
                if step.key.is_empty() || step.key.len() > MAX_ID_BYTES {
                    continue;
                }
                for (step, phase) in run.apply(step, max_steps) {
                    let run = names.get_or_insert_with(|| run.without_steps()).clone();
                    let event = step.event_of(phase).map(|event| event.id.clone());
                    transitions.push(StepTransition {
                        run,
                        step,
                        phase,
                        event,
                    });
                }
            }
            self.shrink();
        }
        in_order(transitions)
    }

    /// Returns the run with this UID, which is added if it is not known.
    fn run(&mut self, uid: &str) -> Option<&mut Run> {
        let known = self.runs.iter().position(|run| run.uid == uid);
        let position = known.unwrap_or_else(|| {
            self.runs.push_back(Run {
                uid: uid.to_owned(),
                ..Run::default()
            });
            self.runs.len() - 1
        });
        self.runs.get_mut(position)
    }

    fn shrink(&mut self) {
        let steps = |runs: &VecDeque<Run>| runs.iter().map(|run| run.steps.len()).sum::<usize>();
        let mut count = steps(&self.runs);
        while self.runs.len() > self.limits.runs || count > self.limits.steps {
            let Some(run) = self.runs.pop_front() else {
                break;
            };
            count -= run.steps.len();
        }
    }
}

/// Sorts by time. A transition without a time takes the time of the one before it.
fn in_order(transitions: Vec<StepTransition>) -> Vec<StepTransition> {
    let mut last = Timestamp::MIN;
    let mut dated: Vec<_> = transitions
        .into_iter()
        .map(|transition| {
            last = transition.at().unwrap_or(last);
            (last, transition)
        })
        .collect();
    dated.sort_by_key(|(at, _)| *at);
    dated
        .into_iter()
        .map(|(_, transition)| transition)
        .collect()
}

fn clipped(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests;
