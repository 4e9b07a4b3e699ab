//! What events say about a run beside the transition: kept while the run has something to tell.

use super::slim::{SlimPod, SlimTaskRun, Terminated};
use super::termination;
use super::tracker::LogTarget;
use crate::step::{ContainerFacts, StepRecord, StringMap};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value};
use std::sync::Arc;
use step_observer_core::{ContainerState, PodSeen, Transition, step_name};

/// kubectl's copy of the whole object, which may be as large as the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Longest annotation that is kept, in bytes.
const MAX_ANNOTATION: usize = 8 * 1024;

/// Labels that Tekton adds to the Pod but not to the TaskRun.
const POD_LABELS: [&str; 2] = ["tekton.dev/taskRun", "tekton.dev/taskRunUID"];

/// What is kept of a TaskRun.
#[derive(Debug, Default)]
pub(super) struct RunFacts {
    namespace: Box<str>,
    name: Box<str>,
    api_version: Box<str>,
    labels: Arc<StringMap>,
    annotations: Arc<StringMap>,
    /// Per step its name and the JSON of its spec, in the Task's order.
    steps: Vec<(Box<str>, Box<str>)>,
    /// The containers as `status.steps` reports them; used where the pod was never seen.
    reported: Vec<(Box<str>, ContainerFacts)>,
    /// UIDs of its pods.
    pods: Vec<Box<str>>,
    /// The TaskRun itself was seen: a Pod has nothing to add.
    from_task_run: bool,
}

/// What is kept of a Pod.
#[derive(Debug, Default)]
pub(super) struct PodFacts {
    containers: Vec<(Box<str>, Box<str>, ContainerFacts)>,
    rescued: bool,
    pub(super) gone: bool,
}

// === impl RunFacts ===

impl RunFacts {
    pub(super) fn see_run(&mut self, run: &SlimTaskRun) {
        let SlimTaskRun {
            api_version,
            metadata,
            spec,
            status,
        } = run;
        self.from_task_run = true;
        self.namespace = text(metadata.namespace.as_deref());
        self.name = text(metadata.name.as_deref());
        self.api_version = if api_version.is_empty() {
            "tekton.dev/v1".into()
        } else {
            api_version.clone()
        };
        set(&mut self.labels, labels(metadata));
        set(&mut self.annotations, annotations(metadata));
        // The status has parameters filled in and StepActions resolved.
        let steps = if status.task_spec.steps.is_empty() {
            &spec.task_spec.steps
        } else {
            &status.task_spec.steps
        };
        self.steps = steps
            .iter()
            .map(|step| (text(step.get("name").and_then(Value::as_str)), json(step)))
            .collect();
        self.reported = status
            .steps
            .iter()
            .filter_map(|step| {
                let ended = step.terminated.as_ref()?;
                Some((
                    step.container.clone(),
                    container_facts(&step.image_id, Some(ended)),
                ))
            })
            .collect();
    }

    pub(super) fn see_pod(&mut self, pod: &SlimPod) {
        if let Some(uid) = pod.metadata.uid.as_deref()
            && !self.pods.iter().any(|known| &**known == uid)
        {
            self.pods.push(uid.into());
        }
        let Some(owner) = pod.owner() else { return };
        if self.from_task_run {
            return;
        }
        self.namespace = text(pod.metadata.namespace.as_deref());
        self.name = owner.name.as_str().into();
        self.api_version = owner.api_version.as_str().into();
        set(&mut self.labels, labels(&pod.metadata));
        set(&mut self.annotations, annotations(&pod.metadata));
    }

    /// Nothing is left to tell: keeps what is needed to stay quiet. Gives the UIDs of its pods.
    pub(super) fn settle(&mut self) -> Vec<Box<str>> {
        let pods = std::mem::take(&mut self.pods);
        *self = Self::default();
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
        StepRecord {
            namespace: self.namespace.clone(),
            task_run: self.name.clone(),
            api_version: self.api_version.clone(),
            pipeline_run: label("tekton.dev/pipelineRun"),
            pipeline_task: label("tekton.dev/pipelineTask"),
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            spec: self.spec(&transition, in_pod.map(|(image, _)| image)),
            container,
            pod_gone: pod.is_none_or(|pod| pod.gone),
            seen_at: now,
            transition,
        }
    }

