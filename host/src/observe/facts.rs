//! What events say about a run beside the transition: kept while the run has something to tell.

use super::intern::Interner;
use super::metadata::Metadata;
use super::slim::{SlimPod, SlimTaskRun, TaskRunStatus, Terminated};
use super::step_spec::StepSpec;
use super::tracker::LogTarget;
use crate::step::{ContainerFacts, OmittedMembers, SpecTruncation, StepRecord, StringMap};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use step_observer_core::{ContainerState, PodSnapshot, Transition, step_name};

/// Most pods of one run whose names are kept: one for each attempt.
const MAX_POD_NAMES: usize = 1024;

/// Labels that Tekton adds to the Pod but not to the TaskRun.
const LABELS_OF_PODS: [&str; 2] = ["tekton.dev/taskRun", "tekton.dev/taskRunUID"];

/// What is kept of a TaskRun.
#[derive(Debug, Default)]
pub(super) struct RunFacts {
    namespace: Arc<str>,
    name: Arc<str>,
    api_version: Arc<str>,
    labels: StringMap,
    annotations: StringMap,
    /// The steps in the Task's order.
    steps: Box<[StepSpec]>,
    /// They were dropped, because all runs together hold too much.
    texts_evicted: bool,
    /// The containers as `status.steps` reports them; used where the pod was never seen.
    reported: Vec<(Arc<str>, ContainerFacts)>,
    /// UIDs of its pods.
    pods: Vec<Arc<str>>,
    /// Names of all pods that the TaskRun has ever named as its own.
    pod_names: Vec<Arc<str>>,
    /// The TaskRun itself was seen: a Pod has nothing to add.
    task_run_seen: bool,
    /// When it was first seen, as a number that grows from run to run.
    age: u64,
}

/// What is kept of a Pod.
#[derive(Debug, Default)]
pub(super) struct PodFacts {
    containers: Box<[Container]>,
    log_read_requested: bool,
    pub(super) gone: bool,
}

/// A step's container.
#[derive(Debug)]
struct Container {
    name: Arc<str>,
    image: Arc<str>,
    facts: ContainerFacts,
}

// === impl RunFacts ===

impl RunFacts {
    /// Of a run that was first seen after all whose `age` is less.
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

    /// Was the TaskRun itself seen?
    pub(super) fn has_seen_task_run(&self) -> bool {
        self.task_run_seen
    }

    /// Has the TaskRun named this pod as its own?
    pub(super) fn has_named(&self, namespace: &str, pod: &str) -> bool {
        *self.namespace == *namespace && self.pod_names.iter().any(|name| **name == *pod)
    }

    /// May this pod be its own, as far as a recording shows it? One need not hold what names a pod.
    pub(super) fn may_own(&self, namespace: &str, pod: &str) -> bool {
        self.has_named(namespace, pod)
            || (*self.namespace == *namespace && self.pod_names.is_empty())
    }

    /// Does it hold texts, and has no pod to tell of? The TaskRun brings them again when it changes.
    pub(super) fn is_pending(&self) -> bool {
        self.task_run_seen && self.pods.is_empty()
    }

    /// Bytes of texts that would be free if it gave way: those that no other run holds.
    pub(super) fn own_bytes(&self) -> usize {
        // The interner holds each once.
        let own = |text: &&Arc<str>| Arc::strong_count(text) <= 2;
        let steps = self.steps.iter().map(|step| &step.json);
        let details = [&self.labels, &self.annotations].into_iter();
        let details = details
            .filter(|_| self.is_pending())
            .flat_map(StringMap::texts);
        steps
            .chain(details)
            .filter(own)
            .map(|text| text.len())
            .sum()
    }

