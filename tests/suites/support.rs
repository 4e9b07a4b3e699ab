//! Events and plugins for the suites.

use serde_json::{Value, json};
use step_observer::event::{self, EventConfig};
use step_observer::plugin::{Chain, ChainError, PluginEngine, PluginSpec};
use step_observer::step::Envelope;
use step_observer_core::Kind;
use step_observer_tests::recording::{changes, track};

/// The pod and TaskRun of the example event in the original's README.
pub(crate) fn example_watch() -> Vec<Value> {
    let namespace = "test-event-assertion-success-fail-skip-skip-in-memory-chan7f5q7";
    let image = "busybox@sha256:895ab622e92e18d6b461d671081757af7dbaa3b00e3e28e12505af7817f73649";
    let run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {"name": "e2e-test-step-observed-run", "namespace": namespace, "uid": "run-uid",
                     "labels": {"team": "shop"}},
        "spec": {"taskSpec": {"steps": [{
            "name": "", "image": image, "command": ["/bin/sh"], "args": ["-c", "echo hello1"], "computeResources": {},
        }]}},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "e2e-test-step-observed-run-pod-wrpkl", "namespace": namespace,
            "uid": "50df8d70-8c11-4cd4-8fdf-3aa4cb287408",
            "labels": {"tekton.dev/taskRun": "e2e-test-step-observed-run", "team": "shop"},
            "annotations": {"tekton.dev/ready": "READY"},
            "ownerReferences": [{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "controller": true,
                                 "name": "e2e-test-step-observed-run", "uid": "run-uid"}],
        },
        "spec": {"containers": [{"name": "step-unnamed-0", "image": image,
                                 "args": ["-wait_file", "/tekton/downward/ready", "--", "-c", "echo hello1"]}]},
        "status": {"phase": "Succeeded", "containerStatuses": [{
            "name": "step-unnamed-0",
            "imageID": format!("docker.io/library/{image}"),
            "state": {"terminated": {
                "exitCode": 0, "reason": "Completed",
                "startedAt": "2020-08-12T12:07:54Z", "finishedAt": "2020-08-12T12:07:54Z",
                "containerID": "containerd://3548dcaf6287d647cbd775d9de6488e2024cbb8f436f71f78a1e4e8bab0eece5",
                "message": r#"[{"key":"StartedAt","value":"2020-08-12T12:07:54.217Z","type":3}]"#,
            }},
        }]},
    });
    [run, pod]
        .into_iter()
        .map(|object| json!({"at": "2020-08-12T12:07:55Z", "type": "ADDED", "object": object}))
        .collect()
}

/// The example event, with the log `hello1`.
pub(crate) fn envelope() -> Envelope {
    let records = track(changes(&example_watch()));
    let record = records
        .iter()
        .find(|record| matches!(record.transition.kind, Kind::Succeeded(_)))
        .unwrap();
    let log = step_observer::step::CapturedLog {
        text: "hello1\n".to_owned(),
        bytes: 7,
        ..Default::default()
    };
    event::build(record, Some(log), &EventConfig::default()).unwrap()
}

/// Loads a chain with an engine of its own.
pub(crate) fn load(specs: &[PluginSpec]) -> Result<Chain, ChainError> {
    Chain::load(&PluginEngine::new().unwrap(), specs)
}

/// Why a plugin is not loaded.
pub(crate) fn refusal(spec: &PluginSpec) -> String {
    match load(std::slice::from_ref(spec)) {
        Ok(_) => panic!("{} was loaded", spec.name),
        Err(error) => error.to_string(),
    }
}
