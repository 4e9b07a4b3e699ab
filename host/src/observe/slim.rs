//! Pods and TaskRuns reduced to the members that the observer reads.
//!
//! A `k8s-openapi` Pod of 14.5 KB costs 99 KB of heap and 122 µs to parse; these types cost a
//! sixtieth of the memory and an eighth of the time. Every field has a default and unknown members
//! are ignored, because one odd object must not stop a watch. The bytes that the observer keeps of
//! one object are bounded, because any tenant who may create a Pod or a TaskRun decides on its
//! content.

use super::elements::{self, MAX_CONTAINERS};
use super::entrypoint::{self, Entrypoint};
use super::lenient::{self, lenient, lenient_list, null_is_default};
use super::metadata::Metadata;
use super::secret_refs::{self, Refs};
use super::step_spec::Steps;
use super::termination_message::{self, TerminationMessage};
use super::watch_event::Object;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// Bounds the bytes of image names, reasons and similar texts.
const MAX_TEXT: usize = 1024;
/// Bounds the bytes of a `traceparent`. Version 00 has 55; later ones may be longer.
const MAX_TRACEPARENT: usize = 128;

/// The members of a Pod that the observer reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SlimPod {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) spec: PodSpec,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    #[serde(deserialize_with = "elements::containers")]
    pub(super) containers: Vec<Container>,
    #[serde(deserialize_with = "elements::containers")]
    pub(super) init_containers: Vec<InitContainer>,
    #[serde(deserialize_with = "secret_refs::volumes")]
    pub(super) volumes: Refs,
    #[serde(deserialize_with = "secret_refs::pull_secrets")]
    pub(super) image_pull_secrets: Refs,
    pub(super) service_account_name: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct InitContainer {
    pub(super) name: Arc<str>,
    #[serde(deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) image: Arc<str>,
    pub(super) restart_policy: Option<Arc<str>>,
    #[serde(deserialize_with = "secret_refs::env")]
    pub(super) env: Refs,
    #[serde(deserialize_with = "secret_refs::env_from")]
    pub(super) env_from: Refs,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: Arc<str>,
    #[serde(deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) image: Arc<str>,
    #[serde(rename = "args", deserialize_with = "entrypoint::from_args")]
    pub(super) entrypoint: Entrypoint,
    #[serde(deserialize_with = "secret_refs::env")]
    pub(super) env: Refs,
    #[serde(deserialize_with = "secret_refs::env_from")]
    pub(super) env_from: Refs,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: Option<Arc<str>>,
    pub(super) reason: Option<Arc<str>>,
    /// The condition `DisruptionTarget`, if it is true.
    #[serde(rename = "conditions", deserialize_with = "disruption")]
    pub(super) disruption: Option<Disruption>,
    #[serde(deserialize_with = "elements::containers")]
    pub(super) container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "elements::containers")]
    pub(super) init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    pub(super) name: Arc<str>,
    #[serde(rename = "imageID", deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) image_id: Arc<str>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) state: State,
}

/// The `state` of a container, or the same members of a step of a TaskRun.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct State {
    pub(super) waiting: Option<Waiting>,
    pub(super) running: Option<Running>,
    pub(super) terminated: Option<Terminated>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Waiting {
    pub(super) reason: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Running {
    #[serde(deserialize_with = "lenient::time")]
    pub(super) started_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Terminated {
    pub(super) exit_code: i32,
    #[serde(deserialize_with = "lenient")]
    pub(super) signal: Option<i32>,
    #[serde(deserialize_with = "lenient::optional_text::<MAX_TEXT, _>")]
    pub(super) reason: Option<Arc<str>>,
    #[serde(deserialize_with = "lenient")]
    message: Option<Arc<str>>,
    #[serde(deserialize_with = "lenient::time")]
    pub(super) started_at: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::time")]
    pub(super) finished_at: Option<Timestamp>,
    #[serde(
        rename = "containerID",
        deserialize_with = "lenient::text::<MAX_TEXT, _>"
    )]
    pub(super) container_id: Arc<str>,
    /// The parsed message. The first call of [`Terminated::termination_message`] sets it.
    #[serde(skip)]
    parsed_message: OnceLock<Option<TerminationMessage>>,
}

impl Terminated {
    /// Returns the message of Tekton's entrypoint, if the container left one.
    pub(super) fn termination_message(&self) -> Option<&TerminationMessage> {
        let parse = || termination_message::parse(self.message.as_deref());
        self.parsed_message.get_or_init(parse).as_ref()
    }
}

