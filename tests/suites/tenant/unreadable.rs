//! An unreadable object does not stop the events of other objects.

use super::live;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use step_observer::observe::{Change, ListItems, SlimPod, SlimTaskRun, Tracker};
use step_observer_tests::admin::{admin_address, get, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::{finished_run, plugin_config_map};
use step_observer_tests::observer::Observer;
use step_observer_tests::plugins::stamp;
use step_observer_tests::recording::{
    changes, expected_ids, feed, recordings, set_recorded_logs, settle, watch_events,
};
use step_observer_tests::sink::{HttpSink, assert_exactly};

/// The memory limit of `deploy/base`, in KiB.
const MEMORY_LIMIT: u64 = 256 * 1024;

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!({}), |inner, _| json!({"f:a": inner}))
}

/// Returns a Pod that claims to belong to a TaskRun, with this additional `metadata` and this
/// `spec`.
fn pod(name: &str, metadata: &Value, spec: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "sec-a", "uid": format!("uid-{name}"),
            "labels": {"tekton.dev/taskRun": name},
            "ownerReferences": [{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": name, "uid": "none", "controller": true}],
        },
        "spec": spec,
    });
    let own = pod["metadata"].as_object_mut().unwrap();
    own.extend(metadata.as_object().cloned().unwrap_or_default());
    pod
}

fn task_run(name: &str, metadata: &Value, spec: &Value) -> Value {
    let mut run = pod(name, metadata, spec);
    run["apiVersion"] = "tekton.dev/v1".into();
    run["kind"] = "TaskRun".into();
    run["metadata"]["ownerReferences"] = Value::Null;
    run
}

/// Objects that a client cannot read if it parses every field.
fn odd() -> Vec<Value> {
    let fields = json!({"managedFields": [{"manager": "x", "fieldsV1": nested(200)}]});
    let year = json!({"managedFields": [{"manager": "x", "time": "9999-12-31T23:59:59Z"}]});
    let deletion = json!({"deletionTimestamp": "9999-12-31T23:59:59Z"});
    let deep =
        json!({"taskSpec": {"steps": [{"name": "a", "x": nested(400)}]}, "params": nested(400)});
    vec![
        pod("deep", &fields, &json!({})),
        pod("year", &year, &json!({})),
        pod("deleted", &deletion, &json!({})),
        task_run("deep", &fields, &json!({})),
        task_run("year", &year, &json!({})),
        task_run("spec", &json!({}), &deep),
        task_run("nothing", &json!({}), &Value::Null),
        task_run("text", &json!({"labels": null}), &"text".into()),
    ]
}

/// Objects that are skipped as unreadable.
fn unreadable() -> Vec<Value> {
    let many = vec![json!({"name": "step-a"}); 300];
    let large = json!({"large": "x".repeat(11 << 20)});
    vec![
        pod("many-containers", &json!({}), &json!({"containers": many})),
        pod("large", &json!({}), &large),
        task_run("large-run", &json!({}), &large),
    ]
}

async fn play(server: &ApiServer, name: &str, sink: &HttpSink, expected: &mut BTreeSet<String>) {
    set_recorded_logs(server, name);
    for event in watch_events(name) {
        server.play(&event);
    }
    expected.extend(expected_ids(name));
    sink.wait_for(expected.len()).await;
}

fn count(metrics: &str, name: &str) -> u64 {
    let lines = metrics.lines().filter(|line| line.starts_with(name));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    values.sum()
}

#[tokio::test]
async fn odd_and_unreadable_objects_hide_no_others() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let mut expected = BTreeSet::new();
    // These objects are in the first lists.
    odd()
        .into_iter()
        .chain(unreadable())
        .for_each(|object| server.put(object));
    let mut observer = Observer::start(&server, &sink, &["--admin", "127.0.0.1:0"]);
    let address = admin_address(&mut observer).await;
    let line = observer.wait_for_log("unreadable object skipped").await;
    assert!(
        line.contains("namespace=\"sec-a\"")
            && (line.contains("name=\"many-containers\"") || line.contains("name=\"large")),
        "{line}"
    );
    play(&server, "b-fail", &sink, &mut expected).await;
    // They change during the watch.
    for _ in 0..3 {
        odd()
            .into_iter()
            .chain(unreadable())
            .for_each(|object| server.put(object));
    }
    play(&server, "a-success", &sink, &mut expected).await;
    assert_eq!(get(&address, "/readyz").await.0, 200);
    let counted = |_: u16, metrics: &str| {
        count(
            metrics,
            "step_observer_unreadable_objects_total{resource=\"pods\"}",
        ) == 8
            && count(
                metrics,
                "step_observer_unreadable_objects_total{resource=\"taskruns\"}",
            ) == 4
    };
    let (_, metrics) = get_until(&address, "/metrics", counted).await;
    assert_eq!(count(&metrics, "step_observer_watch_failures_total"), 0);
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_exactly(&sink, &expected);
    // One log line per minute, for any number of objects.
    assert!(
        log.matches("unreadable object skipped").count() <= 1,
        "{log}"
    );
}

