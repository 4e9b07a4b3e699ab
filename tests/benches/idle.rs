//! Measures the program while nothing happens: wake-ups, processor time and memory after a minute with open watches,
//! with the configuration of the overlay `redact`. `cargo xtask bench`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

use std::process::{ExitCode, Stdio};
use std::time::Duration;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::budget::Budget;
use step_observer_tests::deployed::{kubeconfig, overlay};
use step_observer_tests::measure::{ProcessUsage, mappings, wake_ups_by_name};
use step_observer_tests::program::Program;
use step_observer_tests::sink::HttpSink;
use step_observer_tests::tls::Authority;

/// Time after which the program is idle: its plugin is loaded, and its watches are open.
const SETTLING: Duration = Duration::from_secs(5);
/// Time for which it is measured.
const IDLE: Duration = Duration::from_secs(60);
/// Smallest mapping that is printed, in KiB.
const SMALL_MAPPING: usize = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let authority = Authority::default();
    let server = ApiServer::start_tls(authority.server_named("127.0.0.1")).await;
    let sink = HttpSink::start(vec![]).await;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let observer = Program::new()
        .args(["run", "--log", "error", "--to", &sink.url, "--config"])
        .arg(overlay(folder.path()))
        .env(
            "KUBECONFIG",
            kubeconfig(folder.path(), &server.url, &authority),
        )
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let process = observer.id().unwrap();
    server.wait_for_watches(2).await;
    tokio::time::sleep(SETTLING).await;

    let (before, threads_before) = (ProcessUsage::read(process), wake_ups_by_name(process));
    tokio::time::sleep(IDLE).await;
    let (after, threads_after) = (ProcessUsage::read(process), wake_ups_by_name(process));

    let per_second = |count: usize| count as f64 / IDLE.as_secs_f64();
    for (thread, count) in threads_after {
        let count = count - threads_before.get(&thread).copied().unwrap_or_default();
        println!("{thread:<40}{:>8.2} wake-ups/s", per_second(count));
    }
    for (what, kib) in mappings(process) {
        if kib >= SMALL_MAPPING {
            println!("{what:<60}{:>8.1} MiB", kib as f64 / 1024.0);
        }
    }
    let used = after.processor_seconds - before.processor_seconds;
    let wake_ups = per_second(after.wake_ups - before.wake_ups);
    let percent = used / IDLE.as_secs_f64() * 100.0;
    let mut budget = Budget::of("idle");
    budget.check("wake-ups per second", wake_ups);
    budget.check("percent of a core", percent);
    budget.check("MiB resident", after.resident_mib);
    println!(
        "{:.1} MiB of it anonymous, {:.1} MiB of files",
        after.anonymous_mib, after.file_mib
    );
    budget.finish()
}
