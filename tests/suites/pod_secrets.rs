//! The observer reads the Secrets that the Pod of a run refers to: by name, and in the chosen
//! namespaces only. Their values do not leave the observer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;
use step_observer_tests::admin::{ADMIN_ARGS, admin_address, get, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::known_secrets::{assert_absent, log_of};
use step_observer_tests::observer::Observer;
use step_observer_tests::sink::HttpSink;

const PASSWORD: &str = "Tr0ub4dor&3/of=env";
const REGISTRY: &str = "r3gistry-pass-word";
const KEY: &str = "MHcCAQEEIFakeFakeFake";

/// Returns a Secret.
fn secret(namespace: &str, name: &str, kind: &str, data: &[(&str, &str)]) -> Value {
    let data = data.iter().map(|(key, value)| {
        let encoded = STANDARD.encode(value);
        ((*key).to_owned(), Value::from(encoded))
    });
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind,
        "metadata": {"namespace": namespace, "name": name, "uid": format!("uid-of-{name}")},
        "data": data.collect::<serde_json::Map<_, _>>(),
    })
}

/// Returns TaskRun and finished Pod of a run in a namespace. `names` are the Secrets in its volumes.
fn run(number: usize, namespace: &str, names: &[&str]) -> [Value; 2] {
    let events = serde_json::to_string(&finished_run(number)).unwrap();
    let events: Vec<Value> = serde_json::from_str(&events).unwrap();
    let mut events = <[Value; 2]>::try_from(events).unwrap();
    for event in &mut events {
        event["object"]["metadata"]["namespace"] = namespace.into();
    }
    let volumes = names
        .iter()
        .map(|name| json!({"name": "v", "secret": {"secretName": name}}));
    events[1]["object"]["spec"]["volumes"] = volumes.collect();
    events
}

/// Returns the event in which the step of a finished Pod still runs.
fn running(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["object"]["status"]["phase"] = "Running".into();
    pod["object"]["status"]["containerStatuses"][0]["state"] =
        json!({"running": {"startedAt": "2020-08-12T12:07:54Z"}});
    pod
}

fn set_log(server: &ApiServer, pod: &Value, log: &str) {
    let name = pod["object"]["metadata"]["name"].as_str().unwrap();
    server.set_log(&format!("{name}-step-unnamed-0"), log);
}

fn config(sink: &HttpSink, more: &str) -> String {
    format!(
        "lookBack: 1000000h\n{more}sinks: [{{name: http, to: {{http: {{url: '{}'}}}}}}]\n",
        sink.url
    )
}

const IN_CI: &str = "knownSecrets: {pods: {namespaces: [ci]}}\n";

/// Returns the data of all events, in the order of their arrival.
fn data(sink: &HttpSink) -> Vec<Value> {
    let requests = sink.requests();
    let bodies = requests.iter().map(|request| &request.body);
    bodies
        .map(|body| serde_json::from_slice(body).unwrap())
        .collect()
}

fn asked(server: &ApiServer, name: &str) -> usize {
    let requests = server.requests();
    let text = format!("get secrets {name} ");
    requests.iter().filter(|one| one.starts_with(&text)).count()
}