    /// The step in the Task's spec, in the shape of the v1beta1 API: `name` and `resources` are
    /// always there. Paired by name, never by position in the status.
    fn spec(&self, transition: &Transition, image: Option<&str>) -> Map<String, Value> {
        let name = step_name(&transition.container);
        let named = self.steps.iter().find(|(step, _)| {
            // Container names are cut to 63 characters.
            !step.is_empty()
                && (**step == *name || (transition.container.len() == 63 && step.starts_with(name)))
        });
        let unnamed = || {
            let index: usize = name.strip_prefix("unnamed-")?.parse().ok()?;
            self.steps.get(index).filter(|(step, _)| step.is_empty())
        };
        let mut spec: Map<String, Value> = named
            .or_else(unnamed)
            .and_then(|(_, json)| serde_json::from_str(json).ok())
            .unwrap_or_else(|| {
                let mut spec = Map::new();
                spec.insert("name".to_owned(), name.into());
                if let Some(image) = image {
                    spec.insert("image".to_owned(), image.into());
                }
                spec
            });
        let resources = spec.remove("computeResources");
        spec.entry("resources")
            .or_insert(resources.unwrap_or_else(|| Value::Object(Map::new())));
        spec.entry("name").or_insert_with(|| "".into());
        spec
    }
}

// === impl PodFacts ===

impl PodFacts {
    /// Takes the pod as it is now. Gives the running steps whose logs must be read before it is
    /// gone, once.
    pub(super) fn update(&mut self, pod: &SlimPod, seen: &PodSeen) -> Vec<LogTarget> {
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
                        container_facts(&status.image_id, status.state.terminated.as_ref())
                    })
                    .unwrap_or_default();
                (container.name.clone(), container.image.clone(), facts)
            })
            .collect();
        if !seen.deleting || std::mem::replace(&mut self.rescued, true) {
            return Vec::new();
        }
        let running = |state: &ContainerState| matches!(state, ContainerState::Running { .. });
        seen.steps
            .iter()
            .filter(|step| running(&step.state))
            .map(|step| LogTarget {
                namespace: text(pod.metadata.namespace.as_deref()),
                pod: seen.name.clone(),
                pod_uid: seen.uid.clone(),
                container: step.container.clone(),
            })
            .collect()
    }

    fn container(&self, name: &str) -> Option<(&str, &ContainerFacts)> {
        self.containers
            .iter()
            .find(|(container, ..)| &**container == name)
            .map(|(_, image, facts)| (&**image, facts))
    }
}

fn container_facts(image_id: &str, ended: Option<&Terminated>) -> ContainerFacts {
    let message = ended.and_then(|ended| ended.message.as_deref());
    ContainerFacts {
        image_id: image_id.into(),
        container_id: ended
            .map(|ended| ended.container_id.clone())
            .unwrap_or_default(),
        results: termination::parse(message).and_then(|message| message.results),
        signal: ended.and_then(|ended| ended.signal),
    }
}

fn labels(metadata: &ObjectMeta) -> StringMap {
    let all = metadata.labels.iter().flatten();
    all.filter(|(name, _)| !POD_LABELS.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
        .collect()
}

fn annotations(metadata: &ObjectMeta) -> StringMap {
    let all = metadata.annotations.iter().flatten();
    all.filter(|(name, value)| *name != LAST_APPLIED && value.len() <= MAX_ANNOTATION)
        .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
        .collect()
}

/// Keeps the shared map where nothing changed.
fn set(shared: &mut Arc<StringMap>, new: StringMap) {
    if **shared != new {
        *shared = Arc::new(new);
    }
}

fn text(value: Option<&str>) -> Box<str> {
    value.unwrap_or_default().into()
}

fn json(step: &Map<String, Value>) -> Box<str> {
    serde_json::to_string(step).unwrap_or_default().into()
}
