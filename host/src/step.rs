//! Types that several rooms use: the record of a transition, and its log and event. The room
//! `observe` creates the record, and the room `event` converts it to a CloudEvent.

mod masked;

pub use masked::{MaskCounts, Redactor};

use crate::known_secrets::PodSecrets;
use crate::redact::RedactionCounts;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use step_observer_core::Transition;
use step_observer_otlp::RunEnd;

/// Labels or annotations, sorted by name. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StringMap(Arc<[(Arc<str>, Arc<str>)]>);

impl FromIterator<(Arc<str>, Arc<str>)> for StringMap {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Arc<str>)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort();
        Self(entries.into())
    }
}

impl StringMap {
    /// Returns the value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        let found = self
            .0
            .binary_search_by(|(known, _)| (**known).cmp(name))
            .ok()?;
        self.0.get(found).map(|(_, value)| value)
    }

    /// Returns all names and values as texts, in no particular order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().flat_map(|(name, value)| [name, value])
    }

    /// Returns all names with their values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// A transition, with the facts of its run that the event contains.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// The transition itself.
    pub transition: Transition,
    /// Namespace of the run.
    pub namespace: Arc<str>,
    /// Name of the TaskRun.
    pub task_run: Arc<str>,
    /// `apiVersion` of the TaskRun.
    pub api_version: Arc<str>,
    /// Name of the PipelineRun, from the label `tekton.dev/pipelineRun`.
    pub pipeline_run: Option<Arc<str>>,
    /// UID of the PipelineRun, from the label `tekton.dev/pipelineRunUID`, else from the owner reference.
    pub pipeline_run_uid: Option<Arc<str>>,
    /// Name of the task in the pipeline, from the label `tekton.dev/pipelineTask`.
    pub pipeline_task: Option<Arc<str>>,
    /// Labels of the TaskRun.
    pub labels: StringMap,
    /// Annotations of the TaskRun, without `kubectl.kubernetes.io/last-applied-configuration`
    /// (kubectl's copy of the object).
    pub annotations: StringMap,
    /// `traceparent` in the status of the TaskRun, where Tekton writes its span context. Not checked.
    pub traceparent: Option<Arc<str>>,
    /// Spec of the step in the shape of Tekton's v1beta1 API: a JSON object whose members are sorted by
    /// name.
    pub spec: Arc<str>,
    /// Set if members of the step were too large to be kept in `spec`.
    pub spec_truncation: Option<SpecTruncation>,
    /// The omitted members that are listed by name; there may be more.
    pub spec_omitted: OmittedMembers,
    /// Facts from the status of its container.
    pub container: ContainerFacts,
    /// True if the pod is gone, so that another pod may have its name.
    pub pod_gone: bool,
    /// False if the pod was never seen, so that nothing is known about it.
    pub pod_seen: bool,
    /// The Secrets that the pod refers to. `None` if Secrets are not masked.
    pub pod_secrets: Option<PodSecrets>,
    /// Time at which the observer observed the transition.
    pub seen_at: Timestamp,
}

#[cfg(test)]
impl StepRecord {
    /// Makes a record of a transition, about a run without a pipeline of which nothing else is known.
    pub(crate) fn of(transition: Transition) -> Self {
        Self {
            seen_at: transition.at,
            transition,
            namespace: "shop".into(),
            task_run: "run".into(),
            api_version: "tekton.dev/v1".into(),
            pipeline_run: None,
            pipeline_run_uid: None,
            pipeline_task: None,
            labels: StringMap::default(),
            annotations: StringMap::default(),
            traceparent: None,
            spec: "{}".into(),
            spec_truncation: None,
            spec_omitted: Arc::default(),
            container: ContainerFacts::default(),
            pod_gone: false,
            pod_seen: true,
            pod_secrets: None,
        }
    }
}

/// The steps of a Pod that has just been seen, for the live page. None of them has ended.
#[derive(Clone, Debug)]
pub struct PodSteps {
    /// UID of the TaskRun.
    pub run_uid: Arc<str>,
    /// Namespace of the run.
    pub namespace: Arc<str>,
    /// Name of the TaskRun.
    pub task_run: Arc<str>,
    /// Name of the PipelineRun.
    pub pipeline_run: Option<Arc<str>>,
    /// UID of the PipelineRun.
    pub pipeline_run_uid: Option<Arc<str>>,
    /// Name of the task in the pipeline.
    pub pipeline_task: Option<Arc<str>>,
    /// Attempt of the TaskRun, from 0.
    pub attempt: u32,
    /// UID of the Pod.
    pub pod_uid: Arc<str>,
    /// Name of the Pod.
    pub pod_name: Arc<str>,
    /// Names of the step containers, in the order of the steps.
    pub containers: Vec<Arc<str>>,
}

