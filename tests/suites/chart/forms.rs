//! Forms of the chart that no overlay has: they are valid, restricted and minimal.

use super::{by_name, successful, values_of_overlays};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::available;
use step_observer_tests::helm::{Case, Rendered};
use step_observer_tests::manifests::{of_kind, text, understood, workload};
use step_observer_tests::observer::Observer;
use step_observer_tests::plugins::stamp;
use step_observer_tests::pod_security::violated;
use step_observer_tests::program::Program;
use step_observer_tests::recording::watch_events;
use step_observer_tests::sink::HttpSink;

/// Forms that no overlay has.
fn further() -> Vec<Value> {
    let on = json!({"enabled": true});
    vec![
        json!({
            "durable": {"enabled": true, "size": "8Gi", "storageClassName": "fast"},
            "config": {"journal": {"maxBytes": 2_000_000_000}},
            "shards": 2, "auth": on, "knative": on, "openshift": true,
            "monitoring": {"serviceMonitor": on, "rules": on, "dashboard": on},
            "networkPolicy": {"egress": on},
        }),
        json!({
            "config": {
                "cluster": {"namespaces": ["ci", "release"]},
                "knownSecrets": {"pods": {"namespaces": ["ci"]}},
                "sinks": [{"name": "collector", "to": {"otlp": {"url": "http://x", "pipelineRuns": true}}}],
                "admin": {"listen": Value::Null},
            },
            "plugins": {"mine": {"settings": {"order": 5}, "module": "AGFzbQ\n=="}},
            "image": {"repository": "registry.local:5000/a/b", "digest": format!("sha256:{}", "0".repeat(64)), "pullPolicy": "Always"},
            "imagePullSecrets": [{"name": "registry"}],
            "serviceAccount": {"annotations": {"a": "b"}},
            "service": {"annotations": {"prometheus.io/scrape": "true"}},
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "ci", "operator": "Exists"}],
            "affinity": {"podAffinity": {}},
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
            "priorityClassName": "high",
            "extraArgs": ["--log", "debug"],
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
            "extraEnvFrom": [{"secretRef": {"name": "credentials"}}],
            "extraVolumes": [{"name": "sink", "secret": {"secretName": "sink"}}],
            "extraVolumeMounts": [{"name": "sink", "mountPath": "/etc/sink"}],
            "labels": {"team": "ci"}, "annotations": {"owner": "ci"},
            "podLabels": {"tier": "1"}, "podAnnotations": {"x": "y"},
            "fullnameOverride": "observer",
        }),
        json!({"rbac": {"create": false}, "serviceAccount": {"create": false, "name": "mine"}, "networkPolicy": {"enabled": false},
               "config": {"dropIn": {"configMaps": false}}}),
    ]
}

