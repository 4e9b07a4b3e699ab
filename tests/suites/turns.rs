//! The turn of a step, and steps whose container ended before their turn (rows 9 to 10b, 16a, 17).
use serde_json::{Value, json};
use std::collections::BTreeSet;
use step_observer_tests::recording::{
    changes, container_status, describe, is_pod, pod_events, track, transitions, watch_events,
};
use step_observer_tests::simulated::{Fate, History, Plan};

/// Returns a run. While step `a` runs, the container of step `b` ends without a message, before its
/// turn. Then `end` changes the pod.
fn killed_while_waiting(exit_code: i32, reason: &str, end: impl Fn(&mut Value)) -> Vec<Value> {
    let killed = json!({"exitCode": exit_code, "reason": reason, "startedAt": "2026-11-20T10:00:02Z", "finishedAt": "2026-11-20T10:00:05Z"});
    let mut events = watch_events("starterror-second");
    for event in pod_events(&mut events) {
        if let Some(b) = container_status(event, "b")
            && b["state"]["terminated"].is_object()
        {
            b["state"]["terminated"] = killed.clone();
        }
        if event["object"]["status"]["phase"] == "Failed" {
            end(&mut event["object"]);
        }
    }
    for event in &mut events {
        let status = &mut event["object"]["status"];
        if let Some(step) = status["steps"].get_mut(1) {
            step["terminated"] = killed.clone();
        }
    }
    events
}

#[test]
fn a_container_that_was_killed_before_its_turn_failed_without_a_start_unless_it_ended_with_its_pod()
{
    let failed = ["a started", "a succeeded Completed"];
    let alone = |_: &mut Value| {};
    let with = |member: &'static [&'static str], value: Value| {
        move |object: &mut Value| {
            let mut place = &mut *object;
            for name in member {
                place = &mut place[*name];
            }
            *place = value.clone();
        }
    };
    let deleted = |at: &'static str, grace: i64| {
        move |object: &mut Value| {
            object["metadata"]["deletionTimestamp"] = at.into();
            object["metadata"]["deletionGracePeriodSeconds"] = grace.into();
        }
    };
    let last = |events: Vec<Value>| {
        let told = transitions(&events);
        assert_eq!(told[..2], failed, "{told:?}");
        assert_eq!(told.len(), 3, "{told:?}");
        told[2].clone()
    };
    for (code, reason) in [(2, "Error"), (137, "Error"), (143, "Error")] {
        let fails = format!("b failed {reason}");
        assert_eq!(last(killed_while_waiting(code, reason, alone)), fails);
        // A deletion after the end is no evidence.
        let later = deleted("2026-11-20T10:00:36Z", 30);
        assert_eq!(last(killed_while_waiting(code, reason, later)), fails);
        let skipped = "b skipped neverStarted";
        for at in ["2026-11-20T10:00:35Z", "2026-11-20T10:00:34Z"] {
            let stream = killed_while_waiting(code, reason, deleted(at, 30));
            assert_eq!(last(stream), skipped, "{at}");
        }
        let evicted = with(&["status", "reason"], "Evicted".into());
        assert_eq!(last(killed_while_waiting(code, reason, evicted)), skipped);
        let condition = json!([{"type": "DisruptionTarget", "status": "True"}]);
        let disrupted = with(&["status", "conditions"], condition);
        assert_eq!(last(killed_while_waiting(code, reason, disrupted)), skipped);
    }
    // The outcome of these ends is emitted at once, so later evidence must not change it.
    for (code, reason) in [
        (137, "OOMKilled"),
        (0, "OOMKilled"),
        (127, "ContainerCannotRun"),
    ] {
        let fails = format!("b failed {reason}");
        let evicted = with(&["status", "reason"], "Evicted".into());
        for stream in [
            killed_while_waiting(code, reason, alone),
            killed_while_waiting(code, reason, evicted),
            killed_while_waiting(code, reason, deleted("2026-11-20T10:00:36Z", 30)),
        ] {
            assert_eq!(last(stream), fails);
        }
    }
    let lost = killed_while_waiting(137, "ContainerStatusUnknown", alone);
    assert_eq!(last(lost), "b skipped neverStarted");
    let ended_well = killed_while_waiting(0, "Completed", alone);
    assert_eq!(last(ended_well), "b skipped neverStarted");
}

#[test]
fn exit_code_2_of_a_step_during_its_turn_is_a_failure() {
    let mut events = watch_events("starterror-second");
    let ended = json!({"exitCode": 2, "reason": "Error", "startedAt": "2026-11-20T10:00:02Z", "finishedAt": "2026-11-20T10:00:09Z"});
    events.retain(|event| !event.to_string().contains("2026-11-20T10:00:03.000Z"));
    for event in pod_events(&mut events) {
        if let Some(b) = container_status(event, "b") {
            b["state"]["terminated"] = ended.clone();
        }
    }
    let records = track(changes(&events));
    let lines: Vec<String> = records.iter().map(describe).collect();
    let expected = [
        "a started",
        "a succeeded Completed",
        "b started",
        "b failed Error",
    ];
    assert_eq!(lines, expected);
    // The turn came with the predecessor's end, not with the start of its container.
    assert_eq!(records[2].transition.at.to_string(), "2026-11-20T10:00:08Z");
    // The TaskRun alone gives the same.
    for event in &mut events {
        if let Some(step) = event["object"]["status"]["steps"].get_mut(1) {
            step["terminated"] = ended.clone();
        }
    }
    events.retain(|event| !is_pod(event));
    let records = track(changes(&events));
    let lines: Vec<String> = records.iter().map(describe).collect();
    assert_eq!(lines, expected);
    assert_eq!(records[2].transition.at.to_string(), "2026-11-20T10:00:08Z");
}

