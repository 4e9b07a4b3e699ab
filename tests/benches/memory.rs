//! Resident memory of the whole program while it tracks 10,000 runs of three steps:
//! `cargo xtask bench`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark"
)]

use serde_json::Value;
use std::process::Stdio;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::program;
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::HttpSink;

const RUNS: usize = 10_000;
const BOUND_MIB: f64 = 64.0;

#[tokio::main]
async fn main() {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    // A TaskRun and its Pod as the API server sends them, in the middle of the second of three steps.
    let events = watch_events("a-success");
    let ended = |event: &&Value| event.to_string().matches("\"exitCode\":0").count() > 2;
    let middle = events.iter().position(|event| ended(&event)).unwrap();
    for event in copies(&events[..=middle], RUNS) {
        server.play(&serde_json::from_str(&event).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, "lookBack: 1000000h\n").unwrap();
    let mut observer = tokio::process::Command::new(program())
        .args(["run", "--log", "warn", "--to", &sink.url, "--config"])
        .arg(&config)
        .env("KUBECONFIG", server.kubeconfig(folder.path()))
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // Each run tells the start and end of its first step and the start of its second.
    sink.wait_for(RUNS * 3).await;
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", observer.id().unwrap())).unwrap();
    let mib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<f64>()
            .unwrap()
            / 1024.0
    };
    let (resident, peak) = (mib("VmRSS"), mib("VmHWM"));
    println!(
        "{RUNS} runs of three steps tracked, {} events delivered",
        RUNS * 3
    );
    println!(
        "resident {resident:.1} MiB, peak {peak:.1} MiB, bound {BOUND_MIB} MiB: {}",
        if resident <= BOUND_MIB {
            "holds"
        } else {
            "BROKEN"
        }
    );
    observer.kill().await.unwrap();
    std::process::exit(i32::from(resident > BOUND_MIB));
}
