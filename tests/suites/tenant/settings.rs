//! Settings that bound what other tenants can read or influence.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use step_observer_tests::forward_proxy::ForwardProxy;
use step_observer_tests::path;
use step_observer_tests::program::Program;
use step_observer_tests::recording::watch_events;
use step_observer_tests::sink::HttpSink;
use step_observer_tests::tls::Authority;

const TOKEN: &str = "s3cr3t-of-the-receiver";

/// Replays three steps to one HTTP sink, with exactly the proxies in `environment`.
async fn replay(folder: &Path, sink: &Value, environment: &[(&str, &str)]) -> Output {
    std::fs::write(folder.join("token"), TOKEN).unwrap();
    let config = json!({"sinks": [{"name": "all", "to": {"http": sink}}]});
    let file = folder.join("config.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    let mut command = Program::new();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command
        .arg("replay")
        .arg(path("recordings/a-success.jsonl"))
        .args(["--log", "info", "--give-up", "5", "--config"])
        .arg(file)
        .env("TOKEN", TOKEN)
        .envs(environment.iter().copied());
    command.output().await.unwrap()
}

fn log(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Merges the settings of a sink with further ones.
fn with(sink: &Value, more: &Value) -> Value {
    let mut sink = sink.clone();
    let members = more.as_object().unwrap().clone();
    sink.as_object_mut().unwrap().extend(members);
    sink
}

#[tokio::test]
async fn a_proxy_of_the_environment_sees_no_credentials_unless_it_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let secret = folder.path().join("whsec");
    // 24 bytes in base64.
    std::fs::write(&secret, "whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1u").unwrap();
    let credentials = [
        json!({"auth": {"bearer": {"tokenFile": token}}}),
        json!({"auth": {"basic": {"user": "me", "passwordFile": token}}}),
        json!({"headers": [{"name": "X-Key", "fromFile": token}]}),
        json!({"headers": [{"name": "X-Key", "fromEnv": "TOKEN"}]}),
        json!({"mode": "structured", "signing": {"secretFiles": [secret]}}),
    ];
    for credential in credentials {
        let (target, proxy) = (HttpSink::start(vec![]).await, ForwardProxy::start().await);
        let environment = [("HTTP_PROXY", proxy.url.as_str())];
        let sink = with(&json!({"url": target.url}), &credential);
        let refused = replay(folder.path(), &sink, &environment).await;
        assert!(!refused.status.success(), "{credential}");
        let problem = log(&refused);
        for part in ["proxy 127.0.0.1:", "would see the credentials", "NO_PROXY"] {
            assert!(problem.contains(part), "{problem}");
        }
        assert!(!problem.contains(TOKEN), "{problem}");
        assert_eq!((target.requests().len(), proxy.seen().len()), (0, 0));

        // Without a proxy, only the receiver gets the credentials.
        let direct = with(&sink, &json!({"proxy": "none"}));
        let done = replay(folder.path(), &direct, &environment).await;
        assert!(done.status.success(), "{}", log(&done));
        let excepted = [environment[0], ("NO_PROXY", "127.0.0.0/8")];
        let done = replay(folder.path(), &sink, &excepted).await;
        assert!(done.status.success(), "{}", log(&done));
        assert_eq!((target.requests().len(), proxy.seen().len()), (12, 0));

        let trusted = with(&sink, &json!({"proxy": "trusted"}));
        let done = replay(folder.path(), &trusted, &environment).await;
        assert!(done.status.success(), "{}", log(&done));
        assert_eq!((target.requests().len(), proxy.seen().len()), (18, 6));
    }
}

#[tokio::test]
async fn without_credentials_and_over_tls_events_go_through_the_proxy_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let (target, proxy) = (HttpSink::start(vec![]).await, ForwardProxy::start().await);
    let public = json!({"url": target.url, "headers": [{"name": "X-Team", "value": "ci"}]});
    // All spellings of the variable.
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let before = proxy.seen().len();
        let done = replay(folder.path(), &public, &[(name, &proxy.url)]).await;
        assert!(done.status.success(), "{}", log(&done));
        assert!(log(&done).contains("a sink is reached through a proxy"));
        assert_eq!(proxy.seen().len(), before + 6);
    }
    assert_eq!(target.requests().len(), 18);

    let authority = Authority::default();
    let target = HttpSink::start_tls(vec![], authority.server_until(4096)).await;
    let proxy = ForwardProxy::start().await;
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let token = folder.path().join("token");
    let sink = json!({
        "url": target.url, "tls": {"caFile": ca}, "auth": {"bearer": {"tokenFile": token}},
    });
    let done = replay(folder.path(), &sink, &[("HTTPS_PROXY", &proxy.url)]).await;
    assert!(done.status.success(), "{}", log(&done));
    let sent = target.requests();
    assert_eq!(sent.len(), 6);
    let bearer = format!("Bearer {TOKEN}");
    assert!(sent.iter().all(|it| it.header("authorization") == bearer));
    // The proxy transports only encrypted bytes.
    let seen = proxy.seen();
    assert!(!seen.is_empty());
    let tunnel = |head: &String| head.starts_with("CONNECT localhost:") && !head.contains(TOKEN);
    assert!(seen.iter().all(tunnel), "{seen:?}");
}

