//! Values of the chart: wrong ones are refused with a reason, hostile ones come out as the text that they are.

use proptest::prelude::*;
use serde_json::{Value, json};
use step_observer_tests::available;
use step_observer_tests::helm::{Case, Rendered, render};
use step_observer_tests::manifests::{config, documents, of_kind, text, workload};
use step_observer_tests::path;

#[test]
fn wrong_values_are_refused_with_their_place() {
    let yaml = |values: &str| Value::from(format!("image: {{repository: x}}\n{values}"));
    let table: [(Value, &[&str]); 20] = [
        (
            json!({"image": {"repository": ""}}),
            &["image.repository", "cargo xtask image"],
        ),
        (json!({"nothing": 1}), &["'nothing' not allowed"]),
        (
            json!({"config": {"lookBak": "1h"}}),
            &["/config", "'lookBak' not allowed"],
        ),
        (
            json!({"config": {"plugins": [{"name": "a", "from": {"bundled": "a"}, "limit": {}}]}}),
            &["/config/plugins/0", "limit"],
        ),
        (
            json!({"config": {"sinks": [{"name": "a", "to": {"htp": {}}}]}}),
            &["/config/sinks/0/to"],
        ),
        // YAML 1.1 reads these as booleans.
        (
            yaml("config: {log: {capture: off}}"),
            &["/config/log/capture", "got boolean"],
        ),
        (
            yaml("config: {event: {maxBytes: off}}"),
            &["/config/event/maxBytes"],
        ),
        (
            json!({"image": {"repository": "x", "tag": true}}),
            &["/image/tag", "got boolean"],
        ),
        (
            yaml("labels: {team: yes}"),
            &["/labels/team", "got boolean"],
        ),
        (
            json!({"image": {"repository": "x y"}}),
            &["/image/repository"],
        ),
        (json!({"shards": 2}), &["shards", "durable.enabled"]),
        (
            json!({"standby": {"enabled": true}, "durable": {"enabled": true}}),
            &["standby.enabled", "durable.enabled"],
        ),
        (
            json!({"config": {"standby": {"renewMs": 1000}}}),
            &["config.standby", "standby.enabled"],
        ),
        (
            json!({"config": {"cluster": {"shards": 2}}}),
            &["config.cluster.shards", "`shards`"],
        ),
        (
            json!({"durable": {"enabled": true, "size": "4Gi"}}),
            &["durable.size", "4480Mi"],
        ),
        (
            json!({"config": {"shutdownGrace": "1 fortnight"}}),
            &["config.shutdownGrace", "1m 30s"],
        ),
        (
            json!({"config": {"journal": {"directory": Value::Null}}}),
            &["config.journal.directory"],
        ),
        (
            json!({"config": {"admin": {"probes": Value::Null}}}),
            &["config.admin.probes"],
        ),
        (
            json!({"plugins": {"step-observer": {"module": "AGFzbQ=="}}}),
            &["plugins.step-observer", "another"],
        ),
        (
            json!({"plugins": {"mine": {"module": "AGFzbQ==", "settings": {"ordr": 1}}}}),
            &["/plugins/mine/settings", "ordr"],
        ),
    ];
    let cases = table.clone().map(|(values, _)| Case::new(values));
    for ((values, words), refused) in table.iter().zip(available!(render(&cases))) {
        let refused = refused.map(|rendered| rendered.notes).unwrap_err();
        for word in *words {
            assert!(refused.contains(word), "{values}: {refused}");
        }
    }
}

