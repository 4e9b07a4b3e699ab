//! Objects of the cluster for suites: a run, its event, a ConfigMap with a plugin.

use crate::recording::{changes, track};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use step_observer::event::{self, EventConfig, EventIdentity};
use step_observer::step::Envelope;
use step_observer_core::Kind;

/// Returns TaskRun and Pod of the original project's example event as watch events. The example is
/// in the README of tekton-step-observer.
#[must_use]
pub fn example_watch() -> Vec<Value> {
    let namespace = "test-event-assertion-success-fail-skip-skip-in-memory-chan7f5q7";
    let image = "busybox@sha256:895ab622e92e18d6b461d671081757af7dbaa3b00e3e28e12505af7817f73649";
    let run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": {"name": "e2e-test-step-observed-run", "namespace": namespace, "uid": "run-uid",
                     "labels": {"team": "shop"}},
        "spec": {"taskSpec": {"steps": [{
            "name": "", "image": image, "command": ["/bin/sh"], "args": ["-c", "echo hello1"], "computeResources": {},
        }]}},
        "status": {"podName": "e2e-test-step-observed-run-pod-wrpkl"},
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

/// Returns the example event, with the log `hello1`.
#[must_use]
pub fn example_event() -> Envelope {
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
    let config = EventConfig::default();
    event::build(
        record,
        &EventIdentity::new(record, &config),
        Some(log),
        &config,
    )
    .unwrap()
}

/// Returns TaskRun and Pod of a successful run of one step, as watch events.
#[must_use]
pub fn finished_run(number: usize) -> Vec<Value> {
    let text = serde_json::to_string(&example_watch()).unwrap();
    let text = text
        .replace("e2e-test-step-observed-run", &format!("run-{number}"))
        .replace("\"run-uid\"", &format!("\"run-uid-{number}\""))
        .replace("50df8d70-8c11-4cd4", &format!("{number:08x}-8c11-4cd4"));
    serde_json::from_str(&text).unwrap()
}

/// Returns a ConfigMap with the files of a plugin.
#[must_use]
pub fn plugin_config_map(name: &str, files: &[(&str, &[u8])]) -> Value {
    let encode = |bytes: &[u8]| STANDARD.encode(bytes);
    let (mut texts, mut binaries) = (serde_json::Map::new(), serde_json::Map::new());
    for (file, content) in files {
        match std::str::from_utf8(content) {
            Ok(text) => drop(texts.insert((*file).to_owned(), text.into())),
            Err(_) => drop(binaries.insert((*file).to_owned(), encode(content).into())),
        }
    }
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": "observers", "name": name, "uid": format!("uid-of-{name}"),
                     "labels": {"step-observer.dev/plugin": "true"}},
        "data": texts, "binaryData": binaries,
    })
}
