//! Resident memory of the whole program while it tracks 10,000 runs of three steps, and while 100,000 events wait
//! for a sink that is down: `cargo xtask bench`.

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
use std::process::Stdio;
use std::time::Duration;
use step_observer::journal::{Accept, Journal, JournalConfig, NewEvent};
use step_observer_tests::accepted;
use step_observer_tests::api_server::ApiServer;
use step_observer_tests::program;
use step_observer_tests::recording::{copies, watch_events};
use step_observer_tests::sink::HttpSink;
use tokio::io::AsyncBufReadExt as _;
use tokio::process::Child;

const RUNS: usize = 10_000;
const RUNS_MIB: f64 = 64.0;
const BACKLOG: usize = 100_000;
const BACKLOG_BYTES: usize = 2048;
const BACKLOG_MIB: f64 = 96.0;
/// Runs that are observed while the backlog is there: their events fill what is kept in memory.
const LIVE: usize = 1500;

#[tokio::main]
async fn main() {
    let runs = tracked_runs().await;
    let backlog = backlog().await;
    std::process::exit(i32::from(!runs || !backlog));
}

async fn tracked_runs() -> bool {
    let (server, sink) = (ApiServer::start().await, HttpSink::start(vec![]).await);
    // A TaskRun and its Pod as the API server sends them, in the middle of the second of three steps.
    let events = watch_events("a-success");
    let ended = |event: &&Value| event.to_string().matches("\"exitCode\":0").count() > 2;
    let middle = events.iter().position(|event| ended(&event)).unwrap();
    for event in copies(&events[..=middle], RUNS) {
        server.play(&serde_json::from_str(&event).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let mut observer = observer(&server, folder.path(), &["--to", &sink.url]);
    // Each run tells the start and end of its first step and the start of its second.
    sink.wait_for(RUNS * 3).await;
    println!(
        "{RUNS} runs of three steps tracked, {} events delivered",
        RUNS * 3
    );
    let holds = judge(&observer, RUNS_MIB);
    observer.kill().await.unwrap();
    holds
}

/// What an observer of before has left, and what it accepts itself: nobody takes any of it.
async fn backlog() -> bool {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let journal = folder.path().join("journal");
    fill(&journal).await;
    let server = ApiServer::start().await;
    for event in copies(&watch_events("a-success"), LIVE) {
        server.play(&serde_json::from_str(&event).unwrap());
    }
    // Nobody listens there.
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
    let stderr = tokio::io::BufReader::new(observer.stderr.take().unwrap());
    let mut log = stderr.lines();
    let address = loop {
        let line = log.next_line().await.unwrap().unwrap();
        if let Some((_, address)) = line.split_once("address=") {
            break address.trim().to_owned();
        }
    };
    let all = BACKLOG + LIVE * 6;
    let mut again = tokio::time::interval(Duration::from_millis(100));
    let mut waiting = 0;
    while waiting < all {
        again.tick().await;
        waiting = waits(&address).await;
    }
    println!(
        "{BACKLOG} events of {BACKLOG_BYTES} bytes wait for a sink that is down, and {} that were accepted since",
        waiting - BACKLOG
    );
    let holds = judge(&observer, BACKLOG_MIB);
    observer.kill().await.unwrap();
    holds
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
            // As the first `--to` is named.
            sinks: vec!["http-1".to_owned()],
            body: body(&run, number),
        };
        // Later than any: nothing is given up.
        journal.accept(Accept {
            origin: run.into(),
            mark: Some(mark),
            at: Timestamp::MAX,
            events: vec![event],
        })
    });
    let accepts = accepts.buffer_unordered(1024);
    accepts.for_each(async |accepted| accepted.unwrap()).await;
    journal.sync().await.unwrap();
    drop(journal);
    // The writer gives the lock back when it has ended.
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
    event["data"]["log"] = "x".repeat(BACKLOG_BYTES - length).into();
    accepted(event)
}

/// How many events wait for the only sink.
async fn waits(address: &str) -> usize {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET /sinks HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let sinks: Value = serde_json::from_str(body).unwrap();
    usize::try_from(sinks["sinks"][0]["waiting"].as_u64().unwrap()).unwrap()
}

fn observer(server: &ApiServer, folder: &Path, arguments: &[&str]) -> Child {
    let config = folder.join("config.yaml");
    std::fs::write(&config, "lookBack: 1000000h\n").unwrap();
    tokio::process::Command::new(program())
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
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn judge(observer: &Child, bound: f64) -> bool {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", observer.id().unwrap())).unwrap();
    let mib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024.0
    };
    let (resident, peak) = (mib("VmRSS"), mib("VmHWM"));
    let holds = resident <= bound;
    let word = if holds { "holds" } else { "BROKEN" };
    println!("resident {resident:.1} MiB, peak {peak:.1} MiB, bound {bound} MiB: {word}");
    holds
}
