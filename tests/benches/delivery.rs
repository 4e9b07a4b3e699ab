//! Measures the throughput from the snapshot of a Pod or TaskRun to the acknowledgement by an HTTP
//! sink, with the journal on. Compares it with bare reqwest that posts the same bodies. Also
//! measures the throughput including the parsing of a recording, and the latency of an event:
//! `cargo xtask bench`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

use futures::StreamExt as _;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use step_observer::app::{App, Source};
use step_observer::config::Config;
use step_observer::observe::{RecordedLogs, Speed, TimedChange, play};
use step_observer::plugin::Compiler;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::budget::Budget;
use step_observer_tests::program::Program;
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::{HttpSink, Request};
use tokio::process::Command;

const RUNS: usize = 2000;
/// Events of a run of three steps.
const PER_RUN: usize = 6;
const EVENTS: usize = RUNS * PER_RUN;
/// Number of concurrent requests of bare reqwest, as many as the program has in flight.
const CONCURRENCY: usize = 16;
/// Number of rounds. The compared programs take turns in each round, so that other load affects all
/// of them.
const ROUNDS: usize = 21;
/// Time between two new runs while latency is measured. The rate is about a tenth of the possible
/// throughput.
const SHOWN_EVERY: Duration = Duration::from_millis(4);

fn main() -> ExitCode {
    // As the program does it, for both sides of the comparison.
    step_observer::allocator::configure();
    run()
}

#[tokio::main]
async fn run() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "post", file, url] => post(url, &std::fs::read_to_string(file).unwrap()).await,
        [_, "tell", recording, journal, url] => tell(recording, journal, url).await,
        _ => return compare().await,
    }
    ExitCode::SUCCESS
}

async fn compare() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let ratio = ratio(folder.path()).await;
    let mut budget = Budget::of("delivery");
    budget.check("rate from the snapshot / bare reqwest", ratio);
    latency(folder.path()).await;
    budget.finish()
}

/// Returns the throughput of this program relative to bare reqwest, each in its own process.
async fn ratio(folder: &Path) -> f64 {
    let (recording, requests) = (folder.join("runs.jsonl"), folder.join("requests.jsonl"));
    std::fs::write(&recording, ended_runs().join("\n")).unwrap();
    std::fs::write(recording.with_extension("logs.json"), logs().to_string()).unwrap();
    let this = || Command::new(std::env::current_exe().unwrap());
    let (mut ours, mut whole, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let mut teller = this();
        teller.arg("tell").arg(&recording);
        teller.arg(folder.join(format!("journal-{round}")));
        let (rate, posted) = timed(teller).await;
        ours.push(rate);

        let mut observer = Program::new();
        observer.arg("replay").arg(&recording);
        observer.args(["--log", "error", "--journal"]);
        observer.arg(folder.join(format!("journal-of-all-{round}")));
        observer.arg("--to");
        whole.push(timed(observer.into_command()).await.0);

        std::fs::write(&requests, lines(&posted)).unwrap();
        let mut poster = this();
        poster.arg("post").arg(&requests);
        bare.push(timed(poster).await.0);
        let bytes: usize = posted.iter().map(|request| request.body.len()).sum();
        println!(
            "round {round}: {:.0} events/s from the snapshot, {:.0} from the recording, {:.0}/s bare reqwest, \
             {} bytes each",
            ours[round],
            whole[round],
            bare[round],
            bytes / EVENTS
        );
    }
    let middle = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let by_bare = |rates: Vec<f64>| {
        middle(
            rates
                .iter()
                .zip(&bare)
                .map(|(rate, bare)| rate / bare)
                .collect(),
        )
    };
    println!(
        "rate from the recording / bare reqwest {:.2}",
        by_bare(whole)
    );
    by_bare(ours)
}

/// Parses a recording, then runs the program's pipeline on the result.
async fn tell(recording: &str, journal: &str, url: &str) {
    let recording = Path::new(recording);
    let mut snapshots: Vec<TimedChange> = Vec::new();
    let reader = std::fs::File::open(recording).unwrap();
    let take = |seen| {
        snapshots.push(seen);
        true
    };
    play("the recording", reader, Speed::Max, || None, take).unwrap();
    let source = Source::Recording {
        player: Box::new(|emit| {
            let mut snapshots = snapshots.into_iter();
            while snapshots.next().is_some_and(&mut *emit) {}
            Ok(())
        }),
        logs: RecordedLogs::read_beside(recording).unwrap(),
        live: false,
        hold_for: Duration::ZERO,
    };
    let text = format!(
        "{{journal: {{directory: '{journal}'}}, sinks: [{{name: all, to: {{http: {{url: '{url}'}}}}}}]}}"
    );
    let config = Config::parse("the benchmark's configuration", &text).unwrap();
    let app = App::build(source, config, Compiler::Thread).await.unwrap();
    let summary = app.run(std::future::pending()).await.unwrap();
    assert_eq!(summary.undelivered(), 0);
}

