//! The Helm chart makes the same objects as the overlays of kustomize. Helm's own library renders it.

mod forms;
mod values;

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use step_observer_tests::available;
use step_observer_tests::helm::{Case, Rendered, render};
use step_observer_tests::manifests::{
    config, documents, forms, kubectl, list, rendered, text, workload,
};
use step_observer_tests::path;
use step_observer_tests::peer::Missing;

/// Returns the values that make the objects of each overlay. `base` has no plugin; the chart masks by default, and null
/// removes a default.
fn values_of_overlays() -> BTreeMap<&'static str, Value> {
    let plain = |more: Value| {
        let mut values = json!({"config": {"plugins": Value::Null}});
        let fields = more.as_object().unwrap().clone();
        values.as_object_mut().unwrap().extend(fields);
        values
    };
    let monitoring = ["namespaceSelector"].map(|selector| {
        json!({selector: {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}})
    });
    let collector = json!({"url": "http://collector.observability.svc:4318", "pipelineRuns": true});
    let on = json!({"enabled": true});
    BTreeMap::from([
        ("base", plain(json!({}))),
        ("redact", json!({})),
        ("durable", plain(json!({"durable": on}))),
        ("sharded", plain(json!({"durable": on, "shards": 3}))),
        (
            "openshift",
            plain(json!({"durable": on, "openshift": true})),
        ),
        (
            "monitoring",
            plain(json!({"monitoring": {"serviceMonitor": on, "rules": on, "dashboard": on}})),
        ),
        ("auth", plain(json!({"auth": on}))),
        ("standby", plain(json!({"standby": on}))),
        (
            "network-policy",
            plain(json!({"networkPolicy": {"scrapeFrom": monitoring, "egress": on}})),
        ),
        (
            "known-secrets",
            json!({"config": {"plugins": Value::Null, "knownSecrets": {"pods": {"namespaces": ["ci"]}}}}),
        ),
        (
            "pull-secrets",
            json!({"config": {"plugins": Value::Null, "dropIn": {
                "registries": ["registry.example/plugins"], "pullSecrets": ["plugin-registry"]}}}),
        ),
        ("knative", plain(json!({"knative": on}))),
        (
            "otlp",
            json!({"config": {"stepMetrics": {}, "sinks": [
                {"name": "collector", "to": {"otlp": collector}},
                {"name": "tekton", "to": {"tekton": {}}},
            ]}}),
        ),
    ])
}

/// Differences by design: what only one of the two has. Each must occur, or it does not belong here.
const BY_DESIGN: [(&str, &str); 6] = [
    // Helm creates the namespace (`--create-namespace`), without labels; NOTES.txt has the command that sets them.
    ("Namespace", "kustomize"),
    // Several releases may be in one namespace, so that selectors need the name of the release.
    ("app.kubernetes.io/instance", "chart"),
    // Labels by convention of Helm.
    ("app.kubernetes.io/managed-by", "chart"),
    ("app.kubernetes.io/version", "chart"),
    ("helm.sh/chart", "chart"),
    // Restarts the pod if a part of the configuration changes that is not applied without a restart.
    ("step-observer.dev/restart-for", "chart"),
];

/// Removes the labels and annotations that only the chart has, and records their names.
fn without_additions(value: &mut Value, removed: &mut BTreeSet<&'static str>) {
    match value {
        Value::Object(fields) => {
            for (name, _) in BY_DESIGN.iter().filter(|(_, of)| *of == "chart") {
                removed.extend(fields.remove(*name).map(|_| *name));
            }
            fields
                .values_mut()
                .for_each(|field| without_additions(field, removed));
            if fields
                .get("annotations")
                .is_some_and(|all| *all == json!({}))
            {
                fields.remove("annotations");
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| without_additions(item, removed)),
        _ => {}
    }
}

/// Returns the objects by kind, namespace and name, with the parsed configuration.
fn by_name(objects: &[Value]) -> BTreeMap<[String; 3], Value> {
    let named = objects.iter().map(|object| {
        let mut object = object.clone();
        if let Some(file) = object.pointer_mut("/data/config.yaml") {
            *file = documents(text(file)).remove(0);
        }
        let metadata = &object["metadata"];
        let name = [&object["kind"], &metadata["namespace"], &metadata["name"]];
        (name.map(|part| text(part).to_owned()), object)
    });
    let all: BTreeMap<_, _> = named.collect();
    assert_eq!(all.len(), objects.len(), "two objects have one name");
    all
}

fn successful(cases: &[Case]) -> Result<Vec<Rendered>, Missing> {
    let rendered = render(cases)?;
    Ok(rendered.into_iter().map(Result::unwrap).collect())
}

#[test]
fn it_makes_the_objects_of_every_overlay() {
    available!(kubectl());
    let mut seen = BTreeSet::new();
    let values = values_of_overlays();
    let names: BTreeSet<String> = forms()
        .iter()
        .map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        values.keys().map(|name| (*name).to_owned()).collect()
    );
    let cases: Vec<Case> = values.values().cloned().map(Case::new).collect();
    let charts = available!(successful(&cases));
    let overlays: BTreeMap<_, _> = available!(rendered()).into_iter().collect();
    for (overlay, chart) in values.keys().zip(charts) {
        let mut expected = by_name(&overlays[*overlay]);
        let namespaces = expected.len();
        expected.retain(|[kind, ..], _| kind != "Namespace");
        seen.extend((expected.len() < namespaces).then_some("Namespace"));
        let mut objects = chart.objects.clone();
        for object in &mut objects {
            without_additions(object, &mut seen);
        }
        let made = by_name(&objects);
        let names = |of: &BTreeMap<[String; 3], Value>| of.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&made), names(&expected), "{overlay}");
        for (name, object) in &expected {
            assert_eq!(&made[name], object, "{overlay}: {name:?}");
        }
    }
    assert_eq!(seen, BY_DESIGN.map(|(name, _)| name).into());
}