#[test]
fn values_in_the_documents_are_accepted() {
    let mut cases = Vec::new();
    for document in ["docs/install.md", "deploy/chart/README.md"] {
        let document = std::fs::read_to_string(path("..").join(document)).unwrap();
        let shown = document.split("```yaml\n").skip(1);
        let shown = shown.map(|rest| rest.split("```").next().unwrap());
        let values = shown.filter(|text| text.contains("image: {repository"));
        cases.extend(values.map(|values| Case::new(values.into())));
    }
    assert_eq!(cases.len(), 4);
    for (case, chart) in cases.iter().zip(available!(render(&cases))) {
        let chart = chart.unwrap();
        assert_eq!(chart.findings, [""; 0], "{}", case.values);
        let image = &workload(&chart.objects)["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(image, "registry.example/ci/step-observer:0.1.0");
    }
}

/// Texts that a careless template or reader of YAML would change. Not among them: U+007F, which Helm's
/// own reader of YAML refuses, and U+0085, which it reads as a line break.
const HOSTILE: [&str; 32] = [
    "y",
    "n",
    "yes",
    "no",
    "on",
    "off",
    "true",
    "null",
    "~",
    "",
    "1",
    "1e3",
    "0x10",
    "0o7",
    "1_000",
    "012",
    "1:30",
    ".inf",
    "2001-01-01",
    "=",
    "<<",
    "{{ .Values.config }}",
    "{{- fail \"x\" }}",
    "a\n---\nkind: Secret",
    "a\n\n",
    "\n  x",
    "\t",
    " # ",
    "\"quoted\" 'twice' \\n \\",
    "- a: [b",
    "%TAG ! x",
    "\u{feff}☂\u{2028}\r\n",
];

/// Returns values with a text in each place that takes any text.
fn with(hostile: &str) -> Value {
    json!({
        "config": {
            "sinks": [{"name": "a", "to": {"http": {"url": "http://x", "headers": [{"name": "X", "value": hostile}]}}}],
            // The last text of the file.
            "trust": {"publicKeys": [hostile]},
        },
        "plugins": {"mine": {"settings": {"config": {"text": hostile}}, "module": "AGFzbQ=="}},
        "annotations": {"text": hostile},
        "podLabels": {"text": hostile},
        "serviceAccount": {"annotations": {"own": hostile}},
        "service": {"annotations": {"own": hostile}},
        "monitoring": {"dashboard": {"enabled": true, "labels": {"own": hostile}}},
        "nodeSelector": {"text": hostile},
        "tolerations": [{"value": hostile}],
        "priorityClassName": hostile,
        "extraArgs": [hostile],
        "extraEnv": [{"name": "A", "value": hostile}],
    })
}

fn assert_unchanged(hostile: &str, chart: &Rendered) {
    chart.assert_unambiguous();
    // No text makes an object or takes one away.
    assert_eq!(chart.objects.len(), 11, "{hostile:?}");
    let file = documents(config(&chart.objects)).remove(0);
    let pod = &workload(&chart.objects)["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    let account = of_kind(&chart.objects, "ServiceAccount")[0];
    let service = of_kind(&chart.objects, "Service")[0];
    let maps = of_kind(&chart.objects, "ConfigMap");
    let map = |name: &str| {
        maps.iter()
            .find(|map| map["metadata"]["name"] == name)
            .unwrap()
    };
    let settings = documents(text(&map("mine")["data"]["plugin.yaml"])).remove(0);
    let places = [
        &file["sinks"][0]["to"]["http"]["headers"][0]["value"],
        &file["trust"]["publicKeys"][0],
        &settings["config"]["text"],
        &service["metadata"]["annotations"]["text"],
        &service["metadata"]["annotations"]["own"],
        &account["metadata"]["annotations"]["own"],
        &map("step-observer-dashboard")["metadata"]["labels"]["own"],
        &pod["metadata"]["labels"]["text"],
        &pod["spec"]["nodeSelector"]["text"],
        &pod["spec"]["tolerations"][0]["value"],
        &container["args"][5],
        &container["env"][0]["value"],
    ];
    for (number, place) in places.into_iter().enumerate() {
        assert_eq!(place, hostile, "place {number}");
    }
    let class = &pod["spec"]["priorityClassName"];
    assert!(
        class == hostile || (hostile.is_empty() && class.is_null()),
        "{class}"
    );
}

/// Checks that each text comes out as it is.
fn check(texts: &[String]) {
    let cases: Vec<Case> = texts.iter().map(|text| Case::new(with(text))).collect();
    for (text, chart) in texts.iter().zip(available!(render(&cases))) {
        assert_unchanged(text, &chart.unwrap());
    }
}

#[test]
fn hostile_values_come_out_as_text() {
    check(&HOSTILE.map(str::to_owned));
}

proptest! {
    // Each case is a process that renders many texts.
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn any_value_comes_out_as_text(
        texts in prop::collection::vec("([\\PC\n\t\"'{}:#&*!|>%@`,\\[\\] -]|\\{\\{|---|: ){0,12}", 16),
    ) {
        check(&texts);
    }
}
