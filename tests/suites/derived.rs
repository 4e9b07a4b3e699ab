//! Tests rows of the truth table that occur in no recording, with one change to a recorded stream.

use serde_json::{Value, json};
use step_observer_tests::recording::{
    changes, container_status, describe, is_pod, pod_events, track, transitions, watch_events,
};

#[test]
fn a_pod_replaced_under_its_name_ends_without_a_deletion() {
    let events = watch_events("d-cancel");
    let running = events
        .iter()
        .position(|event| event.to_string().contains("13:00:07.439Z"))
        .unwrap();
    let mut stream: Vec<Value> = events[..=running].to_vec();
    let uid = stream.iter().find(|event| is_pod(event)).unwrap()["object"]["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    // Tekton creates a pod of the same name; the deletion of the old one was missed.
    let again: Vec<Value> = stream
        .iter()
        .filter(|event| is_pod(event))
        .map(|event| {
            serde_json::from_str(
                &event
                    .to_string()
                    .replace(&uid, "11111111-2222-4333-8444-555555555555"),
            )
            .unwrap()
        })
        .collect();
    stream.extend(again);
    assert_eq!(
        transitions(&stream),
        [
            "build started",
            "build succeeded Completed",
            "test started",
            "test failed PodDeleted",
            "deploy skipped neverStarted",
            "build started",
            "build succeeded Completed",
            "test started",
        ]
    );
}

#[test]
fn a_step_stopped_during_its_turn_failed() {
    // The running step `test` succeeds during its cancellation, so `deploy` has its turn, and
    // Tekton treats `deploy` as the running step.
    let mut events = watch_events("d-cancel");
    for event in pod_events(&mut events) {
        if let Some(test) = container_status(event, "test")
            && test["state"]["terminated"]["exitCode"] == 255
        {
            test["state"]["terminated"]["exitCode"] = 0.into();
            test["state"]["terminated"]["reason"] = "Completed".into();
        }
    }
    let told = transitions(&events);
    assert_eq!(
        told[3..],
        [
            "test succeeded Completed",
            "deploy started",
            "deploy failed TaskRunCancelled"
        ]
    );
}

#[test]
fn a_container_that_never_started_did_not_run_its_step() {
    let mut events = watch_events("d-cancel");
    for event in pod_events(&mut events) {
        for step in ["build", "test", "deploy"] {
            let Some(status) = container_status(event, step) else {
                continue;
            };
            let ended = status["state"].get("terminated").is_some();
            status["state"] = match ended {
                true => {
                    json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": null, "finishedAt": null}})
                }
                false => json!({"waiting": {"reason": "PodInitializing"}}),
            };
        }
    }
    let told = transitions(&events);
    assert!(
        told.iter()
            .all(|line| line.ends_with("skipped neverStarted"))
            && told.len() == 3,
        "{told:?}"
    );
}

#[test]
fn a_native_sidecar_is_no_init_container_that_failed() {
    let mut events = watch_events("d-cancel");
    for event in pod_events(&mut events) {
        let object = &mut event["object"];
        object["spec"]["initContainers"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "istio-proxy", "restartPolicy": "Always"}));
        let ended = json!({"name": "istio-proxy", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}});
        if let Some(statuses) = object["status"]["initContainerStatuses"].as_array_mut() {
            statuses.push(ended);
        }
    }
    let told = transitions(&events);
    assert_eq!(
        told[3..],
        [
            "test failed TaskRunCancelled",
            "deploy skipped neverStarted"
        ]
    );
}

#[test]
fn a_lost_message_does_not_turn_success_into_failure() {
    let mut events = watch_events("a-success");
    for event in pod_events(&mut events) {
        for step in ["build", "test", "deploy"] {
            if let Some(status) = container_status(event, step) {
                status["state"]["terminated"]
                    .as_object_mut()
                    .map(|ended| ended.remove("message"));
            }
        }
    }
    let expected: Vec<String> = ["build", "test", "deploy"]
        .iter()
        .flat_map(|step| {
            [
                format!("{step} started"),
                format!("{step} succeeded Completed"),
            ]
        })
        .collect();
    assert_eq!(transitions(&events), expected);
}

#[test]
fn the_first_step_does_not_start_before_the_last_container() {
    let mut events = watch_events("a-success");
    for event in pod_events(&mut events) {
        if let Some(statuses) = event["object"]["status"]["containerStatuses"].as_array_mut() {
            let sidecar = json!({"name": "sidecar-db", "state": {"running": {"startedAt": "2026-11-22T13:04:15Z"}}});
            statuses.push(sidecar);
        }
    }
    let records = track(changes(&events));
    assert_eq!(records[0].transition.at.to_string(), "2026-11-22T13:04:15Z");
}

#[test]
fn a_first_step_with_false_when_never_starts() {
    // The end of the step is reported 3.4 s after the annotation: later than WHEN_START_DELAY, but
    // before FIRST_WHEN_START_DELAY.
    let mut events = watch_events("m-when");
    for event in pod_events(&mut events) {
        let containers = event["object"]["spec"]["containers"]
            .as_array_mut()
            .unwrap();
        let args = containers[0]["args"].as_array_mut().unwrap();
        let end = args.iter().position(|arg| arg == "--").unwrap();
        args.splice(end..end, [json!("--when_expressions"), json!("[]")]);
        if let Some(build) = container_status(event, "build")
            && build["state"]["terminated"].is_object()
        {
            build["state"]["terminated"]["message"] =
                r#"[{"key":"StartedAt","value":"2026-11-22T13:00:18.418Z","type":3},{"key":"Reason","value":"Skipped","type":3}]"#.into();
        }
    }
    assert_eq!(
        transitions(&events)[..2],
        ["build skipped whenFalse", "maybe skipped whenFalse"]
    );
}

#[test]
fn without_a_pod_the_taskrun_is_the_evidence() {
    let events: Vec<Value> = watch_events("b-fail")
        .into_iter()
        .filter(|event| !is_pod(event))
        .collect();
    let records = track(changes(&events));
    let lines: Vec<String> = records.iter().map(describe).collect();
    assert_eq!(
        lines,
        [
            "build started",
            "build succeeded Completed",
            "test started",
            "test failed Error",
            "deploy skipped previousStepFailed",
            "notify skipped previousStepFailed",
        ]
    );
    assert!(
        records
            .iter()
            .all(|record| record.transition.pod_uid.is_none())
    );
}
