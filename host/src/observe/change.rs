//! The input and the output of the tracker.

use super::pipeline_runs::SlimPipelineRun;
use super::slim::{SlimPod, SlimTaskRun};
use crate::known_secrets::PodSecrets;
use crate::step::{EndedRun, PodSteps, StepRecord};
use jiff::Timestamp;
use std::sync::Arc;

/// A change in the cluster.
#[derive(Debug)]
pub enum Change {
    /// A Pod was added or modified.
    Pod(Box<SlimPod>),
    /// A Pod was deleted. A [`Change::Pod`] with its last state came before.
    PodGone {
        /// UID of the Pod.
        uid: Arc<str>,
        /// UID of its TaskRun.
        run_uid: Arc<str>,
    },
    /// A TaskRun was added or modified.
    TaskRun(Box<SlimTaskRun>),
    /// A TaskRun was deleted.
    TaskRunGone {
        /// UID of the TaskRun.
        uid: Arc<str>,
    },
    /// A PipelineRun was added or modified.
    PipelineRun(Box<SlimPipelineRun>),
    /// A PipelineRun was deleted.
    PipelineRunGone {
        /// UID of the PipelineRun.
        uid: Arc<str>,
    },
    /// The initial lists of PipelineRuns are complete.
    PipelineRunsListed,
    /// The initial lists are complete: every object that existed at the start was sent.
    Listed {
        /// Namespaces whose lists the API server refuses. The tracker emits nothing for them, because
        /// it may have seen only a part of their objects.
        without: Vec<Arc<str>>,
    },
    /// The initial lists of a namespace that [`Change::Listed`] excluded are now complete.
    NamespaceListed {
        /// Name of the namespace.
        namespace: Arc<str>,
    },
    /// The recording has ended: no further change follows.
    Ended,
}

/// A change and the time at which it was seen.
#[derive(Debug)]
pub struct TimedChange {
    /// Time by the clock of the recording, or of this machine.
    pub at: Timestamp,
    /// True if the change happens now, so that `at` is the time of this machine.
    pub is_live: bool,
    /// The change.
    pub change: Change,
}

/// A result of the tracker for a change or a timer.
#[derive(Debug)]
pub enum Finding {
    /// A transition of a step, with the facts of its run.
    Record(Box<StepRecord>),
    /// A Pod with possibly waiting steps was seen for the first time. Found only if
    /// [`Tracker`](super::Tracker) reports waiting steps.
    PodSteps(Box<PodSteps>),
    /// The log of a running step must be read now, because its Pod is being deleted.
    ReadLogNow(LogTarget),
    /// The Secrets to which a Pod with possibly running steps refers. They must be read before the
    /// first text of the Pod is masked.
    ReadSecretsNow(PodSecrets),
    /// An attempt of a TaskRun has ended. Found only if [`Tracker`](super::Tracker) reports ends.
    RunEnded(Box<EndedRun>),
    /// A TaskRun, by its UID, has no further transition, and its state was dropped.
    Forgotten(Arc<str>),
    /// A Pod names a TaskRun as its owner, but this TaskRun has not named the Pod. The tracker
    /// emits nothing for such a Pod.
    Unclaimed(UnclaimedPod),
    /// Number of runs whose texts were dropped, because all runs together held too many bytes. If
    /// steps of such a run are already running, its events lack the specs of these steps.
    TextsEvicted(usize),
}

/// A Pod that no TaskRun has named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnclaimedPod {
    /// Namespace of the Pod.
    pub namespace: Arc<str>,
    /// Name of the Pod.
    pub name: Arc<str>,
    /// UID of the TaskRun that the Pod names as its owner.
    pub run_uid: Arc<str>,
}

/// A container whose log is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogTarget {
    /// Namespace of the Pod.
    pub namespace: Arc<str>,
    /// Name of the Pod.
    pub pod: Arc<str>,
    /// UID of the Pod.
    pub pod_uid: Arc<str>,
    /// Name of the container.
    pub container: Arc<str>,
}

impl SlimPod {
    /// Returns the change that reports the deletion of this Pod; `None` if no TaskRun controls it.
    #[must_use]
    pub fn gone(&self) -> Option<Change> {
        Some(Change::PodGone {
            uid: self.metadata.uid.clone()?,
            run_uid: self.owner()?.uid.clone(),
        })
    }
}

impl SlimTaskRun {
    /// Returns the change that reports the deletion of this TaskRun.
    #[must_use]
    pub fn gone(&self) -> Option<Change> {
        Some(Change::TaskRunGone {
            uid: self.metadata.uid.clone()?,
        })
    }
}