#[test]
fn every_form_is_valid_restricted_and_passes_lint() {
    let all = values_of_overlays().into_values().chain(further());
    let cases: Vec<Case> = all.map(Case::new).collect();
    let charts = available!(successful(&cases));
    for (case, chart) in cases.iter().zip(charts) {
        let form = case.values.to_string();
        assert_eq!(chart.findings, [""; 0], "{form}");
        chart.assert_unambiguous();
        for object in &chart.objects {
            if let Some(understood) = understood(object) {
                assert_eq!(&understood, object, "{form}");
            }
            let labels = &object["metadata"]["labels"];
            assert_eq!(
                labels["app.kubernetes.io/instance"], "step-observer",
                "{form}"
            );
        }
        let pod = &workload(&chart.objects)["spec"]["template"]["spec"];
        assert_eq!(violated(pod), [""; 0], "{form}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        let map = of_kind(&chart.objects, "ConfigMap")
            .into_iter()
            .find(|map| !map["data"]["config.yaml"].is_null())
            .unwrap();
        std::fs::write(&file, text(&map["data"]["config.yaml"])).unwrap();
        let output = Program::new()
            .args(["config", "check"])
            .arg(&file)
            .run()
            .unwrap();
        let problems = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{form}: {problems}");
    }
}

/// Returns the granted rights as `kind namespace/name of the role`, sorted.
fn roles(chart: &Rendered) -> Vec<String> {
    let bindings = chart
        .objects
        .iter()
        .filter(|object| text(&object["kind"]).ends_with("Binding"));
    let mut roles: Vec<String> = bindings
        .filter(|binding| !binding["roleRef"].is_null())
        .map(|binding| {
            let role = &binding["roleRef"];
            format!(
                "{} {}/{}",
                text(&role["kind"]),
                text(&binding["metadata"]["namespace"]),
                text(&role["name"])
            )
        })
        .collect();
    roles.sort();
    roles
}

#[test]
fn rights_follow_the_configuration() {
    let secrets = json!({"pods": {"namespaces": ["ci", "release"]}});
    let sink = |to: Value| json!([{"name": "a", "to": to}]);
    let http = sink(json!({"http": {"url": "http://x"}}));
    let tekton = sink(json!({"tekton": {"namespace": "openshift-pipelines"}}));
    let in_dead_letters = json!([{"name": "a", "to": {"http": {"url": "http://x"}},
        "deadLetterSink": {"to": {"otlp": {"url": "http://x", "pipelineRuns": true}}}}]);
    let everywhere = "ClusterRole /step-observer";
    let plugins = "Role step-observer/step-observer";
    let nulls =
        json!([{"name": "a", "to": {"http": {"url": "http://x"}}, "deadLetterSink": Value::Null}]);
    let table: [(Value, &[&str]); 10] = [
        (
            json!({"sinks": nulls, "dropIn": {"namespace": Value::Null}, "traces": Value::Null}),
            &[everywhere, plugins],
        ),
        (
            json!({}),
            &[
                everywhere,
                plugins,
                "Role tekton-pipelines/step-observer-tekton-sink",
            ],
        ),
        (json!({"sinks": http}), &[everywhere, plugins]),
        (
            json!({"sinks": tekton}),
            &[
                everywhere,
                "Role openshift-pipelines/step-observer-tekton-sink",
                plugins,
            ],
        ),
        (
            json!({"sinks": in_dead_letters}),
            &[everywhere, "ClusterRole /step-observer-otlp", plugins],
        ),
        (
            json!({"sinks": http, "dropIn": {"configMaps": false}}),
            &[everywhere],
        ),
        (
            json!({"sinks": http, "dropIn": {"namespace": "plugins"}}),
            &[everywhere, "Role plugins/step-observer"],
        ),
        (
            json!({"sinks": http, "dropIn": {"namespace": "plugins", "pullSecrets": ["a", "b"]}}),
            &[
                everywhere,
                "Role plugins/step-observer",
                "Role step-observer/step-observer-pull-secrets",
            ],
        ),
        (
            json!({"sinks": http, "knownSecrets": secrets}),
            &[
                everywhere,
                "ClusterRole ci/step-observer-known-secrets",
                "ClusterRole release/step-observer-known-secrets",
                plugins,
            ],
        ),
        // Without any right in the whole cluster: the namespace of the observer may be among those that it watches.
        (
            json!({"sinks": http, "knownSecrets": secrets, "cluster": {"namespaces": ["ci", "step-observer"]}}),
            &[
                "Role ci/step-observer",
                "Role ci/step-observer-known-secrets",
                "Role release/step-observer-known-secrets",
                "Role step-observer/step-observer",
                "Role step-observer/step-observer-plugins",
            ],
        ),
    ];
    let cases = table
        .clone()
        .map(|(config, _)| Case::new(json!({"config": config})));
    for ((config, expected), chart) in table.iter().zip(available!(successful(&cases))) {
        assert_eq!(roles(&chart), *expected, "{config}");
        let kinds = chart.objects.iter().map(|object| text(&object["kind"]));
        let whole = kinds.filter(|kind| kind.starts_with("Cluster")).count();
        assert_eq!(whole > 0, config["cluster"].is_null(), "{config}");
    }
}

#[test]
fn releases_beside_each_other_share_no_name() {
    let on = json!({"enabled": true});
    let values = json!({"durable": on, "shards": 2, "monitoring": {"dashboard": on}, "auth": on});
    let cases = ["blue", "step-observer-green"].map(|release| Case {
        release: release.to_owned(),
        ..Case::new(values.clone())
    });
    let charts = available!(successful(&cases));
    let [blue, green] = [0, 1].map(|index| by_name(&charts[index].objects));
    assert!(blue.keys().all(|name| !green.contains_key(name)));
    assert!(
        blue.keys()
            .all(|[_, _, name]| name.starts_with("blue-step-observer"))
    );
    for chart in &charts {
        let workload = workload(&chart.objects);
        let selector = &workload["spec"]["selector"]["matchLabels"]["app.kubernetes.io/instance"];
        let labels = &workload["spec"]["template"]["metadata"]["labels"];
        assert_eq!(*selector, labels["app.kubernetes.io/instance"]);
        assert_ne!(*selector, Value::Null);
    }
}

#[tokio::test]
async fn a_plugin_among_the_values_is_loaded_with_its_settings() {
    let module = STANDARD.encode(wat::parse_str(stamp("stamp")).unwrap());
    let values =
        json!({"plugins": {"stamp": {"module": module, "settings": {"config": "from-helm"}}}});
    let chart = available!(successful(&[Case::new(values)])).remove(0);
    let maps = of_kind(&chart.objects, "ConfigMap").into_iter();
    let mut maps = maps.filter(|map| map["metadata"]["name"] == "stamp");
    let mut map = maps.next().unwrap().clone();
    map["metadata"]["uid"] = "uid-of-stamp".into();

    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    server.put(map);
    for event in watch_events("a-success") {
        server.play(&event);
    }
    let _observer = Observer::start(&server, &sink, &["--plugin-namespace", "step-observer"]);
    sink.wait_for(1).await;
    assert_eq!(sink.requests()[0].header("ce-stamp"), "from-helm");
}
