//! The sink `otlp`: steps, TaskRuns and PipelineRuns as spans in a real collector.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use step_observer_tests::admin::{admin_address, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::available;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::otlp::OtlpReceiver;
use step_observer_tests::program::Program;
use step_observer_tests::recording::{
    changes, expected_ids, is_pod, set_recorded_logs, track, watch_events,
};
use step_observer_tests::secrets::leaks;
use step_observer_tests::sink::{HttpSink, Request};

/// UID of the PipelineRun of the recording `leaky`.
const PIPELINE_RUN: &str = "c72281d7-76f5-48e8-90a7-52e6165bf351";
const TRACE: &str = "c72281d776f548e890a752e6165bf351";

/// A span, or a log record.
type Record = Value;

/// Returns the spans or log records of a request in JSON.
fn records(request: &Value) -> Vec<Record> {
    let of = |outer: &str, scope: &str, inner: &str| -> Vec<Record> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let resources = list(&request[outer]).into_iter();
        let scopes = resources.flat_map(|resource| list(&resource[scope]));
        scopes.flat_map(|scope| list(&scope[inner])).collect()
    };
    let mut all = of("resourceSpans", "scopeSpans", "spans");
    all.extend(of("resourceLogs", "scopeLogs", "logRecords"));
    all
}

/// Returns the spans or log records of all requests that a scripted collector accepted at a path.
fn accepted(requests: &[Request], path: &str) -> Vec<Record> {
    let accepted = requests
        .iter()
        .filter(|request| request.path == path && request.status.is_success());
    accepted
        .flat_map(|request| records(&serde_json::from_slice(&request.body).unwrap()))
        .collect()
}

fn attribute<'r>(record: &'r Record, key: &str) -> Option<&'r str> {
    let mut attributes = record["attributes"].as_array()?.iter();
    let found = attributes.find(|attribute| attribute["key"] == key)?;
    found["value"]["stringValue"].as_str()
}

fn span_ids(spans: &[Record]) -> BTreeSet<String> {
    spans
        .iter()
        .map(|span| span["spanId"].as_str().unwrap().to_owned())
        .collect()
}

/// The configuration of a sink that sends to a collector.
fn sink(url: &str, settings: &str) -> String {
    format!(
        "{UNLIMITED_LOOK_BACK}plugins: [{{name: masks, from: {{bundled: redact-secrets}}}}]\n\
         sinks:\n- {{name: collector, retry: {{initialMs: 1, maxMs: 50}}, to: {{otlp: {{url: '{url}', {settings}}}}}}}\n"
    )
}

/// The PipelineRun of the recording `leaky`.
fn pipeline_run(status: &Value) -> Value {
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "status": status,
        "metadata": {
            "name": "leaky", "namespace": "leaky", "uid": PIPELINE_RUN,
            "creationTimestamp": "2026-11-22T13:31:00Z", "labels": {"tekton.dev/pipeline": "leaky"},
        },
    })
}

fn ended() -> Value {
    pipeline_run(&json!({
        "startTime": "2026-11-22T13:31:05Z", "completionTime": "2026-11-22T13:31:40Z",
        "conditions": [{"type": "Succeeded", "status": "False", "reason": "Failed", "message": "ghp_secret"}],
    }))
}

/// Number of steps that a recording shows the end of.
fn ended_steps(recording: &str) -> usize {
    let ids = expected_ids(recording);
    ids.iter().filter(|id| !id.contains(".started.")).count()
}

fn play(server: &ApiServer, recording: &str) {
    set_recorded_logs(server, recording);
    for event in watch_events(recording) {
        server.play(&event);
    }
}

