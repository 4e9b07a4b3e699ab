//! What events say about a run beside the transition: kept while the run has something to tell.

use super::intern::Interner;
use super::slim::{SlimPod, SlimTaskRun, Terminated};
use super::tracker::LogTarget;
use crate::step::{ContainerFacts, StepRecord, StringMap};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
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
    namespace: Arc<str>,
    name: Arc<str>,
    api_version: Arc<str>,
    labels: StringMap,
    annotations: StringMap,
    /// Per step its name and its spec as events tell it, in the Task's order.
    steps: Box<[(Arc<str>, Arc<str>)]>,
    /// The containers as `status.steps` reports them; used where the pod was never seen.
    reported: Vec<(Arc<str>, ContainerFacts)>,
    /// UIDs of its pods.
    pods: Vec<Arc<str>>,
    /// The TaskRun itself was seen: a Pod has nothing to add.
    from_task_run: bool,
}

/// What is kept of a Pod.
#[derive(Debug, Default)]
pub(super) struct PodFacts {
    containers: Box<[Container]>,
    rescued: bool,
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
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn see_run(&mut self, run: &SlimTaskRun, texts: &mut Interner) {
        let SlimTaskRun {
            api_version,
            metadata,
            spec,
            status,
        } = run;
        self.from_task_run = true;
        self.namespace = texts.text(metadata.namespace.as_deref().unwrap_or_default());
        self.name = texts.text(metadata.name.as_deref().unwrap_or_default());
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
        let name =
            |step: &Map<String, Value>| step.get("name").and_then(Value::as_str).map(str::to_owned);
        self.steps = steps
            .iter()
            .map(|step| {
                (
                    texts.text(&name(step).unwrap_or_default()),
                    texts.text(&v1beta1(step)),
                )
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

    pub(super) fn see_pod(&mut self, pod: &SlimPod, uid: &Arc<str>, texts: &mut Interner) {
        if !self.pods.contains(uid) {
            self.pods.reserve_exact(1);
            self.pods.push(uid.clone());
        }
        let Some(owner) = pod.owner() else { return };
        if self.from_task_run {
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

    /// The step in the Task's spec. Paired by name, never by position in the status.
    fn spec(&self, transition: &Transition, image: Option<&str>) -> Arc<str> {
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
        let known = named.or_else(unnamed).map(|(_, spec)| spec.clone());
        known.unwrap_or_else(|| {
            let members = [("name", Some(name)), ("image", image)].into_iter();
            let members = members.filter_map(|(name, text)| Some((name.to_owned(), text?.into())));
            v1beta1(&members.collect()).into()
        })
    }
}

// === impl PodFacts ===

impl PodFacts {
    /// Takes the pod as it is now. Gives the running steps whose logs must be read before it is
    /// gone, once.
    pub(super) fn update(
        &mut self,
        pod: &SlimPod,
        seen: &PodSeen,
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
        if !seen.deleting || std::mem::replace(&mut self.rescued, true) {
            return Vec::new();
        }
        // Of the running containers one runs its step: the first. The others wait for their turn.
        let running = |state: &ContainerState| matches!(state, ContainerState::Running { .. });
        seen.steps
            .iter()
            .find(|step| running(&step.state))
            .into_iter()
            .map(|step| LogTarget {
                namespace: text(pod.metadata.namespace.as_deref()),
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

fn labels(metadata: &ObjectMeta, texts: &mut Interner) -> StringMap {
    let all = metadata.labels.iter().flatten();
    all.filter(|(name, _)| !POD_LABELS.contains(&name.as_str()))
        .map(|(name, value)| (texts.text(name), texts.text(value)))
        .collect()
}

fn annotations(metadata: &ObjectMeta, texts: &mut Interner) -> StringMap {
    let all = metadata.annotations.iter().flatten();
    all.filter(|(name, value)| *name != LAST_APPLIED && value.len() <= MAX_ANNOTATION)
        .map(|(name, value)| (texts.text(name), texts.text(value)))
        .collect()
}

fn text(value: Option<&str>) -> Arc<str> {
    value.unwrap_or_default().into()
}

/// A step as JSON in the shape of the v1beta1 API: `name` and `resources` are always there.
fn v1beta1(step: &Map<String, Value>) -> String {
    let (unnamed, nothing) = (Value::from(""), Value::Object(Map::new()));
    let mut members: BTreeMap<&str, &Value> = BTreeMap::new();
    members.extend(step.iter().map(|(name, value)| (name.as_str(), value)));
    let resources = members.remove("computeResources");
    members
        .entry("resources")
        .or_insert(resources.unwrap_or(&nothing));
    members.entry("name").or_insert(&unnamed);
    serde_json::to_string(&members).unwrap_or_default()
}
