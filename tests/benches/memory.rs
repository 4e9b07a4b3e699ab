//! Measures the resident memory of the whole program while it tracks 10,000 runs of three steps, and while 100,000
//! events wait for a sink that is down: `cargo xtask bench`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark"
)]

use bytes::Bytes;
use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use std::process::Stdio;
use std::time::Duration;
use step_observer::journal::{Accept, Journal, JournalConfig, NewEvent};
use step_observer_tests::accepted;
use step_observer_tests::admin::get;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::budget::Budget;
use step_observer_tests::measure::ProcessUsage;
use step_observer_tests::program::{Program, wait_for_line};
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::HttpSink;
use tokio::process::Child;

/// Runs that are tracked.
const RUNS: usize = 10_000;
/// Events that wait for a sink that is down.
const BACKLOG: usize = 100_000;
/// Bytes of each of them.
const EVENT_BYTES: usize = 2048;
/// Time without work after which memory is measured. Memory that only the work needed is free by
/// then.
const QUIET: Duration = Duration::from_secs(60);
/// Runs that are observed while the backlog exists: their events fill the caches.
const LIVE_RUNS: usize = 1500;
/// Time between two looks at the backlog.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Bound of the time until all events are accepted.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> ExitCode {
    let mut budget = Budget::of("memory");
    let resident = tracked_runs().await;
    budget.check("MiB with 10,000 tracked runs", resident);
    let resident = backlog().await;
    budget.check("MiB with a backlog of 100,000 events", resident);
    budget.finish()
}

/// Returns the resident memory in MiB.
async fn tracked_runs() -> f64 {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    // A TaskRun and its Pod as the API server sends them, during the second of three steps.
    let events = watch_events("a-success");
    let ended = |event: &&Value| event.to_string().matches("\"exitCode\":0").count() > 2;
    let middle = events.iter().position(|event| ended(&event)).unwrap();
    for event in copies(&events[..=middle], RUNS) {
        server.play(&serde_json::from_str(&event).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let mut observer = observer(&server, folder.path(), &["--to", &sink.url]);
    // Each run emits start and end of its first step and the start of its second.
    sink.wait_for(RUNS * 3).await;
    println!(
        "{RUNS} runs of three steps tracked, {} events delivered",
        RUNS * 3
    );
    let resident = resident_at_rest(&observer).await;
    observer.kill().await.unwrap();
    resident
}

/// Measures an observer that starts with the backlog of an earlier observer and accepts new events,
/// while its sink is down.
async fn backlog() -> f64 {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let journal = folder.path().join("journal");
    fill(&journal).await;
    let server = ApiServer::start().await;
    for event in copies(&watch_events("a-success"), LIVE_RUNS) {
        server.play(&serde_json::from_str(&event).unwrap());
    }
    // The port is closed again: no server listens there.
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", down.local_addr().unwrap());
    drop(down);
    let journal = journal.display().to_string();
    let arguments = [
        "--to",
        &url,
        "--journal",
        &journal,
        "--admin",
        "127.0.0.1:0",
    ];
    let mut observer = observer(&server, folder.path(), &arguments);
    let line = wait_for_line(&mut observer, "address=").await;
    let address = line.split_once("address=").unwrap().1.trim().to_owned();
    let all = BACKLOG + LIVE_RUNS * 6;
    let mut interval = tokio::time::interval(POLL_INTERVAL);
    let mut waiting = 0;
    let accepted = tokio::time::timeout(ACCEPT_TIMEOUT, async {
        while waiting < all {
            interval.tick().await;
            waiting = backlog_of_sink(&address).await;
        }
    });
    let is_accepted = accepted.await.is_ok();
    assert!(
        is_accepted,
        "{waiting} of {all} events accepted in {ACCEPT_TIMEOUT:?}"
    );
    println!(
        "{BACKLOG} events of {EVENT_BYTES} bytes wait for a sink that is down, and {} that were accepted since",
        waiting - BACKLOG
    );
    let resident = resident_at_rest(&observer).await;
    observer.kill().await.unwrap();
    resident
}

async fn fill(folder: &Path) {
    let config = JournalConfig {
        directory: Some(folder.to_owned()),
        ..JournalConfig::default()
    };
    let journal = Journal::open(&config, Timestamp::UNIX_EPOCH).unwrap();
    let accepts = futures::stream::iter(0..BACKLOG).map(|number| {
        let (run, mark) = (format!("run-{}", number / 6), format!("{}", number % 6));
        let event = NewEvent {
            // The name of the first `--to`.
            sinks: vec!["http-1".to_owned()],
            body: body(&run, number),
        };
        // Uses the latest possible time, so that no event becomes too old to be delivered.
        journal.accept(Accept {
            origin: run.into(),
            mark: Some(mark.as_str().into()),
            at: Timestamp::MAX,
            events: vec![event],
        })
    });
    let accepts = accepts.buffer_unordered(1024);
    accepts.for_each(async |accepted| accepted.unwrap()).await;
    journal.sync().await.unwrap();
    drop(journal);
    // Waits for the end of the writer, which holds the lock.
    let lock = std::fs::File::open(folder.join("lock")).unwrap();
    lock.lock().unwrap();
}

fn body(run: &str, number: usize) -> Bytes {
    let mut event = json!({
        "specversion": "1.0", "id": format!("id-{number}"), "source": "/a/source", "partitionkey": run,
        "type": "dev.tekton.event.plugin.step.succeeded.v1", "datacontenttype": "application/json",
        "data": {"log": ""},
    });
    let length = event.to_string().len();
    event["data"]["log"] = "x".repeat(EVENT_BYTES - length).into();
    accepted(event)
}

/// Returns the number of events that wait for the only sink.
async fn backlog_of_sink(address: &str) -> usize {
    let (_, body) = get(address, "/sinks").await;
    let sinks: Value = serde_json::from_str(&body).unwrap();
    usize::try_from(sinks["sinks"][0]["waiting"].as_u64().unwrap()).unwrap()
}

fn observer(server: &ApiServer, folder: &Path, arguments: &[&str]) -> Child {
    let config = folder.join("config.yaml");
    std::fs::write(&config, "lookBack: 1000000h\n").unwrap();
    Program::new()
        .args([
            "run",
            "--log",
            "error,step_observer::admin=info",
            "--config",
        ])
        .arg(&config)
        .args(arguments)
        .env("KUBECONFIG", server.kubeconfig(folder))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Returns the resident memory after a time without work, in MiB.
async fn resident_at_rest(observer: &Child) -> f64 {
    let read = || ProcessUsage::read(observer.id().unwrap());
    let at_once = read().resident_mib;
    tokio::time::sleep(QUIET).await;
    let usage = read();
    println!("resident at once {at_once:.1} MiB; after {QUIET:?}: {usage}");
    usage.resident_mib
}
