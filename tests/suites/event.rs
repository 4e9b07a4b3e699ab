//! Events fit the specification, the schema, and the receivers of the original project.
use cloudevents::{AttributesReader as _, Event};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use step_observer::event::{self, Binding, Encoded, EventConfig, EventIdentity};
use step_observer::observe::{LogMask, RecordedLogs};
use step_observer::step::CapturedLog;
use step_observer_tests::events::{example_event, example_watch};
use step_observer_tests::path;
use step_observer_tests::recording::{changes, fixtures, recordings, track, watch_events};

/// Context attributes and data of the example in the original project's README.
const EXAMPLE_TYPE: &str = "dev.tekton.event.plugin.step.succeeded.v1";
const EXAMPLE_ID: &str =
    "50df8d70-8c11-4cd4-8fdf-3aa4cb287408-unnamed-0-dev.tekton.event.plugin.step.succeeded.v1";

fn example_data() -> Value {
    json!({
        "podRef": {
            "kind": "Pod",
            "namespace": "test-event-assertion-success-fail-skip-skip-in-memory-chan7f5q7",
            "name": "e2e-test-step-observed-run-pod-wrpkl",
            "apiVersion": "v1"
        },
        "log": "hello1\n",
        "step": {
            "name": "",
            "image": "busybox@sha256:895ab622e92e18d6b461d671081757af7dbaa3b00e3e28e12505af7817f73649",
            "command": ["/bin/sh"],
            "args": ["-c", "echo hello1"],
            "resources": {}
        },
        "stepState": {
            "terminated": {
                "exitCode": 0,
                "reason": "Completed",
                "startedAt": "2020-08-12T12:07:54Z",
                "finishedAt": "2020-08-12T12:07:54Z",
                "containerID": "containerd://3548dcaf6287d647cbd775d9de6488e2024cbb8f436f71f78a1e4e8bab0eece5"
            },
            "name": "unnamed-0",
            "container": "step-unnamed-0",
            "imageID": "docker.io/library/busybox@sha256:895ab622e92e18d6b461d671081757af7dbaa3b00e3e28e12505af7817f73649"
        }
    })
}

fn structured(event: &Event) -> Value {
    serde_json::from_slice(&event::structured(event).unwrap()).unwrap()
}

