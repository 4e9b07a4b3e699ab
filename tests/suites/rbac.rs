//! The rights in `deploy` are sufficient and minimal: with all of them everything works, and
//! without any one of them the log names the missing right.
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::api_server::authorise::{rights, take_apart, without};
use step_observer_tests::available;
use step_observer_tests::events::{finished_run, plugin_config_map};
use step_observer_tests::helm::{self, Case};
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
    each_is_used(&granted(), "").await;
}

#[tokio::test]
async fn roles_of_the_chart_in_chosen_namespaces_are_enough_and_each_is_used() {
    let cluster = json!({"namespaces": ["b-fail", "a-success"]});
    let case = Case::new(json!({"config": {"cluster": cluster}}));
    let chart = available!(helm::render(&[case])).remove(0).unwrap();
    let granted = take_apart(&chart.objects);
    assert!(
        rights(&granted)
            .iter()
            .all(|right| right.starts_with("Role "))
    );
    each_is_used(&granted, &format!("cluster: {cluster}\n")).await;
}

/// Checks that an observer with this configuration needs all of these rights, and no other.
async fn each_is_used(granted: &[Value], config: &str) {
    let sink = HttpSink::start(vec![]).await;
    let server = cluster(granted, &sink).await;
    let config = format!("{UNLIMITED_LOOK_BACK}{config}");
    let observer =
        Observer::with_config(&server, &config, &["--plugin-namespace", "step-observer"]);
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
    server.wait_for_rights(&rights(granted)).await;
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

/// Returns the rights of `base` and of the component `known-secrets`, whose example binds the namespace
/// `ci`.
fn granted_with_secrets() -> Vec<Value> {
    let text =
        std::fs::read_to_string(path("../deploy/components/known-secrets/rbac.yaml")).unwrap();
    let secrets = serde_saphyr::from_multiple::<Value>(&text).unwrap();
    [granted(), take_apart(&secrets)].concat()
}

/// Shows runs of a namespace, each with a Pod that refers to a Secret.
fn show_with_secret(server: &ApiServer, namespace: &str, numbers: std::ops::Range<usize>) {
    let name = format!("of-{namespace}");
    server.put(json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"key": "dmFsdWUtb2YtY2k="},
        "metadata": {"namespace": namespace, "name": name, "uid": name},
    }));
    for number in numbers {
        for mut event in finished_run(number) {
            event["object"]["metadata"]["namespace"] = namespace.into();
            if event["object"]["kind"] == "Pod" {
                event["object"]["spec"]["volumes"] = json!([{"secret": {"secretName": name}}]);
            }
            server.play(&event);
        }
    }
}

fn observer_of_secrets(server: &ApiServer, sink: &HttpSink, namespaces: &str) -> Observer {
    let config = format!(
        "{UNLIMITED_LOOK_BACK}knownSecrets: {{pods: {{namespaces: {namespaces}}}}}\n\
         sinks: [{{name: http, to: {{http: {{url: '{}'}}}}}}]\n",
        sink.url
    );
    Observer::with_config(server, &config, &["--plugin-namespace", "step-observer"])
}

#[tokio::test]
async fn secrets_are_read_where_a_role_is_bound_and_asked_for_once_elsewhere() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    server.authorise(&granted_with_secrets(), ACCOUNT);
    show_with_secret(&server, "ci", 1..3);
    show_with_secret(&server, "other", 3..6);
    let observer = observer_of_secrets(&server, &sink, "[ci, other]");
    sink.wait_for(10).await;
    for request in sink.requests() {
        let data: Value = serde_json::from_slice(&request.body).unwrap();
        let is_ci = data["podRef"]["namespace"] == "ci";
        assert_eq!(data["unreadSecrets"].is_null(), is_ci, "{data}");
    }
    let of_secrets = server.denials().into_iter();
    let of_secrets: Vec<String> = of_secrets.filter(|text| text.contains("secrets")).collect();
    assert_eq!(of_secrets.len(), 1, "{of_secrets:#?}");
    assert!(
        of_secrets[0].contains("in the namespace \"other\""),
        "{of_secrets:#?}"
    );
    let verbs = server.requests().into_iter();
    let mut verbs = verbs.filter(|request| request.contains(" secrets"));
    assert!(verbs.all(|request| request.starts_with("get ")));
    let (code, log) = observer.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("grant get on secrets"), "{log}");
    assert!(!log.contains("every Secret of the cluster"), "{log}");
}

#[tokio::test]
async fn without_the_right_to_secrets_the_log_says_which_to_grant() {
    let all = granted_with_secrets();
    let right = rights(&all)
        .into_iter()
        .find(|right| right.contains("secrets"));
    let right = right.unwrap();
    assert!(right.ends_with(": get secrets"), "{right}");
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    server.authorise(&without(&all, &right), ACCOUNT);
    show_with_secret(&server, "ci", 1..2);
    let mut observer = observer_of_secrets(&server, &sink, "[ci]");
    observer
        .wait_for_line(&["WARN", "grant get on secrets", "ci"])
        .await;
}

#[tokio::test]
async fn a_right_to_all_secrets_is_warned_of() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let mut granted = granted_with_secrets();
    granted.push(json!({
        "kind": "ClusterRoleBinding", "metadata": {"name": "too-wide"},
        "roleRef": {"kind": "ClusterRole", "name": "step-observer-known-secrets"},
        "subjects": [{"kind": "ServiceAccount", "namespace": "step-observer", "name": "step-observer"}],
    }));
    server.authorise(&granted, ACCOUNT);
    let mut observer = observer_of_secrets(&server, &sink, "[ci]");
    observer
        .wait_for_line(&[
            "WARN",
            "every Secret of the cluster",
            "RoleBinding in each namespace",
        ])
        .await;
}
