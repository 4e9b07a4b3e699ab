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

/// Returns the fixture of Tekton 0.44: a step that failed, and one that was skipped without a `Reason`. `change` gets each
/// object.
fn of_tekton_0_44(change: impl Fn(&mut Value)) -> Vec<Value> {
    let mut events = watch_events("tekton_0_44_v1beta1_stored");
    for event in &mut events {
        change(&mut event["object"]);
    }
    events
}

/// Removes what shows the version of Tekton in a Pod, but for its release, which is the hash of a commit.
fn without_version(object: &mut Value) {
    if object["kind"] == "Pod" {
        object["metadata"]["ownerReferences"][0]["apiVersion"] = "tekton.dev/v1".into();
        object["spec"]["initContainers"][0]["image"] = "mirror.example/entrypoint@sha256:0f".into();
    }
}

#[test]
fn without_a_reason_a_step_after_a_failure_is_skipped_if_the_version_is_old_and_failed_if_it_is_unknown()
 {
    let skipped = "deploy skipped previousStepFailed";
    let last = |events: Vec<Value>| transitions(&events).pop().unwrap();
    // By the image of the entrypoint, by the owner, by the release.
    assert_eq!(last(of_tekton_0_44(|_| {})), skipped);
    let by_owner = of_tekton_0_44(|object| {
        without_version(object);
        if object["kind"] == "Pod" {
            object["metadata"]["ownerReferences"][0]["apiVersion"] = "tekton.dev/v1beta1".into();
        }
    });
    assert_eq!(last(by_owner), skipped);
    let by_release = of_tekton_0_44(|object| {
        without_version(object);
        object["metadata"]["annotations"]["pipeline.tekton.dev/release"] = "v0.44.4".into();
    });
    assert_eq!(last(by_release), skipped);
    assert_eq!(last(of_tekton_0_44(without_version)), "deploy failed Error");
}

#[test]
fn a_reason_in_another_step_shows_that_the_release_is_wrong() {
    let mut events = of_tekton_0_44(|_| {});
    for event in pod_events(&mut events) {
        if let Some(build) = container_status(event, "build")
            && build["state"]["terminated"].is_object()
        {
            let message = r#"[{"key":"StartedAt","value":"2026-03-02T10:00:05.040Z","type":3},{"key":"Reason","value":"Skipped","type":3}]"#;
            build["state"]["terminated"]["message"] = message.into();
        }
    }
    assert_eq!(transitions(&events).last().unwrap(), "deploy failed Error");
}

#[test]
fn without_a_pod_the_ends_in_the_taskrun_show_that_tekton_writes_no_reasons() {
    let task_runs = |exit_codes: [i32; 3], reason: Option<&str>| {
        let mut events = of_tekton_0_44(|_| {});
        events.retain(|event| !is_pod(event));
        for event in &mut events {
            let Some(steps) = event["object"]["status"]["steps"].as_array_mut() else {
                continue;
            };
            for (step, code) in steps.iter_mut().zip(exit_codes) {
                if step["terminated"].is_object() {
                    step["terminated"]["exitCode"] = code.into();
                    step["terminated"]["reason"] =
                        if code == 0 { "Completed" } else { "Error" }.into();
                    if let Some(reason) = reason {
                        step["terminationReason"] = reason.into();
                    }
                }
            }
        }
        events
    };
    let last = |events: Vec<Value>| transitions(&events).pop().unwrap();
    assert_eq!(
        last(task_runs([0, 2, 1], None)),
        "deploy skipped previousStepFailed"
    );
    assert_eq!(
        last(task_runs([3, 1, 1], None)),
        "deploy skipped previousStepFailed"
    );
    // These exit codes may also be those of an entrypoint without a message, of any version.
    assert_eq!(last(task_runs([1, 1, 1], None)), "deploy failed Error");
    // This is Tekton since 0.57: the step ran after a step whose results were too large.
    assert_eq!(
        last(task_runs([0, 1, 1], Some("Error"))),
        "deploy failed Error"
    );
    // `onError: continue`: the exit code is that of the command, the reason that of the container.
    let mut continued = task_runs([0, 2, 1], None);
    for event in &mut continued {
        if event["object"]["status"]["steps"][1]["terminated"].is_object() {
            event["object"]["status"]["steps"][1]["terminated"]["reason"] = "Completed".into();
        }
    }
    let told = transitions(&continued);
    assert_eq!(
        told[told.len() - 3..],
        [
            "test failed Continued",
            "deploy started",
            "deploy failed Error"
        ]
    );
}
