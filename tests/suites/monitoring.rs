//! Rules, dashboards and probes of `deploy/` use only names that the program exports.
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use step_observer_tests::admin::{get, get_until};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::available;
use step_observer_tests::manifests::{config, kubectl, list, of_kind, render, text, workload};
use step_observer_tests::path;
use step_observer_tests::program::Program;
use step_observer_tests::sink::PATIENCE;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

/// Labels that Prometheus adds to every target.
const OF_TARGET: [&str; 4] = ["instance", "job", "namespace", "pod"];

/// Series of a histogram that queries use.
const OF_HISTOGRAM: [&str; 3] = ["_bucket", "_sum", "_count"];

/// Returns every metric of the documentation with its labels, and for a histogram each of its
/// series. `operate::every_metric_is_documented` compares this documentation with the exported
/// metrics.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let table = std::fs::read_to_string(path("../deploy/METRICS.md")).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let of_row = |row: &str| -> Vec<(String, BTreeSet<String>)> {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let words = |column: &str| -> Vec<String> {
            let quoted = column.split('`').skip(1).step_by(2);
            quoted.map(str::to_owned).collect()
        };
        let mut labels: BTreeSet<String> = words(columns[3]).into_iter().collect();
        let name = words(columns[1]).remove(0);
        if columns[2] != "histogram" {
            return vec![(name, labels)];
        }
        labels.insert("le".to_owned());
        let series = OF_HISTOGRAM.map(|suffix| (format!("{name}{suffix}"), labels.clone()));
        series.into()
    };
    rows.flat_map(of_row).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// Returns the names of metrics in a text.
fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    words(text).filter(|word| word.starts_with("step_observer_") || word.starts_with("process_"))
}

/// Returns the names of labels in an expression or a template: in `{name="value"}`, `by (name)` and
/// `$labels.name`.
fn labels_in(text: &str) -> BTreeSet<&str> {
    let mut labels = BTreeSet::new();
    for selector in text.split('{').skip(1) {
        let selector = selector.split('}').next().unwrap();
        let before =
            |part: &'static str| selector.match_indices(part).map(|(at, _)| &selector[..at]);
        let names = before("=\"").chain(before("=~\""));
        labels.extend(names.filter_map(|before| words(before).last()));
    }
    for list in text.split("by (").skip(1) {
        labels.extend(words(list.split(')').next().unwrap()));
    }
    for name in text.split("$labels.").skip(1) {
        labels.extend(words(name).next());
    }
    labels
}

/// Returns every expression of rules and dashboards, with its place.
fn expressions(objects: &[Value]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for rule in of_kind(objects, "PrometheusRule") {
        for alert in list(&rule["spec"]["groups"][0]["rules"]) {
            let name = text(&alert["alert"]);
            for annotation in ["summary", "description", "runbook"] {
                let text = text(&alert["annotations"][annotation]);
                assert!(!text.is_empty(), "{name} has no {annotation}");
                found.push((name.to_owned(), text.to_owned()));
            }
            found.push((name.to_owned(), text(&alert["expr"]).to_owned()));
        }
    }
    for map in of_kind(objects, "ConfigMap") {
        if map["metadata"]["labels"]["grafana_dashboard"] != "1" {
            continue;
        }
        for file in map["data"].as_object().unwrap().values() {
            let dashboard: Value = serde_json::from_str(text(file)).unwrap();
            found.push(("variables".to_owned(), dashboard["templating"].to_string()));
            for panel in list(&dashboard["panels"]) {
                for target in list(&panel["targets"]) {
                    found.push((
                        text(&panel["title"]).to_owned(),
                        text(&target["expr"]).to_owned(),
                    ));
                }
            }
        }
    }
    found
}

#[test]
fn rules_and_dashboards_name_only_exported_metrics() {
    available!(kubectl());
    let objects = render(&path("../deploy/overlays/monitoring"));
    let documented = documented();
    let expressions = expressions(&objects);
    assert!(expressions.len() > 60, "{}", expressions.len());
    let mut allowed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (place, expression) in &expressions {
        let allowed = allowed.entry(place).or_default();
        for name in metrics_in(expression) {
            let labels = documented.get(name);
            let labels = labels.unwrap_or_else(|| panic!("{place}: there is no metric {name}"));
            allowed.extend(labels.iter().map(String::as_str));
        }
    }
    for (place, expression) in &expressions {
        for label in labels_in(expression) {
            let known = OF_TARGET.contains(&label) || allowed[place.as_str()].contains(label);
            assert!(known, "{place}: there is no label {label} in {expression}");
        }
    }
    let all: String = expressions
        .into_iter()
        .map(|(_, expression)| expression + "\n")
        .collect();
    let shown: BTreeSet<&str> = metrics_in(&all).collect();
    for name in documented.keys() {
        // The buckets of a histogram are enough.
        let is_optional = ["_seconds_sum", "_seconds_count"].map(|end| name.ends_with(end));
        assert!(
            shown.contains(name.as_str()) || is_optional.contains(&true),
            "{name} is neither on the dashboard nor in a rule"
        );
    }
}