#[tokio::test]
async fn a_pipeline_run_is_a_tree_of_its_task_runs_and_steps() {
    let mut collector = available!(OtlpReceiver::official(0).await);
    let server = ApiServer::start().await;
    let settings = "pipelineRuns: true, compression: gzip, \
                    taskRunUrl: 'https://tekton.example/{namespace}/{taskRun}?step={step}'";
    let config = sink(&collector.url(), settings);
    let observer = Observer::with_config(&server, &config, &[]);
    server.wait_for_watches(3).await;
    server.put(pipeline_run(&json!({})));
    play(&server, "leaky");
    server.put(ended());
    let steps = ended_steps("leaky");
    let (mut spans, mut logs): (Vec<Record>, Vec<Record>) = Default::default();
    // Two TaskRuns and the PipelineRun.
    while spans.len() < steps + 3 || logs.is_empty() {
        let request = collector.request().await;
        match request["path"].as_str().unwrap() {
            "/v1/traces" => spans.extend(records(&request["request"])),
            _ => logs.extend(records(&request["request"])),
        }
    }
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");

    let by_id: BTreeMap<&str, &Record> = spans
        .iter()
        .map(|span| (span["spanId"].as_str().unwrap(), span))
        .collect();
    assert_eq!(by_id.len(), spans.len());
    let parent = |span: &Record| by_id.get(span["parentSpanId"].as_str()?).copied();
    let depth = |span: &Record| std::iter::successors(parent(span), |span| parent(span)).count();
    let mut depths: BTreeMap<usize, Vec<&Record>> = BTreeMap::new();
    for span in &spans {
        assert_eq!(span["traceId"], TRACE);
        depths.entry(depth(span)).or_default().push(span);
    }
    let counts: Vec<usize> = depths.values().map(Vec::len).collect();
    assert_eq!(counts, [1, 2, steps], "PipelineRun, TaskRuns, steps");
    let root = depths[&0][0];
    assert_eq!(root["kind"], 2, "SERVER");
    assert_eq!(attribute(root, "cicd.pipeline.result"), Some("failure"));
    assert_eq!(root["startTimeUnixNano"], "1795354265000000000");
    assert_eq!(root["endTimeUnixNano"], "1795354300000000000");
    for task_run in &depths[&1] {
        assert_eq!(task_run["kind"], 1, "INTERNAL");
        for required in [
            "cicd.pipeline.task.name",
            "cicd.pipeline.task.run.id",
            "cicd.pipeline.task.run.result",
            "cicd.pipeline.task.run.url.full",
        ] {
            assert!(
                attribute(task_run, required).is_some(),
                "{required}: {task_run}"
            );
        }
    }
    // The times are those of the events.
    let nanoseconds = |text: &str| {
        let at: jiff::Timestamp = text.parse().unwrap();
        at.as_nanosecond().to_string()
    };
    let recorded = track(changes(&watch_events("leaky")));
    let mut expected: Vec<(String, String, Option<String>)> = recorded
        .iter()
        .filter(|record| record.transition.kind.outcome().is_some())
        .map(|record| {
            let transition = &record.transition;
            let start = transition
                .start
                .map(|start| nanoseconds(&start.at.to_string()));
            (
                transition.step().to_owned(),
                nanoseconds(&transition.at.to_string()),
                start,
            )
        })
        .collect();
    let mut found: Vec<(String, String, Option<String>)> = depths[&2]
        .iter()
        .map(|span| {
            let text = |name: &str| span[name].as_str().unwrap().to_owned();
            let (start, end) = (text("startTimeUnixNano"), text("endTimeUnixNano"));
            let ran = attribute(span, "tekton.step.result") != Some("skip");
            (text("name"), end, Some(start).filter(|_| ran))
        })
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    for log in &logs {
        assert!(by_id.contains_key(log["spanId"].as_str().unwrap()), "{log}");
        assert_eq!(log["traceId"], TRACE);
    }
    let texts = json!([spans, logs]).to_string();
    assert!(texts.contains("[redacted:github-personal-access-token]"));
    assert!(!leaks(texts.as_bytes()) && !texts.contains("ghp_secret"));
}

#[tokio::test]
async fn a_collector_that_is_away_or_asks_for_a_pause_loses_nothing_and_holds_no_other_sink() {
    let server = ApiServer::start().await;
    let pause = |status: u16| (status, vec![("retry-after", "1".to_owned())]);
    let answers = vec![
        (401, vec![]),
        (502, vec![]),
        pause(429),
        (404, vec![]),
        pause(503),
    ];
    let (collector, other) = (
        HttpSink::start(answers).await,
        HttpSink::start(vec![]).await,
    );
    let config = sink(collector.origin(), "encoding: json, logs: none");
    let config = format!(
        "{config}- {{name: other, to: {{http: {{url: '{}'}}}}}}\n",
        other.url
    );
    let observer = Observer::with_config(&server, &config, &[]);
    server.wait_for_watches(2).await;
    play(&server, "f-retries");
    other.wait_for(expected_ids("f-retries").len()).await;
    let attempts = track(changes(&watch_events("f-retries")));
    let attempts: BTreeSet<_> = attempts
        .iter()
        .map(|record| (record.transition.run_uid.clone(), record.transition.attempt))
        .collect();
    assert!(attempts.len() > 1, "a retry is another attempt");
    let wanted = ended_steps("f-retries") + attempts.len();
    let all = |requests: &[Request]| span_ids(&accepted(requests, "/v1/traces")).len() >= wanted;
    collector.wait_until(all).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(collector.unused_answers(), 0);
    let spans = accepted(&collector.requests(), "/v1/traces");
    assert_eq!(span_ids(&spans).len(), wanted);
    let runs = spans
        .iter()
        .filter(|span| attribute(span, "tekton.step.name").is_none());
    let runs = span_ids(&runs.cloned().collect::<Vec<_>>());
    assert_eq!(runs.len(), attempts.len(), "each attempt has its span");
    // No other sink gets the end of a run.
    assert_eq!(other.requests().len(), expected_ids("f-retries").len());
}

