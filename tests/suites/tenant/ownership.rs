//! A Pod belongs to a TaskRun only if the TaskRun names it.

use super::live;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::Value;
use step_observer::observe::{Finding, Tracker};
use step_observer::step::StepRecord;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::observer::Observer;
use step_observer_tests::recording::{
    changes, expected_ids, feed, recordings, set_recorded_logs, settle, track, watch_events,
};
use step_observer_tests::sink::{HttpSink, assert_exactly};

/// Returns the last state of a Pod, changed into a foreign Pod: it has this namespace, name and
/// UID, and all its steps have succeeded.
fn foreign(pod: &Value, namespace: &str, name: &str, uid: &str) -> Value {
    let mut pod = pod.clone();
    let metadata = &mut pod["metadata"];
    metadata["namespace"] = namespace.into();
    metadata["name"] = name.into();
    metadata["uid"] = uid.into();
    pod["status"]["phase"] = "Succeeded".into();
    if let Some(statuses) = pod["status"]["containerStatuses"].as_array_mut() {
        for status in statuses {
            status["state"] = serde_json::json!({"terminated": {
                "exitCode": 0, "reason": "Completed",
                "startedAt": "2020-01-01T00:00:00Z", "finishedAt": "2020-01-01T00:00:00Z",
                "message": r#"[{"key":"forged","value":"by a stranger","type":1}]"#,
            }});
        }
    }
    pod
}

fn last_pod(events: &[Value]) -> Value {
    let pod = events
        .iter()
        .rfind(|event| event["object"]["kind"] == "Pod");
    pod.unwrap()["object"].clone()
}

fn event(kind: &str, object: &Value) -> Value {
    serde_json::json!({"type": kind, "object": object})
}

#[tokio::test]
async fn a_pod_of_another_namespace_reports_and_ends_nothing_of_a_run() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let events = watch_events("b-fail");
    set_recorded_logs(&server, "b-fail");
    let (before, after) = events.split_at(events.len() / 2);
    let mut observer = Observer::start(&server, &sink, &["--admin", "127.0.0.1:0"]);
    observer.wait_for_log("kind=\"taskruns.tekton.dev\"").await;
    let pod = last_pod(&events);
    for event in before {
        server.play(event);
    }
    // One Pod is in another namespace. The other is in the run's namespace, but is not the Pod that
    // the TaskRun names.
    let namespace = pod["metadata"]["namespace"].as_str().unwrap();
    let attacks = [
        foreign(&pod, "sec-a", "attacker-pod", "attacker-1"),
        foreign(&pod, namespace, "attacker-pod", "attacker-2"),
    ];
    for attack in &attacks {
        server.play(&event("ADDED", attack));
    }
    for event in after {
        server.play(event);
    }
    for attack in &attacks {
        server.play(&event("DELETED", attack));
    }
    let expected = expected_ids("b-fail");
    sink.wait_for(expected.len()).await;
    // A later run: once its events have arrived, those of the attack would have arrived, too.
    for event in watch_events("a-success") {
        server.play(&event);
    }
    let all = &expected | &expected_ids("a-success");
    sink.wait_for(all.len()).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_exactly(&sink, &all);
    for request in sink.requests() {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        assert!(!body.contains("stranger"), "{body}");
    }
}

#[tokio::test]
async fn a_pod_of_a_missing_task_run_is_logged_and_emits_nothing() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let mut pod = foreign(&last_pod(&watch_events("b-fail")), "sec-a", "made-up", "u1");
    pod["metadata"]["ownerReferences"][0]["uid"] = "no-such-run".into();
    server.put(pod);
    for event in watch_events("a-success") {
        server.play(&event);
    }
    let mut observer = Observer::start(&server, &sink, &[]);
    let line = observer.wait_for_log("unclaimed pod").await;
    assert!(
        line.contains("namespace=\"sec-a\"") && line.contains("pod=\"made-up\""),
        "{line}"
    );
    let expected = expected_ids("a-success");
    sink.wait_for(expected.len()).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_exactly(&sink, &expected);
}

fn told(tracker: &mut Tracker, events: &[Value]) -> Vec<String> {
    let mut records = feed(tracker, changes(events));
    records.extend(settle(tracker, Timestamp::MAX));
    records.iter().map(text).collect()
}

