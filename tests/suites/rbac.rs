//! The rights in `deploy` are sufficient and minimal: with all of them everything works, and
//! without any one of them the log names the missing right.
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::api_server::authorise::{rights, take_apart, without};
use step_observer_tests::events::plugin_config_map;
use step_observer_tests::observer::{Observer, UNLIMITED_LOOK_BACK};
use step_observer_tests::path;
use step_observer_tests::plugins::stamp;
use step_observer_tests::recording::{expected_ids, set_recorded_logs, watch_events};
use step_observer_tests::sink::HttpSink;

/// The service account of `deploy`.
const ACCOUNT: &str = "step-observer/step-observer";
/// Number of observers that run at a time.
const AT_A_TIME: usize = 3;

/// Returns the granted rights, one verb and one resource per rule.
fn granted() -> Vec<Value> {
    let text = std::fs::read_to_string(path("../deploy/base/rbac.yaml")).unwrap();
    take_apart(&serde_saphyr::from_multiple::<Value>(&text).unwrap())
}

/// Starts a cluster with everything that the observer reads: a finished run with logs, a plugin,
/// and Tekton's sink.
async fn cluster(granted: &[Value], sink: &HttpSink) -> ApiServer {
    let server = ApiServer::start().await;
    server.authorise(granted, ACCOUNT);
    for (name, data) in [
        ("config-events", json!({"sink": sink.url})),
        ("config-defaults", json!({})),
    ] {
        server.put(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "tekton-pipelines"}, "data": data,
        }));
    }
    put_plugin(&server, "first");
    set_recorded_logs(&server, "b-fail");
    for event in watch_events("b-fail") {
        server.play(&event);
    }
    server
}

/// Adds a plugin that writes a text into events.
fn put_plugin(server: &ApiServer, text: &str) {
    let settings = format!("config: {text}\n");
    let module = stamp("stamp");
    let files: &[(&str, &[u8])] = &[
        ("plugin.wat", module.as_bytes()),
        ("plugin.yaml", settings.as_bytes()),
    ];
    let mut map = plugin_config_map("stamp", files);
    map["metadata"]["namespace"] = "step-observer".into();
    server.put(map);
}

/// Starts an observer with the default setup: all namespaces, Tekton's sink, plugins in its own
/// namespace.
fn observer(server: &ApiServer) -> Observer {
    Observer::with_config(
        server,
        UNLIMITED_LOOK_BACK,
        &["--plugin-namespace", "step-observer"],
    )
}

#[tokio::test]
async fn with_the_granted_rights_everything_works_and_each_is_used() {
    let sink = HttpSink::start(vec![]).await;
    let granted = granted();
    let server = cluster(&granted, &sink).await;
    let observer = observer(&server);
    let listed = expected_ids("b-fail").len();
    sink.wait_for(listed).await;
    for request in sink.requests() {
        assert_eq!(request.header("ce-stamp"), "first");
    }
    let logs = sink.requests();
    let logs = logs.iter().filter(|request| {
        let data: Value = serde_json::from_slice(&request.body).unwrap();
        data["log"].is_string()
    });
    assert!(logs.count() > 0, "there is no log");
    assert_eq!(server.notes().len(), 1);

    // This change arrives by a watch.
    put_plugin(&server, "second");
    server.wait_for_notes(2).await;
    for event in watch_events("a-success") {
        server.play(&event);
    }
    sink.wait_for(listed + expected_ids("a-success").len())
        .await;
    assert_eq!(sink.requests()[listed].header("ce-stamp"), "second");
    server.wait_for_rights(&rights(&granted)).await;
    assert_eq!(server.denials(), Vec::<String>::new());
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn without_any_one_right_the_log_says_which_to_grant() {
    let all = granted();
    let each = rights(&all);
    assert!(each.len() > 10, "{each:#?}");
    let tried = futures::stream::iter(each)
        .map(|right| {
            let rest = without(&all, &right);
            async move { is_missed(&right, &rest).await }
        })
        .buffer_unordered(AT_A_TIME);
    tried.collect::<Vec<()>>().await;
}

/// Checks that the log names a missing right. `right` is in words, such as `Role
/// tekton-pipelines/sink: list configmaps config-events`.
async fn is_missed(right: &str, rest: &[Value]) {
    let sink = HttpSink::start(vec![]).await;
    let server = cluster(rest, &sink).await;
    let mut observer = observer(&server);
    let (_, what) = right.split_once(": ").unwrap();
    let words: Vec<&str> = what.split(' ').collect();
    let (verb, object) = (words[0], words[words.len() - 1]);
    let line = observer.wait_for_line(&["WARN", "grant", object]).await;
    let remedy = line.split("grant ").nth(1).unwrap();
    assert!(remedy.contains(verb), "{right}: {line}");
    let denials: BTreeSet<String> = server.denials().into_iter().collect();
    let denied = format!("cannot {verb} resource \"{}\"", words[1]);
    assert_eq!(denials.len(), 1, "{right}: {denials:#?}");
    assert!(
        denials.iter().all(|denial| denial.contains(&denied)),
        "{right}: {denials:#?}"
    );
}
