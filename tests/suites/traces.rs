//! Traces of the observer's work, sent to a collector that accepts OTLP over HTTP.

use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;
use step_observer_tests::path;
use step_observer_tests::program::Program;
use step_observer_tests::secrets::leaks;
use step_observer_tests::sink::HttpSink;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const ABOVE: &str = "b7ad6b7169203331";

/// Replays with a plugin, to this sink and this collector.
async fn replay(folder: &Path, recording: &Path, sink: &HttpSink, collector: &str) -> Output {
    let config = folder.join("config.yaml");
    let yaml = format!(
        "plugins: [{{name: masks, from: {{bundled: redact-secrets}}}}]\n\
         traces: {{otlp: '{collector}'}}\n\
         sinks: [{{name: all, to: {{http: {{url: '{}'}}}}, retry: {{initialMs: 1}}}}]\n",
        sink.url
    );
    std::fs::write(&config, yaml).unwrap();
    let mut command = Program::new();
    command
        .arg("replay")
        .arg(recording)
        .arg("--config")
        .arg(config);
    command.output().await.unwrap()
}

fn spans(collector: &HttpSink) -> Vec<Value> {
    let requests = collector.requests();
    let bodies = requests.iter().map(|request| {
        assert_eq!(request.header("content-type"), "application/json");
        serde_json::from_slice::<Value>(&request.body).unwrap()
    });
    let spans = bodies.flat_map(|body| {
        let resource = &body["resourceSpans"][0];
        let service = json!({"key": "service.name", "value": {"stringValue": "step-observer"}});
        assert_eq!(resource["resource"]["attributes"][0], service);
        resource["scopeSpans"][0]["spans"]
            .as_array()
            .unwrap()
            .clone()
    });
    spans.collect()
}

fn attribute<'s>(span: &'s Value, key: &str) -> &'s str {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    found.unwrap()["value"]["stringValue"].as_str().unwrap()
}

fn time(span: &Value, name: &str) -> u64 {
    span[name].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_transition_is_a_span_with_its_plugins_and_sinks_below() {
    let folder = tempfile::tempdir().unwrap();
    // A run with a span context of Tekton.
    let text = std::fs::read_to_string(path("recordings/a-success.jsonl")).unwrap();
    let carrier = json!({"traceparent": format!("00-{TRACE}-{ABOVE}-01")}).to_string();
    let traced: String = text
        .lines()
        .map(|line| {
            let mut event: Value = serde_json::from_str(line).unwrap();
            if event["object"]["kind"] == "TaskRun" {
                let annotations = &mut event["object"]["metadata"]["annotations"];
                annotations["tekton.dev/taskrunSpanContext"] = carrier.clone().into();
            }
            format!("{event}\n")
        })
        .collect();
    let recording = folder.path().join("traced.jsonl");
    std::fs::write(&recording, traced).unwrap();
    let sink = HttpSink::start(vec![(503, vec![])]).await;
    let collector = HttpSink::start(vec![]).await;
    let output = replay(folder.path(), &recording, &sink, &collector.url).await;
    assert!(output.status.success(), "{output:?}");

    let spans = spans(&collector);
    let named = |name: &'static str| spans.iter().filter(move |span| span["name"] == name);
    let transitions: Vec<&Value> = ["step started", "step succeeded"]
        .into_iter()
        .flat_map(named)
        .collect();
    assert_eq!(transitions.len(), 6, "{spans:#?}");
    assert_eq!(spans.len(), 3 * 6);
    for transition in transitions {
        assert_eq!(transition["traceId"], TRACE);
        assert_eq!(transition["parentSpanId"], ABOVE);
        let below = |name: &'static str| {
            let mut found = named(name).filter(|span| span["parentSpanId"] == transition["spanId"]);
            let span = found.next().unwrap();
            assert_eq!(span["traceId"], TRACE);
            assert!(time(span, "startTimeUnixNano") <= time(span, "endTimeUnixNano"));
            span
        };
        assert_eq!(
            attribute(below("plugin masks"), "step_observer.verdict"),
            "kept"
        );
        let delivered = time(below("deliver all"), "endTimeUnixNano");
        assert!(delivered >= time(transition, "endTimeUnixNano"));
        // The event has the same trace, for its receivers.
        let id = attribute(transition, "cloudevents.event_id");
        let request = sink
            .accepted()
            .into_iter()
            .find(|request| request.header("ce-id") == id);
        let carried = request.unwrap().header("ce-traceparent").to_owned();
        assert_eq!(carried, format!("00-{TRACE}-{ABOVE}-01"));
    }
    let failed = |span: &&Value| span["events"][0]["name"] == "attempt failed";
    assert_eq!(named("deliver all").filter(failed).count(), 1);
}

#[tokio::test]
async fn without_a_trace_of_tekton_a_run_is_one_trace_without_its_texts() {
    let folder = tempfile::tempdir().unwrap();
    let (sink, collector) = (HttpSink::start(vec![]).await, HttpSink::start(vec![]).await);
    let recording = path("recordings/leaky.jsonl");
    let output = replay(folder.path(), &recording, &sink, &collector.url).await;
    assert!(output.status.success(), "{output:?}");
    let spans = spans(&collector);
    let traces = spans
        .iter()
        .map(|span| span["traceId"].as_str().unwrap().to_owned());
    // The UID of the PipelineRun.
    let run = "c72281d776f548e890a752e6165bf351".to_owned();
    assert_eq!(
        traces.collect::<std::collections::BTreeSet<_>>(),
        [run].into()
    );
    assert!(spans.iter().any(|span| span.get("parentSpanId").is_none()));
    for request in collector.requests() {
        assert!(!leaks(&request.body));
    }
}

#[tokio::test]
async fn a_collector_that_is_away_costs_no_event() {
    let folder = tempfile::tempdir().unwrap();
    let sink = HttpSink::start(vec![]).await;
    let recording = path("recordings/a-success.jsonl");
    // A port without a listener.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}/v1/traces", nobody.local_addr().unwrap());
    drop(nobody);
    let output = replay(folder.path(), &recording, &sink, &away).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(sink.requests().len(), 6);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(
        log.contains("the collector does not accept traces"),
        "{log}"
    );
}
