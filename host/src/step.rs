//! The vocabulary that the rooms share: what `observe` finds and `event` tells.

use jiff::Timestamp;
use std::sync::Arc;
use step_observer_core::Transition;

/// Labels or annotations, sorted by name. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringMap(Arc<[(Arc<str>, Arc<str>)]>);

impl Default for StringMap {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl FromIterator<(Arc<str>, Arc<str>)> for StringMap {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Arc<str>)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort();
        Self(entries.into())
    }
}

impl StringMap {
    /// The value under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        let found = self
            .0
            .binary_search_by(|(known, _)| (**known).cmp(name))
            .ok()?;
        self.0.get(found).map(|(_, value)| value)
    }

    /// All names and all values, in no order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().flat_map(|(name, value)| [name, value])
    }

    /// All names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// A transition with all that its event says about its surroundings.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// What happened.
    pub transition: Transition,
    /// Namespace of the run.
    pub namespace: Arc<str>,
    /// Name of the TaskRun.
    pub task_run: Arc<str>,
    /// `apiVersion` of the TaskRun.
    pub api_version: Arc<str>,
    /// Name of the PipelineRun, from the label `tekton.dev/pipelineRun`.
    pub pipeline_run: Option<Arc<str>>,
    /// Task of the pipeline, from the label `tekton.dev/pipelineTask`.
    pub pipeline_task: Option<Arc<str>>,
    /// Labels of the TaskRun.
    pub labels: StringMap,
    /// Annotations of the TaskRun, without kubectl's copy of the whole object.
    pub annotations: StringMap,
    /// The step as the Task says it, in the shape of Tekton's v1beta1 API: a JSON object, its members in order of
    /// their names.
    pub spec: Arc<str>,
    /// That something of the step was too large to be kept in `spec`.
    pub spec_truncation: Option<SpecTruncation>,
    /// Members that are missing in `spec` for that reason, as far as they are named.
    pub spec_omitted: OmittedMembers,
    /// What its container reports.
    pub container: ContainerFacts,
    /// The pod is gone, and its name may be another pod's by now.
    pub pod_gone: bool,
    /// When the observer saw it.
    pub seen_at: Timestamp,
}

/// Names of members of a step that were left out, with their sizes in bytes: of a text in UTF-8, of anything else in JSON.
pub type OmittedMembers = Arc<[(Arc<str>, u64)]>;

/// That members of a step are missing in its spec, each of them whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecTruncation {
    /// Size of the whole step in the Task, in bytes; missing if the observer has kept nothing of it.
    pub bytes: Option<u64>,
}

impl StepRecord {
    /// Bytes of the texts that it holds, roughly: some of them it shares with other records of its run.
    #[must_use]
    pub fn size(&self) -> usize {
        let maps = self.labels.iter().chain(self.annotations.iter());
        let texts: usize = maps.map(|(name, value)| name.len() + value.len()).sum();
        let results = self.container.results.as_deref().map_or(0, str::len);
        texts + results + self.spec.len()
    }
}

/// What a container's status says beside its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerFacts {
    /// `imageID`.
    pub image_id: Arc<str>,
    /// `containerID`.
    pub container_id: Arc<str>,
    /// The results that the step wrote, as the JSON text that Tekton puts in `terminated.message`.
    pub results: Option<Arc<str>>,
    /// `terminated.signal`.
    pub signal: Option<i32>,
}

/// The log of a step, bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedLog {
    /// Its text; where it was cut, a line says so.
    pub text: String,
    /// Size of the whole log in bytes, as far as it was read.
    pub bytes: u64,
    /// The log may be larger than `bytes`.
    pub at_least: bool,
    /// Something is missing in `text`.
    pub truncated: bool,
    /// Why its end is missing in `text`.
    pub incomplete: Option<String>,
    /// Why there is no log.
    pub unavailable: Option<String>,
}

impl CapturedLog {
    /// A log that cannot be had.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self {
            unavailable: Some(reason.into()),
            ..Self::default()
        }
    }
}

/// An event on its way, with what plugins may ask about it but receivers do not get.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The event.
    pub event: cloudevents::Event,
    /// What belongs to it.
    pub context: Arc<EventContext>,
}

/// What belongs to an event beside its content.
#[derive(Clone, Debug, Default)]
pub struct EventContext {
    /// UID of the TaskRun: events of one run keep their order.
    pub run_uid: Arc<str>,
    /// Annotations of the TaskRun.
    pub annotations: StringMap,
}