#[tokio::test]
async fn a_request_that_the_collector_refuses_becomes_dead_letters_and_a_partial_success_does_not()
{
    let server = ApiServer::start().await;
    let collector = HttpSink::start(vec![]).await;
    // The batch is split until only the refused event is alone.
    collector.answer_by(|_, body| {
        let body = String::from_utf8_lossy(body);
        if body.contains("\"name\":\"test\"") {
            400
        } else {
            200
        }
    });
    let config = sink(collector.origin(), "encoding: json, logs: none");
    let mut observer = Observer::with_config(&server, &config, &["--admin", "127.0.0.1:0"]);
    let admin = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    play(&server, "b-fail");
    let dead = |_, body: &str| body.contains("\"deadLetters\":1");
    get_until(&admin, "/status", dead).await;
    let wanted = ended_steps("b-fail");
    let all = |requests: &[Request]| span_ids(&accepted(requests, "/v1/traces")).len() >= wanted;
    collector.wait_until(all).await;
    let (code, log) = observer.stop().await;
    // One event is undelivered.
    assert_eq!(code, Some(1), "{log}");
    assert_eq!(
        span_ids(&accepted(&collector.requests(), "/v1/traces")).len(),
        wanted
    );
    assert!(log.contains("400 Bad Request"), "{log}");

    let receiver = available!(OtlpReceiver::official(2).await);
    let server = ApiServer::start().await;
    let config = sink(&receiver.url(), "logs: none");
    let mut observer = Observer::with_config(&server, &config, &["--admin", "127.0.0.1:0"]);
    let admin = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    play(&server, "b-fail");
    // Six events of steps, and the end of the TaskRun.
    let delivered = |_, body: &str| body.contains("\"delivered\":7");
    get_until(&admin, "/status", delivered).await;
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("rejected by the test"), "{log}");
}

/// Runs an observer until the collector has the ends of a recording, and stops it.
async fn observe_until(server: &ApiServer, collector: &HttpSink, journal: &Path, spans: usize) {
    let config = sink(
        collector.origin(),
        "encoding: json, logs: none, pipelineRuns: true",
    );
    let arguments = ["--journal", journal.to_str().unwrap()];
    let observer = Observer::with_config(server, &config, &arguments);
    server.wait_for_request("watch pipelineruns").await;
    play(server, "leaky");
    server.put(ended());
    let all = |requests: &[Request]| span_ids(&accepted(requests, "/v1/traces")).len() >= spans;
    collector.wait_until(all).await;
    assert_eq!(observer.stop().await.0, Some(0));
}

#[tokio::test]
async fn a_restart_gives_the_same_spans_and_a_journal_sends_none_again() {
    let spans = ended_steps("leaky") + 3;
    let folder = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for journal in ["a", "b"] {
        let server = ApiServer::start().await;
        let collector = HttpSink::start(vec![]).await;
        observe_until(&server, &collector, &folder.path().join(journal), spans).await;
        ids.push(span_ids(&accepted(&collector.requests(), "/v1/traces")));
    }
    assert_eq!(ids[0], ids[1]);

    let server = ApiServer::start().await;
    for event in watch_events("leaky")
        .into_iter()
        .filter(|event| !is_pod(event))
    {
        server.play(&event);
    }
    server.put(ended());
    let collector = HttpSink::start(vec![]).await;
    let config = sink(
        collector.origin(),
        "encoding: json, logs: none, pipelineRuns: true",
    );
    let journal = folder.path().join("a");
    let arguments = [
        "--journal",
        journal.to_str().unwrap(),
        "--admin",
        "127.0.0.1:0",
    ];
    let mut observer = Observer::with_config(&server, &config, &arguments);
    let admin = admin_address(&mut observer).await;
    let derived = watch_events("leaky")
        .into_iter()
        .filter(|event| !is_pod(event));
    let derived = track(changes(&derived.collect::<Vec<_>>())).len();
    let suppressed = format!("\"toldBefore\":{derived}");
    let is_done = |_, body: &str| body.contains(&suppressed);
    get_until(&admin, "/status", is_done).await;
    assert_eq!(observer.stop().await.0, Some(0));
    assert_eq!(collector.requests().len(), 0);
}