#[test]
fn notes_say_what_to_do_next() {
    let cases = [
        json!({}),
        json!({"config": {"plugins": Value::Null, "sinks": [{"name": "broker", "to": {"http": {"url": "http://x"}}}]}}),
        json!({"durable": {"enabled": true}, "shards": 2, "auth": {"enabled": true}}),
    ];
    let charts = available!(successful(&cases.map(Case::new)));
    let [plain, bare, sharded] = [0, 1, 2].map(|index| charts[index].notes.as_str());
    for words in [
        "kubectl -n step-observer rollout status deployment/step-observer\n",
        "kubectl -n step-observer port-forward deployment/step-observer 8082\n",
        "http://127.0.0.1:8082/\n",
        "http://step-observer.step-observer:8080/metrics",
        "every event passes the plugin redact-secrets",
        "that of Tekton itself",
        "pod-security.kubernetes.io/enforce=restricted",
    ] {
        assert!(plain.contains(words), "{words}: {plain}");
    }
    assert!(
        bare.contains("WARNING: no plugin `redact-secrets`"),
        "{bare}"
    );
    assert!(bare.contains("Sinks: broker."), "{bare}");
    for words in [
        "port-forward pod/step-observer-0 8082\n",
        "statefulset/step-observer\n",
        "--non-resource-url=",
        "delete pvc -l app.kubernetes.io/instance=step-observer\n",
    ] {
        assert!(sharded.contains(words), "{words}: {sharded}");
    }
}

#[test]
fn only_changes_that_need_a_restart_restart_the_pod() {
    let cases = [
        json!({}),
        json!({"lookBack": "1h", "sinks": [{"name": "a", "to": {"stdout": {}}}]}),
        json!({"journal": {"maxBytes": 2_000_000}}),
        json!({"traces": {"otlp": "http://x/v1/traces"}}),
    ];
    let cases = cases.map(|config| Case::new(json!({"config": config})));
    let charts = available!(successful(&cases));
    let of = |chart: &Rendered| {
        let pod = &workload(&chart.objects)["spec"]["template"]["metadata"];
        text(&pod["annotations"]["step-observer.dev/restart-for"]).to_owned()
    };
    let [plain, sinks, journal, traces] = [0, 1, 2, 3].map(|index| of(&charts[index]));
    assert_eq!(plain, sinks);
    let others = BTreeSet::from([&plain, &journal, &traces]);
    assert_eq!(others.len(), 3, "{others:?}");
    assert_ne!(config(&charts[0].objects), config(&charts[1].objects));
}

#[test]
fn its_readme_and_schema_have_every_value() {
    let read =
        |file: &str| std::fs::read_to_string(path(&format!("../deploy/chart/{file}"))).unwrap();
    let values = documents(&read("values.yaml")).remove(0);
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let readme = read("README.md");
    let names: BTreeSet<&str> = values
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let known = schema["properties"].as_object().unwrap().keys();
    let known: BTreeSet<&str> = known
        .map(String::as_str)
        .filter(|name| *name != "global")
        .collect();
    assert_eq!(names, known);
    for name in names {
        let documented = [format!("| `{name}`"), format!("| `{name}.")];
        assert!(
            documented.iter().any(|start| readme.contains(start)),
            "{name}"
        );
    }
    for (at, file) in [("config", "config.v1.json"), ("plugin", "plugin.v1.json")] {
        let own = std::fs::read_to_string(path(&format!("../deploy/schema/{file}"))).unwrap();
        let moved = own.replace("\"#/$defs/", &format!("\"#/$defs/{at}/$defs/"));
        let mut own: Value = serde_json::from_str(&moved).unwrap();
        for of_a_root in ["$id", "$schema"] {
            own.as_object_mut().unwrap().remove(of_a_root).unwrap();
        }
        assert_eq!(schema["$defs"][at], own, "run `cargo xtask schemas`");
    }
    let chart = documents(&read("Chart.yaml")).remove(0);
    for version in ["version", "appVersion"] {
        assert_eq!(chart[version], env!("CARGO_PKG_VERSION"));
    }
    let component = |file: &str| {
        std::fs::read(path(&format!("../deploy/components/monitoring/{file}"))).unwrap()
    };
    for file in ["prometheus-rule.yaml", "dashboard.json"] {
        assert_eq!(
            component(file),
            read(&format!("files/{file}")).into_bytes(),
            "run `cargo xtask schemas`"
        );
    }
    assert!(
        list(&values["config"]["plugins"]).len() == 1,
        "the chart masks by default"
    );
}