#[test]
fn a_step_that_runs_while_a_later_one_is_killed_for_its_memory_is_awaited() {
    let killed = Fate::KilledEarly {
        by_memory: true,
        after_ready: true,
    };
    let plan = Plan {
        steps: vec![(Fate::Exits(0), 30_000), (killed, 1), (Fate::Exits(0), 1)],
        readiness: 1_000,
        skew: 0,
        managed_fields: false,
        sidecar: true,
    };
    let events = History::of(&plan).stream();
    let done = events
        .iter()
        .position(|event| event.to_string().contains("StepOOM"));
    let ends = events
        .iter()
        .rposition(|event| event["object"]["kind"] == "Pod");
    assert!(done < ends, "the TaskRun is done while the first step runs");
    assert_eq!(
        transitions(&events),
        [
            "s0 started",
            "s0 succeeded Completed",
            "s1 failed OOMKilled",
            "s2 skipped neverStarted"
        ]
    );
}

#[test]
fn the_first_step_starts_when_tekton_says_ready() {
    let first_start = |events: &[Value]| track(changes(events))[0].transition.at.to_string();
    let mut events = watch_events("a-success");
    // The containers started at :14, READY was set at :15, and the step reports :17.027.
    assert_eq!(first_start(&events), "2026-11-22T13:04:15Z");
    let patched_at = |events: &mut [Value], at: &str| {
        for event in pod_events(events) {
            let entries = event["object"]["metadata"]["managedFields"].as_array_mut();
            for entry in entries.into_iter().flatten() {
                if entry["manager"] == "controller" {
                    entry["time"] = at.into();
                }
            }
        }
    };
    // The start is not earlier than the start of the containers, and not later than the end of the
    // step, if that end is known.
    patched_at(&mut events, "2026-11-22T13:04:13Z");
    assert_eq!(first_start(&events), "2026-11-22T13:04:14Z");
    let mut late = events.clone();
    late.retain(|event| !is_pod(event) || event.to_string().contains(r#""phase":"Succeeded""#));
    for event in pod_events(&mut late) {
        if let Some(build) = container_status(event, "build") {
            build["state"]["terminated"]["message"] = "".into();
        }
    }
    patched_at(&mut late, "2026-11-22T13:04:20Z");
    assert_eq!(first_start(&late), "2026-11-22T13:04:20Z");
    patched_at(&mut late, "2026-11-22T13:04:21Z");
    assert_eq!(first_start(&late), "2026-11-22T13:04:14Z");
    // A later patch by Tekton has moved the time.
    patched_at(&mut events, "2026-11-22T13:04:15Z");
    for event in pod_events(&mut events) {
        event["object"]["metadata"]["annotations"]["tekton.dev/cancel"] = "CANCEL".into();
    }
    assert_eq!(first_start(&events), "2026-11-22T13:04:14Z");
}

#[test]
fn pods_of_one_second_are_in_the_order_of_their_containers() {
    // The UIDs have the opposite order.
    let text = serde_json::to_string(&watch_events("recreated")).unwrap();
    let text = text.replace("0000000000a1", "0000000000ff");
    let events: Vec<Value> = serde_json::from_str(&text).unwrap();
    let mut records = track(changes(&events));
    let emitted: Vec<String> = records.iter().map(describe).collect();
    assert_eq!(emitted.len(), 4, "{emitted:?}");
    records.sort_by_key(|record| record.transition.sequence());
    let sorted: Vec<String> = records.iter().map(describe).collect();
    assert_eq!(sorted, emitted);
    // Transitions from the TaskRun alone sort behind.
    let mut alone = records[0].transition.clone();
    alone.pod_uid = None;
    assert!(
        records
            .iter()
            .all(|record| record.transition.sequence() < alone.sequence())
    );
}

#[test]
fn without_any_pod_a_step_that_was_stopped_with_the_failed_one_was_skipped() {
    // The pod was deleted: the step that ran has a message, the one that waited has none.
    let mut events = watch_events("exit2-cut-taskrun-only");
    events.truncate(1);
    for event in &mut events {
        let steps = event["object"]["status"]["steps"].as_array_mut().unwrap();
        steps[0]["terminationReason"] = "Error".into();
        steps[0]["terminated"]["exitCode"] = 255.into();
        steps[0]["terminated"]["finishedAt"] = "2026-11-20T10:00:04Z".into();
        steps[1]["terminated"]["message"] = "".into();
    }
    let expected = ["a started", "a failed Error", "b skipped neverStarted"];
    assert_eq!(transitions(&events), expected);
    // A container that could not start writes no file for later steps: this step failed, too.
    for event in &mut events {
        let step = &mut event["object"]["status"]["steps"][0];
        step["terminated"]["reason"] = "StartError".into();
        step.as_object_mut().unwrap().remove("terminationReason");
    }
    assert_eq!(
        transitions(&events),
        ["a failed StartError", "b failed Error"]
    );
}

#[test]
fn a_sidecar_restarted_to_be_stopped_is_no_evidence_of_the_steps() {
    let mut events = watch_events("oom-before-ready");
    events.retain(|event| !is_pod(event) || event["object"]["status"]["phase"] == "Failed");
    for event in pod_events(&mut events) {
        let object = &mut event["object"];
        object["metadata"]["annotations"]["tekton.dev/ready"] = "READY".into();
        let containers = object["spec"]["containers"].as_array_mut().unwrap();
        containers.push(json!({"name": "sidecar-db", "image": "nop"}));
        let statuses = object["status"]["containerStatuses"]
            .as_array_mut()
            .unwrap();
        statuses[0]["state"]["terminated"]["startedAt"] = "2026-11-20T10:00:01Z".into();
        let stopped = json!({"exitCode": 0, "reason": "Completed", "startedAt": "2026-11-20T10:00:14Z", "finishedAt": "2026-11-20T10:00:14Z"});
        statuses.push(json!({"name": "sidecar-db", "state": {"terminated": stopped}}));
    }
    let records = track(changes(&events));
    let times: Vec<String> = records
        .iter()
        .map(|record| format!("{} {}", describe(record), record.transition.at))
        .collect();
    assert_eq!(
        times,
        [
            "s started 2026-11-20T10:00:01Z",
            "s failed OOMKilled 2026-11-20T10:00:02Z"
        ]
    );
}

#[test]
fn steps_that_a_retry_has_not_cleared_are_those_of_the_attempt_before() {
    // The retry is cancelled before its pod reports, so Tekton still shows the steps of the first
    // attempt.
    let mut events = watch_events("exit2-cut-taskrun-only");
    events.truncate(1);
    let status = events[0]["object"]["status"].clone();
    let retry = &mut events[0]["object"]["status"];
    retry["retriesStatus"] = json!([status]);
    retry["podName"] = "r1-pod-retry1".into();
    retry["completionTime"] = "2026-11-20T10:00:06Z".into();
    retry["conditions"][0]["reason"] = "TaskRunCancelled".into();
    let first = [
        "a started",
        "a succeeded Completed",
        "b started",
        "b failed Error",
    ];
    let second = ["a skipped neverStarted", "b skipped neverStarted"];
    assert_eq!(transitions(&events), [&first[..], &second[..]].concat());
    // A pod that was re-created under the same name also shows the steps of the first pod.
    let mut events = watch_events("recreated");
    let created = "2026-11-20T10:00:09Z";
    for event in pod_events(&mut events) {
        if event["object"]["metadata"]["uid"]
            .as_str()
            .unwrap()
            .ends_with("a2")
        {
            event["object"]["metadata"]["creationTimestamp"] = created.into();
            event["object"]["status"]["containerStatuses"] = json!([]);
            event["object"]["status"]["phase"] = "Pending".into();
        }
    }
    assert_eq!(
        transitions(&events),
        ["s started", "s failed PodDeleted", "s skipped neverStarted"]
    );
}

#[test]
fn all_events_of_a_pod_stand_together() {
    // The first event of the pod is emitted before any of its containers has started.
    for name in ["starterror-first", "starterror-second", "recreated"] {
        let records = track(changes(&watch_events(name)));
        let pods: BTreeSet<_> = records
            .iter()
            .map(|record| {
                (
                    record.transition.pod_uid.clone(),
                    record.transition.pod_order,
                )
            })
            .collect();
        let uids: BTreeSet<_> = pods.iter().map(|(uid, _)| uid).collect();
        assert_eq!(pods.len(), uids.len(), "{name}: {pods:?}");
        // The last states alone give the same events.
        let mut events = watch_events(name);
        let last = events
            .iter()
            .rposition(|event| is_pod(event) && event["type"] != "DELETED");
        let last = events.remove(last.unwrap());
        events.retain(|event| !is_pod(event));
        events.insert(1, last);
        for record in track(changes(&events)) {
            let order = record.transition.pod_order;
            assert!(
                pods.contains(&(record.transition.pod_uid.clone(), order)),
                "{name}: {order:?}"
            );
        }
    }
}

#[test]
fn an_end_without_a_time_has_that_of_its_task_run() {
    let mut events = watch_events("oom-taskrun-only");
    events.truncate(1);
    for event in &mut events {
        let ended = &mut event["object"]["status"]["steps"][1]["terminated"];
        *ended = json!({"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": null, "finishedAt": null});
    }
    let records = track(changes(&events));
    let last = &records.last().unwrap().transition;
    assert_eq!(describe(records.last().unwrap()), "b skipped neverStarted");
    assert_eq!(last.at.to_string(), "2026-11-20T10:00:10Z");
}
