//! Rules, dashboards and probes of `deploy/` name only what the program has.

use crate::cluster::Observer;
use crate::deploy::{list, of_kind, text, workload};
use crate::support::get;
use serde_json::Value;
use std::collections::BTreeSet;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::manifests::{kubectl_is_there, render};
use step_observer_tests::path;
use step_observer_tests::sink::HttpSink;

/// What is named in `deploy/` and comes with another change. Delete a line when it is there.
const NOT_YET: [&str; 15] = [
    "/healthz",
    "step_observer_transitions_total",
    "step_observer_events_total",
    "step_observer_runs_tracked",
    "step_observer_watch_age_seconds",
    "step_observer_watch_failures_total",
    "step_observer_relists_total",
    "step_observer_log_reads_total",
    "step_observer_config_reloads_total",
    "step_observer_config_last_reload_successful",
    "step_observer_build_info",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_start_time_seconds",
];

/// Names of metrics in a text.
fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("step_observer_") || word.starts_with("process_"))
}

/// Names of series that OpenMetrics text declares.
fn exported(metrics: &str) -> BTreeSet<String> {
    let declared = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    declared
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, "info") => format!("{name}_info"),
            (name, _) => name.to_owned(),
        })
        .collect()
}

/// Every expression of rules and dashboards, with where it stands.
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

#[tokio::test]
async fn probes_rules_and_dashboards_name_only_what_the_program_has() {
    if !kubectl_is_there() {
        return;
    }
    let objects = &render(&path("../deploy/overlays/monitoring"));
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let mut observer = Observer::start(&server, &sink, &["--admin", "127.0.0.1:0"]);
    let line = observer.wait_for_log("telling about plugins").await;
    let address = line.split("address=").nth(1).unwrap().trim();
    let (status, metrics) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    let exported = exported(&metrics);
    let mut missing = BTreeSet::new();
    let expressions = expressions(objects);
    assert!(expressions.len() > 60, "{}", expressions.len());
    for (place, expression) in &expressions {
        for name in metrics_in(expression).filter(|name| !exported.contains(*name)) {
            assert!(
                NOT_YET.contains(&name),
                "{place}: there is no {name}\n{metrics}"
            );
            missing.insert(name.to_owned());
        }
    }
    let container = &workload(objects)["spec"]["template"]["spec"]["containers"][0];
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"].map(|probe| &container[probe]);
    let monitor = of_kind(objects, "ServiceMonitor")[0];
    let paths = probes.map(|probe| text(&probe["httpGet"]["path"]));
    let scraped = text(&monitor["spec"]["endpoints"][0]["path"]);
    for path in paths.into_iter().chain([scraped]) {
        if get(address, path).await.0 == 404 {
            assert!(NOT_YET.contains(&path), "there is no {path}");
            missing.insert(path.to_owned());
        }
    }
    let not_yet: BTreeSet<String> = NOT_YET.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(
        missing, not_yet,
        "what is there now, or is not used, does not belong in NOT_YET"
    );
}
