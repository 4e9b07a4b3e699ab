//! Measures the start of the program on a large cluster: 100,000 TaskRuns that ended, whose Pods
//! are gone, and 5,000 that run: `cargo xtask bench`.
//!
//! The API server is another process, which this executable starts with the argument `serve`. It
//! uses TLS and writes the objects when a page is requested. TaskRuns have 8 KB; no two of them
//! have the same scripts.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use step_observer_tests::admin::get;
use step_observer_tests::api_server::{ApiServer, GeneratedList, Resource};
use step_observer_tests::budget::Budget;
use step_observer_tests::deployed::{kubeconfig, overlay};
use step_observer_tests::measure::ProcessUsage;
use step_observer_tests::program::{Program, wait_for_line};
use step_observer_tests::recording::{renamed, watch_events};
use step_observer_tests::sink::counting_sink;
use step_observer_tests::tls::Authority;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// TaskRuns that run. Each has a Pod whose first step runs.
const LIVE_RUNS: usize = 5000;
/// One TaskRun of this many runs; the others ended and have no Pod.
const LIVE_EVERY: usize = 21;
/// All TaskRuns.
const RUNS: usize = LIVE_RUNS * LIVE_EVERY;
/// Bytes of a TaskRun.
const TASK_RUN_BYTES: usize = 8 * 1024;
/// TaskRuns of one namespace.
const RUNS_PER_NAMESPACE: usize = 1050;
/// Age of the youngest TaskRun that ended, and by how much each one is older than the one before:
/// the oldest ended 12 days ago.
const MIN_AGE: SignedDuration = SignedDuration::from_hours(1);
const AGE_STEP: SignedDuration = SignedDuration::from_secs(10);
/// Time without work after which memory is measured again.
const QUIET: Duration = Duration::from_secs(60);
/// Time between two requests for `/readyz`.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Longest wait until the observer is ready, and for the events after that.
const PATIENCE: Duration = Duration::from_secs(600);
/// Name of the recorded TaskRun and of its namespace, and its day, hour and minute.
const RECORDING: &str = "a-success";
const MINUTE: &str = "2026-11-22T13:04:";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "serve", folder] => serve(Path::new(folder)).await,
        _ => measure().await,
    }
}

async fn measure() -> ExitCode {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (_server, kubeconfig) = start_server(folder.path()).await;
    let (url, delivered) = counting_sink().await;
    let started = Instant::now();
    let mut observer = Program::new()
        .args([
            "run",
            "--to",
            &url,
            "--log",
            "error,step_observer::admin=info",
        ])
        .arg("--config")
        .arg(overlay(folder.path()))
        .env("KUBECONFIG", kubeconfig)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let line = wait_for_line(&mut observer, "/status").await;
    let address = line.split_once("address=").unwrap().1.trim().to_owned();
    let usage = || ProcessUsage::read(observer.id().unwrap());

    poll(async || get(&address, "/readyz").await.0 == 200).await;
    let (time, at_ready) = (started.elapsed(), usage());
    println!(
        "{} TaskRuns that ended and {LIVE_RUNS} that run, of {TASK_RUN_BYTES} bytes",
        RUNS - LIVE_RUNS
    );
    println!(
        "ready after {:.1} s of processor time",
        at_ready.processor_seconds
    );
    println!("when ready: {at_ready}");

    poll(async || delivered.load(Ordering::Relaxed) >= LIVE_RUNS).await;
    println!(
        "the start of each step that runs delivered after {:.1} s",
        started.elapsed().as_secs_f64()
    );
    println!("when delivered: {}", usage());
    tokio::time::sleep(QUIET).await;
    let after = usage();
    println!("after {QUIET:?}: {after}");
    println!(
        "{} events, {} TaskRuns tracked, {:.1} s of processor time",
        delivered.load(Ordering::Relaxed),
        tracked_runs(&address).await,
        after.processor_seconds
    );
    let mut budget = Budget::of("large");
    budget.check("seconds until ready", time.as_secs_f64());
    budget.check("MiB at most", after.peak_mib);
    observer.kill().await.unwrap();
    budget.finish()
}

async fn poll(mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

async fn tracked_runs(address: &str) -> String {
    let (_, status) = get(address, "/status").await;
    let status: Value = serde_json::from_str(&status).unwrap_or_default();
    status["runsTracked"].to_string()
}

/// Starts the API server as a process. Returns its kubeconfig, too.
async fn start_server(folder: &Path) -> (Child, String) {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .arg("serve")
        .arg(folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let kubeconfig = lines.next_line().await.unwrap().unwrap();
    (server, kubeconfig)
}

/// Serves the objects until the process is killed.
async fn serve(folder: &Path) -> ExitCode {
    let authority = Authority::default();
    let server = ApiServer::start_tls(authority.server_named("127.0.0.1")).await;
    let now = Timestamp::now();
    let (ended, running, pod) = templates();
    let task_run = move |index: usize| match index % LIVE_EVERY {
        0 => copy(&running, index, now),
        _ => {
            let older = AGE_STEP * i32::try_from(index).unwrap();
            copy(&ended, index, now - MIN_AGE - older)
        }
    };
    let task_runs = GeneratedList {
        count: RUNS,
        item: Box::new(task_run),
    };
    let pods = GeneratedList {
        count: LIVE_RUNS,
        item: Box::new(move |index| copy(&pod, index * LIVE_EVERY, now)),
    };
    server.generate(Resource::TaskRuns, task_runs);
    server.generate(Resource::Pods, pods);
    let kubeconfig = kubeconfig(folder, &server.url, &authority);
    println!("{}", kubeconfig.display());
    std::future::pending().await
}

/// Returns a recorded TaskRun that ended, the same TaskRun while its first step ran, and its Pod at
/// that time.
fn templates() -> (String, String, String) {
    let events = watch_events(RECORDING);
    let of_kind = |kind: &'static str| {
        let objects = events.iter().map(|event| &event["object"]);
        objects.filter(move |object| object["kind"] == kind)
    };
    let ended = of_kind("TaskRun").next_back().unwrap();
    let running = of_kind("TaskRun").find(|run| {
        let condition = &run["status"]["conditions"][0];
        condition["reason"] == "Running" && run["status"]["steps"][0]["running"].is_object()
    });
    let pod = of_kind("Pod").find(|pod| {
        let is_ready = pod["metadata"]["annotations"]["tekton.dev/ready"] == "READY";
        is_ready && pod["status"]["phase"] == "Running"
    });
    (
        enlarged(ended.clone()),
        enlarged(running.unwrap().clone()),
        pod.unwrap().to_string(),
    )
}

/// Returns a TaskRun whose first script is so long that the TaskRun has its size. The status
/// contains the script, too.
fn enlarged(mut task_run: Value) -> String {
    let missing = TASK_RUN_BYTES - task_run.to_string().len();
    let script = format!("echo compiling a module of {RECORDING}\n").repeat(missing / 2 / 38);
    for part in ["spec", "status"] {
        task_run[part]["taskSpec"]["steps"][0]["script"] = script.as_str().into();
    }
    task_run.to_string()
}

/// Returns a copy of an object for a run that began in the minute before a time.
fn copy(template: &str, run: usize, time: Timestamp) -> String {
    let namespace = format!(r#""namespace":"team-{:03}""#, run / RUNS_PER_NAMESPACE);
    let minute = (time - SignedDuration::from_mins(1)).strftime("%Y-%m-%dT%H:%M:");
    let text = template
        .replace(&format!(r#""namespace":"{RECORDING}""#), &namespace)
        .replace(MINUTE, &minute.to_string());
    renamed(&text, &format!("run-{run:06}"), run)
}