#[tokio::test]
async fn an_unreadable_plugin_config_map_counts_as_failing_and_others_work() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let stamp = stamp("team");
    server.put(plugin_config_map(
        "good",
        &[("plugin.wat", stamp.as_bytes())],
    ));
    let mut unreadable = plugin_config_map("redact", &[]);
    unreadable["data"] = json!({"plugin.yaml": 3});
    server.put(unreadable.clone());
    let args = ["--plugin-namespace", "observers"];
    let mut observer = Observer::start(&server, &sink, &args);
    let line = observer.wait_for_log("unreadable object skipped").await;
    assert!(line.contains("name=\"redact\""), "{line}");
    for event in finished_run(1) {
        server.play(&event);
    }
    sink.wait_for(2).await;
    for request in sink.requests() {
        assert_eq!(request.header("ce-pluginerror"), "redact");
    }
    server.delete(unreadable);
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn a_list_of_large_objects_is_read_within_the_memory_limit() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let large = "x".repeat(1_500_000);
    let script = "y".repeat(15_000);
    for number in 0..70 {
        let name = format!("attack-{number:03}");
        let container = json!({"name": "step-a", "args": ["-wait_file", "/x", "--", large]});
        let containers = json!({"containers": [container]});
        server.put(pod(&name, &json!({}), &containers));
        server.put(task_run(
            &name,
            &json!({}),
            &json!({"taskSpec": {"steps": [{"name": "a", "script": large}]}}),
        ));
        let step = |step: usize| json!({"name": format!("s{step}"), "script": format!("{number} {step} {script}")});
        let steps: Vec<Value> = (0..95).map(step).collect();
        server.put(task_run(
            &format!("{name}-steps"),
            &json!({}),
            &json!({"taskSpec": {"steps": steps}}),
        ));
    }
    let mut expected = BTreeSet::new();
    let observer = Observer::start(&server, &sink, &[]);
    play(&server, "b-fail", &sink, &mut expected).await;
    let status = format!("/proc/{}/status", observer.child.id().unwrap());
    let status = std::fs::read_to_string(status).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < MEMORY_LIMIT, "{} MiB", peak / 1024);
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_exactly(&sink, &expected);
}

/// Any JSON, some of it deeply nested.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(Value::from("9999-12-31T23:59:59Z")),
        Just(Value::from("x".repeat(20_000))),
        (100_usize..300).prop_map(nested),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-zA-Z]{1,8}", inner), 0..4)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

/// Sets a value at a place within an object.
fn mutate(object: &mut Value, path: &[prop::sample::Index], value: Value) {
    let Some((next, rest)) = path.split_first() else {
        *object = value;
        return;
    };
    match object {
        Value::Object(members) if !members.is_empty() => {
            let name = next
                .get(&members.keys().cloned().collect::<Vec<_>>())
                .clone();
            mutate(&mut members[&name], rest, value);
        }
        Value::Array(elements) if !elements.is_empty() => {
            let at = next.index(elements.len());
            mutate(&mut elements[at], rest, value);
        }
        _ => *object = value,
    }
}

/// Returns the records of this run as text.
fn told(tracker: &mut Tracker, events: &[Value], run: &str) -> Vec<String> {
    let mut records = feed(tracker, changes(events));
    records.extend(settle(tracker, Timestamp::MAX));
    let own = records
        .iter()
        .filter(|record| *record.transition.run_uid == *run);
    own.map(|record| format!("{record:?}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_stored_pod_or_task_run_stops_the_events_of_other_objects(
        recording in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        objects in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::collection::vec(
                (prop::collection::vec(any::<prop::sample::Index>(), 0..5), any_json()), 1..4
            )), 1..5
        ),
    ) {
        let name = recording.get(&recordings()).clone();
        let events = watch_events(&name);
        let run = events.iter().find(|event| event["object"]["kind"] == "TaskRun").unwrap();
        let uid = run["object"]["metadata"]["uid"].as_str().unwrap().to_owned();
        let expected = told(&mut live(), &events, &uid);
        // Objects of another run, mutated at any place.
        let mut odd = Vec::new();
        for (number, (which, mutations)) in objects.into_iter().enumerate() {
            let other = which.get(&events)["object"].to_string();
            let mut object: Value = serde_json::from_str(&other.replace(&uid, &format!("other-{number}"))).unwrap();
            object["metadata"]["uid"] = format!("object-{number}").into();
            for (path, value) in mutations {
                mutate(&mut object, &path, value);
            }
            // The API server stores only objects.
            odd.extend(object.is_object().then_some(object));
        }
        // Reads the objects as items of a list, between two innocent objects.
        let innocent = json!({"metadata": {"uid": "innocent", "name": "innocent"}});
        let items: Vec<Value> = [innocent.clone()].into_iter().chain(odd).chain([innocent]).collect();
        let list = json!({"items": items, "metadata": {"resourceVersion": "1"}}).to_string();
        let mut reader = ListItems::default();
        let (mut at, mut pods, mut runs, mut found) = (0, Vec::new(), Vec::new(), 0);
        loop {
            let (taken, is_whole) = reader.take(&list.as_bytes()[at..]);
            at += taken;
            if !is_whole {
                break;
            }
            found += 1;
            pods.extend(serde_json::from_slice::<SlimPod>(reader.item().bytes));
            runs.extend(serde_json::from_slice::<SlimTaskRun>(reader.item().bytes));
        }
        prop_assert_eq!(found, items.len());
        prop_assert!(pods.len() >= 2 && runs.len() >= 2);
        // Applies the readable objects in the middle of the innocent run.
        let mut tracker = live();
        let (before, after) = events.split_at(1 + place.index(events.len() - 1));
        let mut records = feed(&mut tracker, changes(before));
        let now = changes(before).last().unwrap().at;
        let foreign_uid = |record: &step_observer::step::StepRecord| *record.transition.run_uid != *uid;
        for pod in pods {
            tracker.apply(Change::Pod(Box::new(pod)), now);
        }
        for run in runs {
            tracker.apply(Change::TaskRun(Box::new(run)), now);
        }
        records.extend(feed(&mut tracker, changes(after)));
        records.extend(settle(&mut tracker, Timestamp::MAX));
        records.retain(|record| !foreign_uid(record));
        let words: Vec<String> = records.iter().map(|record| format!("{record:?}")).collect();
        prop_assert_eq!(words, expected);
    }
}
