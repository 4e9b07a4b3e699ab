//! Measures the processor time of a run of three steps on the whole path from the API server to an
//! HTTP sink. The API server uses TLS and sends all updates of TaskRun and Pod as they were
//! recorded. Logs, masking and the journal are included. `cargo xtask bench`.
//!
//! `STEP_OBSERVER_ROAD=400` measures 400 runs; the default is 40. All runs begin within [`SPAN`].

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

use jiff::{SignedDuration, Timestamp, Unit};
use serde_json::Value;
use std::fs::File;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::budget::Budget;
use step_observer_tests::deployed::{kubeconfig, overlay};
use step_observer_tests::measure::ProcessUsage;
use step_observer_tests::path;
use step_observer_tests::program::Program;
use step_observer_tests::recording::renamed;
use step_observer_tests::sink::HttpSink;
use step_observer_tests::tls::Authority;

/// Default number of runs.
const RUNS: usize = 40;
/// Time within which all runs begin.
const SPAN: Duration = Duration::from_secs(20);
/// Time for which the idle program is measured.
const IDLE: Duration = Duration::from_secs(20);
/// Time after which the program is idle: its plugin is loaded, and its watches are open.
const SETTLING: Duration = Duration::from_secs(3);
/// Time in which the sink gets the last events.
const DELIVERY: Duration = Duration::from_secs(60);
/// Name of the recorded TaskRun, and of its namespace.
const RECORDING: &str = "a-success";
/// Day of the recording.
const DAY: &str = "2026-11-22T";
const STEPS: [&str; 3] = ["build", "test", "deploy"];
/// Namespace of all runs.
const NAMESPACE: &str = "ci";

#[tokio::main]
async fn main() -> ExitCode {
    let runs = std::env::var("STEP_OBSERVER_ROAD").map_or(RUNS, |runs| runs.parse().unwrap());
    let authority = Authority::default();
    let server = Arc::new(ApiServer::start_tls(authority.server_named("127.0.0.1")).await);
    let sink = HttpSink::start(vec![]).await;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let kubeconfig = kubeconfig(folder.path(), &server.url, &authority);
    let observer = Program::new()
        .args(["run", "--log-format", "json", "--to", &sink.url, "--config"])
        .arg(overlay(folder.path()))
        .env("KUBECONFIG", kubeconfig)
        .stderr(File::create(folder.path().join("stderr")).unwrap())
        .spawn()
        .unwrap();
    let measure = || ProcessUsage::read(observer.id().unwrap());
    server.wait_for_watches(2).await;
    tokio::time::sleep(SETTLING).await;

    let before_idle = measure();
    tokio::time::sleep(IDLE).await;
    let before = measure();
    let idle = before.processor_seconds - before_idle.processor_seconds;

    let began = Instant::now();
    let lines = recorded_lines();
    let (bytes, count) = (
        lines.iter().map(|line| line.text.len()).sum::<usize>(),
        lines.len(),
    );
    let player = server.clone();
    let playing = tokio::task::spawn_blocking(move || play(&player, &lines, runs));
    playing.await.unwrap();
    let events = runs * STEPS.len() * 2;
    let delivered = tokio::time::timeout(DELIVERY, sink.met(|requests| requests.len() >= events));
    if delivered.await.is_err() {
        let log = std::fs::read_to_string(folder.path().join("stderr")).unwrap();
        println!(
            "{log}\n{} of {events} events delivered",
            sink.requests().len()
        );
        return ExitCode::FAILURE;
    }
    let (after, time) = (measure(), began.elapsed());
    let logs = server
        .requests()
        .iter()
        .filter(|request| request.starts_with("log "))
        .count();
    let of_runs = |number: usize| number as f64 / runs as f64;
    let sent = sink
        .requests()
        .iter()
        .map(|request| request.body.len())
        .sum();
    println!(
        "{runs} runs of three steps in {:.0} s; each: {count} watch events of {:.0} KiB, {:.1} logs, {:.1} events, \
         together of {:.1} KiB",
        time.as_secs_f64(),
        bytes as f64 / 1024.0,
        of_runs(logs),
        of_runs(sink.requests().len()),
        of_runs(sent) / 1024.0,
    );
    let used = after.processor_seconds - before.processor_seconds;
    let of_idle = idle / IDLE.as_secs_f64() * time.as_secs_f64();
    let per_run = |seconds: f64| seconds * 1000.0 / runs as f64;
    println!(
        "{:.2} ms of the processor time of a run also while idle ({:.2} % of a core)",
        per_run(of_idle),
        idle / IDLE.as_secs_f64() * 100.0
    );
    println!(
        "wake-ups of its threads for a run: {:.0}",
        of_runs(after.wake_ups - before.wake_ups)
    );
    println!(
        "resident {:.1} MiB before, {:.1} MiB after, {:.1} MiB at most",
        before.resident_mib, after.resident_mib, after.peak_mib
    );
    let mut budget = Budget::of("road");
    budget.check("milliseconds of processor time of a run", per_run(used));
    budget.finish()
}

/// A recorded line of a watch.
struct RecordedLine {
    at: Timestamp,
    /// The line as the API server sent it.
    text: String,
}

fn recorded_lines() -> Vec<RecordedLine> {
    let recording = std::fs::read_to_string(path(&format!("recordings/{RECORDING}.jsonl")));
    let own_namespace = format!(r#""namespace":"{RECORDING}""#);
    let namespace = format!(r#""namespace":"{NAMESPACE}""#);
    let read = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        let (_, rest) = line.split_once(r#","type""#).unwrap();
        RecordedLine {
            at: event["at"].as_str().unwrap().parse().unwrap(),
            text: format!(r#"{{"type"{}"#, rest.replace(&own_namespace, &namespace)),
        }
    };
    recording.unwrap().lines().map(read).collect()
}

/// Plays all runs at the pace of the recording. Blocks until the last update.
fn play(server: &ApiServer, lines: &[RecordedLine], runs: usize) {
    let first = lines.first().unwrap().at;
    let start_of = |run: usize| SPAN.mul_f64(run as f64 / runs as f64);
    let mut updates: Vec<(Duration, usize, &RecordedLine)> = (0..runs)
        .flat_map(|run| lines.iter().map(move |line| (run, line)))
        .map(|(run, line)| {
            (
                start_of(run) + line.at.duration_since(first).unsigned_abs(),
                run,
                line,
            )
        })
        .collect();
    updates.sort_by_key(|(due, ..)| *due);
    let log = "2026-11-22T13:04:10Z compiling another module of the widget\n".repeat(37);
    let (began, now) = (Instant::now(), Timestamp::now());
    for (due, run, line) in updates {
        let name = format!("run-{run:05}");
        if line.at == first {
            for step in STEPS {
                server.set_log(&format!("{name}-pod-step-{step}"), &log);
            }
        }
        let started = SignedDuration::try_from(start_of(run)).unwrap();
        let offset = (now + started)
            .duration_since(first)
            .round(Unit::Second)
            .unwrap();
        let text = renamed(&moved(&line.text, offset), &name, run);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        server.play_text(&text);
    }
}

/// Returns a text in which all times are later by `offset`.
fn moved(text: &str, offset: SignedDuration) -> String {
    let mut parts = text.split(DAY);
    let mut moved = parts.next().unwrap().to_owned();
    for part in parts {
        let (time, rest) = part.split_once('Z').unwrap();
        let at: Timestamp = format!("{DAY}{time}Z").parse().unwrap();
        moved += &format!("{}{rest}", at + offset);
    }
    moved
}
