//! Pods and TaskRuns reduced to what is read of them.
//!
//! A `k8s-openapi` Pod of 14.5 KB costs 99 KB of heap and 122 µs to parse, these types a sixtieth
//! and an eighth of that. Every field has a default and unknown ones are ignored: one odd object
//! must not stop a watch.

use super::termination::{self, Message};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// A Pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SlimPod {
    pub(super) metadata: ObjectMeta,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) spec: PodSpec,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) containers: Vec<Container>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) init_containers: Vec<InitContainer>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct InitContainer {
    pub(super) name: Arc<str>,
    pub(super) restart_policy: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: Arc<str>,
    pub(super) image: Arc<str>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) args: Vec<Arc<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: Option<Arc<str>>,
    pub(super) reason: Option<Arc<str>>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    pub(super) name: Arc<str>,
    #[serde(rename = "imageID", deserialize_with = "null_is_default")]
    pub(super) image_id: Arc<str>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) state: State,
}

/// `state` of a container, and the same members of a TaskRun's step.
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
    #[serde(deserialize_with = "lenient_time")]
    pub(super) started_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Terminated {
    pub(super) exit_code: i32,
    pub(super) signal: Option<i32>,
    pub(super) reason: Option<Arc<str>>,
    message: Option<Arc<str>>,
    #[serde(deserialize_with = "lenient_time")]
    pub(super) started_at: Option<Timestamp>,
    #[serde(deserialize_with = "lenient_time")]
    pub(super) finished_at: Option<Timestamp>,
    #[serde(rename = "containerID", deserialize_with = "null_is_default")]
    pub(super) container_id: Arc<str>,
    /// What the message says, once somebody has asked.
    #[serde(skip)]
    told: OnceLock<Option<Message>>,
}

impl Terminated {
    /// What the entrypoint left in the message.
    pub(super) fn told(&self) -> Option<&Message> {
        let told = || termination::parse(self.message.as_deref());
        self.told.get_or_init(told).as_ref()
    }
}

/// A TaskRun (`tekton.dev/v1`). The API server does not check its schema: what is not as it should
/// be is taken for missing, so that one odd object does not stop the watch of all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SlimTaskRun {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) api_version: Arc<str>,
    pub(super) metadata: ObjectMeta,
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
    pub(super) managed_by: Option<Arc<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TaskSpec {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) steps: Vec<Map<String, Value>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TaskRunStatus {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) pod_name: Arc<str>,
    #[serde(deserialize_with = "lenient_time")]
    pub(super) completion_time: Option<Timestamp>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) steps: Vec<StepStatus>,
    #[serde(deserialize_with = "lenient")]
    pub(super) task_spec: TaskSpec,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) retries_status: Vec<Self>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: Arc<str>,
    pub(super) status: Arc<str>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) reason: Arc<str>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) message: Arc<str>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct StepStatus {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) name: Arc<str>,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) container: Arc<str>,
    #[serde(rename = "imageID", deserialize_with = "null_is_default")]
    pub(super) image_id: Arc<str>,
    pub(super) termination_reason: Option<Arc<str>>,
    pub(super) running: Option<Running>,
    pub(super) terminated: Option<Terminated>,
}

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

fn lenient_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Where the two kinds live in the API.
macro_rules! resource {
    ($type:ty, $kind:literal, $group:literal, $version:literal, $api_version:literal, $plural:literal) => {
        impl kube::Resource for $type {
            type DynamicType = ();
            type Scope = kube::core::NamespaceResourceScope;

            fn kind((): &()) -> Cow<'_, str> {
                $kind.into()
            }
            fn group((): &()) -> Cow<'_, str> {
                $group.into()
            }
            fn version((): &()) -> Cow<'_, str> {
                $version.into()
            }
            fn api_version((): &()) -> Cow<'_, str> {
                $api_version.into()
            }
            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }
            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }
            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

resource!(SlimPod, "Pod", "", "v1", "v1", "pods");
resource!(
    SlimTaskRun,
    "TaskRun",
    "tekton.dev",
    "v1",
    "tekton.dev/v1",
    "taskruns"
);

/// Logs are a subresource of Pods.
impl kube::api::Log for SlimPod {}