/// Returns name and severity of each alert.
fn alerts() -> BTreeMap<String, String> {
    let file = path("../deploy/components/monitoring/prometheus-rule.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let alerts = text.split("- alert: ").skip(1).map(|alert| {
        let severity = alert.split("severity: ").nth(1).unwrap();
        let severity = severity.split('}').next().unwrap();
        (
            alert.lines().next().unwrap().to_owned(),
            severity.to_owned(),
        )
    });
    alerts.collect()
}

#[test]
fn the_page_on_operating_has_every_alert() {
    let page = std::fs::read_to_string(path("../docs/operating.md")).unwrap();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `StepObserver"));
    let mut described = BTreeMap::new();
    for row in rows {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(columns.len(), 6, "{row}");
        assert!(columns[3].len() > 10 && columns[4].len() > 10, "{row}");
        let name = columns[1].trim_matches('`').to_owned();
        assert_eq!(described.insert(name, columns[2].to_owned()), None, "{row}");
    }
    let alerts = alerts();
    assert!(alerts.len() > 20, "{alerts:?}");
    assert_eq!(described, alerts);
}

/// Starts the program as a container specifies, with folders and addresses of the test.
fn start(objects: &[Value], server: &ApiServer, folder: &Path) -> Child {
    let container = &workload(objects)["spec"]["template"]["spec"]["containers"][0];
    let file = folder.join("config.yaml");
    let journal = folder.join("journal");
    let mut settings = config(objects).replace("/var/lib/step-observer", journal.to_str().unwrap());
    for address in ["0.0.0.0:8080", "0.0.0.0:8081", "127.0.0.1:8082"] {
        assert!(settings.contains(address), "{settings}");
        settings = settings.replace(address, "127.0.0.1:0");
    }
    std::fs::write(&file, settings).unwrap();
    let place = "/etc/step-observer/config.yaml";
    let args = list(&container["args"]).iter().map(text);
    let args: Vec<String> = args
        .map(|arg| arg.replace(place, file.to_str().unwrap()))
        .collect();
    assert!(
        args.contains(&file.to_str().unwrap().to_owned()),
        "{args:?}"
    );
    let mut command = Program::new();
    command
        .args(args)
        .env("KUBECONFIG", server.kubeconfig(folder));
    for variable in list(&container["env"]) {
        let value = match text(&variable["valueFrom"]["fieldRef"]["fieldPath"]) {
            "" => text(&variable["value"]),
            "metadata.name" => "step-observer-2",
            "metadata.namespace" => "step-observer",
            other => panic!("{other}"),
        };
        command.env(text(&variable["name"]), value);
    }
    command.stderr(Stdio::piped()).spawn().unwrap()
}

#[tokio::test]
async fn a_pod_starts_and_answers_its_probes_and_scrapes() {
    available!(kubectl());
    for form in ["base", "overlays/sharded"] {
        let objects = render(&path("../deploy").join(form));
        let (server, folder) = (ApiServer::start().await, tempfile::tempdir().unwrap());
        let mut pod = start(&objects, &server, folder.path());
        let mut log = BufReader::new(pod.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        // Addresses by the names of the container's ports.
        let mut addresses = BTreeMap::new();
        while addresses.len() < 3 {
            let line = tokio::time::timeout(PATIENCE, log.next_line())
                .await
                .unwrap()
                .unwrap();
            let line = line.unwrap_or_else(|| panic!("{form}: {said:#?}"));
            let entry: Value = serde_json::from_str(&line).unwrap();
            said.push(line);
            let field = |name: &str| entry["fields"][name].as_str().or(entry[name].as_str());
            if let (Some(listener), Some(address)) = (field("listener"), field("address")) {
                addresses.insert(listener.to_owned(), address.to_owned());
            }
        }
        let container = &workload(&objects)["spec"]["template"]["spec"]["containers"][0];
        let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
        for probe in probes.map(|probe| &container[probe]["httpGet"]) {
            let address = &addresses[text(&probe["port"])];
            get_until(address, text(&probe["path"]), |status, _| status == 200).await;
        }
        let monitoring = render(&path("../deploy/overlays/monitoring"));
        let monitor = &of_kind(&monitoring, "ServiceMonitor")[0]["spec"]["endpoints"][0];
        let service = of_kind(&monitoring, "Service")[0];
        let port = list(&service["spec"]["ports"])
            .iter()
            .find(|port| port["name"] == monitor["port"]);
        let address = &addresses[text(&port.unwrap()["targetPort"])];
        let (_, metrics) = get(address, text(&monitor["path"])).await;
        assert!(metrics.contains("step_observer_build_info"), "{metrics}");
    }
}
