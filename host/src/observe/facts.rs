//! The facts of a run. Each record of the run contains them in addition to its transition. They are
//! kept while the run may have further transitions.

use super::change::{Finding, LogTarget};
use super::intern::Interner;
use super::metadata::Metadata;
use super::run_ends::RunEnds;
use super::slim::{SlimPod, SlimTaskRun, TaskRunStatus, Terminated};
use super::step_spec::StepSpec;
use crate::known_secrets::PodSecrets;
use crate::step::{
    ContainerFacts, OmittedMembers, PodSteps, SpecTruncation, StepRecord, StringMap,
};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use step_observer_core::{ContainerState, PodSnapshot, StepSnapshot, Transition, step_name};

/// Bounds the Pod names that are kept per run: one for each attempt.
const MAX_POD_NAMES: usize = 1024;

/// Labels that Tekton adds to the Pod but not to the TaskRun.
const LABELS_OF_PODS: [&str; 2] = ["tekton.dev/taskRun", "tekton.dev/taskRunUID"];

/// The facts of a TaskRun.
#[derive(Debug, Default)]
pub(super) struct RunFacts {
    namespace: Arc<str>,
    name: Arc<str>,
    api_version: Arc<str>,
    labels: StringMap,
    annotations: StringMap,
    /// UID of the PipelineRun.
    pipeline_run_uid: Option<Arc<str>>,
    /// `traceparent` of the span context in the status.
    traceparent: Option<Arc<str>>,
    /// The specs of the steps in the order of the Task.
    steps: Box<[StepSpec]>,
    /// True if the texts were dropped because all runs together held too many bytes.
    texts_evicted: bool,
    /// The containers as `status.steps` of the TaskRun reports them. Used if no Pod of the run was
    /// seen.
    reported: Vec<(Arc<str>, ContainerFacts)>,
    /// UIDs of its Pods.
    pods: Vec<Arc<str>>,
    /// Names of all Pods that the TaskRun has ever named.
    pod_names: Vec<Arc<str>>,
    /// True if the TaskRun itself was seen. From then on its Pods add no facts about the run.
    task_run_seen: bool,
    /// Number of the run in the order in which runs were first seen.
    age: u64,
    /// The attempts that have ended.
    pub(super) ends: RunEnds,
}

/// The facts of a Pod.
#[derive(Debug, Default)]
pub(super) struct PodFacts {
    containers: Box<[Container]>,
    /// True if [`PodFacts::update`] has returned the logs that must be read before the Pod is gone.
    log_read_requested: bool,
    /// The Secrets that the Pod refers to, if they are to be masked.
    pub(super) secrets: Option<PodSecrets>,
    /// True if the Pod was deleted.
    pub(super) is_gone: bool,
}

/// The container of a step.
#[derive(Debug)]
struct Container {
    name: Arc<str>,
    image: Arc<str>,
    facts: ContainerFacts,
}

// === impl RunFacts ===

impl RunFacts {
    /// Creates the facts of a run that was first seen after all runs with a smaller `age`.
    pub(super) fn new(age: u64) -> Self {
        Self {
            age,
            ..Self::default()
        }
    }

