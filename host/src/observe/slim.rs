//! Pods and TaskRuns reduced to what is read of them.
//!
//! A `k8s-openapi` Pod of 14.5 KB costs 99 KB of heap and 122 µs to parse, these types a sixtieth
//! and an eighth of that. Every field has a default and unknown ones are ignored: one odd object
//! must not stop a watch. What one object can make the observer keep is bounded, since whoever may create a Pod or a
//! TaskRun decides what is in it.

use super::lenient::{self, lenient, lenient_list, null_is_default};
use super::metadata::Metadata;
use super::step_spec::{self, StepSpec};
use super::termination_message::{self, Message};
use super::watch::Object;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Formatter};
use std::sync::{Arc, OnceLock};
use step_observer_core::{Gate, Inference};

/// Most containers of a Pod, and most steps of a TaskRun, that are read. A Pod that has more is refused as unreadable,
/// of a TaskRun the others are left out.
pub(super) const MAX_CONTAINERS: usize = 256;
/// Longest name of an image, reason or similar text that is kept, in bytes.
const MAX_TEXT: usize = 1024;

/// A Pod.
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
    #[serde(deserialize_with = "containers")]
    pub(super) containers: Vec<Container>,
    #[serde(deserialize_with = "containers")]
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
    #[serde(deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) image: Arc<str>,
    #[serde(rename = "args", deserialize_with = "entrypoint")]
    pub(super) entrypoint: Entrypoint,
}

/// What the entrypoint's own arguments say: all before `--`, which only the step's command follows. The arguments
/// themselves are not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entrypoint {
    /// What the step waits for (`-wait_file`).
    pub(super) gate: Gate,
    /// May `started` be concluded before the step itself reports?
    pub(super) inference: Inference,
}

impl Default for Entrypoint {
    fn default() -> Self {
        Self {
            gate: Gate::Open,
            inference: Inference::Immediate,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: Option<Arc<str>>,
    pub(super) reason: Option<Arc<str>>,
    /// The condition `DisruptionTarget`, if it is true.
    #[serde(rename = "conditions", deserialize_with = "disruption")]
    pub(super) disruption: Option<Disruption>,
    #[serde(deserialize_with = "containers")]
    pub(super) container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "containers")]
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
    /// What the message says, once somebody has asked.
    #[serde(skip)]
    told: OnceLock<Option<Message>>,
}

impl Terminated {
    /// What the entrypoint left in the message.
    pub(super) fn told(&self) -> Option<&Message> {
        let told = || termination_message::parse(self.message.as_deref());
        self.told.get_or_init(told).as_ref()
    }
}

/// A TaskRun (`tekton.dev/v1`). The API server does not check its schema: what is not as it should be is taken for
/// missing, member by member.
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
    #[serde(deserialize_with = "step_spec::bounded")]
    pub(super) steps: Vec<StepSpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct TaskRunStatus {
    #[serde(deserialize_with = "lenient_list::<MAX_CONTAINERS, _, _>")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) pod_name: Arc<str>,
    #[serde(deserialize_with = "lenient::time")]
    pub(super) completion_time: Option<Timestamp>,
    #[serde(deserialize_with = "lenient_list::<MAX_CONTAINERS, _, _>")]
    pub(super) steps: Vec<StepStatus>,
    #[serde(deserialize_with = "lenient")]
    pub(super) task_spec: TaskSpec,
    #[serde(deserialize_with = "lenient_list::<{ usize::MAX }, _, _>")]
    pub(super) retries_status: Vec<RetryStatus>,
}

/// An entry of `retriesStatus`: the status of an attempt that is over.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RetryStatus {
    #[serde(deserialize_with = "lenient_list::<MAX_CONTAINERS, _, _>")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "lenient::text::<MAX_TEXT, _>")]
    pub(super) pod_name: Arc<str>,
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

/// A ConfigMap.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct SlimConfigMap {
    #[serde(deserialize_with = "null_is_default")]
    metadata: Metadata,
    #[serde(deserialize_with = "null_is_default")]
    data: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    binary_data: BTreeMap<String, ByteString>,
}

