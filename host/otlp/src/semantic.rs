//! Names of attributes.
//!
//! OpenTelemetry semantic conventions 1.44.0: attribute registry (`cicd`, `vcs`, `k8s`, `process`,
//! `container`, `error`, `service`), "CICD spans" and "CICD resources". Names with `tekton.` are our
//! own: the conventions know no steps.

pub(crate) const SERVICE_NAME: &str = "service.name";
pub(crate) const ERROR_TYPE: &str = "error.type";
pub(crate) const PIPELINE_NAME: &str = "cicd.pipeline.name";
pub(crate) const PIPELINE_RESULT: &str = "cicd.pipeline.result";
pub(crate) const PIPELINE_RUN_ID: &str = "cicd.pipeline.run.id";
pub(crate) const PIPELINE_RUN_URL: &str = "cicd.pipeline.run.url.full";
pub(crate) const TASK_NAME: &str = "cicd.pipeline.task.name";
pub(crate) const TASK_RUN_ID: &str = "cicd.pipeline.task.run.id";
pub(crate) const TASK_RUN_RESULT: &str = "cicd.pipeline.task.run.result";
pub(crate) const TASK_RUN_URL: &str = "cicd.pipeline.task.run.url.full";
pub(crate) const NAMESPACE: &str = "k8s.namespace.name";
pub(crate) const CLUSTER: &str = "k8s.cluster.name";
pub(crate) const POD: &str = "k8s.pod.name";
pub(crate) const POD_UID: &str = "k8s.pod.uid";
pub(crate) const CONTAINER: &str = "k8s.container.name";
pub(crate) const IMAGE: &str = "container.image.name";
pub(crate) const EXIT_CODE: &str = "process.exit.code";
pub(crate) const STEP: &str = "tekton.step.name";
pub(crate) const STEP_REASON: &str = "tekton.step.reason";
pub(crate) const STEP_RESULT: &str = "tekton.step.result";
pub(crate) const TASK_RUN: &str = "tekton.taskrun.name";
pub(crate) const ATTEMPT: &str = "tekton.taskrun.attempt";
pub(crate) const PIPELINE_RUN: &str = "tekton.pipelinerun.name";

/// Attribute with the URL of the repository, without `.git`.
pub(crate) const REPOSITORY_URL: &str = "vcs.repository.url.full";

/// Attributes of the resource that the operator may take from labels. Without deprecated ones
/// (`vcs.repository.ref.*`, `vcs.repository.change.*`).
pub(crate) const VCS_ATTRIBUTES: [&str; 9] = [
    "vcs.change.id",
    "vcs.owner.name",
    "vcs.provider.name",
    "vcs.ref.head.name",
    "vcs.ref.head.revision",
    "vcs.ref.head.type",
    "vcs.ref.type",
    "vcs.repository.name",
    REPOSITORY_URL,
];

#[cfg(test)]
mod tests {

    /// Names of the registry, from the constants of the Python package
    /// `opentelemetry-semantic-conventions` 0.66b2, which is of version 1.44.0. Made by
    /// `tests/receivers/otlp_attributes.py`.
    const REGISTRY: &str = include_str!("../tests/data/semantic-conventions-1.44.0.txt");

    #[test]
    fn every_attribute_is_in_the_registry_or_is_our_own() {
        let registry: Vec<&str> = REGISTRY.lines().collect();
        let code = include_str!("semantic.rs").split("#[cfg(test)]").next();
        let words = code.unwrap().split('"').skip(1).step_by(2);
        let names: Vec<&str> = words.filter(|word| word.contains('.')).collect();
        assert_eq!(names.len(), 32);
        for name in names {
            let is_own = name.starts_with("tekton.");
            assert_ne!(registry.contains(&name), is_own, "{name}");
        }
    }
}