#[test]
fn the_originals_example_is_reproduced_field_for_field() {
    let told = structured(&example_event().event);
    assert_eq!(told["specversion"], "1.0");
    assert_eq!(told["type"], EXAMPLE_TYPE);
    assert_eq!(told["source"], "github.com/tom24d/step-observe-controller");
    assert_eq!(told["id"], EXAMPLE_ID);
    // The kubelet reports the end at :54, but the step reports its start at :54.217, so the end is
    // set to the start.
    assert_eq!(told["time"], "2020-08-12T12:07:54.217Z");
    assert_eq!(told["datacontenttype"], "application/json");
    // Every member of the original's data has the same name and value, and the same members are
    // absent.
    for (member, expected) in example_data().as_object().unwrap() {
        assert_eq!(&told["data"][member], expected, "{member}");
    }
    let new: BTreeSet<&str> = told["data"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let original = BTreeSet::from(["podRef", "log", "step", "stepState"]);
    let added: BTreeSet<&str> = new.difference(&original).copied().collect();
    assert_eq!(
        added,
        BTreeSet::from([
            "taskRun",
            "labels",
            "podUID",
            "stepIndex",
            "attempt",
            "startedAt",
            "startedAtSource",
            "exitCode",
            "reason",
            "logInfo"
        ])
    );
}

#[test]
fn every_event_of_every_stream_fits_the_published_schema() {
    let schema: Value = serde_json::from_slice(
        &std::fs::read(path("../deploy/schema/step-event.v1.json")).unwrap(),
    )
    .unwrap();
    assert_eq!(schema["$id"], event::SCHEMA_URN);
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut ids = BTreeSet::new();
    for name in recordings().into_iter().chain(fixtures()) {
        let logs = RecordedLogs::read_beside(&path(&format!("recordings/{name}.jsonl")))
            .unwrap_or_default();
        for record in track(changes(&watch_events(&name))) {
            let log = event::wants_log(&record.transition.kind).then(|| match name.as_str() {
                "c-onerror" => CapturedLog::unavailable("test"),
                _ => logs.read(
                    &step_observer::observe::LogTarget {
                        namespace: record.namespace.clone(),
                        pod: record.transition.pod_name.clone(),
                        pod_uid: "".into(),
                        container: record.transition.container.clone(),
                    },
                    48 * 1024,
                    &LogMask::default(),
                ),
            });
            let envelope = event::build(
                &record,
                &EventIdentity::new(&record, &EventConfig::default()),
                log.clone(),
                &EventConfig::default(),
            )
            .unwrap();
            let told = structured(&envelope.event);
            // The bytes are the same if no plugin reads the event.
            let unread = event::build_structured(
                &record,
                &EventIdentity::new(&record, &EventConfig::default()),
                log,
                &EventConfig::default(),
            )
            .unwrap();
            assert_eq!(unread, event::structured(&envelope.event).unwrap());
            let errors: Vec<String> = validator
                .iter_errors(&told["data"])
                .map(|error| error.to_string())
                .collect();
            assert!(errors.is_empty(), "{name}: {errors:?}\n{told:#}");
            assert!(
                ids.insert(told["id"].as_str().unwrap().to_owned()),
                "{told:#}"
            );
            assert!(told["subject"].as_str().unwrap().split('/').count() == 3);
            assert!(
                told.to_string().len() < 64 * 1024,
                "CloudEvents' limit for intermediaries"
            );
            // cloudevents-sdk parses the same content.
            let read: Event = serde_json::from_value(told.clone()).unwrap();
            assert_eq!(read.id(), envelope.event.id());
        }
    }
    assert!(ids.len() > 80, "{}", ids.len());
}

#[test]
fn the_same_event_gives_the_same_bytes() {
    let once = event::structured(&example_event().event).unwrap();
    for _ in 0..20 {
        assert_eq!(event::structured(&example_event().event).unwrap(), once);
    }
}

#[test]
fn header_values_are_percent_encoded_in_binary_mode() {
    let mut event = example_event().event;
    event.set_extension("team", "Größe \"50\" % 🦀");
    let encoded = Encoded::from_structured(event::structured(&event).unwrap());
    let event = encoded.structured();
    let encoded = encoded.binary(Binding::HTTP).unwrap();
    // Headers share no memory with the event, so a header that is kept does not keep the data in
    // memory.
    let is_part = |value: &bytes::Bytes| event.as_ptr_range().contains(&value.as_ptr());
    assert!(!encoded.headers.iter().any(|(_, value)| is_part(value)));
    let headers: BTreeMap<_, _> = encoded.headers.into_iter().collect();
    let header = |name: &str| std::str::from_utf8(headers.get(name).unwrap()).unwrap();
    // HTTP binding §3.1.3.2: its own example is `Euro%20%E2%82%AC%20%F0%9F%98%80`.
    assert_eq!(
        header("ce-team"),
        "Gr%C3%B6%C3%9Fe%20%2250%22%20%25%20%F0%9F%A6%80"
    );
    assert_eq!(header("ce-specversion"), "1.0");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("ce-dataschema"), event::SCHEMA_URN);
    assert!(!headers.contains_key("ce-datacontenttype"));
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(body["log"], "hello1\n");
}

#[test]
fn events_without_identity_are_not_encoded() {
    use cloudevents::{EventBuilder as _, EventBuilderV10};
    let event = EventBuilderV10::new()
        .id("")
        .source("s")
        .ty("t")
        .build()
        .unwrap();
    assert_eq!(
        event::structured(&event).unwrap_err().to_string(),
        "the event has no id"
    );
    let stored = Encoded::from_structured(r#"{"id":"","source":"s","type":"t"}"#.into());
    assert!(stored.binary(Binding::HTTP).is_err());
}

#[test]
fn traces_go_on_where_tekton_gives_a_span_context() {
    let mut watch = example_watch();
    watch[0]["object"]["metadata"]["annotations"]["tekton.dev/taskrunSpanContext"] =
        r#"{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#.into();
    let record = track(changes(&watch)).pop().unwrap();
    let built = event::build(
        &record,
        &EventIdentity::new(&record, &EventConfig::default()),
        None,
        &EventConfig::default(),
    )
    .unwrap();
    let traceparent = built.event.extension("traceparent").unwrap().to_string();
    assert_eq!(
        traceparent,
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    );
    watch[0]["object"]["metadata"]["annotations"]["tekton.dev/taskrunSpanContext"] =
        r#"{"traceparent":"\r\nevil"}"#.into();
    let record = track(changes(&watch)).pop().unwrap();
    let built = event::build(
        &record,
        &EventIdentity::new(&record, &EventConfig::default()),
        None,
        &EventConfig::default(),
    )
    .unwrap();
    assert!(built.event.extension("traceparent").is_none());
}