/// The end of an attempt of a TaskRun, or of a PipelineRun.
#[derive(Clone, Debug)]
pub struct EndedRun {
    /// The end. Its source and its trace are not set yet.
    pub end: RunEnd,
    /// The annotations in which Tekton writes its span context.
    pub annotations: StringMap,
    /// `traceparent` in the status. Not checked.
    pub traceparent: Option<Arc<str>>,
}

impl EndedRun {
    /// Takes an end with the annotations of its object, of which those with a span context are kept.
    #[must_use]
    pub fn new(
        end: RunEnd,
        annotations: &BTreeMap<String, String>,
        traceparent: &Option<Arc<str>>,
    ) -> Self {
        let annotations = annotations.iter();
        let annotations = annotations.filter(|(name, _)| name.ends_with("SpanContext"));
        Self {
            end,
            annotations: annotations
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
            traceparent: traceparent.clone(),
        }
    }
}

/// Names of omitted members of a step, with their sizes in bytes: the UTF-8 length of a string, or
/// the JSON length of another value.
pub type OmittedMembers = Arc<[(Arc<str>, u64)]>;

/// Marks that members of a step were omitted from its spec. Each member is omitted as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecTruncation {
    /// Size of the whole step in the Task, in bytes. `None` if the observer has kept no part of the
    /// step.
    pub bytes: Option<u64>,
}

impl StepRecord {
    /// Returns the approximate size of the record's texts in bytes, including texts that it shares
    /// with other records of the run.
    #[must_use]
    pub fn size(&self) -> usize {
        let maps = self.labels.iter().chain(self.annotations.iter());
        let texts: usize = maps.map(|(name, value)| name.len() + value.len()).sum();
        let results = self.container.results.as_deref().map_or(0, str::len);
        texts + results + self.spec.len()
    }
}

/// Facts from a container's status, in addition to its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerFacts {
    /// `imageID`.
    pub image_id: Arc<str>,
    /// `containerID`.
    pub container_id: Arc<str>,
    /// Results of the step, as the JSON text that Tekton writes to `terminated.message`.
    pub results: Option<Arc<str>>,
    /// `terminated.signal`.
    pub signal: Option<i32>,
}

/// Log of a step, bounded by `log.maxBytes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedLog {
    /// Text of the log. A line marks the place of an omission.
    pub text: String,
    /// Size of the log in bytes, before truncation, as far as the log was read.
    pub bytes: u64,
    /// The log may be larger than `bytes`.
    pub at_least: bool,
    /// True if a part of the log is missing in `text`.
    pub truncated: bool,
    /// Reason why the end of the log is missing in `text`.
    pub incomplete: Option<String>,
    /// Reason why there is no log.
    pub unavailable: Option<String>,
    /// Secrets that were masked while the log was read.
    pub masked: MaskCounts,
}

impl CapturedLog {
    /// Creates the value for a log that could not be read.
    #[must_use]
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self {
            unavailable: Some(reason.into()),
            ..Self::default()
        }
    }
}

/// An event, with facts that plugins can read and receivers do not get.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// The event.
    pub event: cloudevents::Event,
    /// Facts that are not part of the event.
    pub context: Arc<EventContext>,
}

/// Facts of an event that are not part of its content.
#[derive(Clone, Debug, Default)]
pub struct EventContext {
    /// UID of the TaskRun. Events of one run keep their order.
    pub run_uid: Arc<str>,
    /// Annotations of the TaskRun.
    pub annotations: StringMap,
    /// Secrets that were masked while the log was read.
    pub masked_in_log: MaskCounts,
    /// All secrets that were masked so far, including the secrets in the log.
    pub masked: MaskCounts,
}

impl Envelope {
    /// Counts matches that were masked in the event.
    pub(crate) fn count_masked(&mut self, redactor: &Redactor, counts: &RedactionCounts) {
        if counts.total() > 0 {
            Arc::make_mut(&mut self.context)
                .masked
                .add(redactor, counts);
        }
    }
}