#[tokio::test]
async fn a_trace_that_tekton_does_not_sample_is_not_exported() {
    let server = ApiServer::start().await;
    let collector = HttpSink::start(vec![]).await;
    let config = sink(collector.origin(), "encoding: json, logs: none");
    let mut observer = Observer::with_config(&server, &config, &["--admin", "127.0.0.1:0"]);
    let admin = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    let context = |flags: &str| json!({"traceparent": format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}")});
    for (recording, flags) in [("a-success", "00"), ("b-fail", "01")] {
        for mut event in watch_events(recording) {
            if !is_pod(&event) {
                event["object"]["status"]["spanContext"] = context(flags);
            }
            server.play(&event);
        }
    }
    let sampled = ended_steps("b-fail") + 1;
    let events = expected_ids("a-success").len() + expected_ids("b-fail").len() + 2;
    let delivered = format!("\"delivered\":{events}");
    get_until(&admin, "/status", |_, body| body.contains(&delivered)).await;
    assert_eq!(observer.stop().await.0, Some(0));
    let spans = accepted(&collector.requests(), "/v1/traces");
    assert_eq!(span_ids(&spans).len(), sampled);
    for span in &spans {
        assert_eq!(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
        let is_run = attribute(span, "tekton.step.name").is_none();
        assert_eq!(span["parentSpanId"] == "b7ad6b7169203331", is_run);
    }
}

#[tokio::test]
async fn the_dead_letter_sink_of_a_collector_gets_steps_and_no_ends_of_runs() {
    let server = ApiServer::start().await;
    let (collector, dead) = (HttpSink::start(vec![]).await, HttpSink::start(vec![]).await);
    collector.answer_by(|_, _| 400);
    let config = sink(collector.origin(), "encoding: json");
    let dead_letters = format!(
        "deadLetterSink: {{to: {{http: {{url: '{}'}}}}}}, retry:",
        dead.url
    );
    let config = config.replace("retry:", &dead_letters);
    let mut observer = Observer::with_config(&server, &config, &["--admin", "127.0.0.1:0"]);
    let admin = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    play(&server, "b-fail");
    let steps = ended_steps("b-fail");
    // The end of the TaskRun counts as delivered to the dead-letter sink, which does not take it.
    let delivered = format!("\"delivered\":{}", steps + 1);
    get_until(&admin, "/status", |_, body| body.contains(&delivered)).await;
    observer.stop().await;
    let types: Vec<String> = dead
        .requests()
        .iter()
        .map(|request| request.header("ce-type").to_owned())
        .collect();
    assert_eq!(types.len(), steps, "{types:?}");
    assert!(types.iter().all(|ty| ty.contains(".step.")), "{types:?}");
}

#[test]
fn a_setting_that_cannot_be_used_is_named() {
    let url = "http://collector.example:4318";
    for (url, settings, field) in [
        ("http://collector.example:4318/v1/traces", "", "otlp.url"),
        (
            url,
            "taskRunUrl: 'https://x.example/{pod}'",
            "otlp.taskRunUrl",
        ),
        (
            url,
            "taskRunUrl: 'https://x.example/{taskRun'",
            "otlp.taskRunUrl",
        ),
        (
            url,
            "pipelineRunUrl: 'https://x.example/{step}'",
            "otlp.pipelineRunUrl",
        ),
        (url, "vcs: {vcs.nonsense: label}", "otlp.vcs"),
        (
            url,
            "semanticConventions: latest",
            "otlp.semanticConventions",
        ),
        (url, "serviceName: ''", "otlp.serviceName"),
        (
            url,
            "headers: [{name: content-type, value: x}]",
            "otlp.headers",
        ),
        (url, "tls: {caFile: /nowhere}", "otlp.tls"),
        (url, "logRecords: 0", "otlp.logRecords"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, sink(url, settings)).unwrap();
        let mut check = Program::new();
        let output = check.args(["config", "check"]).arg(&file).run().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{settings}");
        assert!(text.contains(field), "{settings}: {text}");
    }
}