/// Runs a command that sends all events to the URL in its last argument. Returns the events per
/// second and the requests. Measures from the first to the last event, because starting and
/// stopping a program takes longer than some events.
async fn timed(mut command: Command) -> (f64, Vec<Request>) {
    let sink = HttpSink::start(vec![]).await;
    assert!(command.arg(&sink.url).status().await.unwrap().success());
    let requests = sink.requests();
    assert_eq!(requests.len(), EVENTS);
    let time = requests[EVENTS - 1].at - requests[0].at;
    let events = f64::from(u32::try_from(EVENTS).unwrap());
    (events / time.as_secs_f64(), requests)
}

/// Returns TaskRuns and Pods after their end, without members that the observer does not read:
/// parsing is not measured here.
fn ended_runs() -> Vec<String> {
    let mut events = watch_events("a-success");
    events.iter_mut().for_each(strip);
    copies(&events, RUNS)
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

/// Returns a log for each step. With these logs events have 2 KiB on average; `started` events have
/// no log.
fn logs() -> Value {
    let log = "2026-11-22T13:04:10Z compiling another module of the widget\n".repeat(37);
    json!({"before-build": log, "before-test": log, "before-deploy": log})
}

/// Formats requests as lines, for the process that posts them.
fn lines(requests: &[Request]) -> String {
    let line = |request: &Request| {
        let headers = request
            .headers
            .iter()
            .filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()));
        let headers: Vec<(&str, &str)> = headers
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        let body = std::str::from_utf8(&request.body).unwrap();
        json!([headers, body]).to_string()
    };
    let lines: Vec<String> = requests.iter().map(line).collect();
    lines.join("\n")
}

async fn post(url: &str, requests: &str) {
    type Line = (Vec<(String, String)>, String);
    let requests: Vec<Line> = requests
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(CONCURRENCY)
        .tls_backend_preconfigured(no_roots())
        .build()
        .unwrap();
    let posts = futures::stream::iter(requests).map(|(headers, body)| {
        let request = headers
            .into_iter()
            .fold(client.post(url), |request, (name, value)| {
                request.header(name, value)
            });
        async {
            assert!(
                request
                    .body(body)
                    .send()
                    .await
                    .unwrap()
                    .status()
                    .is_success()
            )
        }
    });
    posts.buffer_unordered(CONCURRENCY).collect::<()>().await;
}

/// Plain HTTP needs no root certificates, but the client requires a TLS configuration.
fn no_roots() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

/// Measures the time from the API server's update to the acknowledgement of a run's last event.
async fn latency(folder: &Path) {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    for (step, log) in logs().as_object().unwrap() {
        for number in 0..RUNS {
            let container = step.replace("before-", "step-");
            let log = log.as_str().unwrap();
            server.set_log(&format!("run-{number:05}-pod-{container}"), log);
        }
    }
    let config = folder.join("config.yaml");
    // Reports runs regardless of when the recording was made.
    let text = format!(
        "lookBack: 1000000h\nsinks: [{{name: all, to: {{http: {{url: '{}'}}}}}}]",
        sink.url
    );
    std::fs::write(&config, text).unwrap();
    let _observer = Program::new()
        .args(["run", "--log", "error", "--config"])
        .arg(&config)
        .arg("--journal")
        .arg(folder.join("journal-latency"))
        .env("KUBECONFIG", server.kubeconfig(folder))
        .spawn()
        .unwrap();
    server.wait_for_watches(2).await;
    let mut shown = HashMap::new();
    let mut ticks = tokio::time::interval(SHOWN_EVERY);
    for run in ended_runs().chunks(2) {
        ticks.tick().await;
        for event in run {
            let event: Value = serde_json::from_str(event).unwrap();
            server.play(&event);
            if event["object"]["kind"] == "TaskRun" {
                let uid = event["object"]["metadata"]["uid"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                shown.insert(uid, Instant::now());
            }
        }
    }
    sink.wait_for(EVENTS).await;
    let mut last: HashMap<String, Instant> = HashMap::new();
    for request in sink.requests() {
        let run = last.entry(request.header("ce-partitionkey").to_owned());
        let latest = run.or_insert(request.at);
        *latest = request.at.max(*latest);
    }
    let mut times: Vec<Duration> = last.iter().map(|(run, at)| *at - shown[run]).collect();
    times.sort();
    let rate = f64::from(u32::try_from(PER_RUN).unwrap()) / SHOWN_EVERY.as_secs_f64();
    println!(
        "latency at {rate:.0} events/s, from the watch event to the last of a run's {PER_RUN} events: \
         p50 {:.1} ms, p99 {:.1} ms",
        times[times.len() / 2].as_secs_f64() * 1e3,
        times[times.len() * 99 / 100].as_secs_f64() * 1e3,
    );
}