    pub(super) fn age(&self) -> u64 {
        self.age
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns whether the TaskRun itself was seen.
    pub(super) fn has_seen_task_run(&self) -> bool {
        self.task_run_seen
    }

    /// Returns whether the TaskRun has named this Pod.
    pub(super) fn has_named(&self, namespace: &str, pod: &str) -> bool {
        *self.namespace == *namespace && self.pod_names.iter().any(|name| **name == *pod)
    }

    /// Returns whether a Pod of a recording may belong to this run: the TaskRun has named it, or
    /// has named no Pod at all. A recording may lack the update in which a TaskRun names its Pod.
    pub(super) fn may_own(&self, namespace: &str, pod: &str) -> bool {
        self.has_named(namespace, pod)
            || (*self.namespace == *namespace && self.pod_names.is_empty())
    }

    /// Returns whether the TaskRun was seen and has no Pod yet. The texts of such a run may be dropped,
    /// because the next update of its TaskRun brings them again.
    pub(super) fn is_pending(&self) -> bool {
        self.task_run_seen && self.pods.is_empty()
    }

    /// Returns the number of bytes that [`RunFacts::evict_texts`] would free: the bytes of the
    /// texts that no other run shares.
    pub(super) fn own_bytes(&self) -> usize {
        // A text that no other run shares has two references: one in this run and one in the
        // interner.
        let is_own = |text: &&Arc<str>| Arc::strong_count(text) <= 2;
        let steps = self.steps.iter().map(|step| &step.json);
        let labels_and_annotations = [&self.labels, &self.annotations]
            .into_iter()
            .filter(|_| self.is_pending())
            .flat_map(StringMap::texts);
        steps
            .chain(labels_and_annotations)
            .filter(is_own)
            .map(|text| text.len())
            .sum()
    }

    /// Drops the specs of the steps. If the run has no Pods, also drops its labels and annotations.
    pub(super) fn evict_texts(&mut self) {
        if self.is_pending() {
            self.labels = StringMap::default();
            self.annotations = StringMap::default();
        }
        self.steps = Box::default();
        self.texts_evicted = true;
    }

    /// Updates the facts from the current state of the TaskRun.
    pub(super) fn update_from_task_run(&mut self, run: &SlimTaskRun, texts: &mut Interner) {
        let SlimTaskRun {
            api_version,
            metadata,
            spec,
            status,
        } = run;
        self.task_run_seen = true;
        self.namespace = texts.text(metadata.namespace.as_deref().unwrap_or_default());
        self.name = texts.text(metadata.name.as_deref().unwrap_or_default());
        self.note_pod_names(status, texts);
        let stated = Some(&**api_version).filter(|version| !version.is_empty());
        self.api_version = texts.text(stated.unwrap_or("tekton.dev/v1"));
        self.labels = labels(metadata, texts);
        self.annotations = annotations(metadata, texts);
        self.pipeline_run_uid = metadata.pipeline_run_uid().map(|uid| texts.text(uid));
        self.traceparent
            .clone_from(&status.span_context.traceparent);
        // In the status, parameters are substituted and StepActions are resolved.
        let resolved = status.task_spec.steps.parsed();
        let steps = if resolved.is_empty() {
            spec.task_spec.steps.parsed()
        } else {
            resolved
        };
        self.texts_evicted = false;
        self.steps = steps
            .iter()
            .map(|step| StepSpec {
                name: texts.text(&step.name),
                json: texts.text(&step.json),
                truncated_from: step.truncated_from,
                omitted: step.omitted.clone(),
            })
            .collect();
        // If there is a Pod, its containers are used instead.
        self.reported = if self.pods.is_empty() {
            let ended_steps = status.steps.iter().filter_map(|step| {
                let ended = step.terminated.as_ref()?;
                let facts = container_facts(&step.image_id, Some(ended), texts);
                Some((step.container.clone(), facts))
            });
            ended_steps.collect()
        } else {
            Vec::new()
        };
    }

    fn note_pod_names(&mut self, status: &TaskRunStatus, texts: &mut Interner) {
        let archived = status
            .retries_status
            .iter()
            .map(|attempt| &attempt.pod_name);
        for name in archived.chain([&status.pod_name]) {
            if !name.is_empty() && !self.pod_names.contains(name) {
                if self.pod_names.len() >= MAX_POD_NAMES {
                    self.pod_names.remove(0);
                }
                self.pod_names.reserve_exact(1);
                self.pod_names.push(texts.share(name));
            }
        }
    }

    /// Adds the UID of a Pod of this run.
    pub(super) fn add_pod(&mut self, uid: &Arc<str>) {
        if !self.pods.contains(uid) {
            self.pods.reserve_exact(1);
            self.pods.push(uid.clone());
        }
    }

    /// Adds a Pod of this run. Updates the facts from the Pod as long as the TaskRun itself was not
    /// seen.
    pub(super) fn update_from_pod(&mut self, pod: &SlimPod, uid: &Arc<str>, texts: &mut Interner) {
        self.add_pod(uid);
        let Some(owner) = pod.owner() else { return };
        if self.task_run_seen {
            return;
        }
        self.namespace = texts.text(pod.metadata.namespace.as_deref().unwrap_or_default());
        self.name = texts.text(&owner.name);
        self.api_version = texts.text(&owner.api_version);
        self.labels = labels(&pod.metadata, texts);
        self.pipeline_run_uid = pod.metadata.pipeline_run_uid().map(|uid| texts.text(uid));
        self.annotations = annotations(&pod.metadata, texts);
    }

    /// Drops the facts of a run that has no further transition, except those that identify its
    /// Pods. Returns the UIDs of its Pods.
    pub(super) fn settle(&mut self) -> Vec<Arc<str>> {
        let pods = std::mem::take(&mut self.pods);
        // The Pods of this run may change a few more times. They must still be recognised as its
        // Pods.
        *self = Self {
            namespace: std::mem::take(&mut self.namespace),
            pod_names: std::mem::take(&mut self.pod_names),
            task_run_seen: self.task_run_seen,
            age: self.age,
            ends: std::mem::take(&mut self.ends),
            ..Self::default()
        };
        pods
    }

    /// Returns the record of a transition of this run.
    pub(super) fn record(
        &self,
        transition: Transition,
        pod: Option<&PodFacts>,
        now: Timestamp,
    ) -> StepRecord {
        let label = |name: &str| self.labels.get(name).cloned();
        let in_pod = pod.and_then(|pod| pod.container(&transition.container));
        let container = match (&transition.pod_uid, in_pod) {
            (_, Some((_, facts))) => facts.clone(),
            (_, None) => self
                .reported
                .iter()
                .find(|(name, _)| *name == transition.container)
                .map(|(_, facts)| facts.clone())
                .unwrap_or_default(),
        };
        let (spec, spec_truncation, spec_omitted) =
            self.spec(&transition, in_pod.map(|(image, _)| image));
        StepRecord {
            namespace: self.namespace.clone(),
            task_run: self.name.clone(),
            api_version: self.api_version.clone(),
            pipeline_run: label("tekton.dev/pipelineRun"),
            pipeline_run_uid: self.pipeline_run_uid.clone(),
            pipeline_task: label("tekton.dev/pipelineTask"),
            traceparent: self.traceparent.clone(),
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            spec,
            spec_truncation,
            spec_omitted,
            container,
            pod_gone: pod.is_none_or(|pod| pod.is_gone),
            pod_seen: pod.is_some(),
            pod_secrets: pod.and_then(|pod| pod.secrets.clone()),
            seen_at: now,
            transition,
        }
    }

    /// Reports the steps of a Pod of this run, if some of them may still wait for their turn.
    pub(super) fn waiting_steps(&self, pod: &PodSnapshot) -> Option<Finding> {
        let has_ended = |step: &StepSnapshot| matches!(step.state, ContainerState::Terminated(_));
        if pod.phase.is_final() || pod.steps.iter().all(has_ended) {
            return None;
        }
        let label = |name: &str| self.labels.get(name).cloned();
        // Each attempt has a Pod name of its own, in the order of the attempts.
        let attempt = self.pod_names.iter().position(|name| *name == pod.name);
        let containers = pod.steps.iter().map(|step| step.container.clone());
        Some(Finding::PodSteps(Box::new(PodSteps {
            run_uid: pod.run_uid.clone(),
            namespace: self.namespace.clone(),
            task_run: self.name.clone(),
            pipeline_run: label("tekton.dev/pipelineRun"),
            pipeline_run_uid: self.pipeline_run_uid.clone(),
            pipeline_task: label("tekton.dev/pipelineTask"),
            attempt: attempt.and_then(|at| u32::try_from(at).ok()).unwrap_or(0),
            pod_uid: pod.uid.clone(),
            pod_name: pod.name.clone(),
            containers: containers.collect(),
        })))
    }

    /// Returns the spec of a step in the Task, and what was omitted from the spec. The step is
    /// found by the name of its container, never by its position in the status.
    fn spec(
        &self,
        transition: &Transition,
        image: Option<&str>,
    ) -> (Arc<str>, Option<SpecTruncation>, OmittedMembers) {
        let name = step_name(&transition.container);
        let named = self.steps.iter().find(|step| {
            // Tekton truncates container names to 63 characters.
            !step.name.is_empty()
                && (*step.name == *name
                    || (transition.container.len() == 63 && step.name.starts_with(name)))
        });
        let unnamed = || {
            let index: usize = name.strip_prefix("unnamed-")?.parse().ok()?;
            let step = self.steps.get(index)?;
            (step.name.is_empty() && !step.json.is_empty()).then_some(step)
        };
        match named.or_else(unnamed) {
            Some(step) => {
                let truncation = step
                    .truncated_from
                    .map(|bytes| SpecTruncation { bytes: Some(bytes) });
                (step.json.clone(), truncation, step.omitted.clone())
            }
            None => {
                let known_members = [("name", Some(name)), ("image", image)]
                    .into_iter()
                    .filter_map(|(name, text)| Some((name, text?.into())));
                let spec = StepSpec::from_members(known_members.collect::<BTreeMap<_, _>>());
                let truncation = self.texts_evicted.then_some(SpecTruncation { bytes: None });
                (spec.json, truncation, Arc::default())
            }
        }
    }
}

// === impl PodFacts ===

impl PodFacts {
    /// Updates the facts from the current state of the Pod. If the Pod is being deleted, returns
    /// the log of its running step, which must be read before the Pod is gone. The log is returned
    /// only once.
    pub(super) fn update(
        &mut self,
        pod: &SlimPod,
        snapshot: &PodSnapshot,
        texts: &mut Interner,
    ) -> Vec<LogTarget> {
        self.containers = pod
            .spec
            .containers
            .iter()
            .filter(|container| {
                snapshot
                    .steps
                    .iter()
                    .any(|step| step.container == container.name)
            })
            .map(|container| {
                let status = pod
                    .status
                    .container_statuses
                    .iter()
                    .find(|status| status.name == container.name);
                let facts = status
                    .map(|status| {
                        container_facts(&status.image_id, status.state.terminated.as_ref(), texts)
                    })
                    .unwrap_or_default();
                Container {
                    name: texts.text(&container.name),
                    image: texts.text(&container.image),
                    facts,
                }
            })
            .collect();
        if !snapshot.deleting || std::mem::replace(&mut self.log_read_requested, true) {
            return Vec::new();
        }
        // Only the first running container runs its step. The entrypoints of the others wait for
        // their turn.
        let running = |state: &ContainerState| matches!(state, ContainerState::Running { .. });
        snapshot
            .steps
            .iter()
            .find(|step| running(&step.state))
            .into_iter()
            .map(|step| LogTarget {
                namespace: text_or_empty(pod.metadata.namespace.as_deref()),
                pod: snapshot.name.clone(),
                pod_uid: snapshot.uid.clone(),
                container: step.container.clone(),
            })
            .collect()
    }