impl SlimConfigMap {
    pub(super) fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// A text in `data`.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key).map(String::as_str)
    }

    /// `data` and `binaryData`.
    pub(super) fn into_files(self) -> BTreeMap<String, Vec<u8>> {
        let texts = self.data.into_iter();
        let binaries = self.binary_data.into_iter();
        texts
            .map(|(name, text)| (name, text.into_bytes()))
            .chain(binaries.map(|(name, bytes)| (name, bytes.0)))
            .collect()
    }
}

impl Object for SlimConfigMap {
    const KIND: &'static str = "configmaps";

    fn path(namespace: Option<&str>) -> String {
        <k8s_openapi::api::core::v1::ConfigMap as kube::Resource>::url_path(&(), namespace)
    }

    fn resource_version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }
}

/// That a pod is being evicted, preempted or deleted with its node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disruption {
    /// `lastTransitionTime`.
    pub(super) since: Option<Timestamp>,
}

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

    struct Conditions;

    impl<'de> Visitor<'de> for Conditions {
        type Value = Option<Disruption>;

        fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list of conditions")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(condition) = elements.next_element::<PodCondition<'_>>()? {
                if condition.kind == "DisruptionTarget" && condition.status == "True" {
                    let since = condition.last_transition_time;
                    found = Some(Disruption {
                        since: since.and_then(|text| text.parse().ok()),
                    });
                }
            }
            Ok(found)
        }
    }

    deserializer.deserialize_any(Conditions)
}

/// Reads the containers of a Pod, or their statuses.
fn containers<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Containers<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Containers<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
            formatter.write_str("a sequence of containers")
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
            let mut found = Vec::new();
            while let Some(container) = elements.next_element()? {
                if found.len() == MAX_CONTAINERS {
                    let problem = format!("a pod has more than {MAX_CONTAINERS} containers");
                    return Err(serde::de::Error::custom(problem));
                }
                found.push(container);
            }
            Ok(found)
        }
    }

    deserializer.deserialize_any(Containers(std::marker::PhantomData))
}

fn entrypoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Entrypoint, D::Error> {
    deserializer.deserialize_any(EntrypointArgs)
}

/// Looks at arguments one by one.
struct EntrypointArgs;

impl<'de> Visitor<'de> for EntrypointArgs {
    type Value = Entrypoint;

    fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("a sequence of arguments")
    }

    fn visit_unit<E>(self) -> Result<Entrypoint, E> {
        Ok(Entrypoint::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut args: A) -> Result<Entrypoint, A::Error> {
        let mut found = Entrypoint::default();
        let mut is_wait_file = false;
        while let Some(arg) = args.next_element::<String>()? {
            if arg == "--" {
                break;
            }
            // The first counts.
            if std::mem::take(&mut is_wait_file) && found.gate == Gate::Open {
                found.gate = match arg.starts_with("/tekton/run/") {
                    true => Gate::Predecessor,
                    false => Gate::Ready,
                };
            }
            let flag = arg.trim_start_matches('-');
            is_wait_file = flag == "wait_file";
            if is_flag(flag, "debug_before_step") {
                found.inference = Inference::Never;
            } else if is_flag(flag, "when_expressions") && found.inference == Inference::Immediate {
                found.inference = Inference::Delayed;
            }
        }
        while args.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

fn is_flag(arg: &str, flag: &str) -> bool {
    let value = arg.strip_prefix(flag);
    value.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Entrypoint {
        let args: Vec<&str> = line.split(' ').collect();
        let json = serde_json::json!({"name": "step-a", "args": args}).to_string();
        serde_json::from_str::<Container>(&json).unwrap().entrypoint
    }

    #[test]
    fn gates_are_read_from_the_entrypoint_and_not_from_the_command() {
        let gate = |line: &str| of(line).gate;
        assert_eq!(
            gate("-wait_file /tekton/downward/ready -wait_file_content --"),
            Gate::Ready
        );
        assert_eq!(
            gate("-wait_file /tekton/run/0/out -post_file x --"),
            Gate::Predecessor
        );
        assert_eq!(
            gate("-post_file /tekton/run/0/out -- -wait_file /tekton/run/0/out"),
            Gate::Open
        );
        let inference = |line: &str| of(line).inference;
        assert_eq!(inference("--when_expressions [] -- ls"), Inference::Delayed);
        assert_eq!(
            inference("-debug_before_step --when_expressions=[] -- ls"),
            Inference::Never
        );
        assert_eq!(
            inference("-post_file x -- --when_expressions"),
            Inference::Immediate
        );
    }

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