/// The members of a TaskRun (`tekton.dev/v1`) that the observer reads. The API server does not
/// check its schema, so each malformed member counts as missing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SlimTaskRun {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) api_version: Arc<str>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "lenient")]
    pub(super) spec: TaskRunSpec,
    #[serde(deserialize_with = "lenient")]
    pub(super) status: TaskRunStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TaskRunSpec {
    #[serde(deserialize_with = "lenient")]
    pub(super) task_spec: TaskSpec,
    #[serde(deserialize_with = "lenient::optional_text::<MAX_TEXT, _>")]
    pub(super) managed_by: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TaskSpec {
    pub(super) steps: Steps,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TaskRunStatus {
    #[serde(deserialize_with = "lenient_list::<MAX_CONTAINERS, _, _>")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) pod_name: Arc<str>,
    #[serde(deserialize_with = "lenient::time")]
    pub(super) start_time: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::time")]
    pub(super) completion_time: Option<Timestamp>,
    #[serde(deserialize_with = "lenient_list::<MAX_CONTAINERS, _, _>")]
    pub(super) steps: Vec<StepStatus>,
    #[serde(deserialize_with = "lenient")]
    pub(super) task_spec: TaskSpec,
    #[serde(deserialize_with = "lenient_list::<{ usize::MAX }, _, _>")]
    pub(super) retries_status: Vec<RetryStatus>,
    #[serde(deserialize_with = "lenient")]
    pub(super) span_context: SpanContext,
}

/// The span context that Tekton gave the run (pkg/apis/pipeline/v1/taskrun_types.go, `SpanContext`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SpanContext {
    #[serde(deserialize_with = "lenient::optional_text::<MAX_TRACEPARENT, _>")]
    pub(super) traceparent: Option<Arc<str>>,
}

/// An entry of `retriesStatus`: the status of an attempt that has ended.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RetryStatus {
    #[serde(deserialize_with = "lenient_list::<MAX_CONTAINERS, _, _>")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) pod_name: Arc<str>,
    #[serde(deserialize_with = "lenient::time")]
    pub(super) start_time: Option<Timestamp>,
    #[serde(deserialize_with = "lenient::time")]
    pub(super) completion_time: Option<Timestamp>,
    #[serde(deserialize_with = "lenient_list::<MAX_CONTAINERS, _, _>")]
    pub(super) steps: Vec<StepStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Condition {
    #[serde(rename = "type", deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) kind: Arc<str>,
    #[serde(deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) status: Arc<str>,
    #[serde(deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) reason: Arc<str>,
    #[serde(deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) message: Arc<str>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct StepStatus {
    #[serde(deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) name: Arc<str>,
    #[serde(deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) container: Arc<str>,
    #[serde(rename = "imageID", deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) image_id: Arc<str>,
    #[serde(deserialize_with = "lenient::optional_text::<MAX_TEXT, _>")]
    pub(super) termination_reason: Option<Arc<str>>,
    #[serde(deserialize_with = "lenient")]
    pub(super) running: Option<Running>,
    #[serde(deserialize_with = "lenient")]
    pub(super) terminated: Option<Terminated>,
}

impl Object for SlimPod {
    const KIND: &'static str = "pods";

    fn path(namespace: Option<&str>) -> String {
        <k8s_openapi::api::core::v1::Pod as kube::Resource>::url_path(&(), namespace)
    }

    fn resource_version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }
}

impl Object for SlimTaskRun {
    const KIND: &'static str = "taskruns.tekton.dev";

    fn path(namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) => format!("/apis/tekton.dev/v1/namespaces/{namespace}/taskruns"),
            None => "/apis/tekton.dev/v1/taskruns".to_owned(),
        }
    }

    fn resource_version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }
}

/// States that a Pod is being evicted, preempted or deleted with its node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disruption {
    /// `lastTransitionTime`.
    pub(super) since: Option<Timestamp>,
}

/// Reads the condition `DisruptionTarget` of a Pod, if it is true.
fn disruption<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Disruption>, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct PodCondition<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        status: Cow<'a, str>,
        #[serde(borrow)]
        last_transition_time: Option<Cow<'a, str>>,
    }

    elements::fold(
        deserializer,
        "a list of conditions",
        None,
        |found, condition: PodCondition<'de>| {
            if condition.kind == "DisruptionTarget" && condition.status == "True" {
                let since = condition.last_transition_time;
                *found = Some(Disruption {
                    since: since.and_then(|text| text.parse().ok()),
                });
            }
            Ok(())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_of_too_many_containers_is_refused() {
        let pod = |containers: usize| {
            let container = serde_json::json!({"name": "a"});
            let json = serde_json::json!({"spec": {"containers": vec![container; containers]}});
            serde_json::from_str::<SlimPod>(&json.to_string())
        };
        assert!(pod(MAX_CONTAINERS).is_ok());
        let error = pod(MAX_CONTAINERS + 1).unwrap_err().to_string();
        assert!(error.contains("more than 256 containers"), "{error}");
    }

    #[test]
    fn any_member_of_a_task_run_may_be_anything() {
        let good = serde_json::json!({
            "metadata": {"uid": "u"},
            "status": {"podName": "p", "steps": [{"name": "a", "terminated": {"exitCode": 3}}]}
        });
        let read: SlimTaskRun = serde_json::from_str(&good.to_string()).unwrap();
        assert_eq!(
            read.status.steps[0].terminated.as_ref().unwrap().exit_code,
            3
        );
        for odd in ["null", "1e999", "\"x\"", "[{}]", "{\"steps\": 3}"] {
            for member in ["spec", "status"] {
                let json = format!(r#"{{"metadata": {{"uid": "u"}}, "{member}": {odd}}}"#);
                let read: SlimTaskRun = serde_json::from_str(&json).unwrap();
                assert_eq!(read.metadata.uid.as_deref(), Some("u"));
            }
            let json = format!(
                r#"{{"status": {{"podName": "p", "conditions": {odd}, "completionTime": {odd}, "steps": [{odd}, {{"name": "b", "terminated": {odd}}}], "retriesStatus": {odd}}}}}"#
            );
            let read: SlimTaskRun = serde_json::from_str(&json).unwrap();
            assert_eq!(&*read.status.pod_name, "p", "{odd}");
            assert_eq!(&*read.status.steps[1].name, "b", "{odd}");
        }
    }
}