    fn container(&self, name: &str) -> Option<(&str, &ContainerFacts)> {
        let found = self
            .containers
            .iter()
            .find(|container| &*container.name == name)?;
        Some((&found.image, &found.facts))
    }
}

fn container_facts(
    image_id: &str,
    ended: Option<&Terminated>,
    texts: &mut Interner,
) -> ContainerFacts {
    ContainerFacts {
        image_id: texts.text(image_id),
        container_id: ended
            .map(|ended| ended.container_id.clone())
            .unwrap_or_default(),
        results: ended.and_then(|ended| ended.termination_message()?.results.clone()),
        signal: ended.and_then(|ended| ended.signal),
    }
}

fn labels(metadata: &Metadata, texts: &mut Interner) -> StringMap {
    let all = metadata.labels.iter();
    all.filter(|(name, _)| !LABELS_OF_PODS.contains(&name.as_str()))
        .map(|(name, value)| (texts.text(name), texts.text(value)))
        .collect()
}

fn annotations(metadata: &Metadata, texts: &mut Interner) -> StringMap {
    let all = metadata.annotations.iter();
    all.map(|(name, value)| (texts.text(name), texts.text(value)))
        .collect()
}

fn text_or_empty(value: Option<&str>) -> Arc<str> {
    value.unwrap_or_default().into()
}