#[tokio::test]
async fn an_unusable_proxy_is_named_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let sink = json!({"url": "http://receiver.example/events"});
    let proxy = format!("socks5://me:{TOKEN}@proxy.example:1080");
    let refused = replay(folder.path(), &sink, &[("ALL_PROXY", &proxy)]).await;
    assert!(!refused.status.success());
    let problem = log(&refused);
    assert!(problem.contains("proxy.example:1080"), "{problem}");
    assert!(problem.contains("neither HTTP nor HTTPS"), "{problem}");
    assert!(!problem.contains(TOKEN), "{problem}");
}

/// A trace id of another tenant.
const FOREIGN: &str = "0af7651916cd43dd8448eb211c80319c";

/// Writes the recording `a-success` with this `traceparent` in an annotation of its TaskRun. Writes
/// `b-fail` unchanged beside it.
fn recording(folder: &Path, traceparent: &str) -> std::path::PathBuf {
    let mut events = watch_events("a-success");
    let carrier = json!({"traceparent": traceparent}).to_string();
    for event in &mut events {
        if event["object"]["kind"] == "TaskRun" {
            let annotations = &mut event["object"]["metadata"]["annotations"];
            annotations["tekton.dev/taskrunSpanContext"] = carrier.clone().into();
        }
    }
    events.extend(watch_events("b-fail"));
    let text: String = events.iter().map(|event| format!("{event}\n")).collect();
    let file = folder.join("recording.jsonl");
    std::fs::write(&file, text).unwrap();
    file
}

/// Replays the recording, and returns the traces of the spans and the `traceparent` of the events.
async fn traces(
    folder: &Path,
    recording: &Path,
    event: &Value,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let (sink, collector) = (HttpSink::start(vec![]).await, HttpSink::start(vec![]).await);
    let config = json!({
        "event": event, "traces": {"otlp": collector.url},
        "sinks": [{"name": "all", "to": {"http": {"url": sink.url}}}],
    });
    let file = folder.join("config.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    let mut command = Program::new();
    command.arg("replay").arg(recording).arg("--config");
    let output = command.arg(file).output().await.unwrap();
    assert!(output.status.success(), "{}", log(&output));
    assert_eq!(sink.requests().len(), 12);
    let mut found = BTreeSet::new();
    for request in collector.requests() {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let spans = &body["resourceSpans"][0]["scopeSpans"][0]["spans"];
        for span in spans.as_array().unwrap() {
            found.insert(span["traceId"].as_str().unwrap().to_owned());
        }
    }
    let carried = sink.requests().into_iter();
    let carried = carried.map(|request| request.header("ce-traceparent").to_owned());
    (found, carried.collect())
}

/// Returns the trace id that is derived from a run.
fn own(name: &str) -> String {
    let events = watch_events(name);
    let mut runs = events
        .iter()
        .filter(|event| event["object"]["kind"] == "TaskRun");
    let uid = runs.next().unwrap()["object"]["metadata"]["uid"]
        .as_str()
        .unwrap();
    uid.replace('-', "")
}

#[tokio::test]
async fn no_run_joins_a_foreign_trace_if_only_own_traces_are_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = format!("00-{FOREIGN}-b7ad6b7169203331-01");
    let recording = recording(folder.path(), &foreign);
    let none = BTreeSet::from([String::new()]);
    let setting = json!({"traceContext": "own"});
    let (found, carried) = traces(folder.path(), &recording, &setting).await;
    assert_eq!(found, BTreeSet::from([own("a-success"), own("b-fail")]));
    assert_eq!(carried, none);
    // By default the annotation counts, even if the tenant wrote it.
    let (found, carried) = traces(folder.path(), &recording, &json!({})).await;
    assert_eq!(found, BTreeSet::from([FOREIGN.to_owned(), own("b-fail")]));
    assert_eq!(carried, BTreeSet::from([String::new(), foreign]));
}

/// Checks that a traceparent of a later version is read by the fields of version 00 (W3C Trace
/// Context §4.3).
#[tokio::test]
async fn a_span_context_of_a_later_version_is_read_as_the_version_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let later = format!("01-{FOREIGN}-b7ad6b7169203331-03-what-comes-then");
    let recording = recording(folder.path(), &later);
    let (found, carried) = traces(folder.path(), &recording, &json!({})).await;
    assert_eq!(found, BTreeSet::from([FOREIGN.to_owned(), own("b-fail")]));
    let known = format!("00-{FOREIGN}-b7ad6b7169203331-01");
    assert_eq!(carried, BTreeSet::from([String::new(), known]));
}

#[tokio::test]
async fn an_invalid_span_context_spoils_no_spans() {
    let folder = tempfile::tempdir().unwrap();
    let zero = "0".repeat(16);
    // The observer must ignore each of these invalid `traceparent`s: a collector would refuse a
    // whole request because of one span with an invalid id.
    for spoiled in [
        "-".repeat(55),
        format!("00-{FOREIGN}-{zero}-01"),
        format!("00-{zero}{zero}-b7ad6b7169203331-01"),
        format!("00-{}-b7ad6b7169203331-01", FOREIGN.to_uppercase()),
        format!("ff-{FOREIGN}-b7ad6b7169203331-01"),
        format!("00-{FOREIGN}-b7ad6b7169203331-0\n"),
        format!("00-{FOREIGN}-b7ad6b7169203331-01-more"),
        format!("01-{FOREIGN}-b7ad6b7169203331-01.more"),
    ] {
        let recording = recording(folder.path(), &spoiled);
        let (found, carried) = traces(folder.path(), &recording, &json!({})).await;
        let runs = BTreeSet::from([own("a-success"), own("b-fail")]);
        assert_eq!(found, runs, "{spoiled}");
        assert_eq!(carried, BTreeSet::from([String::new()]), "{spoiled}");
    }
}