    /// Drops what its events can do without; of a run without pods, all that its TaskRun brings again.
    pub(super) fn evict_texts(&mut self) {
        if self.is_pending() {
            self.labels = StringMap::default();
            self.annotations = StringMap::default();
        }
        self.steps = Box::default();
        self.texts_evicted = true;
    }

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
        let known = Some(&**api_version).filter(|version| !version.is_empty());
        self.api_version = texts.text(known.unwrap_or("tekton.dev/v1"));
        self.labels = labels(metadata, texts);
        self.annotations = annotations(metadata, texts);
        // The status has parameters filled in and StepActions resolved.
        let resolved = &status.task_spec.steps;
        let steps = if resolved.is_empty() {
            &spec.task_spec.steps
        } else {
            resolved
        };
        self.texts_evicted = false;
        self.steps = steps
            .iter()
            .map(|step| StepSpec {
                name: texts.text(&step.name),
                json: texts.text(&step.json),
                cut_from: step.cut_from,
                left_out: step.left_out.clone(),
            })
            .collect();
        // A pod tells all of this itself.
        self.reported = match self.pods.is_empty() {
            false => Vec::new(),
            true => (status.steps.iter())
                .filter_map(|step| {
                    let ended = step.terminated.as_ref()?;
                    Some((
                        step.container.clone(),
                        container_facts(&step.image_id, Some(ended), texts),
                    ))
                })
                .collect(),
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
                self.pod_names.push(texts.text(name));
            }
        }
    }

    /// A pod of it has something to tell.
    pub(super) fn add_pod(&mut self, uid: &Arc<str>) {
        if !self.pods.contains(uid) {
            self.pods.reserve_exact(1);
            self.pods.push(uid.clone());
        }
    }

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
        self.annotations = annotations(&pod.metadata, texts);
    }

    /// Nothing is left to tell: keeps what is needed to stay quiet. Gives the UIDs of its pods.
    pub(super) fn settle(&mut self) -> Vec<Arc<str>> {
        let pods = std::mem::take(&mut self.pods);
        // Its pods change a few times more, and still are its pods.
        *self = Self {
            namespace: std::mem::take(&mut self.namespace),
            pod_names: std::mem::take(&mut self.pod_names),
            task_run_seen: self.task_run_seen,
            age: self.age,
            ..Self::default()
        };
        pods
    }

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
            pipeline_task: label("tekton.dev/pipelineTask"),
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            spec,
            spec_truncation,
            spec_omitted,
            container,
            pod_gone: pod.is_none_or(|pod| pod.gone),
            seen_at: now,
            transition,
        }
    }

    /// The step in the Task's spec. Paired by name, never by position in the status.
    fn spec(
        &self,
        transition: &Transition,
        image: Option<&str>,
    ) -> (Arc<str>, Option<SpecTruncation>, OmittedMembers) {
        let name = step_name(&transition.container);
        let named = self.steps.iter().find(|step| {
            // Container names are cut to 63 characters.
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
                let cut = step
                    .cut_from
                    .map(|bytes| SpecTruncation { bytes: Some(bytes) });
                (step.json.clone(), cut, step.left_out.clone())
            }
            None => {
                let members = [("name", Some(name)), ("image", image)].into_iter();
                let members = members.filter_map(|(name, text)| Some((name, text?.into())));
                let spec = StepSpec::of(members.collect::<BTreeMap<_, _>>());
                let cut = self.texts_evicted.then_some(SpecTruncation { bytes: None });
                (spec.json, cut, Arc::default())
            }
        }
    }
}

// === impl PodFacts ===

impl PodFacts {
    /// Takes the pod as it is now. Gives the running steps whose logs must be read before it is
    /// gone, once.
    pub(super) fn update(
        &mut self,
        pod: &SlimPod,
        seen: &PodSnapshot,
        texts: &mut Interner,
    ) -> Vec<LogTarget> {
        self.containers = pod
            .spec
            .containers
            .iter()
            .filter(|container| {
                seen.steps
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
        if !seen.deleting || std::mem::replace(&mut self.log_read_requested, true) {
            return Vec::new();
        }
        // Of the running containers one runs its step: the first. The others wait for their turn.
        let running = |state: &ContainerState| matches!(state, ContainerState::Running { .. });
        seen.steps
            .iter()
            .find(|step| running(&step.state))
            .into_iter()
            .map(|step| LogTarget {
                namespace: text_or_empty(pod.metadata.namespace.as_deref()),
                pod: seen.name.clone(),
                pod_uid: seen.uid.clone(),
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
        results: ended.and_then(|ended| ended.told()?.results.clone()),
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