/// Puts all files below a folder into a list.
fn read_all(folder: &Path, seen: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, seen);
        } else if path.is_file() {
            // The folder of the journal also holds a socket.
            seen.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

#[tokio::test]
async fn no_value_of_a_secret_of_the_pod_is_anywhere() {
    let (server, temp) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let (sink, refusing) = (
        HttpSink::start(vec![]).await,
        HttpSink::start(vec![(400, vec![]); 100]).await,
    );
    let auth = STANDARD.encode(format!("robot:{REGISTRY}"));
    let document = format!(
        r#"{{"auths":{{"registry.example":{{"username":"robot-name","auth":"{auth}"}}}}}}"#
    );
    server.put(secret(
        "ci",
        "of-env",
        "Opaque",
        &[
            ("password", PASSWORD),
            ("username", "some-user-name"),
            ("mode", "latest"),
        ],
    ));
    server.put(secret(
        "ci",
        "registry",
        "kubernetes.io/dockerconfigjson",
        &[(".dockerconfigjson", &document)],
    ));
    server.put(secret(
        "ci",
        "tls",
        "kubernetes.io/tls",
        &[("tls.crt", "a-public-certificate"), ("tls.key", KEY)],
    ));
    let [task_run, mut pod] = run(1, "ci", &["registry"]);
    let container = &mut pod["object"]["spec"]["containers"][0];
    container["env"] = json!([{"name": "P", "valueFrom": {"secretKeyRef": {"name": "of-env", "key": "password"}}}]);
    pod["object"]["spec"]["initContainers"] =
        json!([{"name": "prepare", "envFrom": [{"secretRef": {"name": "tls"}}]}]);
    pod["object"]["status"]["containerStatuses"][0]["state"]["terminated"]["message"] =
        json!([{"key": "out", "value": PASSWORD, "type": 1}])
            .to_string()
            .into();
    let log = [PASSWORD, REGISTRY, KEY].map(log_of).concat()
        + "by some-user-name with a-public-certificate\n";
    set_log(&server, &pod, &log);
    let config = format!(
        "lookBack: 1000000h\n{IN_CI}journal: {{directory: '{0}/journal'}}\n\
         sinks:\n- {{name: http, to: {{http: {{url: '{1}'}}}}}}\n\
         - {{name: file, to: {{file: {{path: '{0}/out.jsonl'}}}}}}\n\
         - {{name: refusing, to: {{http: {{url: '{2}'}}}}}}\n",
        temp.path().display(),
        sink.url,
        refusing.url,
    );
    let args = [&ADMIN_ARGS[..], &["--log", "trace"]].concat();
    let mut observer = Observer::with_config(&server, &config, &args);
    let address = admin_address(&mut observer).await;
    server.wait_for_watches(2).await;
    server.play(&task_run);
    server.play(&running(&pod));
    sink.wait_for(1).await;
    server.play(&pod);
    sink.wait_for(2).await;
    refusing.wait_for(2).await;

    let mut seen = Vec::new();
    for path in ["/status", "/plugins", "/sinks", "/metrics"] {
        seen.push((path.to_owned(), get(&address, path).await.1.into_bytes()));
    }
    let (code, told) = observer.stop().await;
    assert_eq!(code, Some(1), "those of the refusing sink: {told}");
    assert!(told.contains("Secret ci/of-env, key mode"), "{told}");
    seen.push(("log".to_owned(), told.into_bytes()));
    read_all(temp.path(), &mut seen);
    for request in sink.requests().into_iter().chain(refusing.requests()) {
        seen.push(("sink".to_owned(), request.body.to_vec()));
    }
    for (place, bytes) in &seen {
        for value in [PASSWORD, REGISTRY, KEY] {
            assert_absent(place, bytes, value);
        }
    }
    let ended = &data(&sink)[1];
    let log = ended["log"].as_str().unwrap();
    assert!(
        log.contains("by some-user-name with a-public-certificate"),
        "{log}"
    );
    assert_eq!(log.matches("[redacted:known-value]").count(), 18, "{log}");
    assert!(ended["unreadSecrets"].is_null(), "{ended}");
}

#[tokio::test]
async fn both_values_of_a_secret_that_changes_during_the_run_are_masked() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    server.put(secret(
        "ci",
        "rotated",
        "Opaque",
        &[("key", "value-before-1")],
    ));
    let observer = Observer::with_config(&server, &config(&sink, IN_CI), &[]);
    server.wait_for_watches(2).await;
    let [task_run, pod] = run(1, "ci", &["rotated"]);
    server.play(&task_run);
    server.play(&running(&pod));
    sink.wait_for(1).await;
    server.put(secret(
        "ci",
        "rotated",
        "Opaque",
        &[("key", "value-after-2")],
    ));
    set_log(&server, &pod, "old value-before-1 new value-after-2\n");
    server.play(&pod);
    sink.wait_for(2).await;
    let log = data(&sink)[1]["log"].clone();
    assert_eq!(
        log,
        "old [redacted:known-value] new [redacted:known-value]\n"
    );
    let (code, told) = observer.stop().await;
    assert_eq!(code, Some(0), "{told}");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_said_counted_and_withholds_texts_if_wanted() {
    for requires in [false, true] {
        let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
        server.put(secret(
            "ci",
            "closed",
            "Opaque",
            &[("key", "unknown-value-1")],
        ));
        server.deny("secrets", true);
        let known =
            format!("knownSecrets: {{requireSecrets: {requires}, pods: {{namespaces: [ci]}}}}\n");
        let mut observer = Observer::with_config(&server, &config(&sink, &known), &ADMIN_ARGS);
        let address = admin_address(&mut observer).await;
        server.wait_for_watches(2).await;
        for number in 1..4 {
            let [task_run, pod] = run(number, "ci", &["closed"]);
            set_log(&server, &pod, "a plain log\n");
            server.play(&task_run);
            server.play(&pod);
            sink.wait_for(2 * number).await;
        }
        for event in data(&sink) {
            assert_eq!(event["unreadSecrets"], 1, "{event}");
            assert_eq!(event["step"]["args"].is_null(), requires, "{event}");
            if event["exitCode"].is_null() {
                continue;
            }
            match requires {
                false => assert_eq!(event["log"], "a plain log\n"),
                true => {
                    assert!(event["log"].is_null(), "{event}");
                    let reason = "left out: a Secret of the pod could not be read";
                    assert_eq!(event["logInfo"]["unavailable"], reason);
                }
            }
        }
        assert_eq!(asked(&server, "closed"), 1);
        let withheld = format!(
            "step_observer_events_withheld_total {}\n",
            if requires { 6 } else { 0 }
        );
        let unread = "step_observer_known_secret_reads_total{outcome=\"forbidden\"}";
        get_until(&address, "/metrics", |_, body| {
            body.contains(&withheld) && body.contains(unread)
        })
        .await;
        let (code, told) = observer.stop().await;
        assert_eq!(code, Some(0), "{told}");
        assert_eq!(told.matches("grant get on secrets").count(), 1, "{told}");
    }
}

#[tokio::test]
async fn secrets_of_namespaces_that_are_not_chosen_are_never_asked_for() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    for namespace in ["ci", "other"] {
        let name = format!("in-{namespace}");
        server.put(secret(
            namespace,
            &name,
            "Opaque",
            &[("key", "value-of-namespace")],
        ));
    }
    let observer = Observer::with_config(&server, &config(&sink, IN_CI), &[]);
    server.wait_for_watches(2).await;
    for (number, namespace) in [(1, "other"), (2, "ci")] {
        let name = format!("in-{namespace}");
        let [task_run, pod] = run(number, namespace, &[&name]);
        set_log(&server, &pod, "a value-of-namespace\n");
        server.play(&task_run);
        server.play(&pod);
        sink.wait_for(2 * number).await;
    }
    let events = data(&sink);
    let logs: Vec<_> = events
        .iter()
        .filter_map(|data| data["log"].as_str())
        .collect();
    assert_eq!(
        logs,
        ["a value-of-namespace\n", "a [redacted:known-value]\n"]
    );
    assert_eq!(asked(&server, "in-other"), 0);
    assert!(asked(&server, "in-ci") > 0);
    let (code, told) = observer.stop().await;
    assert_eq!(code, Some(0), "{told}");
}

#[tokio::test]
async fn more_secrets_than_are_read_are_counted() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let names: Vec<String> = (0..70).map(|number| format!("s-{number}")).collect();
    for name in &names {
        server.put(secret(
            "ci",
            name,
            "Opaque",
            &[("key", &format!("value-of-{name}"))],
        ));
    }
    let observer = Observer::with_config(&server, &config(&sink, IN_CI), &[]);
    server.wait_for_watches(2).await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let [task_run, pod] = run(1, "ci", &names);
    set_log(&server, &pod, "first value-of-s-0 last value-of-s-63\n");
    server.play(&task_run);
    server.play(&pod);
    sink.wait_for(2).await;
    let ended = &data(&sink)[1];
    assert_eq!(ended["unreadSecrets"], 6, "{ended}");
    assert_eq!(
        ended["log"],
        "first [redacted:known-value] last [redacted:known-value]\n"
    );
    let (code, told) = observer.stop().await;
    assert_eq!(code, Some(0), "{told}");
}