/// Returns all contents of a record as text.
fn text(record: &StepRecord) -> String {
    format!("{record:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn foreign_pods_change_no_event_of_any_run(
        recording in any::<prop::sample::Index>(),
        attacks in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, any::<bool>()), 1..6),
    ) {
        let names = recordings();
        let name = recording.get(&names);
        let events = watch_events(name);
        let pod = last_pod(&events);
        let expected = told(&mut live(), &events);
        prop_assert!(!expected.is_empty());
        let mut attacked = events;
        for (number, (place, kind, deleted)) in attacks.iter().enumerate() {
            let own = pod["metadata"]["namespace"].as_str().unwrap();
            let own_name = pod["metadata"]["name"].as_str().unwrap();
            let (namespace, name) = match kind {
                0 => ("sec-a", own_name),
                1 => ("sec-a", "attacker"),
                _ => (own, "attacker"),
            };
            let attack = foreign(&pod, namespace, name, &format!("attacker-{number}"));
            let at = place.index(attacked.len() + 1);
            // Time continues during the attack.
            let time = attacked.get(at.saturating_sub(1)).map_or(Value::Null, |event| event["at"].clone());
            let mut added = event("ADDED", &attack);
            added["at"] = time.clone();
            attacked.insert(at, added);
            if *deleted {
                let mut gone = event("DELETED", &attack);
                gone["at"] = time;
                attacked.insert(at + 1, gone);
            }
        }
        prop_assert_eq!(told(&mut live(), &attacked), expected);
    }
}

#[test]
fn a_run_gives_the_same_events_whether_its_pods_are_believed_or_named() {
    for name in recordings() {
        let events = watch_events(&name);
        let kinds = |records: Vec<StepRecord>| {
            let kinds = records.into_iter();
            let kinds = kinds.map(|record| format!("{:?}", record.transition));
            kinds.collect::<Vec<_>>()
        };
        let believed = kinds(track(changes(&events)));
        let mut tracker = live();
        let mut named = feed(&mut tracker, changes(&events));
        named.extend(settle(&mut tracker, Timestamp::MAX));
        assert_eq!(kinds(named), believed, "{name}");
    }
}

#[test]
fn an_unclaimed_pod_is_logged_after_half_a_minute_and_emitted_once_it_is_claimed() {
    let events = watch_events("a-success");
    let pods: Vec<Value> = (events.iter())
        .filter(|event| event["object"]["kind"] == "Pod" && event["type"] != "DELETED")
        .cloned()
        .collect();
    let runs: Vec<Value> = (events.iter())
        .filter(|event| event["object"]["kind"] == "TaskRun" && event["type"] != "DELETED")
        .cloned()
        .collect();
    let mut tracker = live();
    let mut seen = changes(&pods);
    let last = seen.pop().unwrap();
    assert!(tracker.apply(last.change, last.at).is_empty());
    let due = tracker.next_wake().unwrap();
    assert_eq!(due.duration_since(last.at), SignedDuration::from_secs(30));
    let reported = tracker.tick(due);
    assert!(
        matches!(&*reported, [Finding::Unclaimed(pod)] if pod.run_uid.len() == 36),
        "{reported:?}"
    );
    let run = changes(&runs).pop().unwrap();
    let steps = step_observer_tests::recording::steps(tracker.apply(run.change, due));
    assert!(!steps.is_empty());
}

#[test]
fn a_pod_that_is_late_does_not_have_another_reported_before_its_time() {
    let event = |uid: &str, at: &str| {
        let mut pod = foreign(&last_pod(&watch_events("a-success")), "sec-a", uid, uid);
        pod["metadata"]["ownerReferences"][0]["uid"] = format!("run-{uid}").into();
        let mut event = event("ADDED", &pod);
        event["at"] = at.into();
        event
    };
    let mut tracker = live();
    for seen in changes(&[
        event("first", "2026-11-22T14:00:00Z"),
        event("second", "2026-11-22T14:00:29Z"),
    ]) {
        assert!(tracker.apply(seen.change, seen.at).is_empty());
    }
    for name in ["first", "second"] {
        let due = tracker.next_wake().unwrap();
        let reported = tracker.tick(due);
        assert!(
            matches!(&*reported, [Finding::Unclaimed(pod)] if &*pod.name == name),
            "{reported:?}"
        );
    }
}
