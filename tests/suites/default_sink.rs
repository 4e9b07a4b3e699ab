//! The default sink: the sink of a SinkBinding, otherwise Tekton's.
use serde_json::{Value, json};
use std::process::Stdio;
use step_observer::http::ExtraRoots;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::events::finished_run;
use step_observer_tests::program::{Program, wait_for_line};
use step_observer_tests::sink::HttpSink;
use step_observer_tests::tls::Authority;
use tokio::process::Child;

/// Each run gives `started` and `succeeded`.
const EVENTS: usize = 2;

fn observer(server: &ApiServer, folder: &std::path::Path, variables: &[(&str, &str)]) -> Child {
    Program::new()
        .args(["run", "--log", "warn", "--config"])
        .arg(config(folder))
        .env("KUBECONFIG", server.kubeconfig(folder))
        .envs(variables.iter().copied())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn config(folder: &std::path::Path) -> std::path::PathBuf {
    let file = folder.join("config.yaml");
    std::fs::write(&file, "lookBack: 1000000h\n").unwrap();
    file
}

fn play(server: &ApiServer, number: usize) {
    for event in finished_run(number) {
        server.play(&event);
    }
}

fn tekton_map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
           "metadata": {"name": name, "namespace": "tekton-pipelines"}, "data": data})
}

#[tokio::test]
async fn events_wait_for_tektons_sink_and_follow_it() {
    let server = ApiServer::start().await;
    let [first, second, third] = [
        HttpSink::start(vec![]).await,
        HttpSink::start(vec![]).await,
        HttpSink::start(vec![]).await,
    ];
    let folder = tempfile::tempdir().unwrap();
    // This ConfigMap has keys of other settings, and an empty `sink`.
    server.put(tekton_map(
        "config-events",
        &json!({"formats": "tektonv1", "sink": ""}),
    ));
    let _observer = observer(&server, folder.path(), &[]);
    server.wait_for_watches(4).await;
    play(&server, 1);
    let defaults = json!({"default-cloud-events-sink": first.url});
    server.put(tekton_map("config-defaults", &defaults));
    first.wait_for(EVENTS).await;
    // config-events has precedence.
    server.put(tekton_map("config-events", &json!({"sink": second.url})));
    play(&server, 2);
    // The observer may not know the change yet, so events may still go to the previous sink.
    let both = async {
        while first.requests().len() + second.requests().len() < 2 * EVENTS {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(step_observer_tests::sink::PATIENCE, both)
        .await
        .unwrap();
    server.put(tekton_map("config-events", &json!({"sink": third.url})));
    server.delete(tekton_map("config-defaults", &Value::Null));
    let mut number = 3;
    while third.requests().is_empty() {
        play(&server, number);
        let all = || first.requests().len() + second.requests().len() + third.requests().len();
        let next = async {
            while all() < number * EVENTS {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(step_observer_tests::sink::PATIENCE, next)
            .await
            .unwrap();
        number += 1;
    }
}

#[tokio::test]
async fn a_sink_binding_counts_before_tekton_and_its_extensions_are_added() {
    let server = ApiServer::start().await;
    let [tekton, bound] = [HttpSink::start(vec![]).await, HttpSink::start(vec![]).await];
    server.put(tekton_map("config-events", &json!({"sink": tekton.url})));
    let folder = tempfile::tempdir().unwrap();
    let overrides = r#"{"extensions": {"cluster": "west", "team": "über"}}"#;
    let variables = [
        ("K_SINK", bound.url.as_str()),
        ("K_CE_OVERRIDES", overrides),
    ];
    let _observer = observer(&server, folder.path(), &variables);
    play(&server, 1);
    bound.wait_for(EVENTS).await;
    assert_eq!(bound.requests()[0].header("ce-cluster"), "west");
    assert_eq!(bound.requests()[0].header("ce-team"), "%C3%BCber");
    assert!(tekton.requests().is_empty());
}

/// Knative publishes the authority of an addressable with TLS in `status.address.CACerts`.
#[tokio::test]
async fn the_authorities_of_a_sink_binding_are_trusted() {
    let server = ApiServer::start().await;
    let (authority, other) = (Authority::default(), Authority::default());
    let bound = HttpSink::start_tls(vec![], authority.server_until(4096)).await;
    let folder = tempfile::tempdir().unwrap();
    let both = format!("{}\n{}", other.pem(), authority.pem());
    let variables = [("K_SINK", bound.url.as_str()), ("K_CA_CERTS", &both)];
    let trusting = observer(&server, folder.path(), &variables);
    play(&server, 1);
    bound.wait_for(EVENTS).await;
    drop(trusting);

    // A foreign authority is not trusted.
    let variables = [("K_SINK", bound.url.as_str()), ("K_CA_CERTS", &other.pem())];
    let mut command = Program::new();
    command
        .args(["run", "--log", "warn", "--config"])
        .arg(config(folder.path()))
        .env("KUBECONFIG", server.kubeconfig(folder.path()))
        .envs(variables)
        .stderr(Stdio::piped());
    let mut doubting = command.spawn().unwrap();
    let line = wait_for_line(&mut doubting, "delivery failed").await;
    assert!(line.contains("certificate"), "{line}");
    assert_eq!(bound.requests().len(), EVENTS);
}

#[test]
fn a_ca_bundle_holds_its_authorities() {
    let (one, two) = (Authority::default().pem(), Authority::default().pem());
    let count =
        |pem: &str| ExtraRoots::from_pem(pem).map(|(roots, out)| (format!("{roots:?}"), out));
    let is = |held: usize, out: usize| Ok((format!("{held} certificates"), out));
    assert_eq!(count(&one), is(1, 0));
    assert_eq!(count(&format!("# one\r\n{one}\n\n{two}")), is(2, 0));
    let odd = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(count(&format!("{odd}{one}")), is(1, 1));
    let broken = "-----BEGIN CERTIFICATE-----\n%%%%\n-----END CERTIFICATE-----\n";
    let mixed = format!("{one}{broken}");
    for bad in [
        "",
        "certificates",
        odd,
        &one[..one.len() / 2],
        broken,
        &mixed,
    ] {
        assert!(count(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_mistake_of_a_sink_binding_is_named() {
    let server = ApiServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let good = "http://127.0.0.1:1/";
    for (variables, expected) in [
        (vec![("K_SINK", "nowhere")], "K_SINK: not a URL"),
        (
            vec![("K_SINK", good), ("K_CE_OVERRIDES", "[]")],
            "K_CE_OVERRIDES is not of the form",
        ),
        (
            vec![
                ("K_SINK", good),
                ("K_CE_OVERRIDES", r#"{"extensions": {"id": "1"}}"#),
            ],
            "extension `id`",
        ),
        (
            vec![("K_SINK", good), ("K_CA_CERTS", "not a certificate")],
            "K_CA_CERTS: it holds no certificate",
        ),
        (
            vec![
                ("K_SINK", good),
                (
                    "K_CA_CERTS",
                    "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n",
                ),
            ],
            "K_CA_CERTS: it is no PEM",
        ),
    ] {
        let mut command = Program::new();
        command
            .arg("run")
            .env("KUBECONFIG", server.kubeconfig(folder.path()))
            .envs(variables);
        let output = command.output();
        let patience = step_observer_tests::sink::PATIENCE;
        let output = tokio::time::timeout(patience, output)
            .await
            .unwrap()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && error.contains(expected),
            "{error}"
        );
    }
}
