//! Measures the latency of an innocent run's events while others attack the observer. Compares it
//! with interleaved rounds without an attack: `cargo bench --bench strangers` after `cargo build
//! --profile bench --workspace`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::budget::Budget;
use step_observer_tests::program::Program;
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::HttpSink;

/// Innocent runs per round, one after the other.
const RUNS: usize = 100;
/// Events of each run.
const PER_RUN: usize = 6;
const ROUNDS: usize = 5;
const SHOWN_EVERY: Duration = Duration::from_millis(20);
/// Time between two steps of the attack.
const ATTACK_EVERY: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Attack {
    /// No attack.
    None,
    /// Objects that cannot be read.
    Unreadable,
    /// Pods that name an innocent TaskRun as their owner.
    ForeignPods,
    /// TaskRuns with 1.4 MB of scripts that never run.
    LargeScripts,
    /// Pods that are being deleted, and whose logs do not end.
    DyingPods,
}

const ATTACKS: [Attack; 5] = [
    Attack::None,
    Attack::Unreadable,
    Attack::ForeignPods,
    Attack::LargeScripts,
    Attack::DyingPods,
];

#[tokio::main]
async fn main() -> ExitCode {
    let mut all: HashMap<Attack, Vec<Duration>> = HashMap::new();
    for _ in 0..ROUNDS {
        for attack in ATTACKS {
            all.entry(attack).or_default().extend(round(attack).await);
        }
    }
    let mut most = Duration::ZERO;
    let percentile = |attack: &Attack, part: usize| {
        let mut times = all[attack].clone();
        times.sort();
        times[(times.len() - 1) * part / 100]
    };
    for attack in &ATTACKS {
        let (p50, p99) = (percentile(attack, 50), percentile(attack, 99));
        let added = p99.saturating_sub(percentile(&Attack::None, 99));
        most = most.max(added);
        println!(
            "{:<14} p50 {:>7.1} ms, p99 {:>7.1} ms",
            format!("{attack:?}"),
            p50.as_secs_f64() * 1e3,
            p99.as_secs_f64() * 1e3
        );
    }
    let mut budget = Budget::of("strangers");
    budget.check(
        "milliseconds that an attack adds to the 99th percentile",
        most.as_secs_f64() * 1e3,
    );
    budget.finish()
}

/// Measures the time from the API server's update to the acknowledgement of each run's last event.
async fn round(attack: Attack) -> Vec<Duration> {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    let text = format!(
        "lookBack: 1000000h\nsinks: [{{name: all, to: {{http: {{url: '{}'}}}}}}]",
        sink.url
    );
    std::fs::write(&config, text).unwrap();
    let _observer = Program::new()
        .args(["run", "--log", "error", "--config"])
        .arg(&config)
        .env("KUBECONFIG", server.kubeconfig(folder.path()))
        .spawn()
        .unwrap();
    server.wait_for_watches(2).await;
    let runs = copies(&watch_events("a-success"), RUNS);
    let uid = |run: &[String]| {
        let events = run
            .iter()
            .map(|event| serde_json::from_str::<Value>(event).unwrap());
        let mut runs = events.filter(|event| event["object"]["kind"] == "TaskRun");
        let uid = runs.next().unwrap()["object"]["metadata"]["uid"].clone();
        uid.as_str().unwrap().to_owned()
    };
    let victims: Vec<String> = runs.chunks(2).map(uid).collect();
    let attacking = async {
        let mut ticks = tokio::time::interval(ATTACK_EVERY);
        for number in 0.. {
            ticks.tick().await;
            if let Some(object) = attack.object(number, &victims) {
                server.put(object);
            }
        }
    };
    let innocent = async {
        let mut shown: HashMap<String, Instant> = HashMap::new();
        let mut ticks = tokio::time::interval(SHOWN_EVERY);
        for run in runs.chunks(2) {
            ticks.tick().await;
            for event in run {
                let event: Value = serde_json::from_str(event).unwrap();
                server.play(&event);
                if event["object"]["kind"] == "TaskRun" {
                    let uid = event["object"]["metadata"]["uid"].as_str().unwrap();
                    shown.insert(uid.to_owned(), Instant::now());
                }
            }
        }
        // The attacker's own events are delivered as well.
        sink.wait_until(|requests| {
            let own = requests
                .iter()
                .filter(|request| shown.contains_key(request.header("ce-partitionkey")));
            own.count() >= RUNS * PER_RUN
        })
        .await;
        shown
    };
    let shown = tokio::select! {
        shown = innocent => shown,
        () = attacking => HashMap::new(),
    };
    let mut last: HashMap<String, Instant> = HashMap::new();
    for request in sink.requests() {
        let run = last.entry(request.header("ce-partitionkey").to_owned());
        let latest = run.or_insert(request.at);
        *latest = request.at.max(*latest);
    }
    assert_eq!(shown.len(), RUNS);
    shown.iter().map(|(run, at)| last[run] - *at).collect()
}

impl Attack {
    /// Returns the next object of the attacker.
    fn object(self, number: usize, victims: &[String]) -> Option<Value> {
        let name = format!("stranger-{number}");
        let owner = |uid: String| json!([{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": name, "uid": uid, "controller": true}]);
        let metadata = json!({
            "name": name, "namespace": "sec-a", "uid": format!("uid-{name}"), "labels": {"tekton.dev/taskRun": name},
        });
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [
            {"name": "step-a", "image": "b"}
        ]}});
        match self {
            Self::None => return None,
            Self::Unreadable => {
                pod["spec"]["containers"] = vec![json!({"name": "step-a"}); 300].into()
            }
            Self::ForeignPods => {
                pod["metadata"]["ownerReferences"] = owner(victims[number % RUNS].clone());
            }
            Self::LargeScripts => {
                let step = |step: usize| json!({"name": format!("s{step}"), "script": format!("{number} {}", "x".repeat(14_000))});
                pod["apiVersion"] = "tekton.dev/v1".into();
                pod["kind"] = "TaskRun".into();
                pod["spec"] =
                    json!({"taskSpec": {"steps": (0..100).map(step).collect::<Vec<_>>()}});
            }
            Self::DyingPods => {
                // Its own TaskRun names every second one.
                let run = number / 2;
                let name = format!("stranger-{run}");
                if number.is_multiple_of(2) {
                    return Some(json!({"apiVersion": "tekton.dev/v1", "kind": "TaskRun",
                        "metadata": {"name": name, "namespace": "sec-a", "uid": format!("run-{run}")},
                        "status": {"podName": name}}));
                }
                pod["metadata"]["name"] = name.into();
                pod["metadata"]["ownerReferences"] = owner(format!("run-{run}"));
                pod["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
                pod["status"] = json!({"phase": "Running", "containerStatuses": [
                    {"name": "step-a", "state": {"running": {"startedAt": "2026-11-22T13:04:10Z"}}}
                ]});
            }
        }
        Some(pod)
    }
}
