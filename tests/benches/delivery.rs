//! From what a cluster shows to an acknowledged HTTP sink, with the journal on, beside bare reqwest posting the
//! same bodies: `cargo xtask bench`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use futures::StreamExt as _;
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};
use step_observer_tests::program;
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::{HttpSink, Request};

const RUNS: usize = 2000;
/// Events of a run of three steps.
const EVENTS: usize = RUNS * 6;
/// What the program has in flight, too.
const CONCURRENCY: usize = 16;
const ROUNDS: usize = 3;
const BOUND: f64 = 0.5;

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("runs.jsonl");
    std::fs::write(&recording, ended_runs()).unwrap();
    std::fs::write(recording.with_extension("logs.json"), logs()).unwrap();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let sink = HttpSink::start(vec![]).await;
        let journal = folder.path().join(format!("journal-{round}"));
        let mut observer = tokio::process::Command::new(program())
            .arg("replay")
            .arg(&recording)
            .args(["--log", "error", "--to", &sink.url, "--journal"])
            .arg(&journal)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        // Not its start: loading the program takes longer than some events.
        sink.wait_for(1).await;
        let began = Instant::now();
        assert!(observer.wait().await.unwrap().success());
        ours.push(rate(began.elapsed()));
        let requests = sink.requests();
        assert_eq!(requests.len(), EVENTS);

        let sink = HttpSink::start(vec![]).await;
        let began = Instant::now();
        post(&sink.url, &requests).await;
        bare.push(rate(began.elapsed()));
        let bytes: usize = requests.iter().map(|request| request.body.len()).sum();
        println!(
            "round {round}: {:.0} events/s with journal, {:.0}/s bare reqwest, {} bytes each",
            ours[round],
            bare[round],
            bytes / EVENTS
        );
    }
    let middle = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let ratio = middle(ours) / middle(bare);
    let word = if ratio >= BOUND { "holds" } else { "BROKEN" };
    println!("rate with the journal / bare reqwest {ratio:.2}    at least {BOUND}: {word}");
    std::process::exit(i32::from(ratio < BOUND));
}

fn rate(time: Duration) -> f64 {
    f64::from(u32::try_from(EVENTS).unwrap()) / time.as_secs_f64()
}

/// TaskRuns and Pods as they are when all is over, without what the observer does not look at: it is
/// not reading that is measured.
fn ended_runs() -> String {
    let mut events = watch_events("a-success");
    events.iter_mut().for_each(strip);
    copies(&events, RUNS).join("\n")
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for name in [
                "managedFields",
                "annotations",
                "volumes",
                "volumeMounts",
                "env",
                "tolerations",
            ] {
                members.remove(name);
            }
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A log for each step: events of some 2 KiB on average, as `started` has none.
fn logs() -> String {
    let line = "2026-11-22T13:04:10Z compiling another module of the widget\n";
    let logs = ["build", "test", "deploy"].map(|step| (format!("before-{step}"), line.repeat(37)));
    serde_json::to_string(&std::collections::BTreeMap::from(logs)).unwrap()
}

async fn post(url: &str, requests: &[Request]) {
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(CONCURRENCY)
        .tls_backend_preconfigured(no_roots())
        .build()
        .unwrap();
    let posts = futures::stream::iter(requests).map(|request| {
        let mut headers = request.headers.clone();
        headers.remove("host");
        headers.remove("content-length");
        let request = client.post(url).headers(headers).body(request.body.clone());
        async { assert!(request.send().await.unwrap().status().is_success()) }
    });
    posts.buffer_unordered(CONCURRENCY).collect::<()>().await;
}

/// Plain HTTP needs none, and the client wants to be built.
fn no_roots() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}
